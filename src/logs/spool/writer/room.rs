//! Room for what comes: segments that every collector has go first, then, where that is the policy, the oldest.

use super::super::cursor::{Cursor, Position};
use super::super::folder::{self, name_of, segments, size_of};
use super::super::gap::Why;
use super::super::segment::Head;
use super::super::{SpoolError, at};
use super::{Room, WhenFull, Writer};
use std::os::fd::OwnedFd;

impl Writer {
    /// Whether so many bytes fit, after removing what was delivered and, where that is the policy, the oldest.
    pub(super) fn make_room(&mut self, bytes: u64, extra: u64) -> Result<bool, SpoolError> {
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
    pub(super) fn drop_oldest(&mut self) -> Result<bool, SpoolError> {
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
            let mut gaps = self.gaps.iter_mut();
            let gap = gaps.find(|g| g.gap == Why::DropOld);
            if let (Some(gap), Some(seq)) = (gap, lost) {
                gap.seq = Some((gap.seq.map_or(seq.0, |s| s.0.min(seq.0)), seq.1));
            }
        }
        Ok(true)
    }
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
