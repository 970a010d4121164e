//! What a RELP collector says, taken apart: hostile input.
//!
//! Pure. Any bytes are frames, parts of one, or an error.

use super::super::trouble::Trouble;

/// Longest answer that is taken.
const LONGEST: usize = 4096;

/// What a collector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To the frame of this number.
    Response {
        /// Which frame.
        number: u32,
        /// 200 is good.
        code: u32,
        /// The rest of the first line, if it is not good.
        text: String,
    },
    /// It will close the connection.
    Close,
}

/// What has arrived of the collector's frames; whoever fills it bounds it.
#[derive(Debug, Default)]
pub struct Answers {
    /// Bytes that were not parsed yet.
    pub bytes: Vec<u8>,
    parsed: usize,
}

impl Answers {
    /// The next complete frame.
    pub fn take(&mut self) -> Result<Option<Answer>, Trouble> {
        let rest = &self.bytes[self.parsed.min(self.bytes.len())..];
        match parse(rest)? {
            Some((answer, length)) => {
                self.parsed += length;
                Ok(Some(answer))
            }
            None => {
                self.bytes.drain(..self.parsed.min(self.bytes.len()));
                self.parsed = 0;
                Ok(None)
            }
        }
    }
}

/// One frame from the front: the answer and how many bytes it took; none if it isn't complete.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Trouble> {
    let wrong = |what: &str| Trouble::protocol(format!("the collector's RELP answer {what}"));
    let Some((head, data_at)) = head(bytes).map_err(wrong)? else {
        return Ok(None);
    };
    if head.length > LONGEST - 64 {
        return Err(wrong("is too long"));
    }
    let Some(&end) = bytes.get(data_at + head.length) else {
        return Ok(None);
    };
    if end != b'\n' {
        return Err(wrong("does not end where it says"));
    }
    let taken = data_at + head.length + 1;
    let data = &bytes[data_at..data_at + head.length];
    match head.command {
        b"serverclose" => Ok(Some((Answer::Close, taken))),
        b"rsp" => {
            let line = data.split(|b| *b == b'\n').next().unwrap_or_default();
            let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
            let code = decimal(&line[..digits]).ok_or_else(|| wrong("has no code"))?;
            let text = match code {
                200 => String::new(),
                _ => said(&line[digits..]),
            };
            let number = head.number;
            Ok(Some((Answer::Response { number, code, text }, taken)))
        }
        _ => Err(wrong("is none")),
    }
}

/// What may be shown of a sentence.
fn said(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let shown = text.trim().chars().filter(|c| !c.is_control());
    shown.take(200).collect()
}

struct Head<'a> {
    number: u32,
    command: &'a [u8],
    length: usize,
}

/// Number, command and length, and where the data begins; none if more has to arrive.
fn head(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, &'static str> {
    let word = |from: usize, most: usize| -> Result<Option<usize>, &'static str> {
        let rest = bytes.get(from..).unwrap_or_default();
        let end = rest
            .iter()
            .take(most + 1)
            .position(|b| *b == b' ' || *b == b'\n');
        match end {
            Some(0) => Err("has an empty word"),
            Some(length) => Ok(Some(from + length)),
            None if rest.len() > most => Err("has a word that is too long"),
            None => Ok(None),
        }
    };
    let Some(number_end) = word(0, 9)? else {
        return Ok(None);
    };
    let Some(command_end) = word(number_end + 1, 32)? else {
        return Ok(None);
    };
    let Some(length_end) = word(command_end + 1, 9)? else {
        return Ok(None);
    };
    if bytes[number_end] != b' ' || bytes[command_end] != b' ' {
        return Err("breaks off");
    }
    let number = decimal(&bytes[..number_end]).ok_or("has no number")?;
    let length = decimal(&bytes[command_end + 1..length_end]).ok_or("has no length")?;
    let head = Head {
        number,
        command: &bytes[number_end + 1..command_end],
        length: length as usize,
    };
    // Without data the line feed follows the length at once.
    let data_at = match bytes[length_end] {
        b' ' => length_end + 1,
        _ if length == 0 => length_end,
        _ => return Err("ends before its data"),
    };
    Ok(Some((head, data_at)))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(bytes: &[u8]) -> Result<Vec<Answer>, Trouble> {
        let mut answers = Answers {
            bytes: bytes.to_vec(),
            parsed: 0,
        };
        let mut all = Vec::new();
        while let Some(answer) = answers.take()? {
            all.push(answer);
        }
        Ok(all)
    }

    #[test]
    fn answers_as_librelp_writes_them() {
        let response = |number, code, text: &str| Answer::Response {
            number,
            code,
            text: text.into(),
        };
        let bytes = b"1 rsp 93 200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog\n2 rsp 6 200 OK\n3 rsp 9 500 error\n0 serverclose 0\n4 rsp";
        let all = told(bytes).unwrap();
        assert_eq!(
            all,
            [
                response(1, 200, ""),
                response(2, 200, ""),
                response(3, 500, "error"),
                Answer::Close
            ]
        );
        for wrong in [
            &b"x rsp 6 200 OK\n"[..],
            b"1 rsp 6 200 OKx",
            b"1 rsp 5000 ",
            b"1 rsp 1 x\n",
            b"1 syslog 0\n",
            b" 1",
            b"1234567890123",
            b"1\nrsp 0\n",
            b"1 rsp 3\nabc\n",
        ] {
            assert!(told(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = told(&bytes);
        }

        #[test]
        fn what_is_cut_anywhere_is_the_same(cut in 0_usize..30) {
            let bytes = b"1 rsp 6 200 OK\n2 rsp 6 200 OK\n";
            let mut answers = Answers { bytes: bytes[..cut].to_vec(), parsed: 0 };
            let mut count = 0;
            while answers.take().unwrap().is_some() { count += 1; }
            answers.bytes.extend_from_slice(&bytes[cut..]);
            while answers.take().unwrap().is_some() { count += 1; }
            prop_assert_eq!(count, 2);
        }
    }
}
