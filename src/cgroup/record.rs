//! What is stored about a container's cgroups, and the way back from it.
//!
//! Written by the launcher into the container's state; read by kill, delete, state and the janitor.

use super::{Cgroup, CgroupError, Member};
use crate::paths::HostPath;
use crate::plan::limits::{CgroupDir, CgroupVersion, LimitPlan, Manager, ScopePlan};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// What a later process must know to find, empty and remove the cgroups again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    /// The container's own cgroups.
    pub dirs: Vec<RecordedDir>,
    /// Cgroups above them that the launcher had to make, outermost first.
    pub parents: Vec<MadeDir>,
    /// Where the v1 freezer's cgroup would be made.
    pub freezer: Option<CgroupDir>,
    /// The systemd unit that the cgroup belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeRecord>,
}

/// A systemd scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRecord {
    /// "docker-0123.scope".
    pub unit: String,
    /// Whom to ask.
    pub manager: Manager,
    /// About to be asked for: whether it came to be is for systemd to say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

impl ScopeRecord {
    pub(super) fn of(plan: &ScopePlan) -> Self {
        Self {
            unit: plan.unit.clone(),
            manager: plan.manager.clone(),
            asked: false,
        }
    }
}

/// One of the container's own cgroups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDir {
    /// Which.
    pub place: CgroupDir,
    /// The kernel's number for it, so that a later cgroup of the same name is not taken for it.
    pub inode: u64,
}

/// A cgroup above the container's own, made on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeDir {
    /// Where the hierarchy is mounted.
    pub mount: HostPath,
    /// The interface.
    pub version: CgroupVersion,
    /// Below the mount.
    pub path: String,
}

impl CgroupRecord {
    /// For the janitor, before `create`: what may be left if the launcher dies in the middle of it. Nobody is in there
    /// yet, so nothing is killed on its account, and `remove` takes only what is empty. Exchange it for
    /// [`Cgroup::record`] before the child is made. (Cgroups above the container's own are not covered.)
    pub fn planned(plan: &LimitPlan) -> Self {
        // The directories of a scope are systemd's.
        let ours = plan.dirs.iter().filter(|_| plan.scope.is_none());
        Self {
            dirs: Vec::new(),
            parents: ours.map(MadeDir::of).collect(),
            freezer: None,
            scope: plan.scope.as_ref().map(|scope| ScopeRecord {
                asked: true,
                ..ScopeRecord::of(scope)
            }),
        }
    }

    /// Before [`Cgroup::extend`]: the same with what it is about to make; nothing where it makes nothing.
    pub fn extended(&self, plan: &LimitPlan) -> Option<Self> {
        let is_there = |place: &CgroupDir| self.dirs.iter().any(|d| d.place.mount == place.mount);
        let missing: Vec<_> = plan.dirs.iter().filter(|p| !is_there(p)).collect();
        (!missing.is_empty()).then(|| {
            let mut more = self.clone();
            more.parents.extend(missing.into_iter().map(MadeDir::of));
            more
        })
    }
}

impl MadeDir {
    fn of(place: &CgroupDir) -> Self {
        Self {
            mount: place.mount.clone(),
            version: place.version,
            path: place.path.clone(),
        }
    }
}

impl Cgroup {
    /// Opens what a record describes. Cgroups that are gone, or whose name has been taken by another one, are left out.
    pub fn open(record: &CgroupRecord) -> Result<Self, CgroupError> {
        let mut cgroup = Self {
            roots: Vec::new(),
            members: Vec::new(),
            parents: record.parents.clone(),
            freezer: record.freezer.clone(),
            gaps: Vec::new(),
            scope: record.scope.clone(),
            awaits: None,
        };
        for RecordedDir { place, inode } in &record.dirs {
            let dir = match cgroup
                .root(&place.mount, place.version)?
                .dir(place.mount.as_path(), &place.path)
            {
                Err(CgroupError::Failed {
                    errno: Errno::ENOENT,
                    ..
                }) => continue,
                other => other?,
            };
            if dir.inode() == Ok(*inode) {
                cgroup.members.push(Member {
                    place: place.clone(),
                    inode: *inode,
                    dir,
                });
            }
        }
        for above in &record.parents {
            cgroup.root(&above.mount, above.version)?;
        }
        if let Some(freezer) = &record.freezer {
            cgroup.root(&freezer.mount, freezer.version)?;
        }
        Ok(cgroup)
    }

    /// What to store for later. Take it after `create`, and again after the first `freeze`.
    pub fn record(&self) -> CgroupRecord {
        let recorded = |m: &Member| RecordedDir {
            place: m.place.clone(),
            inode: m.inode,
        };
        CgroupRecord {
            dirs: self.members.iter().map(recorded).collect(),
            parents: self.parents.clone(),
            freezer: self.freezer.clone(),
            scope: self.scope.clone(),
        }
    }
}
