//! `pause`, `resume` and `ps`: every process of a container at once.

use super::error::ContainerError;
use super::store::{State, Status, Store};
use super::told;
use crate::cgroup::Cgroup;
use crate::events::Change;

/// Freezes a created or running container; it stays so when the launcher has ended.
pub fn pause(store: &Store, id: &str) -> Result<(), ContainerError> {
    let entry = store.open(id)?;
    let mut state = entry.state()?.ok_or(ContainerError::Unknown)?;
    match state.status() {
        Status::Created | Status::Running => {}
        _ => return Err(ContainerError::NotRunning),
    }
    let mut cgroup = Cgroup::open(&state.cgroup)?;
    let ready = cgroup.prepare_freezer();
    // Whatever has been made is known before anything stands still.
    if cgroup.record() != state.cgroup {
        state.cgroup = cgroup.record();
        entry.save(&state)?;
    }
    ready?;
    cgroup.freeze()?;
    told::changed(store, id, Change::Paused, String::new());
    Ok(())
}

/// Lets a paused container go on.
pub fn resume(store: &Store, id: &str) -> Result<(), ContainerError> {
    let entry = store.open(id)?;
    let state = entry.state()?.ok_or(ContainerError::Unknown)?;
    match state.status() {
        Status::Paused => {
            Cgroup::open(&state.cgroup)?.thaw()?;
            told::changed(store, id, Change::Resumed, String::new());
            Ok(())
        }
        _ => Err(ContainerError::NotPaused),
    }
}

/// The processes of a container as the host numbers them, sorted; none when it has stopped.
pub fn processes(store: &Store, id: &str) -> Result<Vec<i32>, ContainerError> {
    let state: State = store.peek(id)?.ok_or(ContainerError::Unknown)?;
    Ok(Cgroup::open(&state.cgroup)?.procs()?)
}
