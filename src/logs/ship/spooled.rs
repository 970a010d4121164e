//! A spool as a [`Source`]: the records of one launch at a time, a cursor, and waking by the kernel when more is written.
//!
//! The folder is read only; the cursor file is all that is written. A folder holds one launch behind the other, each with
//! numbers of its own, so a row ends where the next launch begins.

use super::super::spool::{Cursor, HEADER, Held, Position, Reader, SpoolError, waiting};
use super::super::{Origin, Record};
use super::source::Source;
use super::trouble::{Cause, Trouble};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::cell::Cell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often it is looked whether another process still ships.
const OCCUPIED: Duration = Duration::from_millis(100);

/// A frame that was read and is not wholly acknowledged.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: Position,
    /// Its number is that of the first record behind.
    behind: Position,
}

/// A spool that is read for one collector.
pub struct Spool {
    dir: OwnedFd,
    reader: Reader,
    cursor: Cursor,
    held: Held,
    parts: VecDeque<Part>,
    origin: Option<Origin>,
    /// The next launch's first frame was read, and is held.
    turned: bool,
    /// That frame.
    pending: Option<Part>,
    delivered: u64,
    inotify: Option<Inotify>,
    over: Option<OwnedFd>,
    /// That nothing more will be written, once it was asked: until then its descriptor has to wake us.
    is_over: Cell<bool>,
}

impl Spool {
    /// Goes on behind the cursor of this collector. `over`: becomes readable when nothing more will be written; without
    /// it nothing more will be.
    pub fn open(dir: OwnedFd, collector: &str, over: Option<OwnedFd>) -> Result<Self, Trouble> {
        let cursor = Cursor::open(&dir, collector).map_err(wrong)?;
        let inotify = match over {
            Some(_) => Some(watch(&dir)?),
            None => None,
        };
        let copy = copy(&dir)?;
        Ok(Self {
            reader: Reader::open(copy, cursor.position()),
            dir,
            cursor,
            held: Held::default(),
            parts: VecDeque::new(),
            origin: None,
            turned: false,
            pending: None,
            delivered: 0,
            inotify,
            is_over: Cell::new(over.is_none()),
            over,
        })
    }

    /// Waits until no other process ships to this collector, which would get everything from both; for so long if nothing
    /// more will be written.
    pub fn claim(&mut self, patience: Duration) -> Result<(), Trouble> {
        let since = Instant::now();
        while !self.cursor.claim().map_err(wrong)? {
            if self.is_over() && since.elapsed() >= patience {
                let text = "another process ships this spool to it: wait for its end, or for the container's";
                return Err(Trouble::new(Cause::Local, text));
            }
            std::thread::sleep(OCCUPIED);
        }
        self.reader = Reader::open(copy(&self.dir)?, self.cursor.position());
        self.held = Held::default();
        Ok(())
    }

    /// Waits for the next launch's records and says whose they are; none when there will be no more.
    pub fn row(&mut self) -> Result<Option<Origin>, Trouble> {
        loop {
            let over = self.is_over();
            self.woken();
            if self.turned || self.read()? {
                if std::mem::take(&mut self.turned) {
                    self.parts.clear();
                    self.parts.extend(self.pending.take());
                }
                self.origin = self.reader.origin().cloned();
                if self.origin.is_none() {
                    continue; // a segment without a head, in front of all others
                }
                let first = self.parts.front().map_or(1, |part| part.start.seq);
                self.delivered = first.saturating_sub(1);
                return Ok(self.origin.clone());
            }
            if over {
                return Ok(None);
            }
            let mut fds: Vec<PollFd<'_>> = self
                .wake()
                .into_iter()
                .flatten()
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
                .collect();
            let _ = poll(&mut fds, PollTimeout::from(10_000_u16));
        }
    }

    /// Descriptors that a jailed process has to keep.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut all = vec![self.dir.as_fd()];
        all.extend(self.wake().into_iter().flatten());
        all
    }

    /// Holds the next frame; whether there was one.
    fn read(&mut self) -> Result<bool, Trouble> {
        let before = self.reader.position();
        let Some(frame) = self.reader.read().map_err(wrong)? else {
            return Ok(false);
        };
        let length = (HEADER + frame.bytes.len()) as u64;
        let records = frame.records();
        self.held = Held::of(&frame);
        let from = records.number();
        let behind = self.reader.position();
        let start = match self.held.is_met() {
            true => before,
            // Exactly where it stands, also at the beginning of a segment: only then a number within it is found again.
            false => Position {
                segment: behind.segment,
                offset: behind.offset.saturating_sub(length),
                seq: from,
            },
        };
        self.parts.push_back(Part { start, behind });
        Ok(true)
    }

    fn is_over(&self) -> bool {
        if !self.is_over.get() && self.over.as_ref().is_some_and(|fd| is_readable(fd.as_fd())) {
            self.is_over.set(true);
        }
        self.is_over.get()
    }

    /// Whether the next record is the one behind this number anyway.
    fn stands_behind(&self, number: u64) -> bool {
        let next = match self.held.has_more() {
            true => self.held.next_seq(),
            false => self.parts.back().map_or(0, |part| part.behind.seq),
        };
        !self.turned && !self.held.is_met() && next == number + 1
    }

    /// What a delivered number means for the cursor.
    fn position(&self, delivered: u64) -> Option<Position> {
        let part = self
            .parts
            .iter()
            .rev()
            .find(|part| part.start.seq <= delivered)?;
        match delivered + 1 >= part.behind.seq {
            true => Some(part.behind),
            false => Some(Position {
                seq: delivered + 1,
                ..part.start
            }),
        }
    }
}

