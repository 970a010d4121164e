//! What is missing: counted, and told in a gap record as soon as there is room for one.

use super::super::SpoolError;
use super::super::frame::HEADER;
use super::super::gap::{Gap, Why};
use super::{Writer, is_full};

impl Writer {
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

    pub(super) fn lose(&mut self, why: Why, bytes: u64, records: u64, time_ns: u64) {
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
