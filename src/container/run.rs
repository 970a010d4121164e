//! `run`: build, start, forward signals, wait, clean up; everything is gone when it returns.

use super::build::{Context, build};
use super::error::{ContainerError, sys};
use super::janitor::Janitor;
use super::store::{Entry, Store};
use crate::outcome::Outcome;
use crate::plan::{NamespaceKind, Plan};
use crate::sandbox::{Running, Started, Streams};
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// What became of a run, and what there is to say about it.
#[must_use]
pub struct Ended {
    /// How the program ended.
    pub outcome: Outcome,
    /// How many processes the kernel killed for want of memory.
    pub oom_kills: u64,
}

const FORWARDED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
];

/// Runs a plan to its end.
pub fn run(plan: &Plan, context: &Context<'_>, store: &Store) -> Result<Ended, ContainerError> {
    let signals = block_signals()?;
    let mut janitor = Janitor::start()?;
    let mut claim = store.reserve(&plan.name)?;
    janitor.state(&claim)?;
    store.prepare(&mut claim)?;
    janitor.state(&claim)?;
    let mut entry = store.take(&claim)?;
    let ended = run_in(plan, context, &mut entry, &mut janitor, &signals);
    let removed = match entry.relock() {
        Ok(true) => entry.remove(),
        // `delete --force` has been here: what has the name now is not ours.
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    janitor.dismiss();
    let ended = ended?;
    removed.map(|()| ended)
}

fn run_in(
    plan: &Plan,
    context: &Context<'_>,
    entry: &mut Entry,
    janitor: &mut Janitor,
    signals: &SignalFd,
) -> Result<Ended, ContainerError> {
    let (streams, relays) = streams()?;
    let ready = build(plan, context, entry, janitor, streams, None)?;
    let cgroup = ready.cgroup;
    let outcome = match ready.created.start() {
        Started::Failed(error) => Err(error.into()),
        Started::Running(running) => {
            // `kill`, `delete` and a mistaken `start` must not wait for the program's end.
            entry.unlock();
            wait(&running, signals, relays).inspect_err(|_| {
                let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
            })
        }
    };
    let oom_kills = cgroup.stats_oom().unwrap_or(0);
    if entry.relock()? {
        // With the first process of a pid namespace all others in it have ended.
        if !plan.namespaces.is_new(NamespaceKind::Pid) || outcome.is_err() {
            cgroup.kill()?;
        }
        cgroup.remove()?;
    }
    outcome.map(|outcome| Ended { outcome, oom_kills })
}

pub(super) fn block_signals() -> Result<SignalFd, ContainerError> {
    let mut set = SigSet::empty();
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

/// A pipe whose other end the program has, and our own stream that it is copied to.
pub(super) struct Relay {
    from: OwnedFd,
    to: i32,
}

/// A terminal never goes in (SS-011 8.4.1): stdin becomes /dev/null, stdout and stderr become pipes that we copy.
pub(super) fn streams() -> Result<(Streams, Vec<Relay>), ContainerError> {
    let mut streams: Streams = [None, None, None];
    let mut relays = Vec::new();
    if std::io::stdin().is_terminal() {
        let null = std::fs::File::open("/dev/null");
        streams[0] =
            Some(super::error::at(null, "open", std::path::Path::new("/dev/null"))?.into());
    }
    let terminal = [
        std::io::stdout().is_terminal(),
        std::io::stderr().is_terminal(),
    ];
    for (index, is_terminal) in terminal.into_iter().enumerate() {
        if is_terminal {
            let (from, into) = sys(nix::unistd::pipe2(OFlag::O_CLOEXEC), "make a pipe (pipe2)")?;
            streams[index + 1] = Some(into);
            relays.push(Relay {
                from,
                to: index as i32 + 1,
            });
        }
    }
    Ok((streams, relays))
}

/// Waits for the end, forwarding signals and copying what a terminal is to show.
pub(super) fn wait(
    running: &Running,
    signals: &SignalFd,
    mut relays: Vec<Relay>,
) -> Result<Outcome, ContainerError> {
    let mut killed_by = None;
    let mut given_back = GivenBack::default();
    loop {
        let mut fds = vec![
            PollFd::new(running.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(
            relays
                .iter()
                .map(|r| PollFd::new(r.from.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut fds, given_back.patience()) {
            Ok(_) | Err(Errno::EINTR) => killed_by = killed_by.or(given_back.end(running)),
            Err(errno) => return sys(Err(errno), "wait (poll)"),
        }
        let ready: Vec<bool> = fds
            .iter()
            .map(|f| f.revents().is_some_and(|r| !r.is_empty()))
            .collect();
        let mut at = 1;
        relays.retain(|relay| {
            at += 1;
            !ready[at] || copy(relay)
        });
        if ready[1]
            && let Ok(Some(info)) = signals.read_signal()
        {
            killed_by = killed_by.or(forward(running, info.ssi_signo as i32));
            given_back.watch(info.ssi_signo as i32);
        }
        if ready[0] {
            break;
        }
    }
    // What is still in the pipes was written before the end.
    for relay in &relays {
        drain(relay);
    }
    let status = sys(
        waitpid(Pid::from_raw(running.pid), None),
        "collect the program's end (waitpid)",
    )?;
    Ok(match (status, killed_by) {
        (WaitStatus::Signaled(_, Signal::SIGKILL, _), Some(signal)) => Outcome::Signaled(signal),
        (WaitStatus::Signaled(_, signal, _), _) => Outcome::Signaled(signal as i32),
        (WaitStatus::Exited(_, code), _) => Outcome::Exited(code as u8),
        _ => Outcome::Exited(super::super::outcome::FAILED),
    })
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

    fn patience(&self) -> PollTimeout {
        let left = |(since, _): (Instant, i32)| GRACE.saturating_sub(since.elapsed().as_millis());
        self.0.map_or(PollTimeout::NONE, |watched| {
            PollTimeout::try_from(left(watched) as i32).unwrap_or(PollTimeout::NONE)
        })
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

/// One piece; false at the end.
fn copy(relay: &Relay) -> bool {
    let mut buffer = [0u8; 16384];
    match process::read(relay.from.as_raw_fd(), &mut buffer) {
        Ok(0) => false,
        Ok(n) => {
            let mut rest = &buffer[..n];
            while !rest.is_empty() {
                match process::write(relay.to, rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(Errno::EINTR) => {}
                    Err(_) => return false,
                }
            }
            true
        }
        Err(errno) => errno == Errno::EINTR,
    }
}

fn drain(relay: &Relay) {
    let flags = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
    if nix::fcntl::fcntl(&relay.from, flags).is_ok() {
        while copy(relay) {}
    }
}
