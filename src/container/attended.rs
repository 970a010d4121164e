//! A container that its launcher stays with and looks at while the program runs: the audit's.
//!
//! Built, verified and cleaned up as every other; what is done in between is the caller's. It ends when that is over.

use super::begun::begun;
use super::build::{Context, build};
use super::error::{ContainerError, sys};
use super::hooks;
use super::janitor::Janitor;
use super::store::{Entry, Store};
use crate::cgroup::Cgroup;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::sandbox::{Running, Streams};
use crate::sys::process;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::AsFd;

/// Runs a plan with these streams, does `deed` meanwhile, and kills what is left then; what the deed gave.
pub fn attended<T>(
    plan: &Plan,
    context: &Context<'_>,
    store: &Store,
    streams: Streams,
    deed: impl FnOnce(&Running, &Cgroup) -> T,
) -> Result<T, ContainerError> {
    let mut janitor = Janitor::start()?;
    let mut claim = store.reserve(&plan.name)?;
    janitor.state(&claim)?;
    store.prepare(&mut claim)?;
    janitor.state(&claim)?;
    let mut entry = store.take(&claim)?;
    let done = inside(plan, context, &entry, &mut janitor, streams, deed);
    let removed = entry.relock().and_then(|ours| match ours {
        true => entry.remove(),
        false => Ok(()),
    });
    janitor.dismiss();
    let done = done?;
    removed.map(|()| done)
}

fn inside<T>(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    janitor: &mut Janitor,
    streams: Streams,
    deed: impl FnOnce(&Running, &Cgroup) -> T,
) -> Result<T, ContainerError> {
    let ready = build(plan, context, entry, janitor, streams, None)?;
    let cgroup = ready.cgroup;
    let done = match begun(plan, ready.created.start()) {
        Err(error) => Err(error),
        Ok(running) => {
            let done = deed(&running, &cgroup);
            let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
            // Collected already where the deed waited for the end.
            let _ = waitpid(Pid::from_raw(running.pid), None);
            // Whoever looks at the log afterwards finds all of it there.
            if let Some(monitor) = &ready.monitor {
                monitor.drained();
            }
            Ok(done)
        }
    };
    cgroup.kill()?;
    cgroup.remove()?;
    context.warn(hooks::poststop(
        &hooks::SavedHooks::of(plan),
        &context.about(plan),
        |what| ready.events.send(what),
    ));
    done
}

/// Waits for the end of an attended program.
pub fn ended(running: &Running) -> Result<Outcome, ContainerError> {
    let status = sys(
        waitpid(Pid::from_raw(running.pid), None),
        "collect the program's end (waitpid)",
    )?;
    Ok(match status {
        WaitStatus::Signaled(_, signal, _) => Outcome::Signaled(signal as i32),
        WaitStatus::Exited(_, code) => Outcome::Exited(code as u8),
        _ => Outcome::Exited(crate::outcome::FAILED),
    })
}
