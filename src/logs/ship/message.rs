//! A record as an RFC 5424 message: nothing in it can end it early, forge another or move a terminal's cursor.
//!
//! Bytes that are not UTF-8 and control characters but the tab become `\xHH`; then the parameter enc="esc" stands in the
//! structured data, a backslash is escaped too, and what was written can be recovered exactly. A line that is longer
//! than the collector takes comes in parts (part="1/3") with one number. Used by syslog and RELP.

use super::super::{Kind, Origin, Record, Stream};
use super::stamp::{Digits, Figures, Stamp, number};
use crate::policy::Target;

/// What every receiver should take (RFC 5425, 4.3.1).
const USUAL: usize = 8192;
/// The number that documents use (RFC 5612).
const ENTERPRISE: u32 = 32473;

/// Makes messages of one container.
#[derive(Debug)]
pub struct Messages {
    host_and_app: Vec<u8>,
    data: Vec<u8>,
    most: usize,
    stamp: Stamp,
    /// What stands in front of the number, and the records for which it does.
    head: Vec<u8>,
    key: Option<Key>,
    figures: Figures,
    tail: Vec<u8>,
    body: Vec<u8>,
}

/// Time, stream, process, whether it is a gap, whether it has a number.
type Key = (u64, Stream, u32, bool, bool);

