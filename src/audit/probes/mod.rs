//! What a hostile program tries from inside: one small function an attack, in tables by family.
//!
//! An attack says what it needs, what answer it must get, and which layer has to give that answer: `inside` confirms
//! the layer by a second run in which that layer alone is another. Nothing here judges. Run by `tester`.

mod bombs;
mod calls;
mod exec;
mod files;
mod identity;
mod kernel;
mod legacy;
pub mod log;
mod memory;
mod mounts;
pub mod neighbours;
mod options;
mod process;
mod sockets;
mod streams;
mod view;

use crate::controls::ControlId;
use std::collections::BTreeMap;

/// Answer of an attack: 0 if it worked, else an errno, or [`NOTHING`].
pub type Tried = i32;

/// What was looked for is not there.
pub const NOTHING: Tried = 5000;

/// The errno that the filter of a control run gives for everything that it denies: the kernel has none of this number.
pub const MARK: Tried = 4000;

/// One attack.
pub struct Probe {
    /// Stable: "process/fork".
    pub id: &'static str,
    /// What it speaks for, the most direct control first.
    pub controls: &'static [ControlId],
    /// What is tried, in words.
    pub what: &'static str,
    /// The layer that has to stop it.
    pub by: Layer,
    /// The answers that this layer gives.
    pub expected: &'static [&'static str],
    /// The attack.
    pub deed: fn(&Field) -> Tried,
    /// What has to be there for it.
    pub needs: Needs,
    /// Whether the process is another one if it works: the rest is then tried by a fresh one.
    pub alters: bool,
}

/// What stops an attack, and so what a control run does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The system-call filter.
    Filter,
    /// The landlock domain.
    Landlock,
    /// Read-only mounts.
    ReadOnly,
    /// noexec on what can be written.
    NoExec,
    /// What is not mounted at all: kernel files, devices.
    View,
    /// The pid namespace.
    Pids,
    /// The network namespace.
    Network,
    /// PR_SET_MDWE.
    WriteExecute,
    /// vm.memfd_noexec of the pid namespace.
    MemfdNoexec,
    /// RLIMIT_NOFILE, soft and hard.
    OpenFiles,
    /// The cgroup's count of processes and threads.
    Tasks,
    /// The cgroup's memory.
    Memory,
    /// The cgroup's CPU quota.
    Cpu,
    /// The user namespace's counts of inotify instances and watches.
    Inotify,
    /// Size and inodes of a tmpfs.
    TmpfsSize,
    /// Empty capability sets.
    Capabilities,
    /// no_new_privs.
    NoNewPrivileges,
    /// Flags of each mount.
    MountFlags,
    /// Only 0, 1 and 2 go in, and none is a terminal.
    Streams,
    /// Whatever keeps one container from another: namespaces, landlock, the filter.
    Beside,
    /// The pipe of a captured log: not the program's, and closed to readers.
    LogPipe,
    /// The capture outside, to which output is bytes and nothing more.
    Capture,
    /// What the kernel does for everybody, or several layers at once: there is no run without it.
    Kernel,
}

/// What has to be there for an attack to mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A writable place.
    Scratch,
    /// 32-bit system calls in the kernel.
    Foreign,
    /// A container of its own, with its limits lowered.
    Apart,
    /// A second container beside it.
    Neighbour,
    /// A container of its own, whose output is captured.
    Logged,
}

/// What the tester is told of where it is.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// Facts by name: "scratch", "exec-fd", "tasks", ….
    pub facts: BTreeMap<String, String>,
}

impl Field {
    /// A file in the writable place.
    pub fn scratch(&self, name: &str) -> String {
        let place = self.facts.get("scratch").map_or("/tmp", String::as_str);
        format!("{place}/{name}")
    }

    /// A number; 0 if it was not told.
    pub fn number(&self, name: &str) -> u64 {
        self.facts
            .get(name)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }

    /// A text.
    pub fn word(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

const EPERM: &[&str] = &["EPERM"];
const ENOSYS: &[&str] = &["ENOSYS"];

impl Probe {
    /// An attack.
    pub const fn new(
        id: &'static str,
        what: &'static str,
        controls: &'static [ControlId],
        (by, expected): (Layer, &'static [&'static str]),
        deed: fn(&Field) -> Tried,
    ) -> Self {
        Self {
            id,
            controls,
            what,
            by,
            expected,
            deed,
            needs: Needs::Nothing,
            alters: false,
        }
    }

    /// One that the filter has to answer with EPERM.
    pub const fn denied(
        id: &'static str,
        what: &'static str,
        controls: &'static [ControlId],
        deed: fn(&Field) -> Tried,
    ) -> Self {
        Self::new(id, what, controls, (Layer::Filter, EPERM), deed)
    }

    /// One that the filter has to answer as if the kernel had no such call.
    pub const fn unknown(
        id: &'static str,
        what: &'static str,
        controls: &'static [ControlId],
        deed: fn(&Field) -> Tried,
    ) -> Self {
        Self::new(id, what, controls, (Layer::Filter, ENOSYS), deed)
    }

    /// With something that has to be there.
    pub const fn needing(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// One that changes its process if it works.
    pub const fn altering(mut self) -> Self {
        self.alters = true;
        self
    }
}

/// All attacks, family by family.
pub fn all() -> impl Iterator<Item = &'static Probe> {
    [
        // First: what an attack that works opens would be found there.
        streams::PROBES,
        process::PROBES,
        exec::PROBES,
        mounts::PROBES,
        sockets::PROBES,
        options::PROBES,
        kernel::PROBES,
        legacy::PROBES,
        identity::PROBES,
        memory::PROBES,
        files::PROBES,
        view::PROBES,
        neighbours::PROBES,
        bombs::PROBES,
        log::PROBES,
    ]
    .into_iter()
    .flatten()
}

/// The attack of this id.
pub fn find(id: &str) -> Option<&'static Probe> {
    all().find(|p| p.id == id)
}

/// "OK", "EPERM", "nothing", or the number.
pub fn name(tried: Tried) -> String {
    match (tried, nix::errno::Errno::from_raw(tried)) {
        (0, _) => "OK".into(),
        (NOTHING, _) => "nothing".into(),
        (MARK, _) => "the filter's mark".into(),
        (_, nix::errno::Errno::UnknownErrno) => tried.to_string(),
        (_, known) => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_every_attack_says_why() {
        let ids: std::collections::BTreeSet<&str> = all().map(|p| p.id).collect();
        assert_eq!(ids.len(), all().count());
        assert!(ids.len() >= 130, "{}", ids.len());
        for probe in all() {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/".contains(c);
            assert!(probe.id.chars().all(word), "{}", probe.id);
            assert!(!probe.controls.is_empty() && !probe.what.is_empty());
            assert!(!probe.expected.is_empty() && !probe.expected.contains(&"OK"));
        }
    }
}
