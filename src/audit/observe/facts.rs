//! Everything that is looked at of one container, read once: /proc of its processes and the files of its cgroups.
//!
//! Nothing is entered, stopped or written. What can't be read is kept as the reason; judged in `judge`.

use super::cgroups::{self, Group};
use super::judge::PROC_FILES;
use super::mounts::{self, Mount};
use super::proc::{Look, ProcDir};
use super::scan::{Process, Scan};
use super::status::Status;
use std::collections::BTreeMap;

/// The most threads that are looked at.
const MOST_THREADS: usize = 2000;

/// The kinds of namespace, as /proc/PID/ns names them.
pub const NAMESPACES: [&str; 7] = ["net", "mnt", "pid", "ipc", "uts", "cgroup", "user"];

/// One container as the kernel shows it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its first process.
    pub pid: i32,
    /// That process.
    pub status: Status,
    /// Every thread of every process of it: (pid, thread, status).
    pub threads: Vec<(i32, i32, Status)>,
    /// Threads or processes that could not be looked at, and why.
    pub unseen: Option<String>,
    /// Its processes.
    pub members: Vec<Process>,
    /// Other processes in its network namespace.
    pub neighbours: Vec<Process>,
    /// (its own, the reader's).
    pub namespaces: BTreeMap<&'static str, (Look<String>, Option<String>)>,
    /// uid_map.
    pub uid_map: Look<String>,
    /// Its mounts.
    pub mounts: Look<Vec<Mount>>,
    /// The file system that is the reader's own root: "254:0".
    pub host_device: Option<String>,
    /// Those of [`PROC_FILES`] that this kernel has.
    pub proc_files: Vec<&'static str>,
    /// Its cgroups, and what their limit files say.
    pub groups: Vec<Group>,
    /// limits.
    pub limits: Look<String>,
    /// oom_score_adj.
    pub oom_score: Look<String>,
    /// net/*: by name.
    pub net: BTreeMap<&'static str, Look<String>>,
    /// Executable mappings of every process: (pid, lines).
    pub maps: Vec<(i32, Look<String>)>,
    /// Where descriptors 0, 1 and 2 lead.
    pub streams: Vec<(i32, Look<String>)>,
    /// The label of the Linux security module.
    pub label: Look<String>,
    /// Linux security modules of the host.
    pub security_modules: Vec<String>,
    /// Names of variables that look like secrets.
    pub secrets: Look<Vec<String>>,
    /// How long it has run, in seconds.
    pub age: Option<u64>,
}

/// Files of net/ that are read.
pub const NET: [&str; 11] = [
    "dev", "route", "tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "icmp", "icmp6",
];

impl Facts {
    /// Of nothing: what is looked at can be told from it.
    pub fn blank() -> Self {
        let status = Status {
            capabilities: Some([0; 5]),
            no_new_privs: Some(true),
            seccomp: Some(2),
            ..Status::default()
        };
        let process = Process::default();
        let root = Mount {
            point: "/".into(),
            ..Mount::default()
        };
        Self {
            pid: 0,
            threads: vec![(0, 0, status.clone())],
            status,
            unseen: None,
            members: vec![process],
            neighbours: Vec::new(),
            namespaces: NAMESPACES
                .map(|kind| (kind, (Ok("own".into()), Some("host".into()))))
                .into(),
            uid_map: Ok(String::new()),
            mounts: Ok(vec![root]),
            host_device: None,
            proc_files: Vec::new(),
            groups: Vec::new(),
            limits: Ok("Max open files 1 1 files\nMax core file size 0 0 bytes".into()),
            oom_score: Ok("0".into()),
            net: NET.map(|f| (f, Ok(String::new()))).into(),
            maps: Vec::new(),
            streams: Vec::new(),
            label: Ok(String::new()),
            security_modules: Vec::new(),
            secrets: Ok(Vec::new()),
            age: Some(0),
        }
    }

    /// Whether this kernel has a file of /proc.
    pub fn has_proc(&self, file: &str) -> bool {
        self.proc_files.contains(&file)
    }

