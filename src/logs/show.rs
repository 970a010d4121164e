//! Records on the screen or as lines of JSON.
//!
//! A terminal gets no control character of the container's: a log can't move its reader's cursor (CVE-2003-0063).
//! Anything else gets the bytes as they were written.

use super::record::{Kind, Record, Stream};
use super::spool::Frame;
use crate::clock;
use crate::sys::output::Output;
use serde_json::json;
use std::io::{BufWriter, IsTerminal, Write};

/// Which records.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// "stdout", "stderr", "exec", "event" or "all"; `None`: the program's own.
    pub stream: Option<String>,
    /// Not older than this, RFC 3339.
    pub since: Option<String>,
}

/// Prints records.
pub struct Printer {
    wanted: Wanted,
    json: bool,
    timestamps: bool,
    since_ns: u64,
    out: [Out; 2],
}

struct Out {
    to: BufWriter<Box<dyn Write>>,
    escaped: bool,
    /// The line that is being printed has begun.
    inside: bool,
}

impl Out {
    fn new(to: Box<dyn Write>, escaped: bool) -> Self {
        Self {
            to: BufWriter::with_capacity(64 << 10, to),
            escaped,
            inside: false,
        }
    }
}

impl Printer {
    /// To standard output and standard error.
    pub fn new(wanted: Wanted, json: bool, timestamps: bool) -> Self {
        let since = wanted.since.as_deref().and_then(clock::seconds);
        let since_ns = since.map_or(0, |(s, us)| {
            // A year that no record can be of is later than all of them.
            s.saturating_mul(1_000_000_000).saturating_add(us * 1000)
        });
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let escaped = [out.is_terminal(), err.is_terminal()];
        Self {
            wanted,
            json,
            timestamps,
            since_ns,
            out: [
                Out::new(Box::new(Output), escaped[0]),
                Out::new(Box::new(err), escaped[1]),
            ],
        }
    }

    /// Prints a frame's records; false when nobody reads any more.
    pub fn frame(&mut self, frame: &Frame<'_>) -> bool {
        if frame.time_ns < self.since_ns && frame.time_ns != 0 {
            return true;
        }
        frame.records().all(|record| self.record(&record).is_ok())
    }

    fn is_wanted(&self, record: &Record<'_>) -> bool {
        match (self.wanted.stream.as_deref(), record.stream) {
            (Some("all"), _) => true,
            // What is missing is told whatever else was asked for.
            _ if record.kind == Kind::Gap => true,
            (Some("exec"), _) => record.pid > 0,
            // Not the program's own.
            _ if record.pid > 0 => false,
            (Some("event"), stream) => stream == Stream::Event,
            (Some("stdout"), stream) => stream == Stream::Stdout,
            (Some("stderr"), stream) => stream == Stream::Stderr,
            (_, stream) => stream != Stream::Event,
        }
    }

    fn record(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        if !self.is_wanted(record) {
            return Ok(());
        }
        if self.json {
            return self.as_json(record);
        }
        let out =
            &mut self.out[usize::from(record.stream == Stream::Stderr || record.kind == Kind::Gap)];
        if self.timestamps && !out.inside {
            write!(out.to, "{} ", time(record.time_ns))?;
        }
        match record.kind {
            Kind::Gap => {
                let text = String::from_utf8_lossy(record.bytes);
                writeln!(out.to, "[missing: {text}]")?;
            }
            _ if out.escaped => out.to.write_all(escaped(record.bytes).as_bytes())?,
            _ => out.to.write_all(record.bytes)?,
        }
        out.inside = record.kind == Kind::Partial;
        if record.kind == Kind::Line {
            out.to.write_all(b"\n")?;
        }
        Ok(())
    }

    fn as_json(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        let mut value = json!({
            "seq": record.seq,
            "time": time(record.time_ns),
            "stream": record.stream,
            "kind": record.kind,
        });
        if record.pid > 0 {
            value["pid"] = record.pid.into();
        }
        match std::str::from_utf8(record.bytes) {
            Ok(text) => value["text"] = text.into(),
            Err(_) => value["hex"] = crate::digest::hex(record.bytes).into(),
        }
        writeln!(self.out[0].to, "{value}")
    }

    /// What is printed is seen; false when nobody reads any more.
    pub fn flush(&mut self) -> bool {
        // Both, whatever becomes of the first.
        let shown = self.out.each_mut().map(|out| out.to.flush().is_ok());
        shown == [true; 2]
    }
}

fn time(ns: u64) -> String {
    clock::rfc3339(ns / 1_000_000_000, (ns % 1_000_000_000) as u32)
}

/// Text for a terminal: control characters but the tab, and bytes that are no text, as \xHH.
pub fn escaped(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => out.push(c),
                // Directions and other characters that show as nothing could hide what stands there.
                c if c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
                {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(out, "\\x{byte:02x}");
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_terminal_is_not_moved() {
        let shown = super::escaped(b"a\x1b[2Jb\r\x00\xff\tc\xe2\x80\xaed\xc2\x9b31m");
        assert_eq!(
            shown,
            "a\\x1b[2Jb\\x0d\\x00\\xff\tc\\xe2\\x80\\xaed\\xc2\\x9b31m"
        );
    }
}
