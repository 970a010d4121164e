//! The limits of a container that runs: all of the changes, or none of them.

use super::{Cgroup, CgroupError, make, systemd, v1};
use crate::plan::limits::{CgroupVersion, LimitPlan, LimitWrite, Presence, Value};
use nix::errno::Errno;

/// What a file said before it was written.
struct Before<'a> {
    write: &'a LimitWrite,
    text: String,
}

impl Cgroup {
    /// Makes the cgroups that the plan needs and the container is not in yet; nobody is in them so far. Store the
    /// [`Cgroup::record`] afterwards, then [`Cgroup::update`].
    pub fn extend(&mut self, plan: &LimitPlan) -> Result<(), CgroupError> {
        for place in &plan.dirs {
            if !self.members.iter().any(|m| m.place.mount == place.mount) {
                make::enter(self, place)?;
            }
        }
        Ok(())
    }

    /// Writes what the plan says and reads it back; on any failure every file says again what it said before.
    pub fn update(&mut self, plan: &LimitPlan) -> Result<(), CgroupError> {
        make::enable(self, plan)?;
        let mut done = Vec::new();
        let set = match (&self.scope, &plan.scope) {
            (Some(scope), Some(wanted)) => systemd::set(scope, &wanted.limits),
            _ => Ok(()),
        };
        let result = set.and_then(|()| self.write_all(plan, &mut done));
        let result = result.and_then(|()| {
            let differences = self.read_back(plan)?;
            match differences.first() {
                None => Ok(()),
                Some(d) => Err(CgroupError::Kept {
                    path: d.file.clone(),
                    expected: d.expected.clone(),
                    found: d.found.clone(),
                }),
            }
        });
        if result.is_err() {
            self.undo(plan, &done);
            return result;
        }
        v1::fill(self)
    }

    /// The kernel holds some values to each other (memory to memory+swap, period to quota), so the order that is
    /// right depends on where they stand: what it does not take at first is tried again after the others.
    fn write_all<'a>(
        &mut self,
        plan: &'a LimitPlan,
        done: &mut Vec<Before<'a>>,
    ) -> Result<(), CgroupError> {
        let mut again = Vec::new();
        for write in &plan.writes {
            match self.write_one(plan, write, done) {
                Err(CgroupError::Failed {
                    errno: Errno::EINVAL | Errno::EBUSY,
                    ..
                }) => again.push(write),
                other => other?,
            }
        }
        again
            .into_iter()
            .try_for_each(|write| self.write_one(plan, write, done))
    }

    fn write_one<'a>(
        &mut self,
        plan: &'a LimitPlan,
        write: &'a LimitWrite,
        done: &mut Vec<Before<'a>>,
    ) -> Result<(), CgroupError> {
        let Value::Text(_) = &write.value else {
            return make::apply(self, plan, write);
        };
        let dir = self.planned(plan, write.dir)?;
        match dir.read(&write.file) {
            Ok(text) => done.push(Before { write, text }),
            Err(Errno::ENOENT) if write.presence != Presence::Required => {}
            Err(e) => {
                return Err(CgroupError::new("read", &dir.path().join(&write.file), e));
            }
        }
        make::apply(self, plan, write)
    }

    /// Best effort: the failure that led here is the one to tell. Twice, for the order that the kernel asks for.
    fn undo(&self, plan: &LimitPlan, done: &[Before<'_>]) {
        for before in done.iter().rev().chain(done.iter().rev()) {
            if let Ok(dir) = self.planned(plan, before.write.dir) {
                let _ = dir.write(&before.write.file, before.text.trim());
            }
        }
    }

    /// Bytes of memory in use, swap aside; `None` where memory is not limited.
    pub fn memory_in_use(&self) -> Option<u64> {
        let member = self.with("memory")?;
        let file = match member.place.version {
            CgroupVersion::V1 => "memory.usage_in_bytes",
            CgroupVersion::V2 => "memory.current",
        };
        member.dir.read(file).ok()?.trim().parse().ok()
    }
}