impl Messages {
    /// For records of this origin, as this target takes them.
    pub fn new(origin: &Origin, target: &Target) -> Self {
        let mut host_and_app = vec![b' '];
        header_word(&mut host_and_app, &origin.host, 255);
        host_and_app.push(b' ');
        let app = origin.name.as_deref().unwrap_or(&origin.id);
        header_word(&mut host_and_app, app, 48);
        let enterprise = target.enterprise.unwrap_or(ENTERPRISE);
        let mut data = format!("[ctr@{enterprise}").into_bytes();
        parameter(&mut data, "id", &origin.id);
        if let Some(name) = &origin.name {
            parameter(&mut data, "name", name);
        }
        if let Some(image) = &origin.image {
            parameter(&mut data, "image", image);
        }
        parameter(&mut data, "boot", &origin.boot);
        parameter(&mut data, "launch", &origin.launch);
        let most = target.max_message.map_or(USUAL as u64, |most| most.0);
        Self {
            host_and_app,
            data,
            most: usize::try_from(most).unwrap_or(USUAL),
            stamp: Stamp::default(),
            head: Vec::new(),
            key: None,
            figures: Figures::default(),
            tail: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Appends each message of a record: one, unless the line is too long for one. `open` comes in front of a message and
    /// is told its length, `close` comes behind it.
    pub fn each<E>(
        &mut self,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        mut open: impl FnMut(&mut Vec<u8>, usize),
        mut close: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let plain = is_plain(record.bytes);
        self.head(record);
        tail(&mut self.tail, record, plain, None);
        let number = match record.seq {
            // What the shipper says by itself has no number.
            0 => b"",
            seq => self.figures.of(seq),
        };
        // Four for each byte that may have to be escaped, and room for the number of the part.
        let around = self.head.len() + number.len() + self.tail.len();
        let room = self.most.saturating_sub(around + 32).max(256);
        let room = if plain { room } else { room / 4 };
        let mut pieces = Pieces::new(record.bytes, room, plain);
        let count = match record.bytes.len() > room {
            true => pieces.clone().count(),
            false => 1,
        };
        for at in 1..=count {
            if count > 1 {
                tail(&mut self.tail, record, plain, Some((at, count)));
            }
            let piece = pieces.next().unwrap_or_default();
            let text = match plain {
                true => piece,
                false => {
                    self.body.clear();
                    escaped(&mut self.body, piece);
                    &self.body
                }
            };
            let parts = [&self.head, number, &self.tail, text];
            open(out, parts.iter().map(|part| part.len()).sum());
            parts.iter().for_each(|part| out.extend_from_slice(part));
            close(out)?;
        }
        Ok(())
    }

    /// Everything up to the record's number; that is the same for all records of a frame.
    fn head(&mut self, record: &Record<'_>) {
        let key = (
            record.time_ns,
            record.stream,
            record.pid,
            record.kind == Kind::Gap,
            record.seq > 0,
        );
        if self.key.replace(key) == Some(key) {
            return;
        }
        let head = &mut self.head;
        head.clear();
        let (priority, message_id, stream) = kinds(record);
        head.extend_from_slice(priority);
        self.stamp.write(head, record.time_ns, Digits::Micro);
        head.extend_from_slice(&self.host_and_app);
        // PROCID: of a second program alone, for the first is the one that the whole launch is.
        match record.pid {
            0 => head.extend_from_slice(b" -"),
            pid => {
                head.push(b' ');
                number(head, pid.into());
            }
        }
        head.extend_from_slice(message_id);
        head.extend_from_slice(&self.data);
        head.extend_from_slice(stream);
        if record.seq > 0 {
            head.extend_from_slice(b" seq=\"");
        }
    }
}

/// Everything between the number and the text.
fn tail(out: &mut Vec<u8>, record: &Record<'_>, plain: bool, part: Option<(usize, usize)>) {
    out.clear();
    if record.seq > 0 {
        out.push(b'"');
    }
    if record.kind == Kind::Partial {
        out.extend_from_slice(b" more=\"1\"");
    }
    if !plain {
        out.extend_from_slice(b" enc=\"esc\"");
    }
    if let Some((at, count)) = part {
        out.extend_from_slice(b" part=\"");
        number(out, at as u64);
        out.push(b'/');
        number(out, count as u64);
        out.push(b'"');
    }
    out.extend_from_slice(b"] ");
}

/// Priority and version; message id; stream.
fn kinds(record: &Record<'_>) -> (&'static [u8], &'static [u8], &'static [u8]) {
    let stream: &[u8] = match record.stream {
        Stream::Stdout => b" stream=\"stdout\"",
        Stream::Stderr => b" stream=\"stderr\"",
        Stream::Event => b" stream=\"event\"",
    };
    match (record.kind, record.stream) {
        // Log audit, warning.
        (Kind::Gap, _) => (b"<108>1 ", b" gap ", stream),
        // Log audit, notice.
        (_, Stream::Event) => (b"<109>1 ", b" event ", stream),
        // User, informational and error.
        (_, Stream::Stdout) => (b"<14>1 ", b" out ", stream),
        (_, Stream::Stderr) => (b"<11>1 ", b" err ", stream),
    }
}

/// A word of the header: printable ASCII, anything else an underscore.
fn header_word(out: &mut Vec<u8>, word: &str, most: usize) {
    if word.is_empty() {
        out.push(b'-');
    }
    let fits = |b: u8| if b.is_ascii_graphic() { b } else { b'_' };
    out.extend(word.bytes().take(most).map(fits));
}

/// A parameter of the structured data (RFC 5424, 6.3.3); control characters would survive there, so they go.
fn parameter(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' | ']' => out.extend([b'\\', letter as u8]),
            _ if letter.is_control() => out.push(b'_'),
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Whether the bytes may stand as they are: UTF-8 without control characters but the tab.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // No way out in the middle: that way the compiler looks at sixteen at once.
    let (mut control, mut high) = (false, false);
    for &byte in bytes {
        control |= (byte < 0x20) & (byte != b'\t') | (byte == 0x7f);
        high |= byte >= 0x80;
    }
    // The C1 control characters are C2 80 to C2 9F.
    !control
        && (!high
            || (std::str::from_utf8(bytes).is_ok()
                && !bytes.windows(2).any(|w| w[0] == 0xc2 && w[1] < 0xa0)))
}

/// Appends a text that may not stand as it is.
pub(super) fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut four = [0; 4];
            let letter_bytes = letter.encode_utf8(&mut four).as_bytes();
            if letter == '\\' || (letter.is_control() && letter != '\t') {
                escape(out, letter_bytes);
            } else {
                out.extend_from_slice(letter_bytes);
            }
        }
        escape(out, chunk.invalid());
    }
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        let (high, low) = (
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        );
        out.extend([b'\\', b'x', high, low]);
    }
}

/// A long line in pieces, none of which ends within a character.
#[derive(Clone)]
struct Pieces<'a> {
    rest: &'a [u8],
    room: usize,
    whole_letters: bool,
}

impl<'a> Pieces<'a> {
    fn new(rest: &'a [u8], room: usize, whole_letters: bool) -> Self {
        Self {
            rest,
            room,
            whole_letters,
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut end = self.room.min(self.rest.len());
        let inside = |at: usize| self.rest.get(at).is_some_and(|b| b & 0xc0 == 0x80);
        while self.whole_letters && inside(end) {
            end -= 1;
        }
        let (piece, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(piece)
    }
}

#[cfg(test)]
#[path = "message/tests.rs"]
mod tests;
