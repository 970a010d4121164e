//! OpenTelemetry's logs over HTTP: a batch is one POST of protobuf, and 2xx is its acknowledgement.
//!
//! One request at a time: the cursor needs no more, and a batch is large. What a collector refuses for good
//! (partial_success, 4xx) is told as rejected and not sent again; 429, 502, 503 and 504 are tried again later.

use super::super::{Kind, Origin, Record, Stream};
use super::http::{self, Response};
use super::protobuf::{Reader, Value, Writer, varint};
use super::sink::{Ended, Rejected, Sink};
use super::trouble::{Cause, Trouble};
use super::wire::{DRAIN, WRITE, Wire};
use crate::policy::Target;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How much is gathered for one request.
const BATCH: usize = 128 * 1024;
/// Most bytes of an answer that are kept.
const LONGEST: usize = 96 * 1024;

/// A connection that is kept from request to request.
pub struct Otlp {
    wire: Option<Wire>,
    host: String,
    path: String,
    resource: Vec<u8>,
    unique: String,
    records: Vec<u8>,
    count: u64,
    first: u64,
    last: u64,
    acknowledged: u64,
    heard: Vec<u8>,
    rejected: Option<Rejected>,
    request: Vec<u8>,
}

impl Otlp {
    /// Over a connection that stands.
    pub fn new(wire: Wire, origin: &Origin, target: &Target, delivered: u64) -> Self {
        Self {
            wire: Some(wire),
            host: target.address.clone().unwrap_or_default(),
            path: target.place().unwrap_or("/").to_string(),
            resource: resource(origin),
            unique: format!("{}/", origin.launch),
            records: Vec::with_capacity(BATCH),
            count: 0,
            first: 0,
            last: delivered,
            acknowledged: delivered,
            heard: Vec::new(),
            rejected: None,
            request: Vec::new(),
        }
    }

    /// Sends what was gathered and waits for the answer.
    fn post(&mut self) -> Result<Response, Trouble> {
        let body = body(&self.resource, &self.records);
        self.request.clear();
        http::post(&mut self.request, &self.host, &self.path, body.len());
        let wire = self.wire.as_mut().ok_or_else(Trouble::closed)?;
        // In one piece: a server that refuses early would else reset the connection before it was read.
        self.request.extend_from_slice(&body);
        wire.send(&self.request)?;
        let response = self.answer()?;
        if response.closes {
            self.wire = None;
        }
        judge(&response)?;
        Ok(response)
    }

    fn answer(&mut self) -> Result<Response, Trouble> {
        let wire = self.wire.as_mut().ok_or_else(Trouble::closed)?;
        let until = Instant::now() + 3 * WRITE;
        self.heard.clear();
        loop {
            if !wire.wait(until)? {
                let text = "the collector doesn't answer the request; is this an OTLP/HTTP port?";
                return Err(Trouble::new(Cause::Away, text));
            }
            let got = wire.receive(&mut self.heard, LONGEST);
            let ended = got.is_err();
            if let Some(response) = http::response(&self.heard, ended)? {
                return Ok(response);
            }
            got?;
        }
    }
}

/// What an answer means: taken, to be tried again, or refused for good.
fn judge(response: &Response) -> Result<(), Trouble> {
    match response.status {
        200..=299 => Ok(()),
        429 | 502 | 503 | 504 => {
            let text = format!("the collector is busy: HTTP {}", response.status);
            let wait = response.retry_after.unwrap_or(Duration::ZERO);
            Err(Trouble::new(Cause::Busy(wait), text))
        }
        status => {
            let text = format!("the collector refuses the request: HTTP {status}");
            Err(Trouble::new(Cause::Refused, text))
        }
    }
}

/// How many records an answer rejects, and why (ExportLogsServiceResponse.partial_success).
pub fn partial_success(body: &[u8]) -> Option<(u64, String)> {
    let inner = Reader(body).find_map(|field| match field {
        (1, Value::Bytes(inner)) => Some(inner),
        _ => None,
    })?;
    let (mut count, mut why) = (0, String::new());
    for field in Reader(inner) {
        match field {
            (1, Value::Number(number)) => count = number,
            (2, Value::Bytes(text)) => {
                let text = String::from_utf8_lossy(text);
                why = text.chars().filter(|c| !c.is_control()).take(200).collect();
            }
            _ => {}
        }
    }
    (count > 0 && i64::try_from(count).is_ok()).then_some((count, why))
}

impl Sink for Otlp {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        if self.first == 0 {
            self.first = record.seq;
        }
        log_record(&mut self.records, &self.unique, record);
        self.count += 1;
        self.last = self.last.max(record.seq);
        match self.records.len() >= BATCH {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        if self.count == 0 {
            return Ok(());
        }
        let refused = match self.post() {
            Ok(response) => partial_success(&response.body),
            // No attempt at the same bytes will go better.
            Err(trouble) if trouble.cause == Cause::Refused && is_content(&trouble) => {
                Some((self.count, trouble.text))
            }
            Err(trouble) => return Err(trouble),
        };
        // What the shipper says by itself is not told about again.
        if let Some((count, why)) = refused.filter(|_| self.first > 0) {
            self.rejected = Some(Rejected {
                count: count.min(self.count),
                first: self.first,
                last: self.last,
                why,
            });
        }
        self.acknowledged = self.last;
        self.records.clear();
        (self.count, self.first) = (0, 0);
        Ok(())
    }

