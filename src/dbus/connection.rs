//! One connection to a bus: logging in, calls and their answers, signals in between.

use super::DbusError;
use super::address::{self, Place};
use super::message::{FIXED, Kind, Message};
use super::value::Value;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

/// How long one answer may take: a machine that has just booted is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest line of the bus while we log in.
const LINE: usize = 512;

/// Whom a call is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The program's name on the bus.
    pub name: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
}

const BUS: Target<'_> = Target {
    name: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// A connection that has logged in.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    serial: u32,
    signals: VecDeque<Message>,
}

impl Connection {
    /// Connects to the first of the addresses that answers, and logs in.
    pub fn open(addresses: &str) -> Result<Self, DbusError> {
        let mut why = String::from("the address names no unix socket");
        for place in address::parse(addresses) {
            match connect(place) {
                Ok(stream) => return Self::log_in(stream, addresses),
                Err(error) => why = error.to_string(),
            }
        }
        Err(DbusError::Connect {
            address: addresses.into(),
            why,
        })
    }

    fn log_in(stream: UnixStream, address: &str) -> Result<Self, DbusError> {
        let mut connection = Self {
            stream,
            serial: 0,
            signals: VecDeque::new(),
        };
        let until = Instant::now() + PATIENCE;
        // No id is named: who we are the bus asks the kernel, and a user namespace knows another number.
        connection.send(b"\0AUTH EXTERNAL\r\n")?;
        let mut answer = connection.line(until)?;
        if answer.starts_with("DATA") {
            connection.send(b"DATA\r\n")?;
            answer = connection.line(until)?;
        }
        if !answer.starts_with("OK ") {
            return Err(DbusError::Refused {
                address: address.into(),
                answer,
            });
        }
        connection.send(b"BEGIN\r\n")?;
        connection.call(BUS, "Hello", Vec::new())?;
        Ok(connection)
    }

    /// Asks the bus for signals that match.
    pub fn listen(&mut self, rule: &str) -> Result<(), DbusError> {
        self.call(BUS, "AddMatch", vec![Value::text(rule)])
            .map(drop)
    }

    /// Calls a method and waits for its answer; signals that come meanwhile are kept.
    pub fn call(
        &mut self,
        target: Target<'_>,
        member: &str,
        body: Vec<Value>,
    ) -> Result<Vec<Value>, DbusError> {
        self.serial += 1;
        let serial = self.serial;
        let call = Message {
            path: Some(target.path.into()),
            interface: Some(target.interface.into()),
            member: Some(member.into()),
            destination: Some(target.name.into()),
            body,
            ..Message::new(Kind::Call, serial)
        };
        self.send(&call.bytes())?;
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.message(until, &|| format!("the answer to {member}"))?;
            match message.kind {
                Kind::Return if message.reply_to == Some(serial) => return Ok(message.body),
                Kind::Error if message.reply_to == Some(serial) => {
                    let text = message.body.first().and_then(Value::as_text);
                    return Err(DbusError::Answer {
                        member: member.into(),
                        name: message.error.unwrap_or_default(),
                        text: text.unwrap_or("no reason given").into(),
                    });
                }
                Kind::Signal => self.keep(message),
                _ => {}
            }
        }
    }

    /// The next signal, within `patience`.
    pub fn signal(&mut self, patience: Duration, what: &str) -> Result<Message, DbusError> {
        if let Some(kept) = self.signals.pop_front() {
            return Ok(kept);
        }
        let until = Instant::now() + patience;
        loop {
            let message = self.message(until, &|| what.to_string())?;
            if message.kind == Kind::Signal {
                return Ok(message);
            }
        }
    }

    fn keep(&mut self, signal: Message) {
        // A busy manager tells of every unit; the oldest are of no use to a call that has just been made.
        if self.signals.len() == 4096 {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    fn message(&mut self, until: Instant, what: &dyn Fn() -> String) -> Result<Message, DbusError> {
        loop {
            let mut bytes = vec![0; FIXED];
            self.fill(&mut bytes, until, what)?;
            bytes.resize(Message::length(&bytes)?, 0);
            self.fill(&mut bytes[FIXED..], until, what)?;
            if let Some(message) = Message::parse(&bytes)? {
                return Ok(message);
            }
        }
    }

    /// A line of the log-in, without its end.
    fn line(&mut self, until: Instant) -> Result<String, DbusError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == LINE {
                return Err(DbusError::Malformed("a line without an end"));
            }
            let mut byte = [0];
            self.fill(&mut byte, until, &|| "being let in".into())?;
            line.extend(byte);
        }
        let text = String::from_utf8_lossy(&line);
        Ok(text.trim_end().to_string())
    }

    fn fill(
        &mut self,
        mut rest: &mut [u8],
        until: Instant,
        what: &dyn Fn() -> String,
    ) -> Result<(), DbusError> {
        while !rest.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let late = || DbusError::Late {
                what: what(),
                seconds: PATIENCE.as_secs(),
            };
            if left.is_zero() {
                return Err(late());
            }
            self.stream.set_read_timeout(Some(left)).map_err(broken)?;
            match self.stream.read(rest) {
                Ok(0) => return Err(DbusError::Broken("it closed the connection".into())),
                Ok(count) => rest = &mut rest[count..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(late()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(broken(e)),
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), DbusError> {
        self.stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| self.stream.write_all(bytes))
            .map_err(broken)
    }
}

fn broken(error: std::io::Error) -> DbusError {
    DbusError::Broken(error.to_string())
}

fn connect(place: Place) -> std::io::Result<UnixStream> {
    match place {
        Place::File(path) => UnixStream::connect(OsString::from_vec(path)),
        Place::Abstract(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
    }
}

#[cfg(test)]
mod tests;
