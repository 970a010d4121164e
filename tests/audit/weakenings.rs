//! The table: what is weakened, and which attacks that lets through. Every other one has to stay as it was.

use crate::edits::*;
use crate::filters::FILTERS;
use cofferdam::audit::probes::{Layer, Probe};
use cofferdam::plan::process::NewPrivileges;
use cofferdam::plan::seccomp::Mdwe;
use cofferdam::plan::{NamespaceKind, Plan};

/// One thing that is not as it should be.
pub struct Weakening {
    pub name: &'static str,
    pub edit: fn(&mut Plan),
    /// Whether the audit finds it by this attack.
    pub found: fn(&Probe) -> bool,
    /// By which looks from outside.
    pub seen: &'static [&'static str],
}

impl Weakening {
    pub const fn seen(mut self, ids: &'static [&'static str]) -> Self {
        self.seen = ids;
        self
    }
}

pub const fn one(name: &'static str, edit: fn(&mut Plan), found: fn(&Probe) -> bool) -> Weakening {
    Weakening {
        name,
        edit,
        found,
        seen: &[],
    }
}

pub fn is(probe: &Probe, ids: &[&str]) -> bool {
    ids.iter().any(|id| match id.strip_suffix('*') {
        Some(start) => probe.id.starts_with(start),
        None => probe.id == *id,
    })
}

pub fn by(probe: &Probe, layer: Layer) -> bool {
    probe.by == layer
}

const REST: &[Weakening] = &[
    // Rights
    one(
        "a capability in the bounding set",
        |p| capability(p, "NET_RAW", false),
        |p| by(p, Layer::Capabilities),
    )
    .seen(&["capabilities", "capability-raw-sockets"]),
    one(
        "a capability in all sets",
        |p| capability(p, "CHOWN", true),
        |p| by(p, Layer::Capabilities),
    )
    .seen(&["capabilities"]),
    one(
        "root inside",
        |p| (p.process.uid, p.process.gid) = (0, 0),
        |p| is(p, &["identity/is-root"]),
    ),
    one(
        "no no_new_privs",
        |p| {
            p.process.new_privileges = NewPrivileges::Possible;
            p.capabilities.loader = cofferdam::plan::capabilities::FilterLoader::BorrowsAdmin;
            allow(p, &["capset", "capget"]);
            // Its restriction asks for the mark, too.
            no_landlock(p);
        },
        |p| by(p, Layer::Landlock) || is(p, &["identity/gains-by-exec", "identity/capset"]),
    )
    .seen(&["no-new-privileges"]),
    // Landlock
    one("no landlock", no_landlock, |p| by(p, Layer::Landlock)),
    one(
        "no port rules",
        |p| p.landlock.ports = None,
        |p| by(p, Layer::Landlock) && is(p, &["port/*"]),
    ),
    one("landlock lets write", landlock_writes, |p| {
        is(p, &["memory/self-mem", "memory/thread-mem"])
    }),
    // Mounts
    one(
        "a writable root",
        |p| p.mounts.root.readonly = false,
        |p| {
            let in_dev = ["file/create-in-dev", "file/times-of-dev"];
            is(p, &["mount/writable-executable"]) || (by(p, Layer::ReadOnly) && !is(p, &in_dev))
        },
    )
    .seen(&["root-read-only"]),
    one(
        "a writable /dev",
        |p| flags(p, is_dev, |a| a.readonly = false),
        |p| is(p, &["file/create-in-dev", "file/times-of-dev"]),
    ),
    one(
        "an executable /tmp",
        |p| flags(p, is_tmpfs, |a| a.noexec = false),
        |p| by(p, Layer::NoExec) || is(p, &["mount/writable-executable"]),
    )
    .seen(&["writable-code"]),
    one("one more writable mount", another_tmpfs, |p| {
        is(p, &["mount/writable-executable"])
    }),
    one(
        "set-uid files count",
        |p| flags(p, is_tmpfs, |a| a.nosuid = false),
        |p| is(p, &["mount/suid"]),
    )
    .seen(&["set-uid"]),
    one(
        "device nodes count",
        |p| flags(p, is_tmpfs, |a| a.nodev = false),
        |p| is(p, &["mount/devices"]),
    )
    .seen(&["writable-devices"]),
    one("all of /proc", all_of_proc, |p| is(p, &["proc/*"])).seen(&["kernel-files"]),
    one("/sys", sys, |p| is(p, &["sys/*"])),
    one("the host's /dev", host_dev, |p| {
        (is(p, &["device/*"]) && by(p, Layer::View)) || is(p, &["log/append-elsewhere"])
    }),
    // Namespaces
    one("the host's network", host_network, |p| {
        by(p, Layer::Network)
    })
    .seen(&["namespace-network"]),
    one("the host's processes", host_pids, |p| {
        by(p, Layer::Pids) || by(p, Layer::MemfdNoexec) || is(p, &["proc/*"])
    })
    .seen(&["namespace-pid"]),
    one(
        "the host's IPC",
        |p| share(p, NamespaceKind::Ipc),
        |_| false,
    )
    .seen(&["namespace-ipc"]),
    one(
        "the host's name",
        |p| share(p, NamespaceKind::Uts),
        |_| false,
    )
    .seen(&["namespace-uts"]),
    one(
        "the host's cgroups",
        |p| share(p, NamespaceKind::Cgroup),
        |_| false,
    )
    .seen(&["namespace-cgroup"]),
    // Memory and limits
    one(
        "no MDWE",
        |p| p.seccomp.write_execute = Mdwe::Waived,
        |p| by(p, Layer::WriteExecute),
    ),
    one("executable memfds", no_memfd_rule, |p| {
        by(p, Layer::MemfdNoexec)
    }),
    one(
        "more open files",
        |p| more_files(p, true),
        |p| by(p, Layer::OpenFiles),
    ),
    one(
        "open files can be raised",
        |p| more_files(p, false),
        |p| is(p, &["exec/raise-open-files"]),
    ),
    one(
        "no memory limit",
        |p| unlimited(p, "memory."),
        |p| by(p, Layer::Memory),
    )
    .seen(&["limit-memory", "limit-swap"]),
    one(
        "no limit of threads",
        |p| unlimited(p, "pids."),
        |p| by(p, Layer::Tasks),
    )
    .seen(&["limit-threads"]),
    one(
        "no CPU quota",
        |p| unlimited(p, "cpu."),
        |p| by(p, Layer::Cpu),
    )
    .seen(&["limit-cpu"]),
    one(
        "inotify without limits",
        |p| {
            p.network
                .sysctl
                .retain(|(file, _)| !file.starts_with("user/"))
        },
        |p| by(p, Layer::Inotify),
    ),
    one(
        "no limits",
        |p| p.limits.writes.clear(),
        |p| by(p, Layer::Memory) || by(p, Layer::Tasks) || by(p, Layer::Cpu),
    )
    .seen(&["limit-cpu", "limit-memory", "limit-swap", "limit-threads"]),
    // What comes in
    one(
        "an open file",
        |p| descriptor(p, "/proc/self/status"),
        |p| is(p, &["descriptor/leaked"]),
    ),
    one(
        "an open folder",
        |p| descriptor(p, "/"),
        |p| is(p, &["descriptor/*"]),
    ),
    one(
        "a secret in the environment",
        |p| p.process.env.push("DB_PASSWORD=x".into()),
        |p| is(p, &["secret/environment"]),
    )
    .seen(&["environment"]),
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Weakening> {
    FILTERS.iter().chain(REST)
}
