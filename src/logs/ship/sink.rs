//! One connection to a collector, whatever it speaks.
//!
//! A protocol takes records in order and says up to which number they have arrived. It neither connects again nor
//! counts attempts: any [`Trouble`] ends it, and `chain` makes another.

use super::super::Record;
use super::trouble::Trouble;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Records that a collector has and will not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub count: u64,
    /// The first and the last number that it can be about.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// What the collector said.
    pub why: String,
}

/// What an ended connection has brought to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The last number up to which everything has arrived.
    pub arrived: u64,
    /// The same, if the collector goes on serving: what ended the connection was our goodbye then, and not its end.
    pub read: u64,
}

impl Ended {
    /// Nothing is in doubt.
    pub fn at(arrived: u64) -> Self {
        let read = arrived;
        Self { arrived, read }
    }
}

/// A protocol's side of a connection.
pub trait Sink {
    /// Whether another record may be sent before something is acknowledged.
    fn has_room(&self) -> bool {
        true
    }

    /// Takes a record; it may stay here until `flush`.
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble>;

    /// Hands over everything that was taken; unless `send` has done so.
    fn flush(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    /// Takes what the collector says, without waiting, if it says anything.
    fn receive(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    /// The last number up to which everything has arrived, as far as this protocol can tell.
    fn acknowledged(&self) -> u64;

    /// While an answer of the collector is awaited: after how long it is looked for, whether the descriptor says so or
    /// not.
    fn awaits(&self) -> Option<Duration> {
        None
    }

    /// Whether only the connection's proper end tells what has arrived, and that is due: end it and open another.
    fn is_worn(&self) -> bool {
        false
    }

    /// For a check: waits a moment for an objection to what was said so far.
    fn probe(&mut self) -> Result<(), Trouble> {
        if let Some(fd) = self.descriptor() {
            // A TLS 1.3 server says only after our handshake that it doesn't take our certificate.
            let _ = poll(
                &mut [PollFd::new(fd, PollFlags::POLLIN)],
                PollTimeout::from(500_u16),
            );
            self.receive()?;
        }
        Ok(())
    }

    /// Becomes readable when the collector says something; of few words that may be late.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// What the collector refused since the last call.
    fn rejected(&mut self) -> Option<Rejected> {
        None
    }

    /// Hands over everything and ends the connection properly; the collector may take so long to read it. Where that
    /// takes nothing, what has arrived is known already.
    fn finish(self: Box<Self>, _patience: Duration) -> Ended {
        Ended::at(self.acknowledged())
    }
}
