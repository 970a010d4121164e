//! Signals of the launcher: which are forwarded, what they do to a first process, and when patience ends.

use super::error::{ContainerError, sys};
use crate::sandbox::Running;
use crate::sys::process;
use nix::poll::PollTimeout;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const FORWARDED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
];

/// All that are forwarded, and the caller's terminal changing its size.
pub(super) fn block_signals() -> Result<SignalFd, ContainerError> {
    let mut set = SigSet::from(Signal::SIGWINCH);
    for signal in FORWARDED {
        set.add(signal);
    }
    sys(
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None),
        "block signals (sigprocmask)",
    )?;
    sys(
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC),
        "watch signals (signalfd)",
    )
}

/// How long a program may take to end after TERM or INT (`run --stop-timeout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopTimeout {
    /// Then it is killed.
    After(Duration),
    /// As long as it likes.
    Never,
}

impl Default for StopTimeout {
    /// As `docker stop` and `podman stop` do.
    fn default() -> Self {
        Self::After(Duration::from_millis(GRACE as u64))
    }
}

/// The first TERM or INT, and when the program is killed for not having heeded it.
pub(super) struct Deadline {
    patience: StopTimeout,
    at: Option<Instant>,
}

impl Deadline {
    pub(super) fn new(patience: StopTimeout) -> Self {
        Self { patience, at: None }
    }

    fn watch(&mut self, signal: i32) {
        if let (StopTimeout::After(patience), None, libc::SIGTERM | libc::SIGINT) =
            (self.patience, self.at, signal)
        {
            self.at = Some(Instant::now() + patience);
        }
    }

    fn end(&mut self, running: &Running) {
        if self.at.is_some_and(|at| at <= Instant::now()) {
            self.at = None;
            let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
        }
    }
}

/// What has been forwarded, and what is still to happen because of it.
pub(super) struct Forwarding {
    given_back: GivenBack,
    deadline: Deadline,
    /// The signal in whose name the program was killed.
    pub(super) killed_by: Option<i32>,
}

impl Forwarding {
    pub(super) fn new(patience: StopTimeout) -> Self {
        Self {
            given_back: GivenBack::default(),
            deadline: Deadline::new(patience),
            killed_by: None,
        }
    }

    /// Hands a signal on.
    pub(super) fn pass(&mut self, running: &Running, signal: i32) {
        self.killed_by = self.killed_by.or(forward(running, signal));
        self.given_back.watch(signal);
        self.deadline.watch(signal);
    }

    /// How long there is nothing to do.
    pub(super) fn patience(&self) -> PollTimeout {
        let given_back = self.given_back.until();
        let next = given_back.into_iter().chain(self.deadline.at).min();
        next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        })
    }

    /// What time has made due.
    pub(super) fn due(&mut self, running: &Running) {
        self.killed_by = self.killed_by.or(self.given_back.end(running));
        self.deadline.end(running);
    }
}

/// Signals whose default action ends a process.
const ENDS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// Milliseconds between a signal and its default action, as engines wait between TERM and KILL.
const GRACE: u128 = 10_000;

/// A handler may do its part, put the default action back and raise the signal again (Node does): the kernel drops
/// it for the first process of a pid namespace. A program that has given its handler back and still runs after the
/// grace is ended as the default action would have; one that keeps its handler ends when it likes.
#[derive(Default)]
struct GivenBack(Option<(Instant, i32)>);

impl GivenBack {
    fn watch(&mut self, signal: i32) {
        if ENDS.contains(&signal) {
            self.0 = Some((Instant::now(), signal));
        }
    }

    fn until(&self) -> Option<Instant> {
        self.0
            .map(|(since, _)| since + Duration::from_millis(GRACE as u64))
    }

    /// The signal that ended the program here, if it did.
    fn end(&mut self, running: &Running) -> Option<i32> {
        let (since, signal) = self.0?;
        if since.elapsed().as_millis() < GRACE {
            return None;
        }
        self.0 = None;
        if has_own_disposition(running.pid, signal) {
            return None;
        }
        forward(running, signal)
    }
}

/// Hands a signal on. The first process of a pid namespace ignores signals that it has no handler for, so where the
/// default action would have ended it, it is ended here; the outcome still names the signal.
fn forward(running: &Running, signal: i32) -> Option<i32> {
    if ENDS.contains(&signal) && !has_own_disposition(running.pid, signal) {
        let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
        return Some(signal);
    }
    let _ = process::pidfd_signal(running.pidfd.as_fd(), signal);
    None
}

fn has_own_disposition(pid: i32, signal: i32) -> bool {
    let status =
        crate::sys::fs::read_kernel_file(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|m| u64::from_str_radix(m.trim(), 16).ok())
            .unwrap_or(0)
    };
    (mask("SigCgt:") | mask("SigIgn:")) & (1 << (signal - 1)) != 0
}
