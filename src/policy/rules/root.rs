//! The root file system: read-only and private.

use super::case::Case;
use super::strings::shorten;
use crate::controls::ControlId;
use crate::policy::Propagation;

/// The root: read-only unless excepted, private.
pub(super) fn readonly_and_private(case: &mut Case<'_>) {
    let Some(root) = case.spec().root() else {
        return;
    };
    if !root.readonly().unwrap_or(false) {
        if case.waived("/root/readonly", "a writable root", |g| g.writable_root) {
            case.grant.root.readonly = false;
        } else if root.readonly() == Some(false) {
            case.over(
                ControlId::S8_4_7,
                "/root/readonly",
                "a writable root",
                "a read-only one",
            );
        } else {
            case.cut(
                ControlId::S8_4_7,
                "/root/readonly",
                "a writable root (nothing said)",
                "a read-only one",
            );
        }
    }
    let propagation = case.linux().and_then(|l| l.rootfs_propagation().as_deref());
    let asked = match propagation {
        None | Some("" | "private" | "rprivate") => return,
        Some("slave" | "rslave") => Propagation::Slave,
        Some("shared" | "rshared") => Propagation::Shared,
        Some("unbindable" | "runbindable") => Propagation::Unbindable,
        Some(other) => {
            let found = format!("the propagation {:?}", shorten(other));
            case.refuse(
                ControlId::S8_4_5,
                "/linux/rootfsPropagation",
                found,
                "use private",
            );
            return;
        }
    };
    if case.compat() {
        case.grant.root.propagation = Some(asked);
    } else if asked != Propagation::Unbindable {
        case.over(
            ControlId::S8_4_5,
            "/linux/rootfsPropagation",
            format!("{asked:?}"),
            "Private",
        );
    } else {
        case.cut(
            ControlId::S8_4_5,
            "/linux/rootfsPropagation",
            "Unbindable",
            "Private",
        );
    }
}
