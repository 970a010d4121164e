//! Appends frames to a spool: numbers them, keeps the quota, chains the segments, begins again where a killed
//! predecessor stopped.
//!
//! Only `capture` writes; one writer at a time. What doesn't fit is counted and told in a gap record.

use super::cursor::{Cursor, Position};
use super::folder::{self, name_of, segments, size_of};
use super::frame::{HEADER, count, seal};
use super::gap::{Gap, Why};
use super::reader::Reader;
use super::segment::{Head, fill};
use super::{SpoolError, at};
use crate::logs::record::{Origin, Stream};
pub use crate::policy::{Sync, WhenFull};
use aws_lc_rs::digest;
use nix::errno::Errno;
use nix::fcntl::OFlag;
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
    /// Of the last frame of output or event: stream, time, length.
    last: Option<(Stream, u64, usize)>,
}

/// What stands in the file `closed`, so that the next launch need not read the last segment.
#[derive(Serialize, Deserialize)]
struct Closed {
    number: u64,
    size: u64,
    sha256: String,
}

const CLOSED: &str = "closed";

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

    /// What was stored last: stream, time, length.
    pub fn last(&self) -> Option<(Stream, u64, usize)> {
        self.last
    }

    /// What was dropped and is not in the spool yet: (records, bytes).
    pub fn untold(&self) -> (u64, u64) {
        let dropped = self.gaps.iter().filter(|g| g.gap == Why::DropNew);
        dropped.fold((0, 0), |(records, bytes), g| {
            (records + g.records.unwrap_or(0), bytes + g.bytes)
        })
    }

    /// Takes over what a killed predecessor dropped and could not tell.
    pub fn owe(&mut self, (records, bytes): (u64, u64)) {
        if bytes > 0 {
            self.lose(Why::DropNew, bytes, records, 0);
        }
    }

    /// How full it is.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Stores what stands behind the first [`HEADER`] bytes of `whole`, at most [`super::MOST`] bytes, as one frame.
    /// Errors are those of the disk: nothing was stored, and it may be tried again.
    pub fn append(
        &mut self,
        stream: Stream,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<Stored, SpoolError> {
        let extra = match stream {
            Stream::Event => self.settings.reserve(),
            _ => 0,
        };
        match self.make_room(whole.len() as u64, extra)? {
            true => {}
            // Its sender counts it, and an event is no output.
            false if stream == Stream::Event && self.settings.when_full == WhenFull::DropNew => {
                return Ok(Stored::Dropped);
            }
            false if self.settings.when_full == WhenFull::DropNew => {
                let records = records_of(stream, &whole[HEADER..]);
                self.lose(
                    Why::DropNew,
                    whole.len() as u64 - HEADER as u64,
                    records,
                    time_ns,
                );
                return Ok(Stored::Dropped);
            }
            false => return Ok(Stored::Full),
        }
        self.tell_gaps(time_ns)?;
        match self.write_output(stream, time_ns, whole) {
            Ok(()) => Ok(Stored::Kept),
            Err(error) if is_full(&error) => match self.settings.when_full {
                WhenFull::DropNew if stream == Stream::Event => Ok(Stored::Dropped),
                WhenFull::DropNew => {
                    let records = records_of(stream, &whole[HEADER..]);
                    self.lose(
                        Why::DropNew,
                        (whole.len() - HEADER) as u64,
                        records,
                        time_ns,
                    );
                    Ok(Stored::Dropped)
                }
                WhenFull::DropOld => match self.drop_oldest()? {
                    true => self.append(stream, time_ns, whole),
                    false => Ok(Stored::Full),
                },
                WhenFull::Block => Ok(Stored::Full),
            },
            Err(error) => Err(error),
        }
    }

    /// Tells what is missing as soon as there is room, also when nothing new comes.
    pub fn tell_gaps(&mut self, now_ns: u64) -> Result<(), SpoolError> {
        while let Some(gap) = self.gaps.first() {
            let json = gap.json();
            let mut whole = std::mem::take(&mut self.small);
            whole.resize(HEADER + json.len(), 0);
            whole[HEADER..].copy_from_slice(&json);
            let told = self.write_reserved(true, now_ns, &mut whole);
            self.small = whole;
            match told {
                Ok(()) => drop(self.gaps.remove(0)),
                Err(error) if is_full(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether nothing that was lost is still untold.
    pub fn has_told(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Puts what was written on the disk for good.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        if std::mem::take(&mut self.unsynced) && self.settings.sync != Sync::Never {
            let done = nix::unistd::fdatasync(&self.file).map_err(Into::into);
            at(done, "write out (fdatasync)", &name_of(self.head.number))?;
        }
        Ok(())
    }

    /// The end of a launch: what a later one needs to go on without reading.
    pub fn close(mut self) -> Result<(), SpoolError> {
        self.sync()?;
        let closed = Closed {
            number: self.head.number,
            size: self.offset,
            sha256: hex(self.chain),
        };
        let text = serde_json::to_vec(&closed).unwrap_or_default();
        folder::write_whole(&self.dir, CLOSED, &text).map(drop)
    }

    fn write(
        &mut self,
        stream: Stream,
        gap: bool,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<(), SpoolError> {
        if self.offset + whole.len() as u64 > self.settings.segment() {
            self.roll(time_ns)?;
        }
        seal(
            self.head.salt.as_bytes(),
            whole,
            self.next_seq,
            time_ns,
            stream,
            gap,
        );
        let name = name_of(self.head.number);
        if let Err(why) = self.file.write_all_at(whole, self.offset) {
            // A part of it would be taken for damage.
            at(self.file.set_len(self.offset), "cut (ftruncate)", &name)?;
            return at(Err(why), "write (pwrite64)", &name);
        }
        self.chain.update(whole);
        self.offset += whole.len() as u64;
        self.room.used += whole.len() as u64;
        self.next_seq += match gap {
            true => 1,
            false => records_of(stream, &whole[HEADER..]),
        };
        self.unsynced = true;
        if !gap {
            self.last = Some((stream, time_ns, whole.len() - HEADER));
        }
        match self.settings.sync {
            Sync::Record => self.sync(),
            _ => Ok(()),
        }
    }

    fn write_output(
        &mut self,
        stream: Stream,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<(), SpoolError> {
        if stream == Stream::Event {
            return self.write_reserved(false, time_ns, whole);
        }
        if self.spent {
            let left = folder::left(&self.dir);
            if left < (whole.len() + 4 * RESERVED) as u64 {
                let full = std::io::Error::from_raw_os_error(Errno::ENOSPC as i32);
                return at(Err(full), "write (fstatfs)", "the reserve");
            }
            self.spent = folder::overwrite(&self.dir, RESERVE, &[0; RESERVED]).is_err();
        }
        self.write(stream, false, time_ns, whole)
    }

    /// An event or a gap record, for which there is a reserve.
    fn write_reserved(
        &mut self,
        gap: bool,
        time_ns: u64,
        whole: &mut [u8],
    ) -> Result<(), SpoolError> {
        match self.write(Stream::Event, gap, time_ns, whole) {
            Err(error) if is_full(&error) && !self.spent => {
                self.spent = true;
                folder::forget(&self.dir, RESERVE);
                self.write(Stream::Event, gap, time_ns, whole)
            }
            other => other,
        }
    }

    /// Begins the next segment, linked to this one.
    fn roll(&mut self, now_ns: u64) -> Result<(), SpoolError> {
        self.sync()?;
        let previous = Some(hex(self.chain.clone()));
        let origin = &self.head.origin;
        let head = new_head(
            self.head.number + 1,
            self.next_seq,
            origin,
            previous,
            now_ns,
        )?;
        let (file, offset, chain) = begin(&self.dir, &head)?;
        self.room.used += offset;
        (self.head, self.file, self.offset, self.chain) = (head, file, offset, chain);
        Ok(())
    }

    /// Whether so many bytes fit, after removing what was delivered and, where that is the policy, the oldest.
    fn make_room(&mut self, bytes: u64, extra: u64) -> Result<bool, SpoolError> {
        let fits = |room: &Room| room.used + bytes <= room.quota + extra;
        if fits(&self.room) {
            return Ok(true);
        }
        let delivered = delivered(&self.dir)?;
        for number in segments(&self.dir)? {
            if number >= delivered || number >= self.head.number {
                break;
            }
            self.remove(number)?;
            if fits(&self.room) {
                return Ok(true);
            }
        }
        while self.settings.when_full == WhenFull::DropOld && self.drop_oldest()? {
            if fits(&self.room) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remove(&mut self, number: u64) -> Result<(), SpoolError> {
        let size = size_of(&self.dir, number);
        folder::remove(&self.dir, number)?;
        self.room.used = self.room.used.saturating_sub(size);
        Ok(())
    }

    /// Removes the oldest segment but the one that is written; false if there is none.
    fn drop_oldest(&mut self) -> Result<bool, SpoolError> {
        let all = segments(&self.dir)?;
        let (Some(oldest), Some(next)) = (all.first(), all.get(1)) else {
            return Ok(false);
        };
        let first = first_of(&self.dir, *oldest)?;
        let behind = first_of(&self.dir, *next)?;
        let lost = match (first, behind) {
            (Some((launch, first)), Some((other, behind))) if launch == other => {
                Some((first, behind.saturating_sub(1)))
            }
            _ => None,
        };
        let size = size_of(&self.dir, *oldest);
        let (oldest, delivered) = (*oldest, delivered(&self.dir)?);
        self.remove(oldest)?;
        if oldest >= delivered {
            let records = lost.map_or(0, |(first, last)| (last + 1).saturating_sub(first));
            self.lose(Why::DropOld, size, records, 0);
            if let (Some(gap), Some(seq)) = (self.gaps.last_mut(), lost) {
                gap.seq = Some((gap.seq.map_or(seq.0, |s| s.0.min(seq.0)), seq.1));
            }
        }
        Ok(true)
    }

    fn lose(&mut self, why: Why, bytes: u64, records: u64, time_ns: u64) {
        self.room.lost += records;
        self.room.lost_bytes += bytes;
        match self.gaps.last_mut() {
            Some(gap) if gap.gap == why => {
                gap.bytes += bytes;
                gap.records = Some(gap.records.unwrap_or(0) + records);
            }
            _ => self.gaps.push(Gap {
                records: Some(records),
                since_ns: (time_ns != 0).then_some(time_ns),
                ..Gap::of(why, bytes)
            }),
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

/// Segments below this number are with every collector.
fn delivered(dir: &OwnedFd) -> Result<u64, SpoolError> {
    let all = Cursor::all(dir)?;
    let place = |name: &String| Cursor::peek(dir, name).map_or(Position::default(), |(p, _)| p);
    Ok(all.iter().map(place).map(|p| p.segment).min().unwrap_or(0))
}

fn first_of(dir: &OwnedFd, number: u64) -> Result<Option<(String, u64)>, SpoolError> {
    let Some(file) = folder::open_segment(dir, number)? else {
        return Ok(None);
    };
    let head = at(Head::read(&file), "read (pread64)", &name_of(number))?;
    Ok(head.map(|(head, _)| (head.origin.launch, head.first_seq)))
}

/// See [`recovered`].
type Recovered = (u64, u64, u64, Option<(Stream, u64, usize)>);

/// The end of the whole frames, the next number, and how many bytes of an unfinished one were cut off.
fn recovered(dir: &OwnedFd, head: &Head, file: &File, ours: bool) -> Result<Recovered, SpoolError> {
    let name = name_of(head.number);
    let size = at(file.metadata(), "look at (fstat)", &name)?.len();
    if !ours && is_closed(dir, head.number, size) {
        return Ok((size, 0, 0, None));
    }
    let own = at(dir.try_clone(), "duplicate (fcntl)", "the folder")?;
    let mut reader = Reader::open(
        own,
        Position {
            segment: head.number,
            ..Position::default()
        },
    );
    let mut last = None;
    while let Some(frame) = reader.read()? {
        if !frame.gap {
            last = Some((frame.stream, frame.time_ns, frame.bytes.len()));
        }
    }
    let Position { offset, seq, .. } = reader.position();
    if offset < size {
        at(file.set_len(offset), "cut (ftruncate)", &name)?;
    }
    // A killed predecessor still has those bytes in its hands: nothing is lost.
    Ok((offset, seq, if ours { 0 } else { size - offset }, last))
}

fn is_closed(dir: &OwnedFd, number: u64, size: u64) -> bool {
    let text = folder::read_small(dir, CLOSED);
    let closed: Option<Closed> = text.and_then(|t| serde_json::from_slice(&t).ok());
    closed.is_some_and(|c| (c.number, c.size) == (number, size))
}

/// SHA-256 of a file's first bytes, in small pieces.
pub(super) fn hashed(file: &File, end: u64) -> Result<digest::Context, SpoolError> {
    let mut chain = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 32 << 10];
    let mut from = 0;
    while from < end {
        let most = buffer.len().min((end - from) as usize);
        let got = at(
            fill(file, &mut buffer[..most], from),
            "read (pread64)",
            "a segment",
        )?;
        if got == 0 {
            break;
        }
        chain.update(&buffer[..got]);
        from += got as u64;
    }
    Ok(chain)
}

pub(super) fn hex(chain: digest::Context) -> String {
    crate::digest::hex(chain.finish().as_ref())
}

fn new_head(
    number: u64,
    first_seq: u64,
    origin: &Origin,
    previous: Option<String>,
    begun_ns: u64,
) -> Result<Head, SpoolError> {
    let mut salt = [0u8; 16];
    let random = crate::sys::process::random(&mut salt).map_err(Into::into);
    at(random, "draw a salt for (getrandom)", &name_of(number))?;
    Ok(Head {
        number,
        first_seq,
        origin: origin.clone(),
        salt: crate::digest::hex(&salt),
        begun_ns,
        previous,
    })
}

/// Makes a segment: its name appears with its whole head.
fn begin(dir: &OwnedFd, head: &Head) -> Result<(File, u64, digest::Context), SpoolError> {
    let bytes = head.bytes();
    let file = folder::write_whole(dir, &name_of(head.number), &bytes)?;
    let mut chain = digest::Context::new(&digest::SHA256);
    chain.update(&bytes);
    Ok((file, bytes.len() as u64, chain))
}

fn open_rw(dir: &OwnedFd, name: &str) -> Result<File, SpoolError> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let file = folder::open(dir, name, OFlag::O_RDWR)?;
    at(file.ok_or_else(missing), "open (openat)", name)
}
