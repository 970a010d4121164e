//! The request's own system-call profile: carried beside the template's, so it can only restrict further.

use super::NO_MECHANISM;
use super::case::Case;
use crate::controls::ControlId;
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
    let Some(asked) = case.linux().and_then(|l| l.seccomp().as_ref()) else {
        return;
    };
    let at = "/linux/seccomp";
    let listener = asked
        .listener_path()
        .as_ref()
        .is_some_and(|p| !p.as_os_str().is_empty());
    let metadata = asked
        .listener_metadata()
        .as_ref()
        .is_some_and(|m| !m.is_empty());
    let rules = asked.syscalls().iter().flatten();
    let notify = asked.default_action() == LinuxSeccompAction::ScmpActNotify
        || rules
            .clone()
            .any(|r| r.action() == LinuxSeccompAction::ScmpActNotify);
    for (key, there, found) in [
        ("listenerPath", listener, "a listener of system calls"),
        ("listenerMetadata", metadata, "data for a listener"),
        ("syscalls", notify, "the action SCMP_ACT_NOTIFY"),
    ] {
        if there {
            case.refuse(
                ControlId::S8_1_4,
                &format!("{at}/{key}"),
                found,
                NO_MECHANISM,
            );
        }
    }
    if asked
        .flags()
        .iter()
        .flatten()
        .any(|f| *f == LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow)
    {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/flags"),
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "speculation stays restricted",
        );
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
