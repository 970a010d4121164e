//! RELP (rsyslog's reliable event logging protocol, version 0), the client's half: every message is acknowledged.
//!
//! A frame is `NUMBER COMMAND LENGTH DATA\n`. Up to [`WINDOW`] messages are on their way at once; what was not
//! acknowledged when a connection breaks is sent again. Answers are parsed by [`Answers`], which takes any bytes.
//! librelp answers each message with a segment of its own: to wake, write and read for each would cost ten times what the
//! messages do, so a full window is filled again when half of it is acknowledged, and answers are waited for in numbers.
//! It also lets Nagle's algorithm hold answers back until the last one is acknowledged (tcp(7), TCP_NODELAY), which our
//! kernel delays by 40 ms for somebody who sends nothing: answers are looked for every two, and the acknowledgement sent.

mod answers;

use super::super::{Origin, Record};
use super::message::Messages;
use super::sink::{Ended, Rejected, Sink};
use super::stamp::number;
use super::trouble::{Cause, Trouble};
use super::wire::{DRAIN, WRITE, Wire};
use crate::policy::Target;
pub use answers::{Answer, Answers};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Messages on their way at once: what a collector may get twice when a connection breaks.
pub const WINDOW: usize = 1024;
/// Of a full window, how many may still be unacknowledged when more are sent.
const REFILL: usize = WINDOW / 2;
/// How soon answers are looked for that the descriptor doesn't tell of, and how late where none come.
const LOOK: Duration = Duration::from_millis(2);
const LOOK_AT_MOST: Duration = Duration::from_millis(100);
/// Bytes of the shortest answer: `1 rsp 3 200` and a line feed.
const SHORTEST: usize = 12;
/// How many bytes of answers are taken at once.
const HEARD: usize = 32 * 1024;
/// How much is gathered before it is sent.
const GATHERED: usize = 32 * 1024;
/// Room behind for the message that makes it so much.
const ROOM: usize = 16 * 1024;
/// In place of a record's number: it goes on in the next frame.
const MORE: u64 = u64::MAX;
/// Numbers of frames begin again behind this one.
const LAST_NUMBER: u32 = 999_999_999;

/// A session.
pub struct Relp {
    wire: Wire,
    messages: Messages,
    gathered: Vec<u8>,
    number: u32,
    /// Frames that are not acknowledged, which are numbered up to `number`: of each, the record that is complete with it,
    /// or [`MORE`].
    open: VecDeque<u64>,
    /// The window was full, and not enough of it is acknowledged since.
    full: bool,
    acknowledged: u64,
    answers: Answers,
    rejected: Option<Rejected>,
    since: Instant,
    /// After how long answers are looked for next.
    look: Duration,
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
            gathered: Vec::with_capacity(GATHERED + ROOM),
            number: 0,
            open: VecDeque::new(),
            full: false,
            acknowledged: delivered,
            answers: Answers::default(),
            rejected: None,
            since: Instant::now(),
            look: LOOK,
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
            relp.wire.receive(&mut relp.answers.bytes, HEARD)?;
        }
    }

    fn frame(&mut self, command: &str, data: &[u8]) {
        self.number = after(self.number);
        begin(&mut self.gathered, self.number, command, data.len());
        self.gathered.extend_from_slice(data);
        self.gathered.push(b'\n');
    }

    fn take_answers(&mut self) -> Result<(), Trouble> {
        while let Some(answer) = self.answers.take()? {
            match answer {
                Answer::Response { number, code, text } => self.answered(number, code, &text)?,
                Answer::Close => return Err(Trouble::closed()),
            }
        }
        self.full &= self.open.len() > REFILL;
        Ok(())
    }

    fn answered(&mut self, number: u32, code: u32, text: &str) -> Result<(), Trouble> {
        let Some(&complete) = self.open.front() else {
            return Err(Trouble::protocol(
                "the collector acknowledges what was not sent",
            ));
        };
        let expected = before(self.number, self.open.len() as u32 - 1);
        let complete = Some(complete).filter(|seq| *seq != MORE);
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
        !self.full
    }

    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        if self.open.is_empty() {
            self.since = Instant::now();
        }
        let (frames, count) = (&mut self.open, &mut self.number);
        let open = |out: &mut Vec<u8>, length| {
            *count = after(*count);
            begin(out, *count, "syslog", length);
            frames.push_back(MORE);
        };
        let close = |out: &mut Vec<u8>| {
            out.push(b'\n');
            Ok::<(), Infallible>(())
        };
        let Ok(()) = self.messages.each(record, &mut self.gathered, open, close);
        if let Some(last) = self.open.back_mut() {
            *last = record.seq;
        }
        self.full |= self.open.len() >= WINDOW;
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
        // What came with the end of the connection counts.
        let heard = self.wire.receive(&mut self.answers.bytes, HEARD);
        self.take_answers()?;
        self.look = match heard? {
            true => LOOK,
            false => LOOK_AT_MOST.min(self.look * 2),
        };
        self.wire.rouse(SHORTEST * self.open.len() / 2)?;
        if self.open.is_empty() {
            return Ok(());
        }
        self.wire.hurry();
        if self.since.elapsed() > 3 * WRITE {
            let text = "the collector acknowledges nothing any more";
            return Err(Trouble::new(Cause::Away, text));
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn awaits(&self) -> Option<Duration> {
        (!self.open.is_empty()).then_some(self.look)
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

/// The number of the frame so many before this one.
fn before(number: u32, frames: u32) -> u32 {
    match number > frames {
        true => number - frames,
        false => LAST_NUMBER - (frames - number),
    }
}

/// Everything in front of a frame's data.
fn begin(out: &mut Vec<u8>, count: u32, command: &str, length: usize) {
    number(out, count.into());
    out.push(b' ');
    out.extend_from_slice(command.as_bytes());
    out.push(b' ');
    number(out, length as u64);
    if length > 0 {
        out.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_again_behind_the_last() {
        let mut number = LAST_NUMBER - 2;
        for frames in 0..5 {
            assert_eq!(before(number, frames), LAST_NUMBER - 2, "{frames}");
            number = after(number);
        }
        assert_eq!(number, 3);
    }
}
