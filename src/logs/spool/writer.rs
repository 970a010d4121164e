//! Appends frames to a spool: numbers them, keeps the quota, chains the segments, begins again where a killed
//! predecessor stopped.
//!
//! Only `capture` writes; one writer at a time. What doesn't fit is counted and told in a gap record.

mod losses;
mod recovery;
mod roll;
mod room;
#[cfg(test)]
mod tests;

use super::folder::{self, name_of, segments, size_of};
use super::frame::{HEADER, count, seal};
use super::gap::{Gap, Why};
use super::segment::Head;
use super::{SpoolError, at};
use crate::logs::record::{Origin, Stream, Whose};
pub use crate::policy::{Sync, WhenFull};
use aws_lc_rs::digest;
use nix::errno::Errno;
use nix::fcntl::OFlag;
pub(super) use recovery::hashed;
use recovery::{CLOSED, Closed, recovered};
use roll::{begin, new_head};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// How a spool is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most bytes of all segments.
    pub quota: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
    /// Durability.
    pub sync: Sync,
}

impl Settings {
    /// A segment's size: 8 MiB, or an eighth of a small quota.
    fn segment(&self) -> u64 {
        (self.quota / 8).clamp(128 << 10, 8 << 20)
    }

    /// What only events and gap records may use beyond the quota.
    fn reserve(&self) -> u64 {
        (self.quota / 16).min(1 << 20)
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is in the spool.
    Kept,
    /// It was dropped and counted.
    Dropped,
    /// There is no room: try again later.
    Full,
}

/// How much of the quota is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Bytes of all segments.
    pub used: u64,
    /// Bytes allowed.
    pub quota: u64,
    /// Records dropped since the launch.
    pub lost: u64,
    /// Bytes dropped since the launch.
    pub lost_bytes: u64,
}

/// The end of a spool.
pub struct Writer {
    dir: OwnedFd,
    settings: Settings,
    head: Head,
    file: File,
    offset: u64,
    next_seq: u64,
    chain: digest::Context,
    room: Room,
    /// What is missing and not told yet.
    gaps: Vec<Gap>,
    unsynced: bool,
    /// The reserve is in use: output has to leave room.
    spent: bool,
    small: Vec<u8>,
    /// Of the last frame of output or event: whose, time, length.
    last: Option<(Whose, u64, usize)>,
    /// How many records the frame had that was written last.
    records: u64,
    /// A part of a frame may stand behind the end, and is to be cut off before anything is written.
    torn: bool,
    /// What the disk has said.
    error: Option<String>,
}

/// Room on the disk that only gap records and events get, when there is no other.
const RESERVE: &str = "reserve";
const RESERVED: usize = 32 << 10;

impl Writer {
    /// Goes on where this launch stopped, or begins a new segment behind those of earlier ones.
    pub fn open(
        dir: OwnedFd,
        origin: &Origin,
        settings: Settings,
        now_ns: u64,
    ) -> Result<Self, SpoolError> {
        let all = segments(&dir)?;
        let mut gaps = Vec::new();
        let (mut last, mut last_frame) = (None, None);
        for number in all.iter().rev() {
            let file = open_rw(&dir, &name_of(*number))?;
            match at(Head::read(&file), "read (pread64)", &name_of(*number))? {
                Some((head, _)) => {
                    last = Some((head, file));
                    break;
                }
                None => {
                    gaps.push(Gap::of(Why::Unreadable, size_of(&dir, *number)));
                    folder::quarantine(&dir, *number)?;
                }
            }
        }
        let mut room = Room {
            used: all.iter().map(|n| size_of(&dir, *n)).sum(),
            quota: settings.quota,
            ..Room::default()
        };
        // A number is never used twice, not even one that was set aside.
        let number = all.last().map_or(1, |n| n + 1);
        let (previous, ours) = match last {
            Some((head, file)) => {
                let ours = head.origin == *origin;
                let (end, next_seq, torn, found) = recovered(&dir, &head, &file, ours)?;
                last_frame = found;
                if torn > 0 {
                    gaps.push(Gap::of(Why::Torn, torn));
                }
                let chain = hashed(&file, end)?;
                match ours {
                    true => (None, Some((head, file, end, next_seq, chain))),
                    false => (Some(hex(chain)), None),
                }
            }
            None => (None, None),
        };
        let (head, file, offset, next_seq, chain) = match ours {
            Some(ours) => ours,
            None => {
                let head = new_head(number, 1, origin, previous, now_ns)?;
                let (file, offset, chain) = begin(&dir, &head)?;
                room.used += offset;
                (head, file, offset, 1, chain)
            }
        };
        folder::forget(&dir, CLOSED);
        let spent = folder::overwrite(&dir, RESERVE, &[0; RESERVED]).is_err();
        Ok(Self {
            dir,
            settings,
            head,
            file,
            offset,
            next_seq,
            chain,
            room,
            gaps,
            unsynced: false,
            spent,
            small: vec![0; 512 + HEADER],
            last: last_frame,
            records: 0,
            torn: false,
            error: None,
        })
    }

