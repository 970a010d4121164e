//! What the system-call filter lets through, where it is known which one was asked for: a table of calls a control.
//!
//! The kernel shows that a filter is there, not which; that takes config.json, and the audit from inside tries it.

use super::super::allowed::Judge;
use super::super::declared::Declared;
use super::super::facts::Facts;
use crate::controls::ControlId::{self, *};
use crate::policy::{Loosened, Template};

type Calls = &'static [(&'static str, [u64; 6])];

/// Calls that one control forbids.
struct Forbidden {
    id: &'static str,
    control: ControlId,
    what: &'static str,
    calls: Calls,
    granted: fn(&Loosened) -> bool,
}

const NONE: [u64; 6] = [0; 6];
const NEW_USER: u64 = 0x1000_0000;

const TABLE: [Forbidden; 10] = [
    Forbidden {
        id: "filter-mounts",
        control: S8_4_5,
        what: "calls that mount",
        calls: &[
            ("mount", NONE),
            ("umount2", NONE),
            ("pivot_root", NONE),
            ("fsopen", NONE),
            ("fsmount", NONE),
            ("fsconfig", NONE),
            ("fspick", NONE),
            ("open_tree", NONE),
            ("move_mount", NONE),
            ("mount_setattr", NONE),
        ],
        granted: |_| false,
    },
    Forbidden {
        id: "filter-modules",
        control: S8_4_8,
        what: "calls that load code into the kernel",
        calls: &[
            ("init_module", NONE),
            ("finit_module", NONE),
            ("delete_module", NONE),
            ("kexec_load", NONE),
            ("kexec_file_load", NONE),
            ("bpf", NONE),
        ],
        granted: |_| false,
    },
    Forbidden {
        id: "filter-raw-sockets",
        control: S8_4_6,
        what: "raw and packet sockets",
        calls: &[
            ("socket", [17, 3, 0, 0, 0, 0]),
            ("socket", [2, 3, 1, 0, 0, 0]),
            ("socket", [10, 3, 58, 0, 0, 0]),
        ],
        granted: |_| false,
    },
    Forbidden {
        id: "filter-families",
        control: S8_1_4,
        what: "socket families with a history of kernel holes (AF_ALG, AF_VSOCK, AF_XDP, AF_RXRPC)",
        calls: &[
            ("socket", [38, 5, 0, 0, 0, 0]),
            ("socket", [40, 1, 0, 0, 0, 0]),
            ("socket", [44, 3, 0, 0, 0, 0]),
            ("socket", [33, 2, 0, 0, 0, 0]),
        ],
        granted: |_| false,
    },
    Forbidden {
        id: "filter-netlink",
        control: S8_4_4,
        what: "netlink sockets that configure (routes, netfilter, xfrm)",
        calls: &[
            ("socket", [16, 3, 12, 0, 0, 0]),
            ("socket", [16, 3, 6, 0, 0, 0]),
        ],
        granted: |g| !g.seccomp_groups.is_empty(),
    },
    Forbidden {
        id: "filter-namespaces",
        control: S8_5_1,
        what: "calls that make or enter namespaces",
        calls: &[
            ("setns", NONE),
            ("unshare", [NEW_USER, 0, 0, 0, 0, 0]),
            ("clone", [NEW_USER | 17, 0, 0, 0, 0, 0]),
        ],
        granted: |_| false,
    },
    Forbidden {
        id: "filter-exec",
        control: S8_4_3,
        what: "programs other than the one",
        calls: &[("execve", NONE)],
        granted: |g| g.template == Some(Template::Script),
    },
    Forbidden {
        id: "filter-processes",
        control: S8_5_2,
        what: "calls that make processes",
        calls: &[
            ("fork", NONE),
            ("vfork", NONE),
            ("clone", [17, 0, 0, 0, 0, 0]),
        ],
        granted: |g| matches!(g.template, Some(Template::Workers | Template::Script)),
    },
    Forbidden {
        id: "filter-set-uid",
        control: S8_3_7,
        what: "calls that set set-uid bits",
        calls: &[
            ("chmod", [0, 0o4755, 0, 0, 0, 0]),
            ("fchmod", [0, 0o4755, 0, 0, 0, 0]),
            ("fchmodat", [0, 0, 0o2755, 0, 0, 0]),
        ],
        granted: |_| false,
    },
    Forbidden {
        id: "filter-tracing",
        control: S8_4_13,
        what: "calls that look into other processes or the kernel",
        calls: &[
            ("ptrace", NONE),
            ("process_vm_readv", NONE),
            ("process_vm_writev", NONE),
            ("perf_event_open", NONE),
            ("kcmp", NONE),
        ],
        granted: |_| false,
    },
];

pub(super) fn judge(facts: &Facts, declared: &Declared, judge: &mut Judge<'_>) {
    let unfiltered = facts.threads.iter().any(|(_, _, s)| s.seccomp != Some(2));
    let known = match unfiltered {
        true => Some(&[][..]),
        false => declared.filters.as_deref().filter(|f| !f.is_empty()),
    };
    let Some(filters) = known else {
        let why = match declared.absent.is_empty() {
            true => "which calls the filter lets through can't be read from outside",
            false => &declared.absent,
        };
        for row in &TABLE {
            judge.unread(
                row.id,
                &[row.control],
                &format!("whether the filter denies {}", row.what),
                why,
            );
        }
        return;
    };
    let source = match (unfiltered, declared.record.is_some()) {
        (true, _) => "/proc/PID/status: a thread without a filter",
        (false, true) => "the filter of cofferdam's launch, decided again",
        (false, false) => "linux.seccomp of config.json",
    };
    for row in &TABLE {
        let open = |(name, args): &&(&str, [u64; 6])| {
            filters
                .iter()
                .all(|f| f.allows(name, *args).unwrap_or(true))
                && crate::seccomp::syscalls::number(crate::seccomp::Arch::NATIVE, name).is_some()
        };
        let mut open: Vec<&str> = row.calls.iter().filter(open).map(|(n, _)| *n).collect();
        open.dedup();
        let answer = match open.is_empty() {
            true => "denied".into(),
            false => format!("let through: {}", open.join(" ")),
        };
        let verdict = judge.allowed.judge(open.is_empty(), row.granted);
        judge
            .add(
                row.id,
                &[row.control],
                &format!("whether the filter denies {}", row.what),
                ("denied", answer),
                verdict,
            )
            .seen(source, open.join(" "))
            .mend("a profile that lists what may be called");
    }
    foreign(declared, source, judge);
}

/// Calls of another ABI go by other numbers: socketcall passes its arguments where no filter sees them.
fn foreign(declared: &Declared, source: &str, judge: &mut Judge<'_>) {
    let answer = match declared.foreign.is_empty() {
        true => "none".into(),
        false => declared.foreign.join(" "),
    };
    let verdict = judge.allowed.strict(declared.foreign.is_empty());
    judge
        .add(
            "filter-abi",
            &[S8_1_4, S8_4_6],
            "calls of other architectures that the filter lets in",
            ("none", answer.clone()),
            verdict,
        )
        .seen(source, answer)
        .mend("name the native architecture alone");
}
