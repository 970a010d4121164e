//! System calls without which a control can't be enforced at all: their absence refuses the launch. Pure.
//!
//! What has a fall-back is not here: without landlock the plan has a line `not here` instead.

use super::PlanError;
use crate::controls::ControlId::{self, *};
use crate::host::Host;

/// A call, the first Linux that has it, the control that rests on it, and how.
const NEEDED: [(&str, &str, ControlId, &str); 16] = [
    (
        "clone3",
        "5.3",
        S8_1_3,
        "the container's namespaces can't be made in one step",
    ),
    (
        "pidfd_open",
        "5.3",
        S8_1_3,
        "a process can be mistaken for another that got its number",
    ),
    (
        "pidfd_send_signal",
        "5.1",
        S8_1_3,
        "a process can be mistaken for another that got its number",
    ),
    (
        "close_range",
        "5.9",
        S8_1_3,
        "descriptors of the host could stay open inside",
    ),
    (
        "openat2",
        "5.6",
        S8_4_7,
        "a link of the image's could lead a path out of the root",
    ),
    (
        "open_tree",
        "5.2",
        S8_4_5,
        "a mount can't be made without a path that can change meanwhile",
    ),
    (
        "move_mount",
        "5.2",
        S8_4_5,
        "a mount can't be attached without a path that can change meanwhile",
    ),
    (
        "fsopen",
        "5.2",
        S8_4_5,
        "a file system can't be made ready before it is attached",
    ),
    (
        "fsconfig",
        "5.2",
        S8_4_5,
        "a file system can't be made ready before it is attached",
    ),
    (
        "fsmount",
        "5.2",
        S8_4_5,
        "a file system can't be made ready before it is attached",
    ),
    (
        "mount_setattr",
        "5.12",
        S8_4_7,
        "the root can't be made read-only as a whole",
    ),
    (
        "statx",
        "5.8",
        S8_4_5,
        "a mount can't be told from another in its place",
    ),
    (
        "execveat",
        "3.19",
        S8_4_3,
        "the program can't be executed from its one descriptor",
    ),
    (
        "seccomp",
        "3.17",
        S8_1_4,
        "the kernel's calls can't be filtered",
    ),
    (
        "landlock_add_rule",
        "5.13",
        S8_4_3,
        "landlock is there without it, so what may be executed can't be said",
    ),
    (
        "landlock_restrict_self",
        "5.13",
        S8_4_3,
        "landlock is there without it, so what may be executed can't be said",
    ),
];

/// Refused before anything of the image is looked at: openat2 is what looks.
pub fn all_there(host: &Host) -> Result<(), PlanError> {
    if host.kernel < (5, 12) {
        return Err(PlanError::Value {
            pointer: "the kernel".into(),
            what: format!(
                "Linux {} is too old: 5.12 is the first with mount_setattr, without which the root can't be made read-only as a whole",
                host.release
            ),
        });
    }
    let without_landlock = host.landlock_abi == 0;
    let missing = NEEDED.iter().find(|(call, ..)| {
        host.missing_calls.contains(call) && !(without_landlock && call.starts_with("landlock"))
    });
    let Some((call, since, control, lost)) = missing else {
        return Ok(());
    };
    Err(PlanError::Value {
        pointer: control.as_str().into(),
        what: format!(
            "the system call {call} is not to be had (ENOSYS; Linux has it since {since}), and without it {lost}: start the launcher outside of whatever filters its calls (a container, SystemCallFilter= of a unit), on Linux 5.12 or newer"
        ),
    })
}
