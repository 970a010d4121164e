//! Calls that a service has no use for: modules, keys, tracing, clocks, new interfaces.

use super::calls::{HERE, NO_FD, sys};
use super::{Probe, Tried};
use crate::controls::ControlId::{
    S8_1_4, S8_2_2, S8_4_2, S8_4_4, S8_4_7, S8_4_8, S8_4_13, S8_5_1, S8_5_2,
};
use crate::sys::attempt::{buffer, text};

fn me() -> u64 {
    u64::from(std::process::id())
}

pub(super) const PROBES: &[Probe] = &[
    Probe::unknown(
        "kernel/io-uring",
        "make calls past the filter (io_uring_setup)",
        &[S8_1_4],
        |_| sys(libc::SYS_io_uring_setup, [1, buffer()]),
    ),
    Probe::denied(
        "kernel/bpf",
        "load a BPF map or program (bpf)",
        &[S8_4_8],
        |_| sys(libc::SYS_bpf, [0, buffer(), 72]),
    ),
    Probe::denied(
        "kernel/perf",
        "watch the processor (perf_event_open)",
        &[S8_1_4],
        |_| sys(libc::SYS_perf_event_open, [buffer(), 0, NO_FD, NO_FD]),
    ),
    Probe::unknown(
        "kernel/userfaultfd",
        "stop the kernel in a page fault (userfaultfd)",
        &[S8_1_4],
        |_| sys(libc::SYS_userfaultfd, [1]),
    ),
    Probe::denied(
        "kernel/keyctl",
        "look at the keyring (keyctl)",
        &[S8_2_2],
        |_| sys(libc::SYS_keyctl, [0, -3i64 as u64]),
    ),
    Probe::denied("kernel/add-key", "add a key (add_key)", &[S8_2_2], |_| {
        sys(
            libc::SYS_add_key,
            [text("user"), text("x"), text("y"), 1, -2i64 as u64],
        )
    }),
    Probe::denied(
        "kernel/request-key",
        "have the host look for a key (request_key)",
        &[S8_2_2],
        |_| {
            sys(
                libc::SYS_request_key,
                [text("user"), text("x"), 0, -2i64 as u64],
            )
        },
    ),
    Probe::denied(
        "kernel/ptrace-attach",
        "trace a process (ptrace, PTRACE_ATTACH)",
        &[S8_4_13],
        |_| sys(libc::SYS_ptrace, [16, 1]),
    ),
    Probe::denied(
        "kernel/ptrace-me",
        "be traced by the launcher (ptrace, PTRACE_TRACEME)",
        &[S8_4_13],
        |_| sys(libc::SYS_ptrace, [0]),
    )
    .altering(),
    Probe::denied(
        "kernel/read-memory",
        "read a process's memory (process_vm_readv)",
        &[S8_4_13],
        |_| sys(libc::SYS_process_vm_readv, [me()]),
    ),
    Probe::denied(
        "kernel/write-memory",
        "write a process's memory (process_vm_writev)",
        &[S8_4_13],
        |_| sys(libc::SYS_process_vm_writev, [me()]),
    ),
    Probe::denied(
        "kernel/compare",
        "compare processes by kernel address (kcmp)",
        &[S8_4_13],
        |_| sys(libc::SYS_kcmp, [me(), me(), 2]),
    ),
    Probe::denied(
        "kernel/init-module",
        "load a module (init_module)",
        &[S8_4_8],
        |_| sys(libc::SYS_init_module, []),
    ),
    Probe::denied(
        "kernel/finit-module",
        "load a module (finit_module)",
        &[S8_4_8],
        |_| sys(libc::SYS_finit_module, [NO_FD]),
    ),
    Probe::denied(
        "kernel/delete-module",
        "unload a module (delete_module)",
        &[S8_4_8],
        |_| sys(libc::SYS_delete_module, [text("nonesuch")]),
    ),
    Probe::denied(
        "kernel/kexec-load",
        "load another kernel (kexec_load)",
        &[S8_4_8],
        |_| sys(libc::SYS_kexec_load, []),
    ),
    Probe::denied(
        "kernel/reboot",
        "restart the machine (reboot)",
        &[S8_1_4],
        |_| {
            // CAD_OFF: harmless wherever it worked.
            sys(libc::SYS_reboot, [0xfee1_dead, 672_274_793, 0])
        },
    ),
    Probe::denied(
        "kernel/log-read",
        "read the kernel's log (syslog)",
        &[S8_4_2, S8_5_1],
        |_| sys(libc::SYS_syslog, [3, buffer(), 8]),
    ),
    Probe::denied(
        "kernel/log-size",
        "ask for the size of the kernel's log (syslog)",
        &[S8_4_2],
        |_| sys(libc::SYS_syslog, [10]),
    ),
    Probe::denied(
        "kernel/hostname",
        "rename the host (sethostname)",
        &[S8_4_4],
        |_| sys(libc::SYS_sethostname, [text("x"), 1]),
    ),
    Probe::denied(
        "kernel/domainname",
        "rename the domain (setdomainname)",
        &[S8_4_4],
        |_| sys(libc::SYS_setdomainname, [text("x"), 1]),
    ),
    Probe::denied(
        "kernel/open-by-handle",
        "open a file of the host by its handle (open_by_handle_at)",
        &[S8_4_7],
        |_| sys(libc::SYS_open_by_handle_at, [HERE, buffer()]),
    ),
    Probe::denied(
        "kernel/name-to-handle",
        "ask for a file's handle (name_to_handle_at)",
        &[S8_4_7],
        |_| {
            sys(
                libc::SYS_name_to_handle_at,
                [HERE, text("/"), buffer(), buffer()],
            )
        },
    ),
    Probe::denied(
        "kernel/fanotify",
        "watch the file system (fanotify_init)",
        &[S8_1_4],
        |_| sys(libc::SYS_fanotify_init, []),
    ),
    Probe::denied(
        "kernel/personality",
        "switch address randomisation off (personality)",
        &[S8_4_8],
        |_| sys(libc::SYS_personality, [0x004_0000]),
    )
    .altering(),
    Probe::denied(
        "kernel/read-implies-exec",
        "make all memory executable (personality)",
        &[S8_4_8],
        |_| sys(libc::SYS_personality, [0x040_0000]),
    )
    .altering(),
    Probe::denied(
        "kernel/move-pages",
        "move memory between nodes (move_pages)",
        &[S8_1_4],
        |_| sys(libc::SYS_move_pages, []),
    ),
    Probe::denied(
        "kernel/vmsplice",
        "splice memory into a pipe (vmsplice)",
        &[S8_4_7],
        |_| sys(libc::SYS_vmsplice, [1, buffer()]),
    ),
    Probe::unknown(
        "kernel/splice",
        "splice a file into a pipe (splice, CVE-2022-0847)",
        &[S8_4_7],
        |_| sys(libc::SYS_splice, [NO_FD, 0, NO_FD]),
    ),
    Probe::denied(
        "kernel/shared-memory",
        "share memory by key (shmget)",
        &[S8_1_3],
        |_| shmget(),
    ),
    Probe::denied(
        "kernel/message-queue",
        "open a message queue (mq_open)",
        &[S8_1_3],
        |_| sys(libc::SYS_mq_open, [text("x")]),
    ),
    Probe::denied(
        "kernel/real-time",
        "take the processor (sched_setscheduler, SCHED_FIFO)",
        &[S8_1_4],
        |_| sys(libc::SYS_sched_setscheduler, [0, 1, buffer()]),
    ),
    Probe::denied(
        "kernel/priority",
        "change priority (setpriority)",
        &[S8_1_4],
        |_| sys(libc::SYS_setpriority, [0, 0, 1]),
    ),
    Probe::denied(
        "kernel/sync",
        "have every disk of the host written (sync)",
        &[S8_1_4],
        |_| sys(libc::SYS_sync, []),
    ),
    Probe::denied(
        "kernel/clock",
        "set the clock (clock_settime)",
        &[S8_1_4],
        |_| sys(libc::SYS_clock_settime, [0, 0]),
    ),
    Probe::denied(
        "kernel/acct",
        "switch accounting on (acct)",
        &[S8_1_4],
        |_| sys(libc::SYS_acct, [0]),
    ),
    Probe::denied(
        "kernel/vhangup",
        "hang the terminal up (vhangup)",
        &[S8_5_2],
        |_| sys(libc::SYS_vhangup, []),
    ),
    Probe::unknown(
        "kernel/unnamed-call",
        "make a call that nobody knows (number 1000)",
        &[S8_1_4],
        |_| sys(1000, []),
    ),
    Probe::unknown(
        "kernel/landlock",
        "stack landlock domains (landlock_create_ruleset)",
        &[S8_1_4],
        |_| sys(444, [0, 0, 1]),
    ),
    Probe::unknown(
        "kernel/secret-memory",
        "take memory out of the kernel's sight (memfd_secret)",
        &[S8_1_4],
        |_| sys(447, [0]),
    ),
];

use crate::controls::ControlId::S8_1_3;

fn shmget() -> Tried {
    sys(libc::SYS_shmget, [0, 4096, 0o600])
}
