//! A frame that is kept aside while its records are taken one at a time.
//!
//! A shipper stops in the middle of a frame when its collector has to catch up; the reader's memory is its own then.

use super::frame::{Frame, Records};
use crate::logs::record::{Kind, Record, Stream};

/// The frame's bytes and how far they were taken.
#[derive(Debug)]
pub struct Held {
    bytes: Vec<u8>,
    at: usize,
    seq: u64,
    time_ns: u64,
    stream: Stream,
    whole: Option<Kind>,
    met: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            at: 0,
            seq: 0,
            time_ns: 0,
            stream: Stream::Event,
            whole: None,
            met: false,
        }
    }
}

impl Held {
    /// Keeps another frame, of which nothing was taken but what the reader's position says was delivered.
    pub fn hold(&mut self, frame: &Frame<'_>) {
        let records = frame.records();
        self.bytes.clear();
        self.bytes.extend_from_slice(records.rest);
        self.at = 0;
        self.seq = records.seq;
        self.time_ns = records.time_ns;
        self.stream = records.stream;
        self.whole = records.whole;
        self.met = frame.met;
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    /// Whether a record is left.
    pub fn has_more(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// Whether it was never written, but stands for damage that the reader met: its number is another record's.
    pub fn is_met(&self) -> bool {
        self.met
    }

    /// The next record.
    pub fn take(&mut self) -> Option<Record<'_>> {
        let mut records = Records {
            seq: self.seq,
            time_ns: self.time_ns,
            stream: self.stream,
            whole: self.whole,
            rest: &self.bytes[self.at..],
        };
        let record = records.next()?;
        self.at = self.bytes.len() - records.rest.len();
        self.seq = records.seq;
        Some(record)
    }
}
