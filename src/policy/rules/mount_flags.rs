//! Flags and propagation of one mount: what is asked, and what is always added.

use super::case::Case;
use super::mount_options::MountOptions;
use crate::controls::ControlId;
use crate::policy::{Atime, Mount, MountSource, Propagation};

/// Flags of the mount: what is asked, and what is always added.
pub(super) fn attributes(
    case: &mut Case<'_>,
    pointer: &str,
    mut mount: Mount,
    options: &MountOptions,
) -> Mount {
    let place = format!("{pointer}/options");
    for (option, why) in &options.idle {
        case.cut(ControlId::S8_4_7, &place, option, why);
    }
    if case.compat() {
        return as_asked(mount, options);
    }
    let kernel = matches!(mount.source, MountSource::Sysfs | MountSource::Cgroup);
    if kernel && !options.readonly {
        let found = format!("a writable {}", mount.target);
        case.over(ControlId::S8_4_7, &place, found, "a read-only one");
    }
    mount.readonly = options.readonly || kernel || mount.source == MountSource::Dev;
    mount.nodev = !matches!(mount.source, MountSource::Dev | MountSource::Devpts { .. });
    if options.suid {
        case.over(ControlId::S8_3_7, &place, "suid", "nosuid");
    }
    if options.dev {
        case.over(ControlId::S8_5_1, &place, "dev", "nodev");
    }
    mount.noexec = noexec(case, &place, &mount, options);
    mount.atime = options.atime.unwrap_or(Atime::Relatime);
    mount.nosymfollow = options.nosymfollow;
    mount.nodiratime = options.nodiratime;
    mount.propagation = propagation(case, &place, options);
    mount
}

/// Under compat: the request's own flags.
fn as_asked(mut mount: Mount, options: &MountOptions) -> Mount {
    mount.readonly = options.readonly;
    mount.noexec = options.noexec;
    mount.nosuid = options.nosuid;
    mount.nodev = options.nodev;
    mount.atime = options.atime.unwrap_or(Atime::Relatime);
    mount.nosymfollow = options.nosymfollow;
    mount.nodiratime = options.nodiratime;
    mount.propagation = options.propagation;
    mount
}

/// Everything but a read-only volume, which is as it is asked; a writable one only by exception.
fn noexec(case: &mut Case<'_>, place: &str, mount: &Mount, options: &MountOptions) -> bool {
    match mount.source {
        MountSource::Bind { .. } if mount.readonly => options.noexec,
        MountSource::Bind { .. } | MountSource::Tmpfs { .. } => {
            let target = mount.target.as_str();
            let excepted = !options.noexec
                && case.waived(place, format!("execution from {target}"), |g| {
                    g.exec_on.iter().any(|p| p == target)
                });
            if options.exec && !excepted {
                case.over(ControlId::S8_4_8, place, "exec", "noexec");
            }
            !excepted
        }
        _ => true,
    }
}

pub(super) fn propagation(
    case: &mut Case<'_>,
    place: &str,
    options: &MountOptions,
) -> Option<Propagation> {
    match options.propagation {
        asked if case.compat() => asked,
        None | Some(Propagation::Private) => None,
        Some(Propagation::Unbindable) => {
            case.cut(ControlId::S8_4_5, place, "unbindable", "private");
            None
        }
        Some(asked) => {
            case.over(
                ControlId::S8_4_5,
                place,
                format!("{asked:?} propagation"),
                "Private",
            );
            None
        }
    }
}
