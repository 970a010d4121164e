//! A frame: its header, its checksum, and the one rule by which its bytes become records.
//!
//! Pure. Must stay a function of the frame alone: readers that begin anywhere have to count alike.

use super::super::record::{Kind, Record, Stream, Whose};

/// Bytes in front of a frame's own.
pub const HEADER: usize = 28;

/// Most bytes of a frame: what one read takes.
pub const MOST: usize = 64 << 10;

/// Most bytes of a record; a longer line becomes several, all but the last of them partial.
pub const RECORD: usize = 16 << 10;

const GAP: u8 = 0x10;

/// Largest process id (PID_MAX_LIMIT): it fits into three bytes.
const MOST_PID: u32 = 4 << 20;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) len: usize,
    pub(super) sum: u32,
    pub(super) seq: u64,
    pub(super) time_ns: u64,
    pub(super) stream: Stream,
    pub(super) pid: u32,
    pub(super) gap: bool,
}

impl Top {
    /// Reads a header; `None` if nothing that was written looks like this.
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let four = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        let eight =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let len = four(0) as usize;
        let stream = match bytes[24] & !GAP {
            0 => Stream::Stdout,
            1 => Stream::Stderr,
            2 => Stream::Event,
            _ => return None,
        };
        let top = Self {
            len,
            sum: four(4),
            seq: eight(8),
            time_ns: eight(16),
            stream,
            pid: u32::from_le_bytes([bytes[25], bytes[26], bytes[27], 0]),
            gap: bytes[24] & GAP != 0,
        };
        let right = (1..=MOST).contains(&len) && (top.pid == 0 || top.has_pid()) && top.seq != 0;
        right.then_some(top)
    }

    /// Nobody else's words are a second program's.
    fn has_pid(&self) -> bool {
        self.stream != Stream::Event && !self.gap && self.pid <= MOST_PID
    }

    /// Whether the bytes are those that it was made for.
    pub(super) fn holds(&self, salt: &[u8], header: &[u8; HEADER], bytes: &[u8]) -> bool {
        sum(salt, header, bytes) == self.sum
    }
}

fn sum(salt: &[u8], header: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(salt);
    hasher.update(&header[..4]);
    hasher.update(&header[8..HEADER]);
    hasher.update(bytes);
    hasher.finalize()
}

/// Writes the header into the first [`HEADER`] bytes of `whole`, behind which the frame's bytes stand.
pub(super) fn seal(salt: &[u8], whole: &mut [u8], seq: u64, time_ns: u64, whose: Whose, gap: bool) {
    let (header, bytes) = whole.split_at_mut(HEADER);
    header[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..24].copy_from_slice(&time_ns.to_le_bytes());
    let stream = match whose.stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::Event => 2,
    };
    let [first, second, third, _] = whose.pid.to_le_bytes();
    let kind = stream | if gap { GAP } else { 0 };
    header[24..].copy_from_slice(&[kind, first, second, third]);
    let sum = sum(salt, header, bytes);
    header[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// A frame that was read: one or more records of one stream, read from the pipe at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Number of its first record.
    pub seq: u64,
    /// Records with smaller numbers were read before.
    pub(super) from: u64,
    /// Not written: the reader met damage here.
    pub(super) met: bool,
    /// When its bytes were read from the pipe.
    pub time_ns: u64,
    /// Which stream.
    pub stream: Stream,
    /// Of which program that `exec` has started; 0: the container's own.
    pub pid: u32,
    /// Whether it says what is missing here, instead of holding output.
    pub gap: bool,
    /// Its bytes, line feeds included.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Its records, in order, without those that the reader's position says were delivered.
    pub fn records(&self) -> Records<'a> {
        let mut all = Records {
            seq: self.seq,
            time_ns: self.time_ns,
            stream: self.stream,
            pid: self.pid,
            whole: match (self.gap, self.stream) {
                (true, _) => Some(Kind::Gap),
                (false, Stream::Event) => Some(Kind::Line),
                (false, _) => None,
            },
            rest: self.bytes,
        };
        while all.seq < self.from && all.next().is_some() {}
        all
    }
}

/// The records of a frame.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    pub(super) seq: u64,
    pub(super) time_ns: u64,
    pub(super) stream: Stream,
    pub(super) pid: u32,
    /// The frame is one record, of this kind.
    pub(super) whole: Option<Kind>,
    pub(super) rest: &'a [u8],
}

