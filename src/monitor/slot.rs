//! A row of the table in the monitor: started, watched, started again with back-off when it dies.

use crate::logs::Origin;
use crate::plan::monitor::MonitorPlan;
use crate::sys::fs::close_all_but;
use crate::sys::process::{self, Side, SingleThreaded};
use crate::worker::{Descriptors, Row, Said, Tell, Worker, enter};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// One row at work.
pub(super) struct Slot {
    pub(super) row: &'static Row,
    pub(super) running: Option<Running>,
    pub(super) ready: bool,
    /// It has ended for good, or isn't wanted.
    pub(super) over: bool,
    pub(super) restarts: u64,
    /// Not before this.
    due: Instant,
    /// Deaths without a minute of work between them.
    in_a_row: u32,
}

/// A process.
pub(super) struct Running {
    pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) tell: Tell,
    since: Instant,
    asked: bool,
}

impl Slot {
    pub(super) fn new(row: &'static Row, plan: &MonitorPlan) -> Self {
        Self {
            row,
            running: None,
            ready: false,
            over: !(row.wanted)(plan),
            restarts: 0,
            due: Instant::now(),
            in_a_row: 0,
        }
    }

    /// When it wants to be started, if it can be.
    pub(super) fn due(&self, fds: &Descriptors) -> Option<Instant> {
        let can = self.running.is_none() && !self.over && fds.have(self.row.needs);
        can.then_some(self.due)
    }

    /// Forks it. In the worker this never returns.
    pub(super) fn start(
        &mut self,
        plan: &MonitorPlan,
        (origin, container): (&Origin, i32),
        fds: &mut Descriptors,
    ) -> Result<(), String> {
        let text = |e: nix::errno::Errno| e.desc().to_string();
        let (ours, theirs) = Tell::pair().map_err(text)?;
        let proof = SingleThreaded::prove().ok_or("the monitor has threads")?;
        match process::clone_child(&proof, 0, None).map_err(text)? {
            Side::Parent { pid, pidfd } => {
                self.running = Some(Running {
                    pid,
                    pidfd,
                    tell: ours,
                    since: Instant::now(),
                    asked: false,
                });
                Ok(())
            }
            Side::Child => {
                let row = self.row;
                let wanted = |name: &str| row.needs.contains(&name) || row.takes.contains(&name);
                let left = fds.retain(wanted);
                // Their numbers are closed below, and may belong to something else by the time they would be dropped.
                std::mem::forget((left, ours));
                let mut keep = fds.numbers();
                keep.push(theirs.number());
                let _ = close_all_but(3, &mut keep);
                let worker = Worker {
                    plan: plan.clone(),
                    origin: origin.clone(),
                    fds: std::mem::take(fds),
                    tell: theirs,
                    pid: container,
                    restarts: self.restarts,
                };
                process::exit_now(work(row, worker))
            }
        }
    }

    /// What it has said since.
    pub(super) fn heard(&mut self) -> Vec<Said> {
        let Some(running) = &self.running else {
            return Vec::new();
        };
        let mut out = Vec::new();
        while let Some(said) = running.tell.heard() {
            self.ready |= said == Said::Ready;
            out.push(said);
        }
        out
    }

    /// Collects a process that has ended; how, if it is to be started again.
    pub(super) fn ended(&mut self) -> Option<String> {
        let running = self.running.take()?;
        let status = waitpid(Pid::from_raw(running.pid), None);
        if let Ok(WaitStatus::Exited(_, 0)) = status {
            self.over = true;
            return None;
        }
        self.restarts += 1;
        self.in_a_row = match running.since.elapsed() > Duration::from_secs(60) {
            true => 0,
            false => self.in_a_row.saturating_add(1),
        };
        // The first time at once: output waits.
        let wait = match self.in_a_row {
            0 | 1 => 0,
            n => (20u64 << n.min(8)).min(5000),
        };
        self.due = Instant::now() + Duration::from_millis(wait);
        Some(match status {
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("signal {}", signal as i32),
            Ok(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
            _ => "unknown".into(),
        })
    }

    /// Asks it to come to an end, once; one that died is started again first.
    pub(super) fn finish(&mut self, fds: &Descriptors) {
        match &mut self.running {
            Some(running) if !running.asked => {
                running.asked = true;
                running.tell.finish();
            }
            Some(_) => {}
            None => self.over |= !fds.have(self.row.needs),
        }
    }

    /// Kills and collects it.
    pub(super) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            use std::os::fd::AsFd;
            let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
            let _ = waitpid(Pid::from_raw(running.pid), None);
        }
        self.over = true;
    }
}

/// The worker's life.
fn work(row: &Row, mut worker: Worker) -> i32 {
    let mut name = format!("cofferdam-{}", row.name).into_bytes();
    name.truncate(15);
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = process::prctl_name(&name);
    }
    (row.opens)(&mut worker);
    let done = enter(row, &worker)
        .map_err(|e| e.to_string())
        .and_then(|()| (row.run)(&mut worker));
    match done {
        Ok(()) => 0,
        Err(why) => {
            worker.tell.say(&Said::Failed(why));
            1
        }
    }
}
