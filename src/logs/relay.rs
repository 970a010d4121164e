//! The worker that takes the output of a program that `exec` has started to the spool of its container, and then to its
//! caller: kept before it is seen.
//!
//! It runs in a monitor of that program's own. Nothing is dropped: a spool without room and a caller that takes nothing
//! hold that program up, and nobody else. Killed, it goes on where it was, with what is in hand (see `held`).

use super::capture::held::{self, Held, Taken};
use super::capture::now_ns;
use super::newcomers::{TELLS, hand_on, mark};
use super::record::{Stream, Whose};
use super::spool::HEADER;
use crate::plan::monitor::{LogNeed, MonitorPlan};
use crate::sys::process;
use crate::worker::{Descriptors, Jail, Row, Said, Worker, opens_nothing};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: NAME,
    wanted: |plan: &MonitorPlan| need(plan).is_some(),
    needs: &["stdout", "stderr", TELLS, "container"],
    takes: &[
        "to-stdout",
        "hold-stdout",
        "hold-stdout-in",
        "held-stdout",
        "to-stderr",
        "hold-stderr",
        "hold-stderr-in",
        "held-stderr",
    ],
    prepare,
    opens: opens_nothing,
    jail: |_| Jail::default(),
    run,
    // As long as somebody has the streams open: what he says is kept, or he can't say it.
    last: Duration::from_secs(1 << 32),
};

/// Its name in the table.
pub const NAME: &str = "relay";

/// What a pipe that can be written takes without waiting (PIPE_BUF).
const AT_ONCE: usize = 4096;

fn need(plan: &MonitorPlan) -> Option<LogNeed> {
    plan.newcomer.as_ref().and_then(|n| n.output)
}

fn prepare(_: &MonitorPlan, fds: &mut Descriptors) -> Result<(), String> {
    ["stdout", "stderr"].iter().try_for_each(|name| {
        held::prepare(name, fds).map_err(|e| format!("make what {name} is held in: {}", e.desc()))
    })
}

/// One stream's way.
struct Way {
    whose: Whose,
    pipe: OwnedFd,
    ended: bool,
    held: Held,
    to: Option<OwnedFd>,
}

/// What a stream waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Output.
    Take,
    /// Room in the spool.
    Keep,
    /// Its caller.
    Show,
    /// Nothing any more.
    Over,
}

/// Where a piece is kept; `None`: nobody keeps it any more, and policy lets it go on.
struct Keeping {
    to: Option<OwnedFd>,
    need: LogNeed,
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let need = need(&worker.plan).ok_or("there is nothing to keep")?;
    let pid = worker.pid.unsigned_abs();
    let mut keeping = Keeping {
        to: Some(worker.fds.must(TELLS)?),
        need,
    };
    let mut ways = Vec::new();
    for (name, stream) in [("stdout", Stream::Stdout), ("stderr", Stream::Stderr)] {
        ways.push(Way::open(name, Whose { stream, pid }, &mut worker.fds)?);
    }
    worker.tell.say(&Said::Ready);
    while ways.iter().any(|w| w.step() != Step::Over) {
        let fds = ways.iter().filter_map(|w| w.waits_for(&keeping));
        let mut fds: Vec<PollFd<'_>> = fds.collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
        }
        drop(fds);
        for way in &mut ways {
            if !way.go(&mut keeping)? {
                return Ok(());
            }
        }
    }
    worker.tell.say(&Said::Drained);
    Ok(())
}

impl Way {
    fn open(name: &str, whose: Whose, fds: &mut Descriptors) -> Result<Self, String> {
        let mut held = Held::open(name, fds)?;
        let taken = held.recover(now_ns());
        taken.map_err(|e| format!("take {name} over: {}", e.desc()))?;
        Ok(Self {
            whose,
            pipe: fds.must(name)?,
            ended: false,
            held,
            to: fds.take(&format!("to-{name}")),
        })
    }

    /// The piece in hand: whether it is kept, and how much of it was shown.
    fn done(&self) -> (bool, usize) {
        let (kept, shown) = self.held.untold();
        (kept > 0, shown as usize)
    }

    fn step(&self) -> Step {
        match (self.held.pending(), self.done()) {
            (None, _) if self.ended => Step::Over,
            (None, _) => Step::Take,
            (Some(_), (false, _)) => Step::Keep,
            (Some(_), (true, _)) => Step::Show,
        }
    }

    fn waits_for<'a>(&'a self, keeping: &'a Keeping) -> Option<PollFd<'a>> {
        let (fd, event) = match self.step() {
            Step::Take => (&self.pipe, PollFlags::POLLIN),
            Step::Keep => (keeping.to.as_ref()?, PollFlags::POLLOUT),
            Step::Show => (self.to.as_ref()?, PollFlags::POLLOUT),
            Step::Over => return None,
        };
        Some(PollFd::new(fd.as_fd(), event))
    }

    /// As far as it goes without waiting; false when nobody keeps what has to be kept.
    fn go(&mut self, keeping: &mut Keeping) -> Result<bool, String> {
        // Not for ever: the other stream wants its turn.
        for _ in 0..32 {
            match self.step() {
                Step::Over => return Ok(true),
                Step::Take => match self.held.take(&self.pipe, now_ns) {
                    Ok(Taken::Some) => {}
                    Ok(Taken::Nothing) => return Ok(true),
                    Ok(Taken::End) => self.ended = true,
                    Err(errno) => return Err(format!("take output (splice): {}", errno.desc())),
                },
                Step::Keep => match self.keep(keeping) {
                    Ok(()) => self.held.set_untold((1, 0)),
                    Err(Errno::EAGAIN | Errno::EINTR) => return Ok(true),
                    Err(_) if keeping.need == LogNeed::Required => return Ok(false),
                    Err(_) => keeping.to = None,
                },
                Step::Show => {
                    if !self.show() {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }

    fn keep(&mut self, keeping: &Keeping) -> Result<(), Errno> {
        let (Some(to), Some((_, time_ns))) = (&keeping.to, self.held.pending()) else {
            return Ok(());
        };
        let whole = self.held.frame();
        mark(whole, self.whose, time_ns);
        hand_on(to, whole)
    }

    /// A part of it; false when its caller takes no more for now.
    fn show(&mut self) -> bool {
        let (_, shown) = self.done();
        let whole = &self.held.frame()[HEADER..];
        let rest = whole.get(shown..).unwrap_or_default();
        let Some(to) = self.to.as_ref().filter(|_| !rest.is_empty()) else {
            // In this order: killed in between, it is kept once more, and not forgotten.
            self.held.set_untold((0, 0));
            self.held.clear();
            return true;
        };
        let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO) != Ok(1) {
            return false;
        }
        match process::write(to.as_raw_fd(), &rest[..rest.len().min(AT_ONCE)]) {
            Ok(n) => self.held.set_untold((1, (shown + n) as u64)),
            Err(Errno::EAGAIN | Errno::EINTR) => return false,
            // Nobody sees it any more; it is kept all the same.
            Err(_) => self.to = None,
        }
        true
    }
}
