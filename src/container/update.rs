//! `update`: other limits for a container that is there, decided by the policy it was made under.

use super::error::ContainerError;
use super::journal::Line;
use super::saved::Saved;
use super::store::{Entry, Status, Store};
use crate::cgroup::Cgroup;
use crate::host::Host;
use crate::plan::limits::{LimitPlan, Value};
use crate::policy::{Clamp, Waiver};

/// A container that is about to get other limits; others wait until it has them.
#[must_use]
pub struct Updating {
    entry: Entry,
    /// Its launch.
    pub saved: Saved,
}

/// What is to be done, and what there is to say about it.
pub struct Update<'a> {
    /// What the limits were planned as.
    pub old: &'a LimitPlan,
    /// What they are to be.
    pub new: &'a LimitPlan,
    /// Fail where more than the new limit is in use (`checkBeforeUpdate`).
    pub check_memory: Option<u64>,
    /// What was asked and cut down.
    pub clamps: &'a [Clamp],
    /// Exceptions in use.
    pub waivers: &'a [Waiver],
}

impl Updating {
    /// Opens a container that has not stopped.
    pub fn open(store: &Store, id: &str) -> Result<Self, ContainerError> {
        let entry = store.open(id)?;
        let state = entry.state()?.ok_or(ContainerError::Unknown)?;
        if state.status() == Status::Stopped {
            return Err(ContainerError::NotRunning);
        }
        let saved = Saved::read(&entry)?;
        Ok(Self { entry, saved })
    }

    /// Writes the limits, all or none, and keeps the request with the change in it.
    pub fn apply(
        self,
        update: &Update<'_>,
        host: &Host,
        changed: &Saved,
    ) -> Result<(), ContainerError> {
        let mut state = self.entry.state()?.ok_or(ContainerError::Unknown)?;
        let mut cgroup = Cgroup::open(&state.cgroup)?;
        let in_use = cgroup.memory_in_use().unwrap_or(0);
        if let Some(limit) = update.check_memory.filter(|limit| in_use > *limit) {
            return Err(ContainerError::InUse { limit, in_use });
        }
        let there: Vec<_> = state.cgroup.dirs.iter().map(|d| d.place.clone()).collect();
        let plan = update.old.towards(update.new, &there);
        // Whoever deletes it must know of a cgroup that this process did not live to record.
        if let Some(more) = state.cgroup.extended(&plan) {
            state.cgroup = more;
            self.entry.save(&state)?;
        }
        let extended = cgroup.extend(&plan);
        if cgroup.record() != state.cgroup {
            state.cgroup = cgroup.record();
            self.entry.save(&state)?;
        }
        extended?;
        cgroup.update(&plan)?;
        changed.write(&self.entry)?;
        let written: Vec<String> = plan
            .writes
            .iter()
            .map(|w| match &w.value {
                Value::Text(text) => format!("{}={text}", w.file),
                Value::Inherited => format!("{}=(as above)", w.file),
            })
            .collect();
        Line {
            clamps: update.clamps,
            exceptions: update.waivers,
            ..Line::new("update", &state.id, host, &written)
        }
        .append(&self.entry)
    }
}
