//! A D-Bus client for a launcher with one thread: one connection, one call at a time, a deadline on everything.
//!
//! Own code, because the crates for it keep threads of their own, and a launcher with threads can't fork soundly.
//! Messages come from the bus, so they are read as untrusted: bounded in length and depth, every offset checked
//! (D-Bus Specification 0.43). Knows nothing of systemd; called by `cgroup::systemd` alone.

mod address;
mod connection;
mod message;
mod reader;
mod value;

pub use connection::{Connection, Target};
pub use message::{Kind, Message};
pub use value::{Basic, Value};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum DbusError {
    /// Nobody listens.
    #[error("connected to the message bus {address}: {why}")]
    Connect {
        /// The address.
        address: String,
        /// What the kernel said.
        why: String,
    },
    /// Not let in.
    #[error("logged in at the message bus {address}, which answered {answer:?}")]
    Refused {
        /// The address.
        address: String,
        /// Its line.
        answer: String,
    },
    /// The connection broke.
    #[error("talked to the message bus: {0}")]
    Broken(String),
    /// No answer in time.
    #[error("waited {seconds} s for {what} on the message bus; nothing came")]
    Late {
        /// For what.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// The called program says no.
    #[error("called {member} over the message bus: {text} ({name})")]
    Answer {
        /// The method.
        member: String,
        /// The error's name: "org.freedesktop.systemd1.NoSuchUnit".
        name: String,
        /// Its text.
        text: String,
    },
    /// Bytes that are no message, or not the expected one.
    #[error("read a message from the bus that makes no sense: {0}")]
    Malformed(&'static str),
}
