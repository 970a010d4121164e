//! As much of MessagePack as the forward protocol needs: values to write, and a reader for the answer.
//!
//! Pure. The reader goes at most eight levels deep and never beyond its bytes.

/// Appends the head of a map.
pub fn map(out: &mut Vec<u8>, count: u32) {
    match count {
        0..=15 => out.push(0x80 | count as u8),
        _ => {
            out.push(0xdf);
            out.extend(count.to_be_bytes());
        }
    }
}

/// Appends the head of an array of few elements.
pub fn array(out: &mut Vec<u8>, count: u8) {
    out.push(0x90 | (count & 15));
}

/// Appends the head of an array of any number of elements, which is five bytes whatever the number is.
pub fn long_array(out: &mut Vec<u8>, count: u32) {
    out.push(0xdd);
    out.extend(count.to_be_bytes());
}

/// Appends text.
pub fn string(out: &mut Vec<u8>, text: &str) {
    let length = text.len() as u32;
    match length {
        0..=31 => out.push(0xa0 | length as u8),
        32..=255 => out.extend([0xd9, length as u8]),
        _ => {
            out.push(0xdb);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends bytes that are no text.
pub fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(0xc6);
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a number.
pub fn number(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=127 => out.push(value as u8),
        _ => {
            out.push(0xcf);
            out.extend(value.to_be_bytes());
        }
    }
}

/// Appends fluentd's EventTime: extension 0, seconds and nanoseconds.
pub fn event_time(out: &mut Vec<u8>, time_ns: u64) {
    const NANO: u64 = 1_000_000_000;
    out.extend([0xd7, 0x00]);
    out.extend(((time_ns / NANO) as u32).to_be_bytes());
    out.extend(((time_ns % NANO) as u32).to_be_bytes());
}

/// What an answer can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// More has to arrive.
    Incomplete,
    /// A map that says `ack`: which chunk, and how many bytes the answer took.
    Ack(&'a [u8], usize),
    /// Anything else.
    Other,
}

/// The answer at the front of what has arrived.
#[must_use]
pub fn ack(bytes: &[u8]) -> Answer<'_> {
    let mut reader = Reader { rest: bytes };
    match reader.ack() {
        Ok(Some(chunk)) => Answer::Ack(chunk, bytes.len() - reader.rest.len()),
        Ok(None) | Err(Wrong::Other) => Answer::Other,
        Err(Wrong::Incomplete) => Answer::Incomplete,
    }
}

enum Wrong {
    Incomplete,
    Other,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Wrong::Incomplete)?;
        self.rest = rest;
        Ok(taken)
    }

    fn big(&mut self, width: usize) -> Result<usize, Wrong> {
        let bytes = self.take(width)?;
        let value = bytes.iter().fold(0_u64, |v, b| v << 8 | u64::from(*b));
        usize::try_from(value).map_err(|_| Wrong::Other)
    }

    fn ack(&mut self) -> Result<Option<&'a [u8]>, Wrong> {
        let count = match self.take(1)?[0] {
            head @ 0x80..=0x8f => usize::from(head & 15),
            0xde => self.big(2)?,
            0xdf => self.big(4)?,
            _ => return Err(Wrong::Other),
        };
        let mut found = None;
        for _ in 0..count {
            let key = self.text()?;
            if key == Some(b"ack") {
                found = self.text()?;
            } else {
                self.skip(8)?;
            }
        }
        Ok(found)
    }

    /// A string or bytes; none, and nothing taken beyond it, for another value.
    fn text(&mut self) -> Result<Option<&'a [u8]>, Wrong> {
        let Some(&head) = self.rest.first() else {
            return Err(Wrong::Incomplete);
        };
        let width = match head {
            0xa0..=0xbf => {
                self.take(1)?;
                return self.take(usize::from(head & 31)).map(Some);
            }
            0xd9 | 0xc4 => 1,
            0xda | 0xc5 => 2,
            0xdb | 0xc6 => 4,
            _ => return self.skip(8).map(|()| None),
        };
        self.take(1)?;
        let length = self.big(width)?;
        self.take(length).map(Some)
    }

    fn skip(&mut self, levels: usize) -> Result<(), Wrong> {
        let levels = levels.checked_sub(1).ok_or(Wrong::Other)?;
        let Some(&head) = self.rest.first() else {
            return Err(Wrong::Incomplete);
        };
        let (fixed, inner) = match head {
            0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb => return self.text().map(|_| ()),
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0.. => (0, 0),
            0x80..=0x8f => (0, 2 * usize::from(head & 15)),
            0x90..=0x9f => (0, usize::from(head & 15)),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xd4..=0xd8 => (1 + (1 << (head - 0xd4)), 0),
            _ => return Err(Wrong::Other),
        };
        self.take(1 + fixed)?;
        for _ in 0..inner {
            self.skip(levels)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers() {
        assert_eq!(ack(b"\x81\xa3ack\xa2xyz"), Answer::Ack(b"xy", 8));
        assert_eq!(
            ack(b"\x82\xa1n\x92\x01\xc0\xa3ack\xd9\x02xy"),
            Answer::Ack(b"xy", 14)
        );
        assert_eq!(ack(b"\x81\xa3ack\xc4\x02xy"), Answer::Ack(b"xy", 9));
        assert_eq!(ack(b"\x81\xa3ack"), Answer::Incomplete);
        assert_eq!(ack(b""), Answer::Incomplete);
        assert_eq!(ack(b"\x81\xa3nak\x01"), Answer::Other);
        assert_eq!(ack(b"\x93HELO"), Answer::Other);
        assert_eq!(
            ack(&[&b"\x81\x01"[..], &[0x91; 40][..], &[1][..]].concat()),
            Answer::Other
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Answer::Ack(_, length) = ack(&bytes) {
                prop_assert!(length <= bytes.len());
            }
            let mut tail = vec![0x82];
            tail.extend(&bytes);
            let _ = ack(&tail);
        }
    }
}
