//! Weakenings of the system-call filter: calls that are let through, and the attacks that make them.

use crate::edits::{allow, allow_foreign};
use crate::weakenings::{Weakening, by, is, one};
use cofferdam::audit::probes::Layer;

/// A weakening of the filter: the calls, and the attacks that make them.
macro_rules! filter {
    ($name:literal, [$($call:literal),+], [$($id:literal),+]) => {
        one($name, |p| allow(p, &[$($call),+]), |p| by(p, Layer::Filter) && is(p, &[$($id),+]))
    };
}

pub const FILTERS: &[Weakening] = &[
    one(
        "no filter",
        |p| p.seccomp.filters.clear(),
        |p| by(p, Layer::Filter),
    )
    .seen(&[
        "filter-exec",
        "filter-families",
        "filter-modules",
        "filter-mounts",
        "filter-namespaces",
        "filter-netlink",
        "filter-processes",
        "filter-raw-sockets",
        "filter-set-uid",
        "filter-tracing",
        "seccomp",
        "template",
    ]),
    one("other ABIs", allow_foreign, |p| is(p, &["abi/*"])),
    one(
        "no socket rule",
        |p| allow(p, &["socket"]),
        |p| is(p, &["socket/*"]) && p.id != "socket/pair-inet",
    ),
    filter!("socketpair", ["socketpair"], ["socket/pair-inet"]),
    filter!("socket options", ["setsockopt"], ["option/*"]),
    filter!(
        "ioctls",
        ["ioctl"],
        [
            "terminal/*",
            "port/raise-flags",
            "port/add-route",
            "log/seize-terminal"
        ]
    ),
    filter!("fork", ["fork", "vfork"], ["process/fork", "process/vfork"]),
    filter!(
        "clone",
        ["clone"],
        ["process/clone", "process/clone-*", "process/thread-newuser"]
    ),
    filter!("clone3", ["clone3"], ["process/clone3"]),
    filter!("exec", ["execve", "execveat"], ["exec/*"]),
    filter!("unshare", ["unshare"], ["namespace/unshare-*"]),
    filter!("setns", ["setns"], ["namespace/setns"]),
    filter!("setsid", ["setsid"], ["process/setsid"]),
    filter!(
        "mount",
        ["mount"],
        [
            "mount/tmpfs",
            "mount/proc",
            "mount/bind",
            "mount/remount-writable",
            "mount/share"
        ]
    ),
    filter!(
        "new mounts",
        ["fsopen", "fsconfig", "fsmount", "open_tree", "move_mount"],
        [
            "mount/fsopen",
            "mount/fsconfig",
            "mount/fsmount",
            "mount/open-tree",
            "mount/open-tree-clone",
            "mount/move"
        ]
    ),
    filter!("mount_setattr", ["mount_setattr"], ["mount/setattr"]),
    filter!(
        "tracing",
        ["ptrace", "process_vm_readv", "process_vm_writev"],
        [
            "kernel/ptrace-*",
            "kernel/read-memory",
            "kernel/write-memory"
        ]
    ),
    filter!("bpf", ["bpf"], ["kernel/bpf"]),
    filter!("perf", ["perf_event_open"], ["kernel/perf"]),
    filter!("io_uring", ["io_uring_setup"], ["kernel/io-uring"]),
    filter!(
        "keys",
        ["keyctl", "add_key", "request_key"],
        ["kernel/keyctl", "kernel/add-key", "kernel/request-key"]
    ),
    filter!(
        "modules",
        ["init_module", "finit_module", "delete_module"],
        [
            "kernel/init-module",
            "kernel/finit-module",
            "kernel/delete-module"
        ]
    ),
    filter!(
        "personality",
        ["personality"],
        ["kernel/personality", "kernel/read-implies-exec"]
    ),
    filter!(
        "handles",
        ["open_by_handle_at", "name_to_handle_at"],
        ["kernel/open-by-handle", "kernel/name-to-handle"]
    ),
    filter!(
        "ids",
        ["setuid", "setgid", "setresuid", "setfsuid", "setgroups"],
        [
            "identity/setuid-root",
            "identity/setgid-root",
            "identity/setresuid",
            "identity/setfsuid",
            "identity/setgroups"
        ]
    ),
    filter!(
        "prctl",
        ["prctl"],
        [
            "identity/ambient",
            "identity/securebits",
            "identity/keepcaps",
            "identity/outlive",
            "identity/dumpable",
            "identity/tracer",
            "identity/set-mm",
            "identity/user-dispatch",
            "identity/subreaper",
            "identity/core-scheduling"
        ]
    ),
    filter!(
        "chmod",
        ["chmod", "fchmod", "fchmodat"],
        [
            "suid/chmod",
            "suid/chmod-high-bits",
            "suid/fchmod",
            "suid/fchmodat"
        ]
    ),
    filter!(
        "mknod",
        ["mknod", "mknodat"],
        ["device/mknod*", "suid/mknod"]
    ),
    filter!(
        "chown",
        ["chown", "fchownat"],
        ["file/chown", "file/fchownat"]
    ),
    filter!("attributes", ["setxattr"], ["file/setxattr*"]),
    filter!("shared memory", ["shmget"], ["kernel/shared-memory"]),
];
