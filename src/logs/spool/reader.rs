//! Reads a spool from any position, in memory of fixed size, while it is being written.
//!
//! Writes nothing. Damage is told as a gap record in the place of what it took; an unfinished frame at the very end
//! is not damage but not there yet. Used by the collectors, the `logs` verbs, the check, and the writer's recovery.

use super::cursor::Position;
use super::folder::{open_segment, segments, size_of};
use super::frame::{Frame, HEADER, MOST, Top, count};
use super::gap::{Gap, Why};
use super::segment::{Head, fill};
use super::{SpoolError, at};
use crate::logs::record::{Origin, Stream};
use std::fs::File;
use std::os::fd::OwnedFd;

/// A place in a spool and what is needed to go on from there.
pub struct Reader {
    dir: OwnedFd,
    position: Position,
    open: Option<Open>,
    /// Bytes of the open segment from `base` on.
    buffer: Vec<u8>,
    have: usize,
    base: u64,
    /// The JSON of a gap that was met.
    note: Vec<u8>,
    /// Where it began, in the middle of a frame: (segment, offset, first record wanted).
    begin: Option<Position>,
    /// Nothing from this segment and offset on is read.
    until: Option<(u64, u64)>,
    /// Where in `buffer` the bytes stand that were handed out last; none: they are `note`.
    last: Option<std::ops::Range<usize>>,
}

struct Open {
    file: File,
    head: Head,
}

/// What stands at a place.
enum Found {
    /// A frame with so many bytes behind its header.
    Whole(Top),
    /// The end of the file.
    End,
    /// A part of a frame, or something else.
    Bad,
}

/// What to hand out.
enum Step {
    Frame(Top),
    Gap { seq: u64, time_ns: u64 },
}

impl Reader {
    /// Begins at a position; the default one is the beginning of whatever is there.
    pub fn open(dir: OwnedFd, position: Position) -> Self {
        Self {
            dir,
            position,
            open: None,
            buffer: vec![0; HEADER + MOST],
            have: 0,
            base: 0,
            note: Vec::new(),
            begin: Some(position).filter(|p| p.segment != 0),
            until: None,
            last: None,
        }
    }

    /// Reads what is there now and ends, however fast it grows.
    pub fn of_now(dir: OwnedFd, position: Position) -> Result<Self, SpoolError> {
        let newest = segments(&dir)?.last().copied().unwrap_or(0);
        let until = Some((newest, size_of(&dir, newest)));
        Ok(Self {
            until,
            ..Self::open(dir, position)
        })
    }

    /// The bytes of the frame that was read last, until another is looked for.
    pub fn last(&self) -> &[u8] {
        match &self.last {
            Some(place) => &self.buffer[place.clone()],
            None => &self.note,
        }
    }

    /// Behind the frame that was read last: where to go on when all its records are delivered.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Bytes of what was there at the beginning that are no whole frame so far. Of [`Reader::of_now`], when it has ended.
    pub fn missing(&self) -> u64 {
        let until = self.until.filter(|(n, _)| *n == self.position.segment);
        until.map_or(0, |(_, size)| size.saturating_sub(self.position.offset))
    }

    /// Where the records that were read last come from.
    pub fn origin(&self) -> Option<&Origin> {
        self.head().map(|head| &head.origin)
    }

    /// The head of the segment that was read last.
    pub fn head(&self) -> Option<&Head> {
        self.open.as_ref().map(|open| &open.head)
    }

