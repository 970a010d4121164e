//! Was it done? Reads back from outside, before the program runs, and compares with the plan.
//!
//! Looks only at what the kernel says (/proc/PID, cgroup files), never at what the child claims. Any difference
//! ends the launch. Landlock and MDWE have no file to read: they rest on the answers of their system calls.

mod early;
mod execution;
mod joined;
mod label;
mod mounts;
mod nodes;

use crate::cgroup::{Cgroup, CgroupError};
use crate::controls::ControlId;
use crate::plan::NamespaceKind;
use crate::plan::Plan;
use crate::plan::process::NewPrivileges;
use crate::sys::fs::read_kernel_file;
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;

pub use early::{Early, early};
pub use joined::observe_joined;
pub use label::label;
pub use mounts::{Seen, parse_mountinfo};

/// Something that is not as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The control that is not met.
    pub control: ControlId,
    /// What was looked at.
    pub what: String,
    /// As planned.
    pub expected: String,
    /// As found.
    pub found: String,
}

/// Why it can't be told.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file below /proc.
    #[error("can't read {path} to verify the container: {why}")]
    Read {
        /// Which.
        path: String,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// A cgroup file.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// What was found right.
#[must_use]
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// How many facts were compared.
    pub checked: usize,
    /// What differs; empty: all as planned.
    pub differences: Vec<Difference>,
}

struct Checker<'a> {
    pid: i32,
    plan: &'a Plan,
    out: Verification,
}

/// Compares everything that can be seen from outside; `early` is what [`early`] found.
pub fn observe(
    plan: &Plan,
    pid: i32,
    cgroup: &Cgroup,
    mut early: Early,
) -> Result<Verification, VerifyError> {
    let mut checker = Checker {
        pid,
        plan,
        out: std::mem::take(&mut early.limits),
    };
    checker.status()?;
    checker.namespaces(&early)?;
    checker.limits()?;
    checker.execution()?;
    checker.descriptors()?;
    let mountinfo = checker.read("mountinfo")?;
    mounts::check(plan, &mountinfo, &mut checker.out);
    checker.nodes()?;
    if !early.still_inside(&checker.read("cgroup")?) {
        checker.membership(cgroup)?;
    }
    Ok(checker.out)
}

/// A file below /proc/PID.
fn read_of(pid: i32, file: &str) -> Result<String, VerifyError> {
    let path = format!("/proc/{pid}/{file}");
    read_kernel_file(&path).map_err(|why| VerifyError::Read { path, why })
}

