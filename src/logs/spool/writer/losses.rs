//! What is missing: counted, and told in a gap record as soon as there is room for one.

use super::super::SpoolError;
use super::super::frame::HEADER;
use super::super::gap::{Gap, Why};
use super::{Writer, is_full};

/// More than the gap records of all reasons take, with a segment's head.
const ROOM: u64 = 4 << 10;

impl Writer {
    /// What was dropped for this reason and is not in the spool yet: (records, bytes).
    pub fn untold(&self, why: Why) -> (u64, u64) {
        let gap = self.gaps.iter().find(|g| g.gap == why);
        gap.map_or((0, 0), |g| (g.records.unwrap_or(0), g.bytes))
    }

    /// Takes over what a killed predecessor dropped and could not tell.
    pub fn owe(&mut self, why: Why, (records, bytes): (u64, u64)) {
        if bytes > 0 {
            self.lose(why, bytes, records, 0);
        }
    }

    /// Tells what is missing, but not out of the reserve: that is for events, and for the last words of a launch.
    pub fn tell_gaps_if_room(&mut self, now_ns: u64) -> Result<(), SpoolError> {
        if self.gaps.is_empty() || self.spent || !self.make_room(ROOM, 0)? {
            return Ok(());
        }
        self.tell_gaps(now_ns)
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

    /// One count for each reason: where the reasons alternate, there are no more of them.
    pub(super) fn lose(&mut self, why: Why, bytes: u64, records: u64, time_ns: u64) {
        if why != Why::Events {
            self.room.lost += records;
            self.room.lost_bytes += bytes;
        }
        match self.gaps.iter_mut().find(|g| g.gap == why) {
            Some(gap) => {
                gap.bytes += bytes;
                gap.records = Some(gap.records.unwrap_or(0) + records);
            }
            None => self.gaps.push(Gap {
                records: Some(records),
                since_ns: (time_ns != 0).then_some(time_ns),
                ..Gap::of(why, bytes)
            }),
        }
    }
}
