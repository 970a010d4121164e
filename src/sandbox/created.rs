//! A child that waits, and the words exchanged with it until it executes.
//!
//! On any failure the child is killed and reaped before the error is returned.

use super::error::{LaunchError, at};
use super::prepare::Labels;
use super::wire::{self, Report, Step};
use crate::sys::process;
use crate::sys::socket::{self, receive_fds, send_fds};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A child that is locked down and waits.
#[must_use]
pub struct Created {
    /// Process id, as the launcher sees it.
    pub pid: i32,
    /// Refers to it however pids are reused.
    pub pidfd: OwnedFd,
    socket: OwnedFd,
    pub(super) labels: Labels,
    terminal: RefCell<Option<OwnedFd>>,
    listener: RefCell<Option<OwnedFd>>,
}

/// What `start` led to.
#[must_use]
pub enum Started {
    /// The program runs.
    Running(Running),
    /// The kernel would not execute it.
    Failed(LaunchError),
}

/// A running program.
#[must_use]
pub struct Running {
    /// Process id, as the launcher sees it.
    pub pid: i32,
    /// Refers to it however pids are reused.
    pub pidfd: OwnedFd,
}

impl Created {
    pub(super) fn new(pid: i32, pidfd: OwnedFd, socket: OwnedFd, labels: Labels) -> Self {
        Self {
            pid,
            pidfd,
            socket,
            labels,
            terminal: RefCell::new(None),
            listener: RefCell::new(None),
        }
    }

    pub(super) fn tell(&self, word: u8, fds: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        match send_fds(self.socket.as_fd(), &[word], fds) {
            // The child has gone: its last report says why.
            Err(Errno::EPIPE | Errno::ECONNRESET) => self.expect(Step::Ready),
            other => at(other, "talk to the child (sendmsg)").map(drop),
        }
    }

    pub(super) fn expect(&self, wanted: Step) -> Result<(), LaunchError> {
        loop {
            match self.hear()? {
                Some(report) if report.step == wanted && report.errno == 0 => return Ok(()),
                Some(report) if report.is_gift() => {}
                Some(report) => return Err(self.labels.sentence(report)),
                None => return Err(LaunchError::Silent(self.ending())),
            }
        }
    }

    /// The master of the program's terminal, once.
    pub fn take_terminal(&self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The listener of its system calls, once.
    pub fn take_listener(&self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// The next report; `None` when the child's end is closed.
    fn hear(&self) -> Result<Option<Report>, LaunchError> {
        let mut bytes = [0u8; 8];
        let mut fds = [-1; socket::MOST];
        loop {
            match receive_fds(self.socket.as_raw_fd(), &mut bytes, &mut fds) {
                Ok(None) | Err(Errno::ECONNRESET) => return Ok(None),
                Ok(Some((n, count))) => {
                    let report = Report::parse(&bytes[..n]);
                    for fd in fds.iter().take(count) {
                        // The kernel has just made this descriptor for us alone.
                        let fd = process::own(*fd);
                        match report.map(|r| r.step) {
                            Some(Step::Terminal) => self.terminal.replace(Some(fd)),
                            Some(Step::Listener) => self.listener.replace(Some(fd)),
                            _ => None,
                        };
                    }
                    return Ok(report);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return at(Err(errno), "hear from the child (read)"),
            }
        }
    }

    fn ending(&self) -> String {
        match waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
            Ok(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
            _ => "still there".into(),
        }
    }

    /// Kills it in front of exec: nothing of the image has run.
    pub fn abandon(self) {
        if process::pidfd_signal(self.pidfd.as_fd(), libc::SIGKILL).is_err() {
            // Not collected yet, so its number is still its own.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }

    /// Lets it execute, and waits until it has.
    pub fn start(self) -> Started {
        if let Err(error) = self.tell(wire::EXEC, &[]) {
            self.abandon();
            return Started::Failed(error);
        }
        match self.hear() {
            // Exec has closed the child's end.
            Ok(None) => Started::Running(Running {
                pid: self.pid,
                pidfd: self.pidfd,
            }),
            Ok(Some(report)) => {
                let error = self.labels.sentence(report);
                self.abandon();
                Started::Failed(error)
            }
            Err(error) => {
                self.abandon();
                Started::Failed(error)
            }
        }
    }

    /// Leaves it waiting at its gate; the launcher may end.
    pub fn hold(self) -> Result<i32, LaunchError> {
        let held = self
            .tell(wire::HOLD, &[])
            .and_then(|()| self.expect(Step::Held));
        match held {
            Ok(()) => Ok(self.pid),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }
}

/// The sentence for a report that came through the gate, after `start`.
pub fn exec_failure(bytes: &[u8]) -> Option<LaunchError> {
    Report::parse(bytes).map(|report| Labels::default().sentence(report))
}

impl Labels {
    pub(super) fn sentence(&self, report: Report) -> LaunchError {
        let index = usize::from(report.index);
        let of = |list: &Vec<String>| list.get(index).cloned().unwrap_or_default();
        let detail = match report.step {
            Step::Enter => of(&self.joins),
            Step::Mount => of(&self.child_ops),
            Step::Limit => of(&self.limits),
            Step::Landlock => of(&self.rules),
            Step::Sysctl => of(&self.sysctl),
            Step::StartHook if report.errno() == Errno::ECANCELED => {
                let (number, code) = (report.index >> 8, report.index & 0xff);
                return LaunchError::StartHook { number, code };
            }
            Step::StartHook => format!("number {}", report.index >> 8),
            _ => String::new(),
        };
        let tried = if detail.is_empty() {
            report.step.tried().to_string()
        } else {
            format!("{}: {detail}", report.step.tried())
        };
        LaunchError::Child {
            tried,
            errno: report.errno(),
        }
    }
}