impl Checker<'_> {
    fn read(&self, file: &str) -> Result<String, VerifyError> {
        read_of(self.pid, file)
    }

    fn same(&mut self, control: ControlId, what: &str, expected: &str, found: &str) {
        self.out.same(control, what, expected, found);
    }

    fn membership(&mut self, cgroup: &Cgroup) -> Result<(), VerifyError> {
        for path in cgroup.missing_from(nix::unistd::Pid::from_raw(self.pid))? {
            let path = path.display().to_string();
            self.same(
                ControlId::S8_1_4,
                &path,
                "the process is in it",
                "it is not",
            );
        }
        Ok(())
    }

    fn status(&mut self) -> Result<(), VerifyError> {
        let text = self.read("status")?;
        let fields: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once(':')).collect();
        let there = |name: &str| fields.iter().find(|(k, _)| *k == name);
        let field = |name: &str| there(name).map_or("(no such line)", |(_, v)| v.trim());
        let numbers = |name: &str| words(field(name));
        let process = &self.plan.process;
        let user = self.plan.namespaces.user.as_ref();
        let uid = user
            .and_then(|u| u.outside_uid(process.uid))
            .unwrap_or(process.uid);
        let gid = user
            .and_then(|u| u.outside_gid(process.gid))
            .unwrap_or(process.gid);
        let four = |n: u32| format!("{n} {n} {n} {n}");
        let out = &mut self.out;
        out.same(ControlId::S8_5_1, "Uid", &four(uid), &numbers("Uid"));
        out.same(ControlId::S8_5_1, "Gid", &four(gid), &numbers("Gid"));
        if let Some(groups) = &process.groups {
            let mut groups: Vec<u32> = groups
                .iter()
                .map(|g| user.and_then(|u| u.outside_gid(*g)).unwrap_or(*g))
                .collect();
            groups.sort_unstable();
            let want = groups
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(" ");
            out.same(ControlId::S8_5_1, "Groups", &want, &numbers("Groups"));
        }
        let mark = match process.new_privileges {
            NewPrivileges::Never => "1",
            NewPrivileges::Possible => "0",
        };
        out.same(ControlId::S8_3_7, "NoNewPrivs", mark, field("NoNewPrivs"));
        let mut filters = self.plan.seccomp.filters.len();
        if there("Seccomp_filters").is_some() {
            if field("Seccomp_filters") != filters.to_string() {
                filters += inherited_filters()?;
            }
            let want = filters.to_string();
            out.same(
                ControlId::S8_1_4,
                "Seccomp_filters",
                &want,
                field("Seccomp_filters"),
            );
        }
        let mode = if filters == 0 { "0" } else { "2" };
        out.same(ControlId::S8_1_4, "Seccomp", mode, field("Seccomp"));
        // What the launcher blocks or ignores would outlive the exec: a service that can't be told to end.
        for mask in ["SigBlk", "SigIgn"] {
            out.same(ControlId::S8_4_13, mask, "0000000000000000", field(mask));
        }
        out.same(ControlId::S8_5_2, "Threads", "1", field("Threads"));
        out.same(ControlId::S8_4_13, "TracerPid", "0", field("TracerPid"));
        let sets = &self.plan.capabilities.sets;
        for (name, set) in [
            ("CapInh", &sets.inheritable),
            ("CapPrm", &sets.permitted),
            ("CapEff", &sets.effective),
            ("CapBnd", &sets.bounding),
            ("CapAmb", &sets.ambient),
        ] {
            out.same(
                ControlId::S8_1_5,
                name,
                &format!("{:016x}", mask(set)),
                field(name),
            );
        }
        Ok(())
    }

    fn namespaces(&mut self, early: &Early) -> Result<(), VerifyError> {
        for kind in &self.plan.namespaces.new {
            let name = kind.proc_name();
            let theirs = self.link(&format!("ns/{name}"))?;
            let found = if theirs == early.our(*kind) {
                "the host's"
            } else {
                "its own"
            };
            self.same(
                control_of(*kind),
                &format!("{name} namespace"),
                "its own",
                found,
            );
        }
        for (kind, path) in &self.plan.namespaces.joined {
            let name = kind.proc_name();
            let theirs = inode(&format!("/proc/{}/ns/{name}", self.pid))?;
            let asked = inode(&path.to_string())?;
            self.same(
                control_of(*kind),
                &format!("{name} namespace"),
                &asked,
                &theirs,
            );
        }
        if !self.plan.network.devices.is_empty() {
            let table = self.read("net/dev")?;
            let there = |name: &str| {
                table
                    .lines()
                    .any(|l| l.trim().split(':').next() == Some(name))
            };
            for device in &self.plan.network.devices {
                let found = if there(&device.inside) {
                    "inside"
                } else {
                    "not inside"
                };
                let what = format!("interface {}", device.inside);
                self.same(ControlId::S8_4_4, &what, "inside", found);
            }
        }
        if let Some(user) = &self.plan.namespaces.user {
            for (file, map) in [("uid_map", &user.uids), ("gid_map", &user.gids)] {
                let want: Vec<String> = map
                    .iter()
                    .map(|m| format!("{} {} {}", m.inside, m.outside, m.count))
                    .collect();
                let found: Vec<String> = self.read(file)?.lines().map(words).collect();
                self.same(ControlId::S8_5_1, file, &want.join(", "), &found.join(", "));
            }
        }
        Ok(())
    }

    fn link(&self, file: &str) -> Result<String, VerifyError> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_link(&path)
            .map(|p| p.display().to_string())
            .map_err(|why| VerifyError::Read { path, why })
    }

    fn limits(&mut self) -> Result<(), VerifyError> {
        let text = self.read("limits")?;
        for limit in &self.plan.process.rlimits {
            let Some(name) = limit_name(&limit.kind) else {
                continue;
            };
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .unwrap_or_default();
            let found: Vec<&str> = line.split_whitespace().take(2).collect();
            let number = |n: u64| {
                if n == u64::MAX {
                    "unlimited".into()
                } else {
                    n.to_string()
                }
            };
            let want = format!("{} {}", number(limit.soft), number(limit.hard));
            self.same(ControlId::S8_1_4, name, &want, &found.join(" "));
        }
        if let Some(score) = self.plan.process.oom_score_adj {
            let found = self.read("oom_score_adj")?;
            self.same(
                ControlId::S8_1_4,
                "oom_score_adj",
                &score.to_string(),
                found.trim(),
            );
        }
        Ok(())
    }

    /// Only 0, 1, 2 and what was granted may survive exec (CVE-2024-21626).
    fn descriptors(&mut self) -> Result<(), VerifyError> {
        // Not fd/, which opens to the owner alone: an ordinary user's child has ids of the user's ranges.
        let path = format!("/proc/{}/fdinfo", self.pid);
        let entries = fs::read_dir(&path).map_err(|why| VerifyError::Read { path, why })?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if matches!(name.as_str(), "0" | "1" | "2") {
                continue;
            }
            let info = self.read(&format!("fdinfo/{name}"))?;
            let flags = info
                .lines()
                .find_map(|l| l.strip_prefix("flags:"))
                .and_then(|f| i32::from_str_radix(f.trim(), 8).ok())
                .unwrap_or(0);
            let number = name.parse().unwrap_or(-1);
            let wanted = if self.plan.process.descriptors.contains(&number) {
                "stays open"
            } else {
                "close-on-exec"
            };
            let found = if flags & libc::O_CLOEXEC == 0 {
                "stays open"
            } else {
                "close-on-exec"
            };
            self.same(
                ControlId::S8_1_3,
                &format!("descriptor {name}"),
                wanted,
                found,
            );
        }
        Ok(())
    }
}

