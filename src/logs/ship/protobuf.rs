//! As much of protobuf's wire format as OTLP's logs need: fields to write, and a reader for the short answer.
//!
//! Pure. Messages are written in place: the length goes in front when the content is known.

/// Appends fields to a message.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// A number.
    pub fn varint(&mut self, field: u32, value: u64) {
        varint(self.0, u64::from(field << 3));
        varint(self.0, value);
    }

    /// Eight bytes.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        varint(self.0, u64::from(field << 3 | 1));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Text, or any bytes.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        varint(self.0, u64::from(field << 3 | 2));
        varint(self.0, value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Text in two parts.
    pub fn joined(&mut self, field: u32, first: &[u8], second: &[u8]) {
        varint(self.0, u64::from(field << 3 | 2));
        varint(self.0, (first.len() + second.len()) as u64);
        self.0.extend_from_slice(first);
        self.0.extend_from_slice(second);
    }

    /// A message in the message.
    pub fn message(&mut self, field: u32, content: impl FnOnce(&mut Writer<'_>)) {
        varint(self.0, u64::from(field << 3 | 2));
        // Most are shorter than what one byte can tell.
        self.0.push(0);
        let start = self.0.len();
        content(&mut Writer(self.0));
        let length = self.0.len() - start;
        if length < 0x80 {
            self.0[start - 1] = length as u8;
            return;
        }
        let mut digits = [0x80; 10];
        let mut count = 0;
        let mut rest = length;
        while rest > 0 {
            digits[count] |= rest as u8;
            rest >>= 7;
            count += 1;
        }
        digits[count - 1] &= 0x7f;
        let more = count - 1;
        self.0.resize(start + length + more, 0);
        self.0.copy_within(start..start + length, start + more);
        self.0[start - 1..start + more].copy_from_slice(&digits[..count]);
    }
}

/// Appends a number, seven bits a byte.
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, of whatever width.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

/// Reads fields from the front; ends at the first byte that is none.
#[derive(Clone, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Iterator for Reader<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.number()?;
        let field = u32::try_from(key >> 3).ok().filter(|f| *f > 0)?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            _ => return None,
        };
        Some((field, value))
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_as_protoc_writes_them() {
        let mut out = Vec::new();
        let mut w = Writer(&mut out);
        w.varint(1, 150);
        w.message(3, |w| w.bytes(2, b"testing"));
        w.fixed64(11, 1);
        assert_eq!(
            out,
            b"\x08\x96\x01\x1a\x09\x12\x07testing\x59\x01\0\0\0\0\0\0\0"
        );
        let all: Vec<_> = Reader(&out).collect();
        assert_eq!(all[0], (1, Value::Number(150)));
        assert_eq!(all[1], (3, Value::Bytes(b"\x12\x07testing")));
        assert_eq!(all[2], (11, Value::Number(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Reader(&bytes).count() <= bytes.len());
        }

        #[test]
        fn numbers_come_back(value in any::<u64>()) {
            let mut out = Vec::new();
            Writer(&mut out).varint(5, value);
            prop_assert_eq!(Reader(&out).next(), Some((5, Value::Number(value))));
        }
    }
}
