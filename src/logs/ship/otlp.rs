//! OpenTelemetry's logs over HTTP: a batch is one POST of protobuf, and 2xx is its acknowledgement.
//!
//! One request at a time: the cursor needs no more, and a batch is large. What a collector refuses for good
//! (partial_success, 4xx) is told as rejected and not sent again; 429, 502, 503 and 504 are tried again later.

use super::super::{Kind, Origin, Record, Stream};
use super::http::{self, Response};
use super::protobuf::{Reader, Value, Writer, varint};
use super::sink::{Ended, Rejected, Sink};
use super::stamp::decimal;
use super::trouble::{Cause, Trouble};
use super::wire::{DRAIN, WRITE, Wire};
use crate::policy::Target;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How much is gathered for one request.
const BATCH: usize = 128 * 1024;
/// Room behind for the record that makes it so much.
const ROOM: usize = 32 * 1024;
/// Room in front for the words of HTTP and protobuf, beside the address and the resource.
const FRONT: usize = 512;
/// Most bytes of an answer that are kept.
const LONGEST: usize = 96 * 1024;

/// A connection that is kept from request to request.
pub struct Otlp {
    wire: Option<Wire>,
    host: String,
    path: String,
    resource: Vec<u8>,
    unique: String,
    /// Room for what stands in front of a request's records, and these.
    request: Vec<u8>,
    front: usize,
    count: u64,
    first: u64,
    last: u64,
    acknowledged: u64,
    heard: Vec<u8>,
    rejected: Option<Rejected>,
}

impl Otlp {
    /// Over a connection that stands.
    pub fn new(wire: Wire, origin: &Origin, target: &Target, delivered: u64) -> Self {
        let host = target.address.clone().unwrap_or_default();
        let path = target.place().unwrap_or("/").to_string();
        let resource = resource(origin);
        let front = host.len() + path.len() + resource.len() + FRONT;
        let mut request = Vec::with_capacity(front + BATCH + ROOM);
        request.resize(front, 0);
        Self {
            wire: Some(wire),
            host,
            path,
            resource,
            unique: format!("{}/", origin.launch),
            request,
            front,
            count: 0,
            first: 0,
            last: delivered,
            acknowledged: delivered,
            heard: Vec::new(),
            rejected: None,
        }
    }

    /// Sends what was gathered and waits for the answer.
    fn post(&mut self) -> Result<Response, Trouble> {
        let records = self.request.len() - self.front;
        let body = opening(&self.resource, records);
        let mut front = Vec::with_capacity(self.front);
        http::post(&mut front, &self.host, &self.path, body.len() + records);
        front.extend_from_slice(&body);
        // In one piece: a server that refuses early would else reset the connection before it was read.
        let begin = self.front.checked_sub(front.len());
        let begin =
            begin.ok_or_else(|| Trouble::local("make a request", "its head is too long"))?;
        self.request[begin..self.front].copy_from_slice(&front);
        let wire = self.wire.as_mut().ok_or_else(Trouble::closed)?;
        wire.send(&self.request[begin..])?;
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
        log_record(&mut self.request, &self.unique, record);
        self.count += 1;
        self.last = self.last.max(record.seq);
        match self.request.len() >= self.front + BATCH {
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
        self.request.truncate(self.front);
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

/// ExportLogsServiceRequest with one ResourceLogs with one ScopeLogs, up to its so many bytes of records.
fn opening(resource: &[u8], records: usize) -> Vec<u8> {
    let mut scope = Vec::new();
    Writer(&mut scope).message(1, |w| {
        w.bytes(1, b"cofferdam");
        w.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
    });
    let scope_length = scope.len() + records;
    let mut inner = Vec::new();
    Writer(&mut inner).bytes(1, resource);
    inner.push(2 << 3 | 2);
    varint(&mut inner, scope_length as u64);
    let mut out = vec![1 << 3 | 2];
    varint(&mut out, (inner.len() + scope_length) as u64);
    out.extend_from_slice(&inner);
    out.extend_from_slice(&scope);
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
        if record.pid > 0 {
            w.message(6, |w| {
                w.bytes(1, b"process.pid");
                w.message(2, |w| w.varint(3, record.pid.into()));
            });
        }
        if record.seq > 0 {
            let mut figures = [0; 20];
            let number = decimal(&mut figures, record.seq);
            w.message(6, |w| {
                w.bytes(1, b"log.record.uid");
                w.message(2, |w| w.joined(1, unique.as_bytes(), number));
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
