//! Entries of /mounts without source and type: they change what is mounted at a place already.

use super::case::Case;
use super::mount_flags::propagation;
use super::mount_options::MountOptions;

use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::policy::Propagation;

/// Whether an entry is of this kind.
pub(super) fn is_change(mount: &oci_spec::runtime::Mount, options: &MountOptions) -> bool {
    let none = mount
        .typ()
        .as_deref()
        .is_none_or(|t| matches!(t, "" | "none"));
    let source = mount.source().as_ref().map(|s| s.to_string_lossy());
    let named = source.is_some_and(|s| !matches!(s.as_ref(), "" | "none"));
    none && !named && options.bind.is_none()
}

/// Adds restrictions to the mount at `target`; what would take one away is noted and not done.
pub(super) fn change(
    case: &mut Case<'_>,
    pointer: &str,
    target: &GuestPath,
    options: &MountOptions,
) {
    let place = format!("{pointer}/options");
    let asked = propagation(case, &place, options);
    let wider = options.exec || options.suid || options.dev;
    if wider {
        let found = format!("fewer restrictions on {target}");
        case.cut(
            ControlId::S8_4_7,
            &place,
            found,
            "those that it was mounted with",
        );
    }
    let at = case.grant.mounts.iter_mut().rfind(|m| m.target == *target);
    match at {
        Some(mount) => {
            mount.readonly |= options.readonly;
            mount.noexec |= options.noexec;
            mount.nosuid |= options.nosuid;
            mount.nodev |= options.nodev;
            mount.nosymfollow |= options.nosymfollow;
            mount.nodiratime |= options.nodiratime;
            mount.propagation = asked.or(mount.propagation);
            mount.atime = options.atime.unwrap_or(mount.atime);
        }
        None if *target == GuestPath::root() => {
            case.grant.root.readonly |= options.readonly;
            case.grant.root.propagation = asked.or(case.grant.root.propagation);
            if options.noexec || options.nosymfollow || options.atime.is_some() {
                let remedy = "the root can be made ro, and its propagation changed";
                case.refuse(
                    ControlId::S8_4_7,
                    &place,
                    "other flags for the root",
                    remedy,
                );
            }
        }
        None if asked.is_none() && options.propagation == Some(Propagation::Private) => {
            let found = format!("private propagation of {target}");
            case.cut(
                ControlId::S8_4_5,
                &place,
                found,
                "nothing: it is so everywhere",
            );
        }
        None => {
            let found = format!("a change of what is mounted at {target}");
            let remedy = "nothing is mounted there before this entry: give a type and a source";
            case.refuse(ControlId::S8_4_5, pointer, found, remedy);
        }
    }
}
