//! The request's own system-call profile: carried beside the template's, so it can only restrict further.

use super::case::Case;
use crate::controls::ControlId;
use crate::paths::HostPath;
use crate::policy::{FilterFlag, Listener, Watching};
use crate::seccomp::{self, Arch, Profile};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};

/// Groups by exception, the profile, and what of it needs a listener.
pub(super) fn profile(case: &mut Case<'_>) {
    for exception in case.in_force() {
        for group in &exception.grant.seccomp_groups {
            if !case.grant.seccomp.groups.contains(group)
                && case.waived("", format!("system calls of the group {group}"), |g| {
                    g.seccomp_groups.contains(group)
                })
            {
                case.grant.seccomp.groups.push(group.clone());
            }
        }
    }
    if case.grant.watch.logs.is_some() || case.bundle.extras.events {
        case.grant.seccomp.watching = Watching::On;
    }
    let Some(asked) = case.linux().and_then(|l| l.seccomp().as_ref()) else {
        return;
    };
    let at = "/linux/seccomp";
    listener(case, asked);
    for flag in asked.flags().iter().flatten() {
        use LinuxSeccompFilterFlag as Oci;
        let flag = match flag {
            Oci::SeccompFilterFlagLog => FilterFlag::Log,
            // There is one thread when the filter is loaded.
            Oci::SeccompFilterFlagTsync => continue,
            Oci::SeccompFilterFlagSpecAllow if case.compat() => FilterFlag::SpecAllow,
            Oci::SeccompFilterFlagSpecAllow => {
                case.cut(
                    ControlId::S8_1_4,
                    &format!("{at}/flags"),
                    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                    "speculation stays restricted",
                );
                continue;
            }
            Oci::SeccompFilterFlagWaitKillableRecv if case.grant.seccomp.listener.is_some() => {
                FilterFlag::WaitKillable
            }
            Oci::SeccompFilterFlagWaitKillableRecv => {
                case.cut(
                    ControlId::S8_1_4,
                    &format!("{at}/flags"),
                    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
                    "nothing: there is no listener to wait for",
                );
                continue;
            }
        };
        case.grant.seccomp.flags.push(flag);
    }
    let (requested, foreign) = translate(case, asked);
    if !foreign.is_empty() {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/architectures"),
            foreign.join(" "),
            "the native architecture only",
        );
    }
    case.grant.seccomp.requested = requested;
}

/// SCMP_ACT_NOTIFY and who listens: somebody outside who can answer in the kernel's place, so only under compat.
fn listener(case: &mut Case<'_>, asked: &LinuxSeccomp) {
    let at = "/linux/seccomp";
    let notifies = |action| action == LinuxSeccompAction::ScmpActNotify;
    let rules = asked.syscalls().iter().flatten();
    let notify =
        notifies(asked.default_action()) || rules.clone().any(|rule| notifies(rule.action()));
    let path = asked.listener_path().as_ref();
    let path = path.filter(|p| !p.as_os_str().is_empty());
    let metadata = asked.listener_metadata().clone().unwrap_or_default();
    if !case.compat() {
        for (key, there, found) in [
            ("listenerPath", path.is_some(), "a listener of system calls"),
            (
                "listenerMetadata",
                !metadata.is_empty(),
                "data for a listener",
            ),
            ("syscalls", notify, "the action SCMP_ACT_NOTIFY"),
        ] {
            if there {
                case.refuse(
                    ControlId::S8_1_4,
                    &format!("{at}/{key}"),
                    found,
                    "an agent outside would answer in the kernel's place: only the template compat lets one; leave it out",
                );
            }
        }
        return;
    }
    let parsed = path.map(|p| HostPath::parse(&p.to_string_lossy()));
    match (parsed, notify) {
        (Some(Ok(path)), true) => {
            case.grant.seccomp.listener = Some(Listener { path, metadata });
        }
        (Some(Ok(_)), false) => case.cut(
            ControlId::S8_1_4,
            &format!("{at}/listenerPath"),
            "a listener of system calls",
            "nothing: no call has the action SCMP_ACT_NOTIFY",
        ),
        (Some(Err(error)), _) => case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/listenerPath"),
            error,
            "give the absolute path of a unix socket",
        ),
        (None, true) => case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/listenerPath"),
            "the action SCMP_ACT_NOTIFY and nobody to notify",
            "name the agent's unix socket",
        ),
        (None, false) if metadata.is_empty() => {}
        (None, false) => case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/listenerMetadata"),
            "data for a listener, and no listener",
            "name the agent's unix socket as listenerPath",
        ),
    }
}

/// The profile, and the architectures in it that are cut.
fn translate(case: &mut Case<'_>, asked: &LinuxSeccomp) -> (Option<Profile>, Vec<String>) {
    match seccomp::adopt(asked, Arch::NATIVE) {
        Ok(adopted) => (Some(adopted.profile), adopted.clamped_architectures),
        Err(error) => {
            case.refuse(
                ControlId::S8_1_4,
                "/linux/seccomp",
                error,
                "mend the profile",
            );
            (None, Vec::new())
        }
    }
}
