//! A second process, another session, other namespaces.

use super::calls::{NO_FD, sys};
use super::{Probe, Tried};
use crate::controls::ControlId::{S8_1_3, S8_1_4, S8_4_4, S8_4_5, S8_5_1, S8_5_2};
use crate::sys::attempt::{self, born};

const fn bits(flags: i32) -> u64 {
    flags as u64
}

const THREAD: i32 = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;

/// Number by number, since libc does not name them on every architecture.
const PIDFD_GETFD: libc::c_long = 438;

pub(super) const PROBES: &[Probe] = &[
    Probe::denied(
        "process/clone",
        "make a second process (clone)",
        &[S8_5_2],
        |_| clone(libc::SIGCHLD),
    ),
    Probe::unknown(
        "process/clone3",
        "make a second process (clone3)",
        &[S8_5_2],
        |_| clone3(libc::SIGCHLD as u64),
    ),
    Probe::denied(
        "process/clone-parent",
        "make a brother process (clone, CLONE_PARENT)",
        &[S8_5_2],
        |_| clone(libc::CLONE_PARENT),
    ),
    Probe::denied(
        "process/clone-untraced",
        "make a process of its own kind (clone, CLONE_UNTRACED)",
        &[S8_5_2],
        |_| clone(libc::CLONE_UNTRACED | libc::SIGCHLD),
    ),
    Probe::denied(
        "process/setsid",
        "leave the session, as a daemon does (setsid)",
        &[S8_5_2],
        |_| sys(libc::SYS_setsid, []),
    ),
    Probe::denied(
        "process/clone-newuser",
        "make a process in a new user namespace (clone, CLONE_NEWUSER)",
        &[S8_1_4, S8_4_5],
        |_| clone(libc::CLONE_NEWUSER | libc::SIGCHLD),
    ),
    Probe::denied(
        "process/clone-newns",
        "make a process in a new mount namespace (clone, CLONE_NEWNS)",
        &[S8_4_5],
        |_| clone(libc::CLONE_NEWNS | libc::SIGCHLD),
    ),
    Probe::denied(
        "process/clone-newnet",
        "make a process in a new network namespace (clone, CLONE_NEWNET)",
        &[S8_4_4],
        |_| clone(libc::CLONE_NEWNET | libc::SIGCHLD),
    ),
    Probe::denied(
        "process/clone-newpid",
        "make a process in a new pid namespace (clone, CLONE_NEWPID)",
        &[S8_5_2],
        |_| clone(libc::CLONE_NEWPID | libc::SIGCHLD),
    ),
    Probe::denied(
        "process/thread-newuser",
        "make a thread in a new user namespace (clone, CLONE_THREAD and CLONE_NEWUSER)",
        &[S8_1_4],
        // The kernel itself refuses the mixture where no filter does: there never is such a thread.
        |_| clone(THREAD | libc::CLONE_NEWUSER),
    ),
    Probe::denied(
        "namespace/unshare-user",
        "become root of a new user namespace (unshare)",
        &[S8_1_4, S8_4_5],
        |_| unshare(libc::CLONE_NEWUSER),
    )
    .altering(),
    Probe::denied(
        "namespace/unshare-net",
        "take a new network namespace (unshare)",
        &[S8_4_4],
        |_| unshare(libc::CLONE_NEWNET),
    )
    .altering(),
    Probe::denied(
        "namespace/unshare-mount",
        "take a new mount namespace (unshare)",
        &[S8_4_5],
        |_| unshare(libc::CLONE_NEWNS),
    )
    .altering(),
    Probe::denied(
        "namespace/unshare-pid",
        "have children in a new pid namespace (unshare)",
        &[S8_5_2],
        |_| unshare(libc::CLONE_NEWPID),
    )
    .altering(),
    Probe::denied(
        "namespace/unshare-cgroup",
        "take a new cgroup namespace (unshare)",
        &[S8_1_4],
        |_| unshare(0x0200_0000),
    )
    .altering(),
    Probe::denied(
        "namespace/unshare-uts",
        "take a new UTS namespace (unshare)",
        &[S8_5_1],
        |_| unshare(libc::CLONE_NEWUTS),
    )
    .altering(),
    Probe::denied(
        "namespace/unshare-time",
        "shift the clocks of a new time namespace (unshare)",
        &[S8_5_1],
        |_| unshare(crate::sys::process::NEW_TIME),
    )
    .altering(),
    Probe::denied(
        "namespace/setns",
        "join another namespace (setns)",
        &[S8_1_3],
        |_| sys(libc::SYS_setns, [NO_FD]),
    ),
    Probe::denied(
        "process/pidfd-getfd",
        "take a descriptor out of a process (pidfd_getfd)",
        &[S8_5_1],
        |_| sys(PIDFD_GETFD, [NO_FD]),
    ),
];

fn clone(flags: i32) -> Tried {
    born(libc::SYS_clone, [bits(flags), 0, 0, 0, 0, 0])
}

fn clone3(signal: u64) -> Tried {
    let mut args = [0u64; 11];
    args[4] = signal;
    born(libc::SYS_clone3, [attempt::words(&args), 88, 0, 0, 0, 0])
}

fn unshare(flags: i32) -> Tried {
    sys(libc::SYS_unshare, [bits(flags)])
}