    /// The next frame; `None`: nothing more so far. Its records are those that the position wanted.
    pub fn read(&mut self) -> Result<Option<Frame<'_>>, SpoolError> {
        let (step, from) = loop {
            let here = (self.position.segment, self.position.offset);
            if self.until.is_some_and(|until| here >= until) {
                return Ok(None);
            }
            if self.open.is_none() && !self.enter()? {
                return match self.unreadable()? {
                    Some(step) => Ok(Some(self.told(step, 0))),
                    None => Ok(None),
                };
            }
            match self.found()? {
                Found::Whole(top) => break (Step::Frame(top), self.wanted(&top)),
                Found::End => match self.leave()? {
                    Left::Newest => return Ok(None),
                    Left::Clean => {}
                    Left::Gap(step) => break (step, 0),
                },
                Found::Bad => match self.resync()? {
                    Left::Newest => return Ok(None),
                    Left::Clean => {}
                    Left::Gap(step) => break (step, 0),
                },
            }
        };
        Ok(Some(self.told(step, from)))
    }

    fn wanted(&mut self, top: &Top) -> u64 {
        let here = self.position;
        match self.begin.take() {
            Some(begin) if (begin.segment, begin.offset) == (here.segment, here.offset) => {
                begin.seq
            }
            _ => top.seq,
        }
    }

    fn told(&mut self, step: Step, from: u64) -> Frame<'_> {
        self.last = None;
        match step {
            Step::Gap { seq, time_ns } => Frame {
                seq,
                from: 0,
                met: true,
                time_ns,
                stream: Stream::Event,
                pid: 0,
                gap: true,
                bytes: &self.note,
            },
            Step::Frame(top) => {
                let begin = (self.position.offset - self.base) as usize + HEADER;
                self.last = Some(begin..begin + top.len);
                let bytes = &self.buffer[begin..begin + top.len];
                let records = match top.gap || top.stream == Stream::Event {
                    true => 1,
                    false => count(bytes),
                };
                self.position.offset += (HEADER + top.len) as u64;
                self.position.seq = top.seq + records;
                Frame {
                    seq: top.seq,
                    from,
                    met: false,
                    time_ns: top.time_ns,
                    stream: top.stream,
                    pid: top.pid,
                    gap: top.gap,
                    bytes,
                }
            }
        }
    }

    /// Opens the segment of the position or the first behind it; false if there is none that can be read here.
    fn enter(&mut self) -> Result<bool, SpoolError> {
        let all = segments(&self.dir)?;
        let Some(number) = all.into_iter().find(|n| *n >= self.position.segment) else {
            return Ok(false);
        };
        if number != self.position.segment {
            self.position = Position {
                segment: number,
                offset: 0,
                seq: 0,
            };
        }
        let Some(file) = open_segment(&self.dir, number)? else {
            return self.enter(); // removed meanwhile
        };
        let head = at(Head::read(&file), "read (pread64)", "a segment's head")?;
        let Some((head, first)) = head else {
            return Ok(false);
        };
        self.have = 0;
        if self.position.offset < first {
            self.position.offset = first;
            self.position.seq = head.first_seq;
        }
        self.open = Some(Open { file, head });
        Ok(true)
    }

    /// The gap in place of a segment whose head is damaged.
    fn unreadable(&mut self) -> Result<Option<Step>, SpoolError> {
        let number = self.position.segment;
        if !segments(&self.dir)?.contains(&number) {
            return Ok(None);
        }
        self.note = Gap::of(Why::Unreadable, size_of(&self.dir, number)).json();
        self.position = Position {
            segment: number + 1,
            offset: 0,
            seq: 0,
        };
        Ok(Some(Step::Gap { seq: 0, time_ns: 0 }))
    }

    /// What stands at the position; from the file again if memory says anything but a whole frame.
    fn found(&mut self) -> Result<Found, SpoolError> {
        if let found @ Found::Whole(_) = self.look() {
            return Ok(found);
        }
        self.load(self.position.offset)?;
        Ok(self.look())
    }

    fn load(&mut self, from: u64) -> Result<(), SpoolError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        self.have = at(
            fill(&open.file, &mut self.buffer, from),
            "read (pread64)",
            "a segment",
        )?;
        self.base = from;
        Ok(())
    }

    fn look(&self) -> Found {
        let Some(open) = &self.open else {
            return Found::End;
        };
        let begin = self.position.offset.checked_sub(self.base);
        let begin = begin.map_or(self.have, |b| b as usize).min(self.have);
        whole(&open.head, &self.buffer[begin..self.have])
    }

    /// Searches behind a damaged place for the next frame; without one, and in the newest segment, this may still be
    /// an unfinished one.
    fn resync(&mut self) -> Result<Left, SpoolError> {
        let begin = self.position.offset;
        let mut from = begin + 1;
        loop {
            self.load(from)?;
            let (mut at, have) = (0, self.have);
            while at + HEADER <= have {
                if let Some(top) = self.candidate(at) {
                    // Its bytes may lie beyond the buffer.
                    self.load(from + at as u64)?;
                    let open = self.open.as_ref().map(|o| &o.head);
                    if open.is_some_and(|h| {
                        matches!(whole(h, &self.buffer[..self.have]), Found::Whole(_))
                    }) {
                        let next = from + at as u64;
                        return Ok(Left::Gap(self.damaged(next - begin, top)));
                    }
                    self.load(from)?;
                }
                at += 1;
            }
            if have < self.buffer.len() {
                return self.leave();
            }
            from += (have - HEADER + 1) as u64;
        }
    }

    fn candidate(&self, at: usize) -> Option<Top> {
        let header = self.buffer[at..at + HEADER].try_into().ok()?;
        Top::parse(&header).filter(|top| top.seq >= self.position.seq)
    }

    fn damaged(&mut self, bytes: u64, next: Top) -> Step {
        let (first, behind) = (self.position.seq, next.seq);
        self.note = Gap {
            records: Some(behind - first),
            seq: (behind > first).then(|| (first, behind - 1)),
            ..Gap::of(Why::Damaged, bytes)
        }
        .json();
        self.position.offset += bytes;
        self.position.seq = behind;
        Step::Gap {
            seq: first,
            time_ns: next.time_ns,
        }
    }

    /// Goes to the next segment, if there is one: only then is this one at its end.
    fn leave(&mut self) -> Result<Left, SpoolError> {
        let here = self.position;
        let newer = segments(&self.dir)?.into_iter().find(|n| *n > here.segment);
        let Some(newer) = newer else {
            return Ok(Left::Newest);
        };
        // What was written between our look and the next segment's making.
        self.load(here.offset)?;
        if matches!(self.look(), Found::Whole(_)) {
            return Ok(Left::Clean);
        }
        let left = size_of(&self.dir, here.segment).saturating_sub(here.offset);
        self.open = None;
        self.position = Position {
            segment: newer,
            offset: 0,
            seq: 0,
        };
        if left == 0 {
            return Ok(Left::Clean);
        }
        self.note = Gap::of(Why::Damaged, left).json();
        Ok(Left::Gap(Step::Gap {
            seq: here.seq,
            time_ns: 0,
        }))
    }
}

enum Left {
    Newest,
    Clean,
    Gap(Step),
}

/// Whether a frame of this segment stands at the beginning of the bytes.
fn whole(head: &Head, bytes: &[u8]) -> Found {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return match bytes.is_empty() {
            true => Found::End,
            false => Found::Bad,
        };
    };
    match Top::parse(header) {
        Some(top)
            if rest.len() >= top.len
                && top.holds(head.salt.as_bytes(), header, &rest[..top.len]) =>
        {
            Found::Whole(top)
        }
        _ => Found::Bad,
    }
}
