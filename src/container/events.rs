//! `events`: figures every so often, and memory that ran out, until the container ends.

use super::error::{ContainerError, sys};
use super::store::{Status, Store};
use crate::cgroup::Cgroup;
use crate::sys::process;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Whether somebody still listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Go on.
    There,
    /// It has closed its end.
    Gone,
}

/// The figures as they are now.
pub fn stats(store: &Store, id: &str) -> Result<Value, ContainerError> {
    let state = store.peek(id)?.ok_or(ContainerError::Unknown)?;
    if state.status() == Status::Stopped {
        return Err(ContainerError::NotRunning);
    }
    Ok(of(id, &Cgroup::open(&state.cgroup)?))
}

fn of(id: &str, cgroup: &Cgroup) -> Value {
    json!({ "type": "stats", "id": id, "data": cgroup.stats() })
}

/// Tells figures at each interval, and every time that memory runs out; returns when the container has ended.
pub fn events(
    store: &Store,
    id: &str,
    interval: Duration,
    tell: &mut dyn FnMut(&Value) -> Listener,
) -> Result<(), ContainerError> {
    let state = store.peek(id)?.ok_or(ContainerError::Unknown)?;
    let pidfd = sys(
        process::pidfd_open(state.pid),
        "open the first process (pidfd_open)",
    );
    if state.status() == Status::Stopped {
        return Err(ContainerError::NotRunning);
    }
    let pidfd = pidfd?;
    let cgroup = Cgroup::open(&state.cgroup)?;
    let mut watch = cgroup.watch_oom()?;
    let mut due = Instant::now() + interval;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let patience =
            PollTimeout::try_from(left.as_millis() as i32 + 1).unwrap_or(PollTimeout::NONE);
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            watch
                .as_ref()
                .map(|w| PollFd::new(w.fd(), PollFlags::POLLIN)),
        );
        match poll(&mut fds, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return sys(Err(errno), "wait for events (poll)"),
        }
        let ready: Vec<bool> = fds.iter().map(|f| f.any().unwrap_or(false)).collect();
        // The last kill of a container that runs out of memory ends it: told before its end.
        if let (Some(watch), Some(true)) = (&mut watch, ready.get(1)) {
            for _ in 0..watch.count(&cgroup) {
                if tell(&json!({ "type": "oom", "id": id })) == Listener::Gone {
                    return Ok(());
                }
            }
        }
        if ready[0] {
            return Ok(());
        }
        if Instant::now() >= due {
            due = Instant::now() + interval;
            if tell(&of(id, &cgroup)) == Listener::Gone {
                return Ok(());
            }
        }
    }
}