    /// The segment that is written: its number, and that of its first record.
    pub fn segment(&self) -> (u64, u64) {
        (self.head.number, self.head.first_seq)
    }

    /// The number that the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// What was stored last: whose, time, length.
    pub fn last(&self) -> Option<(Whose, u64, usize)> {
        self.last
    }

    /// How many records were stored last.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How full it is.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Stores what stands behind the first [`HEADER`] bytes of `whole`, at most [`super::MOST`] bytes, as one frame.
    /// Errors are those of the disk: nothing was stored, and it may be tried again. Where policy lets the service go on,
    /// a disk that can't be written drops as a full spool does.
    pub fn append(
        &mut self,
        whose: impl Into<Whose>,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<Stored, SpoolError> {
        let whose = whose.into();
        let stored = self.try_append(whose, time_ns, whole);
        let stored = stored.inspect_err(|error| self.error = Some(error.to_string()));
        match (whose.stream, self.settings.when_full, stored) {
            (_, _, Ok(Stored::Kept)) => Ok(Stored::Kept),
            // Nobody waits for an event's room: an event that finds none is counted.
            (Stream::Event, _, stored) => {
                self.lose(Why::Events, (whole.len() - HEADER) as u64, 1, time_ns);
                stored.map(|_| Stored::Dropped)
            }
            (_, WhenFull::Block, stored) => stored,
            (_, WhenFull::DropNew | WhenFull::DropOld, _) => {
                self.give_up(time_ns, whole);
                Ok(Stored::Dropped)
            }
        }
    }

    /// Whether there was room for it, after removing what policy says.
    fn try_append(
        &mut self,
        whose: Whose,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<Stored, SpoolError> {
        let extra = match whose.stream {
            Stream::Event => self.settings.reserve(),
            _ => 0,
        };
        if !self.make_room(whole.len() as u64, extra)? {
            return Ok(Stored::Full);
        }
        match self.store(whose, time_ns, whole) {
            Ok(()) => Ok(Stored::Kept),
            Err(error) if !is_full(&error) => Err(error),
            Err(_) if self.settings.when_full == WhenFull::DropOld && self.drop_oldest()? => {
                self.try_append(whose, time_ns, whole)
            }
            Err(_) => Ok(Stored::Full),
        }
    }

    /// Counts a frame of output for which nobody waits.
    pub fn give_up(&mut self, time_ns: u64, whole: &[u8]) {
        let bytes = &whole[HEADER..];
        self.lose(Why::DropNew, bytes.len() as u64, count(bytes), time_ns);
    }

    /// Puts what was written on the disk for good.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        if self.unsynced && self.settings.sync != Sync::Never {
            let done = nix::unistd::fdatasync(&self.file).map_err(Into::into);
            let done = at(done, "write out (fdatasync)", &name_of(self.head.number));
            done.inspect_err(|error| self.error = Some(error.to_string()))?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// The end of a launch: what a later one needs to go on without reading.
    pub fn close(mut self) -> Result<(), SpoolError> {
        self.cut()?;
        self.sync()?;
        let closed = Closed {
            number: self.head.number,
            size: self.offset,
            sha256: hex(self.chain),
        };
        let text = serde_json::to_vec(&closed).unwrap_or_default();
        folder::write_whole(&self.dir, CLOSED, &text).map(drop)
    }

    /// The disk's last error, once.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// Cuts off what a failed write may have left: a shorter frame in its place would have damage behind it.
    fn cut(&mut self) -> Result<(), SpoolError> {
        if self.torn {
            let done = self.file.set_len(self.offset);
            at(done, "cut (ftruncate)", &name_of(self.head.number))?;
            self.torn = false;
        }
        Ok(())
    }

    fn write(
        &mut self,
        whose: Whose,
        gap: bool,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<(), SpoolError> {
        self.cut()?;
        if self.settings.sync == Sync::Record {
            self.sync()?;
        }
        if self.offset + whole.len() as u64 > self.settings.segment() {
            self.roll(time_ns)?;
        }
        seal(
            self.head.salt.as_bytes(),
            whole,
            self.next_seq,
            time_ns,
            whose,
            gap,
        );
        let name = name_of(self.head.number);
        if let Err(why) = self.file.write_all_at(whole, self.offset) {
            self.torn = true;
            // At once if possible: it would be taken for damage.
            let _ = self.cut();
            return at(Err(why), "write (pwrite64)", &name);
        }
        self.chain.update(whole);
        self.offset += whole.len() as u64;
        self.room.used += whole.len() as u64;
        self.records = match gap {
            true => 1,
            false => records_of(whose.stream, &whole[HEADER..]),
        };
        self.next_seq += self.records;
        self.unsynced = true;
        if !gap {
            self.last = Some((whose, time_ns, whole.len() - HEADER));
        }
        if self.settings.sync == Sync::Record {
            // It is in the file, and tried again it would be there twice: what comes next fails instead.
            let _ = self.sync();
        }
        Ok(())
    }

    /// With what is missing in front of it. While there is room for the reserve alone, what is dropped is gathered
    /// for one record: a record for each frame would use the reserve up, and the last ones would find no room.
    fn store(&mut self, whose: Whose, time_ns: u64, whole: &mut [u8]) -> Result<(), SpoolError> {
        if whose.stream == Stream::Event {
            self.tell_gaps_if_room(time_ns)?;
            return self.write_reserved(false, time_ns, whole);
        }
        self.leave_reserve(whole.len())?;
        self.tell_gaps(time_ns)?;
        // That may just have used it.
        self.leave_reserve(whole.len())?;
        self.write(whose, false, time_ns, whole)
    }

    /// Output of this length does not go where gap records and events are to: ENOSPC while there is no other room.
    fn leave_reserve(&mut self, length: usize) -> Result<(), SpoolError> {
        if self.spent {
            let left = folder::left(&self.dir);
            if left < (length + 4 * RESERVED) as u64 {
                let full = std::io::Error::from_raw_os_error(Errno::ENOSPC as i32);
                return at(Err(full), "write (fstatfs)", "the reserve");
            }
            self.spent = folder::overwrite(&self.dir, RESERVE, &[0; RESERVED]).is_err();
        }
        Ok(())
    }

    /// An event or a gap record, for which there is a reserve.
    fn write_reserved(
        &mut self,
        gap: bool,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<(), SpoolError> {
        let whose = Stream::Event.into();
        match self.write(whose, gap, time_ns, whole) {
            Err(error) if is_full(&error) && !self.spent => {
                self.spent = true;
                folder::forget(&self.dir, RESERVE);
                self.write(whose, gap, time_ns, whole)
            }
            other => other,
        }
    }
}

fn records_of(stream: Stream, bytes: &[u8]) -> u64 {
    match stream {
        Stream::Event => 1,
        _ => count(bytes),
    }
}

fn is_full(error: &SpoolError) -> bool {
    let errno = error.why.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG))
}

pub(super) fn hex(chain: digest::Context) -> String {
    crate::digest::hex(chain.finish().as_ref())
}

fn open_rw(dir: &OwnedFd, name: &str) -> Result<File, SpoolError> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let file = folder::open(dir, name, OFlag::O_RDWR)?;
    at(file.ok_or_else(missing), "open (openat)", name)
}
