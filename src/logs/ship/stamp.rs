//! A record's time as text, at the speed of records: the date is worked out once a second.

use crate::clock::rfc3339;

/// The second that was written last.
#[derive(Debug, Default)]
pub struct Stamp {
    second: Option<u64>,
    text: String,
}

/// How many digits follow the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// Six: all that RFC 5424 allows.
    Micro,
    /// Nine.
    Nano,
}

impl Stamp {
    /// Appends the time as RFC 3339 in UTC.
    pub fn write(&mut self, out: &mut Vec<u8>, time_ns: u64, digits: Digits) {
        const NANO: u64 = 1_000_000_000;
        let second = time_ns / NANO;
        if self.second != Some(second) {
            self.text = rfc3339(second, 0);
            // Up to and with the point.
            let point = self.text.rfind('.').map_or(0, |at| at + 1);
            self.text.truncate(point);
            self.second = Some(second);
        }
        out.extend_from_slice(self.text.as_bytes());
        let (mut rest, count) = match digits {
            Digits::Micro => (time_ns % NANO / 1000, 6),
            Digits::Nano => (time_ns % NANO, 9),
        };
        let mut figures = [b'0'; 9];
        for place in figures[..count].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&figures[..count]);
        out.push(b'Z');
    }
}

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(decimal(&mut [0; 20], value));
}

/// Numbers in decimal, most of which follow the one before.
#[derive(Debug, Default)]
pub struct Figures {
    value: u64,
    room: [u8; 20],
    length: usize,
}

impl Figures {
    /// The next one.
    pub fn of(&mut self, value: u64) -> &[u8] {
        let last = &mut self.room[19];
        let follows = self.value.checked_add(1) == Some(value) && self.length > 0;
        match follows && *last != b'9' {
            true => *last += 1,
            false => self.length = decimal(&mut self.room, value).len(),
        }
        self.value = value;
        &self.room[20 - self.length..]
    }
}

/// A number in decimal, at the end of the given room.
pub fn decimal(room: &mut [u8; 20], mut value: u64) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers() {
        let (mut stamp, mut out) = (Stamp::default(), Vec::new());
        stamp.write(&mut out, 951_782_400_001_500_009, Digits::Micro);
        out.push(b' ');
        stamp.write(&mut out, 951_782_400_000_000_009, Digits::Nano);
        out.push(b' ');
        number(&mut out, 0);
        out.push(b' ');
        number(&mut out, u64::MAX);
        let text =
            "2000-02-29T00:00:00.001500Z 2000-02-29T00:00:00.000000009Z 0 18446744073709551615";
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let mut figures = Figures::default();
        for n in (0..1200).chain([7, 8, u64::MAX - 1, u64::MAX, 0, 1]) {
            assert_eq!(figures.of(n), n.to_string().as_bytes());
        }
        let mut any = Vec::new();
        stamp.write(&mut any, u64::MAX, Digits::Nano);
    }
}