impl Verification {
    fn same(&mut self, control: ControlId, what: &str, expected: &str, found: &str) {
        self.checked += 1;
        if expected != found {
            self.differences.push(Difference {
                control,
                what: what.into(),
                expected: expected.into(),
                found: found.into(),
            });
        }
    }
}

/// Filters of the launcher's own, which all that it starts has too: a unit's SystemCallFilter=, a container around it.
/// They take rights away and give none.
fn inherited_filters() -> Result<usize, VerifyError> {
    let path = "/proc/self/status";
    let text = read_kernel_file(path).map_err(|why| VerifyError::Read {
        path: path.into(),
        why,
    })?;
    let count = text
        .lines()
        .find_map(|l| l.strip_prefix("Seccomp_filters:"));
    Ok(count.and_then(|n| n.trim().parse().ok()).unwrap_or(0))
}

/// Single blanks between the words.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn inode(path: &str) -> Result<String, VerifyError> {
    fs::metadata(path)
        .map(|m| format!("inode {}", m.ino()))
        .map_err(|why| VerifyError::Read {
            path: path.into(),
            why,
        })
}

fn control_of(kind: NamespaceKind) -> ControlId {
    match kind {
        NamespaceKind::Network => ControlId::S8_1_3,
        NamespaceKind::Mount => ControlId::S8_4_5,
        NamespaceKind::User => ControlId::S8_5_1,
        _ => ControlId::S8_1_3,
    }
}

/// Capability names as the kernel's mask.
fn mask(names: &[String]) -> u64 {
    names
        .iter()
        .filter_map(|n| format!("CAP_{n}").parse::<caps::Capability>().ok())
        .map(|c| c.bitmask())
        .fold(0, |a, b| a | b)
}

/// The first column of /proc/PID/limits.
fn limit_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "cpu" => "Max cpu time",
        "fsize" => "Max file size",
        "data" => "Max data size",
        "stack" => "Max stack size",
        "core" => "Max core file size",
        "rss" => "Max resident set",
        "nproc" => "Max processes",
        "nofile" => "Max open files",
        "memlock" => "Max locked memory",
        "as" => "Max address space",
        "locks" => "Max file locks",
        "sigpending" => "Max pending signals",
        "msgqueue" => "Max msgqueue size",
        "nice" => "Max nice priority",
        "rtprio" => "Max realtime priority",
        "rttime" => "Max realtime timeout",
        _ => return None,
    })
}
