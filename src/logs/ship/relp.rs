//! RELP (rsyslog's reliable event logging protocol, version 0), the client's half: every message is acknowledged.
//!
//! A frame is `NUMBER COMMAND LENGTH DATA\n`. Up to [`WINDOW`] messages are on their way at once; what was not
//! acknowledged when a connection breaks is sent again. Answers are parsed by [`Answers`], which takes any bytes.

use super::super::{Origin, Record};
use super::message::Messages;
use super::sink::{Ended, Rejected, Sink};
use super::stamp::number;
use super::trouble::{Cause, Trouble};
use super::wire::{DRAIN, WRITE, Wire};
use crate::policy::Target;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Messages on their way at once.
const WINDOW: usize = 1024;
/// How much is gathered before it is sent.
const GATHERED: usize = 32 * 1024;
/// Longest answer that is taken.
const LONGEST: usize = 4096;
/// Numbers of frames begin again behind this one.
const LAST_NUMBER: u32 = 999_999_999;

/// A session.
pub struct Relp {
    wire: Wire,
    messages: Messages,
    gathered: Vec<u8>,
    number: u32,
    /// Frames that are not acknowledged: their number, and that of the record that is complete with them.
    open: VecDeque<(u32, Option<u64>)>,
    acknowledged: u64,
    answers: Answers,
    rejected: Option<Rejected>,
    since: Instant,
}

impl Relp {
    /// Opens a session over a connection that stands.
    pub fn new(
        wire: Wire,
        origin: &Origin,
        target: &Target,
        delivered: u64,
    ) -> Result<Self, Trouble> {
        let mut relp = Self {
            wire,
            messages: Messages::new(origin, target),
            gathered: Vec::with_capacity(GATHERED),
            number: 0,
            open: VecDeque::new(),
            acknowledged: delivered,
            answers: Answers::default(),
            rejected: None,
            since: Instant::now(),
        };
        let version = env!("CARGO_PKG_VERSION");
        let offers = format!("relp_version=0\nrelp_software=cofferdam,{version}\ncommands=syslog");
        relp.frame("open", offers.as_bytes());
        relp.wire.send(&relp.gathered)?;
        relp.gathered.clear();
        let until = Instant::now() + WRITE;
        loop {
            match relp.answers.take()? {
                Some(Answer::Response { code: 200, .. }) => return Ok(relp),
                Some(Answer::Response { code, text, .. }) => {
                    let text = format!("the collector opens no RELP session: {code} {text}");
                    return Err(Trouble::new(Cause::Refused, text));
                }
                Some(Answer::Close) => return Err(Trouble::closed()),
                None => {}
            }
            if !relp.wire.wait(until)? {
                let text = "the collector doesn't answer the RELP open; is this a RELP port?";
                return Err(Trouble::new(Cause::Away, text));
            }
            relp.wire.receive(&mut relp.answers.bytes, LONGEST)?;
        }
    }

    fn frame(&mut self, command: &str, data: &[u8]) {
        self.number = after(self.number);
        frame(&mut self.gathered, self.number, command, data);
    }

    fn take_answers(&mut self) -> Result<(), Trouble> {
        while let Some(answer) = self.answers.take()? {
            match answer {
                Answer::Response { number, code, text } => self.answered(number, code, &text)?,
                Answer::Close => return Err(Trouble::closed()),
            }
        }
        Ok(())
    }

    fn answered(&mut self, number: u32, code: u32, text: &str) -> Result<(), Trouble> {
        let Some(&(expected, complete)) = self.open.front() else {
            return Err(Trouble::protocol(
                "the collector acknowledges what was not sent",
            ));
        };
        if number != expected {
            let text = format!("the collector acknowledges frame {number} before {expected}");
            return Err(Trouble::protocol(text));
        }
        self.open.pop_front();
        self.since = Instant::now();
        let record = complete.unwrap_or(self.acknowledged + 1);
        // What the shipper says by itself is not told about again.
        if code != 200 && record > 0 {
            let why = format!("{code} {text}");
            let rejected = self.rejected.get_or_insert(Rejected {
                count: 0,
                first: record,
                last: record,
                why,
            });
            rejected.count += 1;
            rejected.last = record;
        }
        if let Some(seq) = complete {
            self.acknowledged = self.acknowledged.max(seq);
        }
        Ok(())
    }
}

impl Sink for Relp {
    fn has_room(&self) -> bool {
        self.open.len() < WINDOW
    }

    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        if self.open.is_empty() {
            self.since = Instant::now();
        }
        let (gathered, open, count) = (&mut self.gathered, &mut self.open, &mut self.number);
        let Ok(()) = self.messages.each(record, |message| {
            *count = after(*count);
            frame(gathered, *count, "syslog", message);
            open.push_back((*count, None));
            Ok::<(), Infallible>(())
        });
        if let Some(last) = open.back_mut() {
            last.1 = Some(record.seq);
        }
        match self.gathered.len() >= GATHERED {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        if !self.gathered.is_empty() {
            self.wire.send(&self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Trouble> {
        loop {
            let more = self.wire.receive(&mut self.answers.bytes, LONGEST);
            self.take_answers()?;
            if !more? {
                break;
            }
        }
        if !self.open.is_empty() && self.since.elapsed() > 3 * WRITE {
            let text = "the collector acknowledges nothing any more";
            return Err(Trouble::new(Cause::Away, text));
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wire.descriptor())
    }

    fn rejected(&mut self) -> Option<Rejected> {
        self.rejected.take()
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Ended {
        let until = Instant::now() + WRITE;
        let mut standing = self.flush().is_ok();
        while standing && !self.open.is_empty() {
            standing = matches!(self.wire.wait(until), Ok(true)) && self.receive().is_ok();
        }
        self.frame("close", b"");
        let _ = self.flush();
        let acknowledged = self.acknowledged;
        self.wire.finish(DRAIN);
        Ended::at(acknowledged)
    }
}

fn after(number: u32) -> u32 {
    if number >= LAST_NUMBER { 1 } else { number + 1 }
}

fn frame(out: &mut Vec<u8>, count: u32, command: &str, data: &[u8]) {
    number(out, count.into());
    out.push(b' ');
    out.extend_from_slice(command.as_bytes());
    out.push(b' ');
    number(out, data.len() as u64);
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// What a collector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To the frame of this number.
    Response {
        /// Which frame.
        number: u32,
        /// 200 is good.
        code: u32,
        /// The rest of the first line.
        text: String,
    },
    /// It will close the connection.
    Close,
}

/// What has arrived of the collector's frames. Whatever arrives, not more than [`LONGEST`] bytes are kept.
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
            let text = String::from_utf8_lossy(&line[digits..]);
            let text = text
                .trim()
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            let number = head.number;
            Ok(Some((Answer::Response { number, code, text }, taken)))
        }
        _ => Err(wrong("is none")),
    }
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
                response(1, 200, "OK"),
                response(2, 200, "OK"),
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