impl Source for Spool {
    fn next(&mut self) -> Result<Option<Record<'_>>, Trouble> {
        // Asked twice, since what is lent can't be given back.
        while !self.held.has_more() {
            if self.turned || !self.read()? {
                return Ok(None);
            }
            let other = |o: &Origin| {
                self.origin
                    .as_ref()
                    .is_none_or(|own| own.launch != o.launch)
            };
            if self.reader.origin().is_some_and(other) {
                self.turned = true;
                self.pending = self.parts.pop_back();
                return Ok(None);
            }
        }
        if self.turned {
            return Ok(None);
        }
        let met = self.held.is_met();
        // What the reader met has no number of its own.
        let record = self.held.take(self.reader.last());
        Ok(record.map(|record| match met {
            true => Record { seq: 0, ..record },
            false => record,
        }))
    }

    fn seek(&mut self, after: u64) -> Result<(), Trouble> {
        let Some(front) = self.parts.front() else {
            return Ok(());
        };
        if self.stands_behind(after) {
            return Ok(());
        }
        let to = match after < front.start.seq {
            true => front.start,
            false => self.position(after).unwrap_or(front.start),
        };
        self.reader = Reader::open(copy(&self.dir)?, to);
        self.parts.clear();
        self.held = Held::default();
        self.turned = false;
        self.pending = None;
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }

    fn keep(&mut self, delivered: u64) -> Result<(), Trouble> {
        self.delivered = delivered;
        let Some(position) = self.position(delivered) else {
            return Ok(());
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(0);
        self.cursor.store(position, now).map_err(wrong)?;
        while self.parts.len() > 1
            && self
                .parts
                .front()
                .is_some_and(|p| p.behind.seq <= delivered + 1)
        {
            self.parts.pop_front();
        }
        Ok(())
    }

    fn waiting(&self, delivered: u64) -> u64 {
        let launch = self.origin.as_ref().map_or("", |o| &o.launch);
        waiting(&self.dir, launch, delivered).unwrap_or(0)
    }

    fn wake(&self) -> [Option<BorrowedFd<'_>>; 2] {
        // Not by a look of its own: an end between the caller's question and this would wake nobody.
        let over = self.over.as_ref().filter(|_| !self.is_over.get());
        [
            self.inotify.as_ref().map(AsFd::as_fd),
            over.map(AsFd::as_fd),
        ]
    }

    fn woken(&mut self) {
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }

    fn ended(&self) -> bool {
        self.turned || self.is_over()
    }

    fn is_last(&self) -> bool {
        self.is_over()
    }
}

fn wrong(error: SpoolError) -> Trouble {
    Trouble::new(Cause::Local, error.to_string())
}

fn copy(dir: &OwnedFd) -> Result<OwnedFd, Trouble> {
    dir.try_clone()
        .map_err(|error| Trouble::local("use the spool's folder (fcntl)", error))
}

/// Tells of every write in the folder; the path is that of our own descriptor.
fn watch(dir: &OwnedFd) -> Result<Inotify, Trouble> {
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
    let which = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    let make = || {
        let inotify = Inotify::init(flags)?;
        inotify.add_watch(path.as_str(), which)?;
        Ok(inotify)
    };
    make().map_err(|errno: nix::Error| Trouble::local("watch the spool (inotify)", errno.desc()))
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_wakes_until_it_has_been_seen() {
        let folder = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(folder.path()).unwrap();
        let (over, tell) = nix::unistd::pipe().unwrap();
        let spool = Spool::open(dir.into(), "c", Some(over)).unwrap();
        let wakes = || spool.wake().into_iter().flatten().count();
        assert!(!spool.ended() && wakes() == 2);
        // Behind the question, in front of the wait.
        drop(tell);
        assert_eq!(wakes(), 2, "nobody would be woken");
        assert!(spool.ended());
        assert_eq!(wakes(), 1, "it would wake for ever");
    }
}
