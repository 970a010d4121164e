//! What programs that `exec` starts say, into the spool: looked at, stored, and only then taken, so that a worker may be
//! killed at any moment.

use super::super::newcomers::{Known, TAKES, look, marked, take};
use super::super::spool::{HEADER, Stored, Writer, count};
use super::status::Status;
use super::stream::Brought;
use crate::worker::Descriptors;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The way of all of them.
pub(super) struct Newcomers {
    from: OwnedFd,
    known: Known,
    /// There may be something.
    ready: bool,
}

impl Newcomers {
    pub(super) fn open(fds: &mut Descriptors, writer: &Writer) -> Result<Self, String> {
        let from = fds.must(TAKES)?;
        let known = Known::open(fds)?;
        // A predecessor was killed behind storing it; anything may be stored before it is looked at again.
        if let Some((whose, time_ns, _)) = writer.last().filter(|(whose, ..)| whose.pid > 0) {
            known.note(whose, time_ns);
        }
        Ok(Self {
            from,
            known,
            ready: true,
        })
    }

    /// To be polled.
    pub(super) fn waits_for(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// There may be something: nobody else asks the kernel.
    pub(super) fn wake(&mut self) {
        self.ready = true;
    }

    /// Stores one piece.
    pub(super) fn bring(
        &mut self,
        writer: &mut Writer,
        status: &mut Status,
    ) -> Result<Brought, String> {
        if !self.ready {
            return Ok(Brought::Nothing);
        }
        let looked = look(&self.from);
        let looked = looked.map_err(|e| format!("take what exec's programs say: {}", e.desc()))?;
        let Some(mut whole) = looked else {
            self.ready = false;
            return Ok(Brought::Nothing);
        };
        let Some((whose, time_ns)) = marked(&whole) else {
            take(&self.from);
            return Ok(Brought::Nothing);
        };
        let length = whole.len() - HEADER;
        // Its relay was killed behind sending it, or one of us behind storing it.
        if !self.known.has(whose, time_ns) {
            match writer.append(whose, time_ns, &mut whole) {
                Ok(Stored::Kept) => {
                    status.records += count(&whole[HEADER..]);
                    status.bytes += length as u64;
                }
                Ok(Stored::Dropped) => {}
                Ok(Stored::Full) | Err(_) => return Ok(Brought::Stuck),
            }
        }
        self.known.note(whose, time_ns);
        take(&self.from);
        Ok(Brought::Some(length))
    }
}