    fn probe(&mut self) -> Result<(), Trouble> {
        // With no records at all.
        self.post().map(|_| ())
    }

    fn receive(&mut self) -> Result<(), Trouble> {
        // Nothing is said unasked; a server that ends an idle connection is noticed here.
        match &mut self.wire {
            Some(wire) => wire.check_peer(),
            None => Err(Trouble::closed()),
        }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.wire.as_ref().map(Wire::descriptor)
    }

    fn rejected(&mut self) -> Option<Rejected> {
        self.rejected.take()
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Ended {
        let _ = self.flush();
        if let Some(wire) = self.wire {
            wire.finish(DRAIN);
        }
        Ended::at(self.acknowledged)
    }
}

/// 400, 413, 415 and 422 are about what was sent; 401, 403 and 404 are about the collector's configuration, which its
/// admin can put right while the spool keeps the lines.
fn is_content(trouble: &Trouble) -> bool {
    ["400", "413", "415", "422"]
        .iter()
        .any(|code| trouble.text.ends_with(code))
}

/// ExportLogsServiceRequest with one ResourceLogs with one ScopeLogs.
fn body(resource: &[u8], records: &[u8]) -> Vec<u8> {
    let mut scope = Vec::new();
    Writer(&mut scope).message(1, |w| {
        w.bytes(1, b"cofferdam");
        w.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
    });
    let scope_length = scope.len() + records.len();
    let mut front = Vec::new();
    Writer(&mut front).bytes(1, resource);
    front.push(2 << 3 | 2);
    varint(&mut front, scope_length as u64);
    let mut out = Vec::with_capacity(records.len() + front.len() + scope.len() + 16);
    out.push(1 << 3 | 2);
    varint(&mut out, (front.len() + scope_length) as u64);
    out.extend_from_slice(&front);
    out.extend_from_slice(&scope);
    out.extend_from_slice(records);
    out
}

fn attribute(w: &mut Writer<'_>, field: u32, key: &str, value: &str) {
    w.message(field, |w| {
        w.bytes(1, key.as_bytes());
        w.message(2, |w| w.bytes(1, value.as_bytes()));
    });
}

fn resource(origin: &Origin) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer(&mut out);
    attribute(
        &mut w,
        1,
        "service.name",
        origin.name.as_deref().unwrap_or(&origin.id),
    );
    attribute(&mut w, 1, "container.id", &origin.id);
    if let Some(name) = &origin.name {
        attribute(&mut w, 1, "container.name", name);
    }
    if let Some(image) = &origin.image {
        attribute(&mut w, 1, "container.image.name", image);
    }
    attribute(&mut w, 1, "host.name", &origin.host);
    attribute(&mut w, 1, "cofferdam.boot", &origin.boot);
    attribute(&mut w, 1, "cofferdam.launch", &origin.launch);
    out
}

/// Appends one LogRecord as an element of ScopeLogs.
fn log_record(out: &mut Vec<u8>, unique: &str, record: &Record<'_>) {
    let (severity, text, stream) = match (record.kind, record.stream) {
        (Kind::Gap, _) => (13, "WARN", "event"),
        (_, Stream::Stdout) => (9, "INFO", "stdout"),
        (_, Stream::Stderr) => (17, "ERROR", "stderr"),
        (_, Stream::Event) => (10, "INFO2", "event"),
    };
    Writer(out).message(2, |w| {
        w.fixed64(1, record.time_ns);
        w.fixed64(11, record.time_ns);
        w.varint(2, severity);
        w.bytes(3, text.as_bytes());
        // A string where it is one; else bytes, which lose nothing.
        let field = if std::str::from_utf8(record.bytes).is_ok() {
            1
        } else {
            7
        };
        w.message(5, |w| w.bytes(field, record.bytes));
        attribute(w, 6, "log.iostream", stream);
        if record.seq > 0 {
            let mut uid = unique.as_bytes().to_vec();
            super::stamp::number(&mut uid, record.seq);
            w.message(6, |w| {
                w.bytes(1, b"log.record.uid");
                w.message(2, |w| w.bytes(1, &uid));
            });
            w.message(6, |w| {
                w.bytes(1, b"cofferdam.seq");
                w.message(2, |w| w.varint(3, record.seq));
            });
        }
        match record.kind {
            Kind::Line => {}
            Kind::Partial => attribute(w, 6, "cofferdam.more", "true"),
            Kind::Gap => attribute(w, 6, "cofferdam.gap", "true"),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_collector_rejects_is_counted() {
        let mut out = Vec::new();
        Writer(&mut out).message(1, |w| {
            w.varint(1, 3);
            w.bytes(2, b"too\nold");
        });
        assert_eq!(partial_success(&out), Some((3, "tooold".into())));
        assert_eq!(partial_success(b""), None);
        let mut none = Vec::new();
        Writer(&mut none).message(1, |w| w.bytes(2, b"only a warning"));
        assert_eq!(partial_success(&none), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = partial_success(&bytes);
        }
    }
}
