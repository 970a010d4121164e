//! The worker that hands a copy of the output to whoever would have got it without a spool: the caller or the engine.
//!
//! It is fed through pipes that capture never waits for, so a reader that takes nothing holds nobody up. It has no right
//! and no file; killed, it goes on where the pipes stand.

use crate::plan::monitor::MonitorPlan;
use crate::sys::{pipe, process};
use crate::worker::{Descriptors, Jail, Row, Said, Told, Worker, opens_nothing};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: "copy",
    wanted: MonitorPlan::copies,
    needs: &["copy-stdout", "copy-stderr", "to-stdout", "to-stderr"],
    takes: &[],
    prepare: crate::worker::nothing,
    opens: opens_nothing,
    jail: |_| Jail::default(),
    run,
    last: Duration::ZERO,
};

/// What the reader may be behind.
const BUFFER: usize = 1 << 20;

/// The pipes between capture and this worker, made with what capture holds.
pub(super) fn prepare(plan: &MonitorPlan, fds: &mut Descriptors) -> Result<(), String> {
    if !plan.copies() {
        return Ok(());
    }
    for name in ["stdout", "stderr"] {
        let text = |e: Errno| format!("make a pipe for the copy: {}", e.desc());
        let (from, into) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(text)?;
        let _ = pipe::enlarge(&from, BUFFER);
        fcntl(&into, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(text)?;
        fds.insert(format!("copy-{name}"), from);
        fds.insert(format!("copy-{name}-in"), into);
    }
    Ok(())
}

/// One stream's way.
struct Way {
    from: OwnedFd,
    /// `None`: nobody takes it any more, and it is read away.
    to: Option<OwnedFd>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for output.
    Idle,
    /// Waits for its reader.
    Behind,
    /// At its end.
    Over,
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let mut ways = Vec::new();
    for name in ["stdout", "stderr"] {
        ways.push(Way {
            from: worker.fds.must(&format!("copy-{name}"))?,
            to: Some(worker.fds.must(&format!("to-{name}"))?),
            state: State::Idle,
        });
    }
    worker.tell.say(&Said::Ready);
    let mut buffer = vec![0u8; 4096];
    while ways.iter().any(|w| w.state != State::Over) {
        let mut fds = vec![PollFd::new(worker.tell.fd(), PollFlags::POLLIN)];
        fds.extend(ways.iter().filter_map(Way::waits_for));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
        }
        let spoken = fds[0].any() == Some(true);
        drop(fds);
        if spoken && worker.tell.asked() != Told::Nothing {
            return Ok(());
        }
        for way in &mut ways {
            way.step(&mut buffer);
        }
    }
    Ok(())
}

impl Way {
    fn waits_for(&self) -> Option<PollFd<'_>> {
        match (self.state, &self.to) {
            (State::Over, _) => None,
            (State::Behind, Some(to)) => Some(PollFd::new(to.as_fd(), PollFlags::POLLOUT)),
            _ => Some(PollFd::new(self.from.as_fd(), PollFlags::POLLIN)),
        }
    }

    /// Moves what can be moved without waiting.
    fn step(&mut self, buffer: &mut [u8]) {
        if self.state == State::Over {
            return;
        }
        // Not for ever: the other stream wants its turn.
        for _ in 0..16 {
            match self.piece(buffer) {
                Ok(0) => {
                    self.state = State::Over;
                    self.to = None;
                    return;
                }
                Ok(_) => {}
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.state = match pipe::waiting(&self.from) {
                        Ok(n) if n > 0 && self.to.is_some() => State::Behind,
                        _ => State::Idle,
                    };
                    return;
                }
                Err(_) => self.to = None,
            }
        }
        self.state = State::Idle;
    }

    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let Some(to) = &self.to else {
            return self.read(buffer);
        };
        match pipe::splice(&self.from, to, 64 << 10) {
            // A terminal, a file that is appended to: nothing that splices.
            Err(Errno::EINVAL) => {}
            other => return other,
        }
        let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO)? == 0 {
            return Err(Errno::EAGAIN);
        }
        let got = self.read(buffer)?;
        let mut rest = &buffer[..got];
        while let (Some(to), false) = (&self.to, rest.is_empty()) {
            match process::write(to.as_raw_fd(), rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut fds, PollTimeout::NONE)?;
                }
                Err(_) => self.to = None,
            }
        }
        Ok(got)
    }

    /// What is there; EAGAIN if nothing is.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut fds = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO)? {
            0 => Err(Errno::EAGAIN),
            _ => process::read(self.from.as_raw_fd(), buffer),
        }
    }
}
