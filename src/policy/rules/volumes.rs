//! Bind mounts: which folders and files of the host may be shown.
//!
//! By name only: the rule sees no links. The launcher opens the source without following any and compares.

use super::case::Case;
use super::mount_options::{MountOptions, Recursion};
use crate::controls::ControlId;
use crate::paths::{GuestPath, HostPath};
use crate::policy::ceilings::is_below;
use crate::policy::{MountSource, Translation};

/// The source of a bind mount, if policy opens it.
pub(super) fn bind(
    case: &mut Case<'_>,
    pointer: &str,
    target: &GuestPath,
    mount: &oci_spec::runtime::Mount,
    options: &MountOptions,
    ids: Translation,
) -> Option<MountSource> {
    let place = format!("{pointer}/source");
    if target.as_str() == "/dev" {
        case.refuse(
            ControlId::S8_5_1,
            &format!("{pointer}/destination"),
            "a bind mount on /dev",
            "device nodes are made by the launcher",
        );
        return None;
    }
    let text = mount
        .source()
        .as_ref()
        .map(|s| s.to_string_lossy())
        .unwrap_or_default();
    let path = match clean(&text) {
        Ok(path) => path,
        Err(found) => {
            case.refuse(
                ControlId::S8_5_1,
                &place,
                found,
                "give an absolute path without '..'",
            );
            return None;
        }
    };
    let states = case.bundle.extras.states.as_deref();
    let of_launcher = states.is_some_and(|states| is_below(&path, states));
    let mut layers = case.policy.ceilings.volumes.iter();
    let open = !of_launcher && layers.all(|layer| layer.verdict(&path));
    if !open
        && !case.waived(&place, format!("a bind mount of {path}"), |g| {
            g.sources.iter().any(|s| is_below(&path, s))
        })
    {
        let found = format!("a bind mount of {path}");
        let remedy = "policy keeps it closed: bind something narrower, or get an exception for SS-011/8.5.1 with sources";
        case.refuse(ControlId::S8_5_1, &place, found, remedy);
        return None;
    }
    let Ok(path) = HostPath::parse(&path) else {
        return None;
    };
    Some(MountSource::Bind {
        path,
        recursive: options.bind == Some(Recursion::Tree),
        ids,
    })
}

/// Absolute, without doubled slashes, `.` and a slash at the end.
fn clean(text: &str) -> Result<String, String> {
    let path = GuestPath::parse(text).map_err(|error| error.to_string())?;
    Ok(path.as_str().to_string())
}