impl Records<'_> {
    /// The number of the next one.
    pub fn number(&self) -> u64 {
        self.seq
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (bytes, kind, used) = match self.whole {
            Some(kind) => (self.rest, kind, self.rest.len()),
            None => piece(self.rest),
        };
        self.rest = &self.rest[used..];
        let seq = self.seq;
        self.seq += 1;
        Some(Record {
            seq,
            time_ns: self.time_ns,
            stream: self.stream,
            pid: self.pid,
            kind,
            bytes,
        })
    }
}

/// The first record of some output: its bytes, its kind, and how many bytes it used up.
fn piece(bytes: &[u8]) -> (&[u8], Kind, usize) {
    // One more: a line of exactly RECORD bytes is whole with its line feed.
    let near = &bytes[..bytes.len().min(RECORD + 1)];
    match memchr::memchr(b'\n', near) {
        Some(end) => (&bytes[..end], Kind::Line, end + 1),
        None => {
            let end = bytes.len().min(RECORD);
            (&bytes[..end], Kind::Partial, end)
        }
    }
}

/// How many records some output makes as one frame.
pub fn count(bytes: &[u8]) -> u64 {
    let (mut records, mut rest) = (0, bytes);
    while !rest.is_empty() {
        // Every line that begins and ends in here is one record, however many there are: no need to look at each.
        let near = &rest[..rest.len().min(RECORD + 1)];
        let used = match memchr::memrchr(b'\n', near) {
            Some(end) => {
                records += memchr::memchr_iter(b'\n', &near[..end]).count();
                end + 1
            }
            None => rest.len().min(RECORD),
        };
        records += 1;
        rest = &rest[used..];
    }
    records as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame {
            seq: 1,
            from: 1,
            met: false,
            time_ns: 0,
            stream: Stream::Stdout,
            pid: 0,
            gap: false,
            bytes,
        }
    }

    fn joined(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for record in frame(bytes).records() {
            out.extend_from_slice(record.bytes);
            if record.kind == Kind::Line {
                out.push(b'\n');
            }
        }
        out
    }

    #[test]
    fn long_lines_are_parts_and_their_ends_lines() {
        for extra in [0usize, 1, 2] {
            for newline in [false, true] {
                let mut bytes = vec![b'x'; RECORD * 2 - 1 + extra];
                if newline {
                    bytes.push(b'\n');
                }
                let records: Vec<_> = frame(&bytes).records().collect();
                assert_eq!(records.len() as u64, count(&bytes), "{extra} {newline}");
                assert_eq!(joined(&bytes), bytes);
                assert_eq!(records.last().unwrap().kind == Kind::Line, newline);
            }
        }
    }

    proptest! {
        #[test]
        fn records_are_counted_as_they_are_made_and_lose_nothing(
            parts in proptest::collection::vec((0usize..40_000, any::<bool>()), 0..8)
        ) {
            let mut bytes = Vec::new();
            for (len, end) in parts {
                bytes.extend(std::iter::repeat_n(b'a', len));
                if end { bytes.push(b'\n'); }
            }
            prop_assert_eq!(frame(&bytes).records().count() as u64, count(&bytes));
            prop_assert_eq!(joined(&bytes), bytes);
        }

        #[test]
        fn a_sealed_frame_is_read_back_and_any_flipped_bit_is_seen(
            bytes in proptest::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), bit in 0u8..8,
            pid in 0..=MOST_PID
        ) {
            let mut whole = vec![0; HEADER];
            whole.extend_from_slice(&bytes);
            let whose = Whose { stream: Stream::Stderr, pid };
            seal(b"salt", &mut whole, 7, 9, whose, false);
            let read = |whole: &[u8]| {
                let header: [u8; HEADER] = whole[..HEADER].try_into().unwrap();
                Top::parse(&header).filter(|t| t.len == whole.len() - HEADER && t.holds(b"salt", &header, &whole[HEADER..]))
            };
            prop_assert_eq!(read(&whole).map(|t| (t.seq, t.time_ns, t.stream, t.pid)), Some((7, 9, Stream::Stderr, pid)));
            let at = at.index(whole.len());
            whole[at] ^= 1 << bit;
            prop_assert_eq!(read(&whole), None);
        }
    }
}
