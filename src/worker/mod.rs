//! A worker of the monitor: one task outside the container, in a process of its own, with only what it needs.
//!
//! A [`Row`] says what a worker is; `monitor::TABLE` lists them. The monitor forks, [`jail`] takes everything away that
//! the row doesn't name, and the row's function runs until it has nothing left to do. One that dies is started again
//! and finds the same descriptors: the monitor holds them, and never reads them itself.
//! Knows nothing of what the workers do. Used by the monitor and by everybody who writes a worker.

mod descriptors;
mod jail;
mod tell;

pub use descriptors::Descriptors;
pub use jail::{Jail, JailError, drop_capabilities, enter};
pub use tell::{Said, Tell, Told};

use crate::logs::Origin;
use crate::plan::monitor::MonitorPlan;
use std::time::Duration;

/// What a worker is.
pub struct Row {
    /// Its name in events and, behind "cofferdam-", in `ps`; its filter is profiles/monitor/NAME.json.
    pub name: &'static str,
    /// Whether a plan has something for it to do.
    pub wanted: fn(&MonitorPlan) -> bool,
    /// Descriptors without which it is not started; those of the container come when it has been launched.
    pub needs: &'static [&'static str],
    /// Descriptors that it also gets, where they are there.
    pub takes: &'static [&'static str],
    /// Makes descriptors that outlive it, once, in the monitor.
    pub prepare: fn(&MonitorPlan, &mut Descriptors) -> Result<(), String>,
    /// Opens what its jail has no path to, each time that it is started; in the worker, before it is jailed.
    pub opens: fn(&mut Worker),
    /// What it may reach.
    pub jail: fn(&Worker) -> Jail,
    /// Its task. When it returns, the worker has ended for good; an error ends the launch if it was not ready yet, and
    /// has it started again otherwise.
    pub run: fn(&mut Worker) -> Result<(), String>,
    /// How long it may go on when everything else is over.
    pub last: Duration,
}

/// A row at work.
pub struct Worker {
    /// What the monitor does.
    pub plan: MonitorPlan,
    /// Whose output it is.
    pub origin: Origin,
    /// Its descriptors.
    pub fds: Descriptors,
    /// The way to the monitor.
    pub tell: Tell,
    /// The container's first process on the host; 0 before there is one.
    pub pid: i32,
    /// How often it was started before.
    pub restarts: u64,
}

/// For rows that need nothing beyond their descriptors and their jail.
pub fn opens_nothing(_: &mut Worker) {}

/// For rows that prepare nothing.
pub fn nothing(_: &MonitorPlan, _: &mut Descriptors) -> Result<(), String> {
    Ok(())
}
