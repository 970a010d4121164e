//! Who launches, and as whom the program runs.

use super::case::Case;
use crate::controls::ControlId;
use crate::host::Privilege;
use crate::policy::Rootless;

/// Only root and the listed operators control containers; never through a set-uid launcher.
pub(super) fn operator(case: &mut Case<'_>) {
    let caller = &case.host.caller;
    if caller.real_uid != caller.uid {
        case.refuse(
            ControlId::S8_2_1,
            "caller",
            format!(
                "real user id {} and effective user id {} differ",
                caller.real_uid, caller.uid
            ),
            "this program must not be set-uid: remove the bit (chmod u-s)",
        );
    }
    let operators = &case.policy.ceilings.operators;
    let listed = operators.uids.contains(&caller.uid) || operators.gids.contains(&caller.gid);
    let rootless = case.host.privilege == Privilege::User
        && operators.rootless.unwrap_or_default() == Rootless::Allow;
    if caller.uid != 0 && !listed && !rootless {
        case.refuse(
            ControlId::S8_2_1,
            "caller",
            format!(
                "user {} (group {}) is not an operator",
                caller.uid, caller.gid
            ),
            "launch as root, or have the policy list the user under [operators]",
        );
    }
}

/// User and group ids, supplementary groups, umask.
pub(super) fn user(case: &mut Case<'_>) {
    let Some(process) = case.spec().process() else {
        return;
    };
    let user = process.user();
    if case.standalone()
        && user.uid() == 0
        && !case.waived("/process/user/uid", "user id 0", |g| g.root_user)
    {
        case.refuse(
            ControlId::S8_5_1,
            "/process/user/uid",
            "user id 0",
            "run as an ordinary user (the default is 65532:65532), or get an exception with root_user = true",
        );
    }
    if user.uid() == u32::MAX || user.gid() == u32::MAX {
        let message = "the id 4294967295, which the kernel takes for \"no change\"";
        case.refuse(
            ControlId::S8_5_1,
            "/process/user",
            message,
            "ids go up to 4294967294",
        );
    }
    if let Some(username) = user.username().as_deref().filter(|name| !name.is_empty()) {
        case.refuse(
            ControlId::S8_5_1,
            "/process/user/username",
            format!("{username:?}"),
            "user names are for Windows; give uid and gid as numbers",
        );
    }
    let umask = user.umask().unwrap_or(0o022);
    if umask > 0o777 {
        case.refuse(
            ControlId::S8_5_1,
            "/process/user/umask",
            format!("{umask:o} (octal)"),
            "a umask has at most the bits 777 (octal)",
        );
    }
    let groups = user.additional_gids().clone().unwrap_or_default();
    if groups.len() > 65_536 {
        let found = format!("{} supplementary groups", groups.len());
        case.refuse(
            ControlId::S8_5_1,
            "/process/user/additionalGids",
            found,
            "the kernel takes 65536",
        );
    }
    let target = &mut case.grant.process;
    (target.uid, target.gid) = (user.uid(), user.gid());
    target.umask = umask & 0o777;
    target.groups = groups;
}
