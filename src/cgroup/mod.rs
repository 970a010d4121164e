//! Cgroups made, entered, read back, emptied and removed, exactly as a [`LimitPlan`] says.
//!
//! Takes no decisions: v1 or v2, names, values and order are the plan's. The launcher calls [`Cgroup::create`]; every
//! later process (kill, delete, the janitor) comes back with a [`CgroupRecord`] through [`Cgroup::open`]. The name is
//! guarded by the state store's lock: two launches of one name must not get here at once. What a process can't be born
//! into is made, and limits are written, when the first one is there ([`Cgroup::take_in`], [`Cgroup::limit`]): the
//! launcher has time for it while the child makes its network. Where systemd makes the directory (`systemd`), it does so
//! around that process; the rest is shared.

mod device;
mod dir;
mod end;
mod error;
mod freeze;
mod make;
mod oom;
mod record;
mod stats;
mod systemd;
mod update;
mod v1;
mod v2;

pub use error::CgroupError;
pub use oom::{LimitFiles, OomKills, OomWatch};
pub use record::{CgroupRecord, MadeDir, RecordedDir, ScopeRecord};

use crate::controls::ControlId;
use crate::paths::HostPath;
use crate::plan::limits::{CgroupDir, CgroupVersion, Lack, LimitPlan, Presence};
use dir::{OpenDir, Root};
use nix::errno::Errno;
use nix::unistd::Pid;
use serde::Serialize;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// The cgroups of one container, open.
#[must_use]
#[derive(Debug)]
pub struct Cgroup {
    roots: Vec<(HostPath, Root)>,
    members: Vec<Member>,
    parents: Vec<MadeDir>,
    freezer: Option<CgroupDir>,
    gaps: Vec<Lack>,
    /// The systemd unit that the cgroup belongs to.
    scope: Option<ScopeRecord>,
    /// What is to be done when there is a first process.
    awaits: Option<Box<LimitPlan>>,
}

#[derive(Debug)]
struct Member {
    place: CgroupDir,
    inode: u64,
    dir: OpenDir,
}

/// How a process came into the v2 cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// Not at all yet.
    Nowhere,
    /// Born in it (clone3 with CLONE_INTO_CGROUP).
    V2,
}

/// A file that does not say what was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// What was planned.
    pub expected: String,
    /// What the kernel says.
    pub found: String,
    /// The control that is not met.
    pub control: ControlId,
}

