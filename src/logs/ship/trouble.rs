//! What goes wrong between us and a collector: a kind, for what is done about it, and a sentence, for people.
//!
//! Made by the protocols, judged by `chain`, shown by `collectors check`.

use std::fmt;
use std::io;
use std::time::Duration;

/// What sort of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody there: the name isn't known, nothing answers, or the connection broke.
    Away,
    /// The other side isn't who it should be: nothing was sent.
    PeerRefused,
    /// The other side refuses us: our certificate, our request.
    Refused,
    /// The other side asks to wait this long.
    Busy(Duration),
    /// The other side doesn't keep to the protocol.
    Protocol,
    /// Something on this host: a file, a descriptor.
    Local,
}

/// Why nothing more can be sent over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What sort.
    pub cause: Cause,
    /// What was tried, what was said, what to do.
    pub text: String,
}

impl Trouble {
    /// A trouble of this sort.
    pub fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self {
            cause,
            text: text.into(),
        }
    }

    /// A system call about the connection failed.
    pub fn io(what: &str, error: &io::Error) -> Self {
        Self::new(Cause::Away, format!("cannot {what}: {error}"))
    }

    /// A system call about something of ours failed.
    pub fn local(what: &str, error: impl fmt::Display) -> Self {
        Self::new(Cause::Local, format!("cannot {what}: {error}"))
    }

    /// The peer broke the protocol.
    pub fn protocol(text: impl Into<String>) -> Self {
        Self::new(Cause::Protocol, text)
    }

    /// The peer closed the connection.
    pub fn closed() -> Self {
        Self::new(Cause::Away, "the collector closed the connection")
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Trouble {}
