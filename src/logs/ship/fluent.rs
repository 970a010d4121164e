//! Fluentd's forward protocol (version 1, forward mode): a batch is a chunk with a name, and its acknowledgement.
//!
//! The name is a string, as Fluent Bit accepts no other. One chunk at a time.

use super::super::{Kind, Origin, Record, Stream};
use super::msgpack::{self, Answer};
use super::sink::{Ended, Sink};
use super::trouble::{Cause, Trouble};
use super::wire::{DRAIN, WRITE, Wire};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How much is gathered for one chunk.
const BATCH: usize = 128 * 1024;
/// Longest answer.
const LONGEST: usize = 4096;

/// A connection.
pub struct Fluent {
    wire: Wire,
    constant: Vec<u8>,
    fields: u32,
    tag: String,
    launch: String,
    entries: Vec<u8>,
    count: u32,
    first: u64,
    last: u64,
    acknowledged: u64,
    heard: Vec<u8>,
}

impl Fluent {
    /// Over a connection that stands.
    pub fn new(wire: Wire, origin: &Origin, delivered: u64) -> Self {
        let pairs = [
            ("container_id", Some(&origin.id)),
            ("container_name", origin.name.as_ref()),
            ("image", origin.image.as_ref()),
            ("host", Some(&origin.host)),
            ("boot", Some(&origin.boot)),
            ("launch", Some(&origin.launch)),
        ];
        let (mut constant, mut fields) = (Vec::new(), 0);
        for (key, value) in pairs {
            if let Some(value) = value {
                msgpack::string(&mut constant, key);
                msgpack::string(&mut constant, value);
                fields += 1;
            }
        }
        Self {
            wire,
            constant,
            fields,
            tag: format!("cofferdam.{}", origin.id),
            launch: origin.launch.clone(),
            entries: Vec::with_capacity(BATCH),
            count: 0,
            first: 0,
            last: delivered,
            acknowledged: delivered,
            heard: Vec::new(),
        }
    }

    fn await_ack(&mut self, chunk: &str) -> Result<(), Trouble> {
        let until = Instant::now() + 3 * WRITE;
        loop {
            match msgpack::ack(&self.heard) {
                Answer::Ack(which, length) if which == chunk.as_bytes() => {
                    self.heard.drain(..length);
                    return Ok(());
                }
                Answer::Ack(..) => {
                    return Err(Trouble::protocol(
                        "the collector acknowledges another chunk",
                    ));
                }
                Answer::Other => {
                    let text = "the collector's answer is no acknowledgement; does it want a shared key, which is not spoken here?";
                    return Err(Trouble::protocol(text));
                }
                Answer::Incomplete if self.heard.len() >= LONGEST => {
                    return Err(Trouble::protocol("the collector's answer is too long"));
                }
                Answer::Incomplete => {}
            }
            if !self.wire.wait(until)? {
                let text =
                    "the collector acknowledges nothing; is require_ack_response understood there?";
                return Err(Trouble::new(Cause::Away, text));
            }
            self.wire.receive(&mut self.heard, LONGEST)?;
        }
    }
}

impl Sink for Fluent {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        if self.count == 0 {
            self.first = record.seq;
        }
        let out = &mut self.entries;
        msgpack::array(out, 2);
        msgpack::event_time(out, record.time_ns);
        msgpack::map(out, self.fields + 4 + u32::from(record.pid > 0));
        out.extend_from_slice(&self.constant);
        msgpack::string(out, "log");
        match std::str::from_utf8(record.bytes) {
            Ok(text) => msgpack::string(out, text),
            Err(_) => msgpack::binary(out, record.bytes),
        }
        msgpack::string(out, "source");
        msgpack::string(
            out,
            match record.stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
                Stream::Event => "event",
            },
        );
        msgpack::string(out, "kind");
        msgpack::string(
            out,
            match record.kind {
                Kind::Line => "line",
                Kind::Partial => "partial",
                Kind::Gap => "gap",
            },
        );
        if record.pid > 0 {
            msgpack::string(out, "pid");
            msgpack::number(out, record.pid.into());
        }
        msgpack::string(out, "seq");
        msgpack::number(out, record.seq);
        self.count += 1;
        self.last = self.last.max(record.seq);
        match self.entries.len() >= BATCH {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        if self.count == 0 {
            return Ok(());
        }
        let chunk = format!("{}-{}-{}", self.launch, self.first, self.last);
        let mut front = Vec::with_capacity(64);
        msgpack::array(&mut front, 3);
        msgpack::string(&mut front, &self.tag);
        msgpack::long_array(&mut front, self.count);
        self.wire.send(&front)?;
        msgpack::map(&mut self.entries, 2);
        msgpack::string(&mut self.entries, "size");
        msgpack::number(&mut self.entries, self.count.into());
        msgpack::string(&mut self.entries, "chunk");
        msgpack::string(&mut self.entries, &chunk);
        self.wire.send(&self.entries)?;
        self.await_ack(&chunk)?;
        self.acknowledged = self.last;
        self.entries.clear();
        self.count = 0;
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Trouble> {
        self.wire.check_peer()
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wire.descriptor())
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Ended {
        let _ = self.flush();
        self.wire.finish(DRAIN);
        Ended::at(self.acknowledged)
    }
}
