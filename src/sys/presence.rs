//! Which system calls the kernel answers at all: each is asked with arguments that it must turn down.
//!
//! ENOSYS means an older kernel, or a filter in front of the launcher that says so. Called by `host`.
#![allow(unsafe_code)]

use super::check;
use nix::errno::Errno;

/// A call, its number, and arguments of which the first is always refused (no such descriptor, no size, no path).
type Probe = (&'static str, libc::c_long, [libc::c_long; 5]);

const PROBES: [Probe; 16] = [
    ("clone3", libc::SYS_clone3, [0; 5]),
    ("pidfd_open", libc::SYS_pidfd_open, [0; 5]),
    (
        "pidfd_send_signal",
        libc::SYS_pidfd_send_signal,
        [-1, 0, 0, 0, 0],
    ),
    ("close_range", libc::SYS_close_range, [2, 1, 0, 0, 0]),
    ("openat2", libc::SYS_openat2, [-1, 0, 0, 0, 0]),
    ("open_tree", libc::SYS_open_tree, [-1, 0, 0, 0, 0]),
    ("move_mount", libc::SYS_move_mount, [-1, 0, -1, 0, 0]),
    ("fsopen", libc::SYS_fsopen, [0; 5]),
    ("fsconfig", libc::SYS_fsconfig, [-1, -1, 0, 0, 0]),
    ("fsmount", libc::SYS_fsmount, [-1, 0, 0, 0, 0]),
    ("mount_setattr", libc::SYS_mount_setattr, [-1, 0, 0, 0, 0]),
    ("statx", libc::SYS_statx, [-1, 0, 0, 0, 0]),
    ("execveat", libc::SYS_execveat, [-1, 0, 0, 0, 0]),
    ("seccomp", libc::SYS_seccomp, [0xffff, 0, 0, 0, 0]),
    (
        "landlock_add_rule",
        libc::SYS_landlock_add_rule,
        [-1, 0, 0, 0, 0],
    ),
    (
        "landlock_restrict_self",
        libc::SYS_landlock_restrict_self,
        [-1, 0, 0, 0, 0],
    ),
];

/// The names of those that are not there.
pub fn missing() -> Vec<&'static str> {
    let absent = |number, [a, b, c, d, e]: [libc::c_long; 5]| {
        // SAFETY: every pointer among these arguments is null or has size 0, and each call is refused for its first
        // argument before it has done anything.
        check(unsafe { libc::syscall(number, a, b, c, d, e) }) == Err(Errno::ENOSYS)
    };
    let all = PROBES.iter();
    all.filter(|(_, number, args)| absent(*number, *args))
        .map(|(name, ..)| *name)
        .collect()
}
