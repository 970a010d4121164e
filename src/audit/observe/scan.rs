//! Every process of the machine, as far as it tells which container it belongs to. One walk of /proc, read-only.
//!
//! A process that ends during the walk is left out. Called once a run of `audit`, however many containers there are.

use super::proc::ProcDir;
use super::status::Status;
use std::collections::HashSet;

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id here.
    pub pid: i32,
    /// The id of the process that waits for it.
    pub ppid: i32,
    /// The name that it gave itself.
    pub name: String,
    /// Its id in its own pid namespace.
    pub inner: i32,
    /// How many pid namespaces it is in, the reader's included.
    pub depth: usize,
    /// "pid:[4026531836]"; `None`: not to be read.
    pub pid_ns: Option<String>,
    /// "net:[…]".
    pub net_ns: Option<String>,
    /// Whether it has ended.
    pub zombie: bool,
}

/// All of them, and the reader's own namespaces.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// By pid.
    pub processes: Vec<Process>,
    /// The reader's own pid namespace.
    pub own_pid_ns: Option<String>,
}

impl Scan {
    /// Walks /proc.
    pub fn take() -> Self {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Self::default();
        };
        let pids = entries.flatten();
        let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        let mut processes: Vec<Process> = pids.filter_map(one).collect();
        processes.sort_unstable_by_key(|p| p.pid);
        let own = std::fs::read_link("/proc/self/ns/pid").ok();
        Self {
            processes,
            own_pid_ns: own.map(|p| p.to_string_lossy().into_owned()),
        }
    }

    /// One by its id.
    pub fn get(&self, pid: i32) -> Option<&Process> {
        let at = self.processes.binary_search_by_key(&pid, |p| p.pid);
        at.ok().map(|at| &self.processes[at])
    }

    /// The processes of a container, its first one given: its pid namespace's, or what comes from it where it has none
    /// of its own.
    pub fn members(&self, first: i32) -> Vec<&Process> {
        let Some(init) = self.get(first) else {
            return Vec::new();
        };
        if init.pid_ns.is_some() && init.pid_ns != self.own_pid_ns {
            let same = |p: &&Process| p.pid_ns == init.pid_ns;
            return self.processes.iter().filter(same).collect();
        }
        let mut family: HashSet<i32> = HashSet::from([first]);
        loop {
            let before = family.len();
            let children = self.processes.iter().filter(|p| family.contains(&p.ppid));
            let children: Vec<i32> = children.map(|p| p.pid).collect();
            family.extend(children);
            if family.len() == before {
                break;
            }
        }
        let of = |p: &&Process| family.contains(&p.pid);
        self.processes.iter().filter(of).collect()
    }

    /// The first process of the pid namespace that `pid` is in, if that is not the reader's own.
    pub fn first_of(&self, pid: i32) -> Option<i32> {
        let namespace = self.get(pid)?.pid_ns.as_ref()?;
        if self.own_pid_ns.as_ref() == Some(namespace) {
            return None;
        }
        let first = |p: &&Process| p.inner == 1 && p.pid_ns.as_ref() == Some(namespace);
        self.processes.iter().find(first).map(|p| p.pid)
    }
}

fn one(pid: i32) -> Option<Process> {
    let dir = ProcDir::open(pid).ok()?;
    let status = Status::parse(&dir.text("status").ok()?);
    Some(Process {
        pid,
        ppid: status.ppid,
        inner: status.ns_pids.last().copied().unwrap_or(pid),
        depth: status.ns_pids.len().max(1),
        zombie: status.is_zombie(),
        name: status.name,
        pid_ns: dir.link("ns/pid").ok(),
        net_ns: dir.link("ns/net").ok(),
    })
}