impl Cgroup {
    /// Makes the cgroup that a process can be born into (v2); on failure nothing is left. The rest follows with
    /// [`Cgroup::take_in`], and the limits with [`Cgroup::limit`].
    ///
    /// A cgroup of the same name that is empty is a leftover: it is replaced by a fresh one. One in use is refused.
    pub fn create(plan: &LimitPlan) -> Result<Self, CgroupError> {
        let mut cgroup = Self {
            roots: Vec::new(),
            members: Vec::new(),
            parents: Vec::new(),
            freezer: plan.freezer.clone(),
            gaps: Vec::new(),
            scope: None,
            awaits: Some(Box::new(plan.clone())),
        };
        if plan.scope.is_some() {
            return Ok(cgroup);
        }
        match make::unified(&mut cgroup, plan) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The first error is the one to tell; a directory that stays is empty and replaced by the next launch.
                let _ = cgroup.remove();
                Err(error)
            }
        }
    }

    /// The first process has been made, in the v2 cgroup if there is one: the v1 cgroups that it will enter are made,
    /// or the systemd scope is started around it; what must be in them by then is written. Nothing after
    /// [`Cgroup::limit`].
    pub fn take_in(&mut self, pid: Pid) -> Result<(), CgroupError> {
        let Some(plan) = self.awaits.take() else {
            return Ok(());
        };
        let done = match plan.scope.is_some() {
            true => systemd::start(self, &plan, pid).and_then(|()| make::enable(self, &plan)),
            false => make::legacy(self, &plan),
        }
        .and_then(|()| make::begin(self, &plan));
        self.awaits = Some(plan);
        done
    }

    /// Writes every limit that may follow, once.
    pub fn limit(&mut self) -> Result<(), CgroupError> {
        match self.awaits.take() {
            Some(plan) => make::fill(self, &plan),
            None => Ok(()),
        }
    }

    /// Files that this kernel turned out not to have, with what is lost.
    pub fn gaps(&self) -> &[Lack] {
        &self.gaps
    }

    /// The v2 cgroup for clone3(CLONE_INTO_CGROUP, Linux 5.7): entering costs next to nothing that way.
    pub fn v2_fd(&self) -> Option<BorrowedFd<'_>> {
        self.v2().map(|m| m.dir.fd())
    }

    /// The `tasks` files of the v1 cgroups, for a child that enters by itself: while it has a single thread it writes
    /// "0" into each. The kernel then takes no thread-group lock, whose first use after an idle moment waits for an
    /// RCU grace period (measured: 4 hierarchies 0.09 ms this way, 0.12 to 10 ms with `cgroup.procs`).
    pub fn v1_doors(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        let v1 = self
            .members
            .iter()
            .filter(|m| m.place.version == CgroupVersion::V1);
        v1.map(|m| {
            m.dir.writer("tasks").map_err(|e| {
                CgroupError::new(
                    "opened for entering (openat)",
                    &m.dir.path().join("tasks"),
                    e,
                )
            })
        })
        .collect()
    }

    /// Moves a process into every cgroup, v2 first, from outside.
    pub fn attach(&self, pid: Pid, entered: Entered) -> Result<(), CgroupError> {
        let rest = self
            .members
            .iter()
            .filter(|m| entered == Entered::Nowhere || m.place.version == CgroupVersion::V1);
        for member in rest {
            member.dir.set("cgroup.procs", &pid.to_string())?;
        }
        Ok(())
    }

    /// Compares every file that was written, and the device filter, with the plan.
    pub fn read_back(&self, plan: &LimitPlan) -> Result<Vec<Difference>, CgroupError> {
        let mut differences = device::read_back(self, plan)?;
        for write in &plan.writes {
            let dir = self.planned(plan, write.dir)?;
            let file = dir.path().join(&write.file);
            let found = match dir.read(&write.file) {
                Err(Errno::ENOENT) if write.presence != Presence::Required => continue,
                other => other.map_err(|e| CgroupError::new("read back", &file, e))?,
            };
            if !write.expect.holds(&found) {
                differences.push(Difference {
                    file: file.display().to_string(),
                    expected: write.expect.to_string(),
                    found: found.trim().to_string(),
                    control: write.control,
                });
            }
        }
        Ok(differences)
    }

    /// The cgroups that a process is not in (none: it is in all of them).
    pub fn missing_from(&self, pid: Pid) -> Result<Vec<PathBuf>, CgroupError> {
        let mut missing = Vec::new();
        for member in &self.members {
            let procs = member.dir.procs().map_err(|e| {
                CgroupError::new("read", &member.dir.path().join("cgroup.procs"), e)
            })?;
            if !procs.contains(&pid.as_raw()) {
                missing.push(member.dir.path().to_path_buf());
            }
        }
        Ok(missing)
    }

    /// Every process in any of the cgroups, or below them; sorted.
    pub fn procs(&self) -> Result<Vec<i32>, CgroupError> {
        let mut all = Vec::new();
        for member in &self.members {
            let found = member
                .dir
                .all_procs()
                .map_err(|e| CgroupError::new("listed the processes of", member.dir.path(), e))?;
            all.extend(found);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// How many processes the kernel has killed here for want of memory; `None` where memory is not limited.
    pub fn stats_oom(&self) -> Option<u64> {
        let member = self.with("memory")?;
        let (file, key) = match member.place.version {
            CgroupVersion::V1 => ("memory.oom_control", "oom_kill"),
            CgroupVersion::V2 => ("memory.events", "oom_kill"),
        };
        value_of(&member.dir.read(file).ok()?, key)
    }

    fn v2(&self) -> Option<&Member> {
        self.members
            .iter()
            .find(|m| m.place.version == CgroupVersion::V2)
    }

    fn with(&self, controller: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|m| m.place.controllers.iter().any(|c| c == controller))
    }

    /// The open directory of the plan's `index`th cgroup.
    fn planned(&self, plan: &LimitPlan, index: usize) -> Result<&OpenDir, CgroupError> {
        let place = plan.dirs.get(index);
        let member = place.and_then(|p| {
            self.members
                .iter()
                .find(|m| m.place.mount == p.mount && m.place.path == p.path)
        });
        member.map(|m| &m.dir).ok_or_else(|| {
            let path = place.map_or(PathBuf::new(), |p| p.mount.as_path().join(&p.path));
            CgroupError::new("looked for the planned cgroup", &path, Errno::ENOENT)
        })
    }

    /// The hierarchy's root, opened on first use.
    fn root(&mut self, mount: &HostPath, version: CgroupVersion) -> Result<&Root, CgroupError> {
        let at = match self.roots.iter().position(|(known, _)| known == mount) {
            Some(at) => at,
            None => {
                let root = Root::open(mount, version)?;
                self.roots.push((mount.clone(), root));
                self.roots.len() - 1
            }
        };
        Ok(&self.roots[at].1)
    }
}

/// The number behind `key` in a file of "key number" lines.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}
