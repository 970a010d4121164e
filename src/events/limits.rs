//! The worker that tells of limits while they are met: the kernel's kills for want of memory, the limit of memory, that
//! of threads and processes.
//!
//! It waits on files that the launcher has opened ([`crate::cgroup::Cgroup::limit_files`]) and reads counts out of them;
//! it finds nothing by path and decides nothing. Counts are those since the start, so one that is told late, or twice by
//! a successor, says the same.

use super::{About, Limit, Sender, What};
use crate::plan::monitor::MonitorPlan;
use crate::worker::{Jail, Row, Said, Told, Worker, nothing, opens_nothing};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::pread;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Its name in the table.
pub const NAME: &str = "limits";

/// The row.
pub const ROW: Row = Row {
    name: NAME,
    wanted: |plan: &MonitorPlan| {
        plan.newcomer.is_none() && (plan.denials.is_some() || plan.watch.logs.is_some())
    },
    needs: &["container"],
    takes: &[
        OOM,
        KILLS,
        MEMORY,
        PIDS,
        SILENT_PIDS,
        "tell-events",
        "lines",
    ],
    prepare: nothing,
    opens: opens_nothing,
    jail: |_| Jail::default(),
    run,
    last: Duration::from_secs(1),
};

/// v1: an eventfd that counts how often the limit of memory could not be kept.
pub const OOM: &str = "limit-oom";
/// The file with the number of kills.
pub const KILLS: &str = "limit-kills";
/// v2: the file with the number of times that the limit of memory was met.
pub const MEMORY: &str = "limit-memory";
/// The same for threads and processes.
pub const PIDS: &str = "limit-pids";
/// The same on v1, where the kernel counts and tells nobody.
pub const SILENT_PIDS: &str = "limit-pids-v1";

/// A kind is told at once, and then no sooner than this again: a fork bomb meets its limit some thousand times a second.
const PACE: Duration = Duration::from_secs(10);

/// How often a file is looked at whose changes the kernel doesn't tell (v1: memory.oom_control's kills, pids.events).
const LOOK: Duration = Duration::from_secs(10);

/// Where a count is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Behind a word in a file whose changes poll tells.
    Told(&'static str),
    /// Behind a word in a file that has to be looked at.
    Silent(&'static str),
    /// What an eventfd has counted since it was read last.
    Added,
}

/// What is told of a number.
type Saying = fn(u64) -> What;

/// One count.
struct Count {
    file: OwnedFd,
    how: How,
    found: u64,
    said: u64,
    /// Not looked at before.
    due: Instant,
    what: Saying,
}

/// The number behind a key.
fn number(file: BorrowedFd<'_>, key: &str) -> Option<u64> {
    let mut bytes = [0u8; 1024];
    let len = pread(file, &mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes[..len]).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// How many processes the kernel has killed, as long as the cgroup is there.
pub fn kills(file: BorrowedFd<'_>) -> u64 {
    number(file, "oom_kill").unwrap_or(0)
}

fn killed(count: u64) -> What {
    What::OomKilled { count }
}

fn memory(count: u64) -> What {
    let limit = Limit::Memory;
    What::LimitHit { limit, count }
}

fn threads(count: u64) -> What {
    let limit = Limit::Pids;
    What::LimitHit { limit, count }
}

fn counts(worker: &mut Worker) -> Vec<Count> {
    let is_v1 = worker.fds.get(OOM).is_some();
    let kills = if is_v1 { How::Silent } else { How::Told };
    let rows: [(&str, How, Saying); 5] = [
        (OOM, How::Added, memory),
        (KILLS, kills("oom_kill"), killed),
        (MEMORY, How::Told("max"), memory),
        (PIDS, How::Told("max"), threads),
        (SILENT_PIDS, How::Silent("max"), threads),
    ];
    let mut all = Vec::new();
    for (name, how, what) in rows {
        all.extend(worker.fds.take(name).map(|file| Count {
            file,
            how,
            found: 0,
            said: 0,
            due: Instant::now(),
            what,
        }));
    }
    all
}

impl Count {
    /// Reads it, and tells what is new.
    fn look(&mut self, events: &Sender, now: Instant) {
        match self.how {
            How::Told(key) | How::Silent(key) => {
                self.found = number(self.file.as_fd(), key).unwrap_or(0);
            }
            How::Added => {
                let mut eight = [0u8; 8];
                if let Ok(8) = nix::unistd::read(&self.file, &mut eight) {
                    self.found += u64::from_ne_bytes(eight);
                }
            }
        }
        self.due = now;
        if self.found > self.said {
            self.said = self.found;
            self.due = now + PACE;
            events.send((self.what)(self.found));
        } else if self.is_silent() {
            self.due = now + LOOK;
        }
    }

    fn is_silent(&self) -> bool {
        matches!(self.how, How::Silent(_))
    }

    /// What poll has to wait for.
    fn waits_for(&self) -> PollFd<'_> {
        let flags = match self.how {
            How::Added => PollFlags::POLLIN,
            // A cgroup's file can always be read.
            How::Told(_) | How::Silent(_) => PollFlags::POLLPRI,
        };
        PollFd::new(self.file.as_fd(), flags)
    }
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let container = worker.fds.must("container")?;
    let mut counts = counts(worker);
    let (socket, lines) = (worker.fds.take("tell-events"), worker.fds.take("lines"));
    let events = Sender::by(About::from(&worker.origin), socket, lines);
    worker.tell.say(&Said::Ready);
    while !counts.is_empty() {
        let now = Instant::now();
        let due = counts.iter_mut().filter(|c| c.due <= now);
        due.for_each(|c| c.look(&events, now));
        let woken = wait(&container, worker, &counts)?;
        let now = Instant::now();
        match woken {
            Woken::Over => {
                // What was held back is told now: later nobody can.
                counts.iter_mut().for_each(|c| c.look(&events, now));
                return Ok(());
            }
            // Where memory ran out somebody may have been killed for it.
            Woken::Told => counts
                .iter_mut()
                .filter(|c| c.is_silent())
                .for_each(|c| c.look(&events, now)),
            Woken::Nothing => {}
        }
    }
    Ok(())
}

/// Why the wait was over.
enum Woken {
    /// The container has ended, or the monitor wants an end.
    Over,
    /// A file has changed.
    Told,
    /// Time has passed.
    Nothing,
}

fn wait(container: &OwnedFd, worker: &Worker, counts: &[Count]) -> Result<Woken, String> {
    let now = Instant::now();
    let mut fds = vec![
        PollFd::new(container.as_fd(), PollFlags::POLLIN),
        PollFd::new(worker.tell.fd(), PollFlags::POLLIN),
    ];
    // One that waits for its turn isn't polled: it would have something to say all the time.
    let open = counts.iter().filter(|c| !c.is_silent() && c.due <= now);
    fds.extend(open.map(Count::waits_for));
    let next = counts.iter().map(|c| c.due).filter(|due| *due > now).min();
    let patience = next.map_or(PollTimeout::NONE, |at| {
        let left = at.saturating_duration_since(now) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, patience) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
    }
    let mut happened = fds.iter().map(|fd| fd.any() == Some(true));
    let ended = happened.next() == Some(true);
    let asked = happened.next() == Some(true) && worker.tell.asked() != Told::Nothing;
    Ok(match (ended || asked, happened.any(|told| told)) {
        (true, _) => Woken::Over,
        (false, true) => Woken::Told,
        (false, false) => Woken::Nothing,
    })
}
