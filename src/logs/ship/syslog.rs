//! Syslog over TLS (RFC 5425) and, lossy, over TCP with counted octets (RFC 6587) and UDP (RFC 5426).
//!
//! Nothing is acknowledged, and what a peer's kernel has acknowledged, up to tens of megabytes, goes with a peer that is
//! killed. So a connection is ended properly after [`SPAN`] bytes or [`AGE`], and the next one is opened: a peer that says
//! goodbye after ours, and goes on serving, has read it all. What was sent over a connection that ends otherwise is sent
//! again, all of it. A message that arrives twice has the same launch and number.

use super::super::{Origin, Record};
use super::message::Messages;
use super::sink::{Ended, Sink};
use super::stamp::number;
use super::trouble::Trouble;
use super::wire::Wire;
use crate::policy::Target;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How many bytes are sent over one connection: what comes twice at most, against a handshake for so many.
pub const SPAN: u64 = 4 * 1024 * 1024;
/// How long what was sent may be in doubt.
pub const AGE: Duration = Duration::from_secs(60);
/// How much is gathered before it is sent.
const GATHERED: usize = 64 * 1024;

/// Room behind for the message that makes it so much.
const ROOM: usize = 16 * 1024;

/// A stream of messages.
pub struct Syslog {
    wire: Wire,
    messages: Messages,
    gathered: Vec<u8>,
    /// The last record that is in `gathered` or was sent.
    last: u64,
    sent: u64,
    span: u64,
    /// When the first of these bytes was sent.
    since: Option<Instant>,
    delivered: u64,
    /// What the collector says, which is nothing, and thrown away.
    heard: Vec<u8>,
}

impl Syslog {
    /// Over a connection that stands, for so many bytes.
    pub fn new(wire: Wire, origin: &Origin, target: &Target, delivered: u64, span: u64) -> Self {
        Self {
            wire,
            messages: Messages::new(origin, target),
            gathered: Vec::with_capacity(GATHERED + ROOM),
            last: delivered,
            sent: 0,
            span,
            since: None,
            delivered,
            heard: Vec::new(),
        }
    }
}

impl Sink for Syslog {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        let count = |out: &mut Vec<u8>, length| {
            number(out, length as u64);
            out.push(b' ');
        };
        let nothing = |_: &mut Vec<u8>| Ok::<(), Infallible>(());
        let Ok(()) = self
            .messages
            .each(record, &mut self.gathered, count, nothing);
        self.last = self.last.max(record.seq);
        match self.gathered.len() >= GATHERED {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.since.get_or_insert_with(Instant::now);
        self.wire.send(&self.gathered)?;
        self.wire.look();
        self.sent += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Trouble> {
        self.heard.clear();
        self.wire.receive(&mut self.heard, 4096).map(drop)
    }

    fn has_room(&self) -> bool {
        self.sent < self.span
    }

    fn is_worn(&self) -> bool {
        self.sent >= self.span || self.since.is_some_and(|since| since.elapsed() >= AGE)
    }

    fn acknowledged(&self) -> u64 {
        self.delivered
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wire.descriptor())
    }

    fn finish(mut self: Box<Self>, patience: Duration) -> Ended {
        let read = match self.flush().is_ok() && self.wire.finish(patience) {
            true => self.last,
            false => self.delivered,
        };
        let arrived = self.delivered;
        Ended { arrived, read }
    }
}

/// One datagram a message.
pub struct Datagrams {
    socket: UdpSocket,
    messages: Messages,
    message: Vec<u8>,
    last: u64,
}

impl Datagrams {
    /// To the peer that the socket is connected to.
    pub fn new(socket: UdpSocket, origin: &Origin, target: &Target, delivered: u64) -> Self {
        Self {
            socket,
            messages: Messages::new(origin, target),
            message: Vec::new(),
            last: delivered,
        }
    }
}

impl Sink for Datagrams {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        let socket = &self.socket;
        let send = |message: &mut Vec<u8>| {
            let sent = socket.send(message);
            message.clear();
            match sent {
                Ok(_) => Ok(()),
                // An answer to an earlier one: nobody listens. Lossy, as the policy says.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                Err(error) => Err(Trouble::io("send a datagram", &error)),
            }
        };
        let made = &mut self.message;
        self.messages.each(record, made, |_, _| (), send)?;
        self.last = self.last.max(record.seq);
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.last
    }
}
