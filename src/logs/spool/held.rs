//! A frame whose records are taken one at a time, out of the memory of the reader that has read it.
//!
//! A shipper stops in the middle of a frame when its collector has to catch up; until it goes on it reads no other.

use super::frame::{Frame, Records};
use crate::logs::record::{Kind, Record, Stream};

/// How far the records of a frame were taken.
#[derive(Debug)]
pub struct Held {
    at: usize,
    end: usize,
    seq: u64,
    time_ns: u64,
    stream: Stream,
    pid: u32,
    whole: Option<Kind>,
    met: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            at: 0,
            end: 0,
            seq: 0,
            time_ns: 0,
            stream: Stream::Event,
            pid: 0,
            whole: None,
            met: false,
        }
    }
}

impl Held {
    /// Another frame, of which nothing was taken but what the reader's position says was delivered.
    pub fn of(frame: &Frame<'_>) -> Self {
        let records = frame.records();
        Self {
            at: frame.bytes.len() - records.rest.len(),
            end: frame.bytes.len(),
            seq: records.seq,
            time_ns: records.time_ns,
            stream: records.stream,
            pid: records.pid,
            whole: records.whole,
            met: frame.met,
        }
    }

    /// Whether a record is left.
    pub fn has_more(&self) -> bool {
        self.at < self.end
    }

    /// The number of the next record.
    pub fn next_seq(&self) -> u64 {
        self.seq
    }

    /// Whether it was never written, but stands for damage that the reader met: its number is another record's.
    pub fn is_met(&self) -> bool {
        self.met
    }

    /// The next record. `bytes`: all of the frame's ([`super::Reader::last`]).
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let mut records = Records {
            seq: self.seq,
            time_ns: self.time_ns,
            stream: self.stream,
            pid: self.pid,
            whole: self.whole,
            rest: bytes.get(self.at..self.end)?,
        };
        let record = records.next()?;
        self.at = self.end - records.rest.len();
        self.seq = records.seq;
        Some(record)
    }
}
