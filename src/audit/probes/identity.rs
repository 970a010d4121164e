//! Becoming somebody else, or getting rights back that were given away.

use super::calls::{prctl, status, sys};
use super::{Layer, NOTHING, Probe, Tried};
use crate::controls::ControlId::{S8_1_3, S8_1_4, S8_1_5, S8_3_7, S8_4_8, S8_4_13, S8_5_1, S8_5_2};
use crate::sys::attempt::{buffer, words};

pub(super) const PROBES: &[Probe] = &[
    Probe::denied(
        "identity/setuid-root",
        "become root (setuid)",
        &[S8_5_1],
        |_| sys(libc::SYS_setuid, [0]),
    ),
    Probe::denied(
        "identity/setresuid",
        "change all three user ids (setresuid)",
        &[S8_5_1],
        |_| sys(libc::SYS_setresuid, [0, 0, 0]),
    ),
    Probe::denied(
        "identity/setgid-root",
        "take the group of root (setgid)",
        &[S8_5_1],
        |_| sys(libc::SYS_setgid, [0]),
    ),
    Probe::denied(
        "identity/setfsuid",
        "open files as root (setfsuid)",
        &[S8_5_1],
        |_| sys(libc::SYS_setfsuid, [0]),
    ),
    Probe::denied(
        "identity/setgroups",
        "drop or take groups (setgroups)",
        &[S8_5_1],
        |_| sys(libc::SYS_setgroups, [0, 0]),
    ),
    Probe::denied(
        "identity/capset",
        "take every capability (capset)",
        &[S8_1_5],
        |_| {
            let header = words(&[0x2008_0522]);
            let data = words(&[u64::MAX; 3]);
            sys(libc::SYS_capset, [header, data])
        },
    ),
    Probe::denied(
        "identity/ambient",
        "raise an ambient capability (prctl)",
        &[S8_1_5],
        |_| prctl(47, 2, 10),
    ),
    Probe::denied(
        "identity/securebits",
        "unlock the securebits (prctl)",
        &[S8_1_5],
        |_| prctl(28, 0, 0),
    ),
    Probe::denied(
        "identity/keepcaps",
        "keep capabilities over a change of ids (prctl)",
        &[S8_1_5],
        |_| prctl(8, 1, 0),
    ),
    Probe::denied(
        "identity/outlive",
        "outlive the launcher (PR_SET_PDEATHSIG)",
        &[S8_5_2],
        |_| prctl(1, 0, 0),
    ),
    Probe::denied(
        "identity/dumpable",
        "let others look into the process (PR_SET_DUMPABLE)",
        &[S8_4_13],
        |_| prctl(4, 1, 0),
    ),
    Probe::denied(
        "identity/tracer",
        "invite a tracer (PR_SET_PTRACER)",
        &[S8_4_13],
        |_| prctl(0x5961_6d61, u64::MAX, 0),
    ),
    Probe::denied(
        "identity/set-mm",
        "change the process's own map (PR_SET_MM)",
        &[S8_4_8],
        |_| prctl(35, 0, 0),
    ),
    Probe::denied(
        "identity/user-dispatch",
        "catch system calls itself (PR_SET_SYSCALL_USER_DISPATCH)",
        &[S8_1_4],
        |_| prctl(59, 0, 0),
    ),
    Probe::denied(
        "identity/subreaper",
        "adopt orphans (PR_SET_CHILD_SUBREAPER)",
        &[S8_5_2],
        |_| prctl(36, 1, 0),
    ),
    Probe::denied(
        "identity/core-scheduling",
        "choose whom it shares a core with (PR_SCHED_CORE)",
        &[S8_1_4],
        |_| prctl(62, 0, 0),
    ),
    Probe::denied(
        "identity/seccomp-notify",
        "ask what filters can do (seccomp)",
        &[S8_1_4],
        |_| sys(libc::SYS_seccomp, [2, 0, buffer()]),
    ),
    Probe::new(
        "identity/mdwe-off",
        "allow writable code again (PR_SET_MDWE)",
        &[S8_4_8],
        (Layer::WriteExecute, &["EPERM"]),
        |_| prctl(65, 0, 0),
    ),
    Probe::denied(
        "identity/limits-of-another",
        "ask for another's limits (prlimit64)",
        &[S8_1_3],
        |_| sys(libc::SYS_prlimit64, [1 << 20, 7, 0, buffer()]),
    ),
    Probe::new(
        "identity/has-capabilities",
        "use a capability: any in the five sets",
        &[S8_1_5],
        (Layer::Capabilities, &["nothing"]),
        |_| capabilities(),
    ),
    Probe::new(
        "identity/gains-by-exec",
        "gain rights by executing a set-uid file: is no_new_privs off?",
        &[S8_3_7],
        (Layer::NoNewPrivileges, &["nothing"]),
        |_| match status("NoNewPrivs").as_deref() {
            Some("1") => NOTHING,
            _ => 0,
        },
    ),
    Probe::new(
        "identity/is-root",
        "be root inside",
        &[S8_5_1],
        (Layer::Kernel, &["nothing"]),
        |_| match status("Uid") {
            Some(ids) if ids.split_whitespace().all(|id| id != "0") => NOTHING,
            _ => 0,
        },
    ),
];

fn capabilities() -> Tried {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let empty = |set| status(set).is_some_and(|v| v.bytes().all(|b| b == b'0'));
    if sets.into_iter().all(empty) {
        NOTHING
    } else {
        0
    }
}