    /// Reads all. The error is the sentence why there is nothing to look at.
    pub fn read(pid: i32, scan: &Scan) -> Result<Self, String> {
        let (dir, status) = begin(pid)?;
        let members: Vec<Process> = scan.members(pid).into_iter().cloned().collect();
        let (threads, unseen) = threads(&members, pid);
        let own_net = dir.link("ns/net").ok();
        let strangers = scan.processes.iter().filter(|p| {
            p.net_ns.is_some() && p.net_ns == own_net && !members.iter().any(|m| m.pid == p.pid)
        });
        let neighbours = strangers.cloned().collect();
        let namespaces = NAMESPACES.map(|kind| {
            let file = format!("ns/{kind}");
            let ours = std::fs::read_link(format!("/proc/self/{file}")).ok();
            let ours = ours.map(|p| p.to_string_lossy().into_owned());
            (kind, (dir.link(&file), ours))
        });
        let facts = Self {
            pid,
            threads,
            unseen,
            neighbours,
            namespaces: namespaces.into_iter().collect(),
            uid_map: dir.text("uid_map"),
            mounts: dir.text("mountinfo").map(|t| mounts::parse(&t)),
            host_device: host_device(),
            proc_files: PROC_FILES
                .into_iter()
                .filter(|f| std::fs::symlink_metadata(format!("/proc/{f}")).is_ok())
                .collect(),
            groups: cgroups::of(&dir.text("cgroup").unwrap_or_default()),
            limits: dir.text("limits"),
            oom_score: dir.text("oom_score_adj"),
            net: NET.map(|f| (f, dir.text(&format!("net/{f}")))).into(),
            maps: maps(&members, pid),
            streams: [0, 1, 2].map(|n| (n, dir.link(&format!("fd/{n}")))).into(),
            label: dir.text("attr/current"),
            security_modules: super::proc::read("/sys/kernel/security/lsm".as_ref())
                .map(|t| t.trim().split(',').map(String::from).collect())
                .unwrap_or_default(),
            secrets: dir.text("environ").map(|t| secret_names(&t)),
            age: age(&dir),
            members,
            status,
        };
        match dir.has_ended() {
            true => Err(format!("process {pid} ended while it was looked at")),
            false => Ok(facts),
        }
    }
}

/// The process itself, if there is anything to look at.
fn begin(pid: i32) -> Result<(ProcDir, Status), String> {
    let dir = ProcDir::open(pid).map_err(|why| match why.raw_os_error() {
        Some(libc::ENOENT) => format!("there is no process {pid}"),
        _ => format!("can't open /proc/{pid}: {why}"),
    })?;
    let status = Status::parse(&dir.text("status")?);
    if status.is_zombie() {
        return Err(format!(
            "process {pid} has ended and waits for its parent {} to collect it (a zombie): there is nothing to look at",
            status.ppid
        ));
    }
    if !status.has_memory {
        return Err(format!(
            "process {pid} is a thread of the kernel: it is in no container"
        ));
    }
    if status.tgid != pid {
        return Err(format!(
            "{pid} is a thread of process {}: name the process",
            status.tgid
        ));
    }
    Ok((dir, status))
}

fn threads(members: &[Process], pid: i32) -> (Vec<(i32, i32, Status)>, Option<String>) {
    let (mut out, mut unseen) = (Vec::new(), None);
    let pids = members.iter().map(|m| m.pid);
    let pids: Vec<i32> = match members.is_empty() {
        true => vec![pid],
        false => pids.collect(),
    };
    for pid in pids {
        let Ok(dir) = ProcDir::open(pid) else {
            continue;
        };
        let Ok(tasks) = dir.numbers("task") else {
            continue;
        };
        for task in tasks {
            if out.len() >= MOST_THREADS {
                unseen = Some(format!("only {MOST_THREADS} threads were looked at"));
                return (out, unseen);
            }
            match dir.text(&format!("task/{task}/status")) {
                Ok(text) => out.push((pid, task, Status::parse(&text))),
                // Ended meanwhile.
                Err(_) => continue,
            }
        }
    }
    (out, unseen)
}

/// Only the lines of executable mappings are kept.
fn maps(members: &[Process], pid: i32) -> Vec<(i32, Look<String>)> {
    let mut pids: Vec<i32> = members
        .iter()
        .filter(|m| !m.zombie)
        .map(|m| m.pid)
        .collect();
    if pids.is_empty() {
        pids.push(pid);
    }
    let executable = |text: String| -> String {
        let lines = text.lines();
        let kept = lines.filter(|l| l.split(' ').nth(1).is_some_and(|p| p.contains('x')));
        kept.collect::<Vec<_>>().join("\n")
    };
    let of = |pid: i32| Some((pid, ProcDir::open(pid).ok()?.text("maps").map(executable)));
    pids.into_iter().take(64).filter_map(of).collect()
}

/// Names only; the values are forgotten here.
fn secret_names(environ: &str) -> Vec<String> {
    let pairs = environ.split('\0').filter_map(|e| e.split_once('='));
    let secret = pairs.filter(|(name, value)| crate::policy::looks_secret(name, value));
    secret
        .map(|(name, _)| super::super::shown::quoted(name))
        .collect()
}

/// Seconds since it was made.
fn age(dir: &ProcDir) -> Option<u64> {
    let ticks = dir.started()?;
    let second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    let uptime = super::proc::read("/proc/uptime".as_ref()).ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some((uptime as u64).saturating_sub(ticks / u64::try_from(second).ok()?.max(1)))
}

fn host_device() -> Option<String> {
    let own = super::proc::read("/proc/self/mountinfo".as_ref()).ok()?;
    let root = mounts::parse(&own)
        .into_iter()
        .rev()
        .find(|m| m.point == "/");
    root.map(|m| m.device)
}
