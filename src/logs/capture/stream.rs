//! One of the program's streams: its pipe, what is in hand of it, and the way of its copy.
//!
//! Called by the worker's loop; decides nothing about a full spool, which the writer does.

use super::super::record::Stream;
use super::super::spool::{HEADER, Stored, Why, Writer};
use super::held::{Held, Taken};
use super::now_ns;
use super::status::Status;
use crate::sys::process;
use crate::worker::Descriptors;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A stream.
pub(super) struct Source {
    stream: Stream,
    pipe: OwnedFd,
    ended: bool,
    held: Held,
    copy: Option<OwnedFd>,
}

/// What one turn brought.
pub(super) enum Brought {
    /// So many bytes.
    Some(usize),
    /// There was nothing.
    Nothing,
    /// There is something, and no room for it.
    Stuck,
}

impl Source {
    pub(super) fn open(
        stream: Stream,
        name: &str,
        fds: &mut Descriptors,
        writer: &mut Writer,
    ) -> Result<Self, String> {
        let mut held = Held::open(name, fds)?;
        let own = |e: Errno| format!("take {name} over: {}", e.desc());
        if stream == Stream::Stdout {
            writer.owe(Why::DropNew, held.untold());
            writer.owe(Why::Events, held.untold_events());
        }
        if held.recover(now_ns()).map_err(own)?
            && let Some((len, time_ns)) = held.pending()
            && writer.last() == Some((stream.into(), time_ns, len))
        {
            held.clear();
        }
        Ok(Self {
            stream,
            pipe: fds.must(name)?,
            ended: false,
            held,
            copy: fds.take(&format!("copy-{name}-in")),
        })
    }

    /// To be polled, while something may come.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        (!self.ended).then(|| self.pipe.as_fd())
    }

    /// Whether all of it is in the spool.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.held.pending().is_none()
    }

    /// What was dropped, for a successor.
    pub(super) fn note_untold(&mut self, writer: &Writer) {
        if self.stream == Stream::Stdout {
            self.held.set_untold(writer.untold(Why::DropNew));
            self.held.set_untold_events(writer.untold(Why::Events));
        }
    }

    /// Takes what comes next, unless something is in hand: its length, and when it was taken.
    fn in_hand(&mut self) -> Result<Option<(usize, u64)>, String> {
        if self.held.pending().is_none() && !self.ended {
            match self.held.take(&self.pipe, now_ns) {
                Ok(Taken::Some | Taken::Nothing) => {}
                Ok(Taken::End) => {
                    self.ended = true;
                    // Its worker sees the end, too.
                    self.copy = None;
                }
                Err(errno) => return Err(format!("take output (splice): {}", errno.desc())),
            }
        }
        Ok(self.held.pending())
    }

    /// At the end of a launch: what still finds no room is counted, as nobody is there any more who could wait.
    pub(super) fn give_up(
        &mut self,
        writer: &mut Writer,
        status: &mut Status,
    ) -> Result<(), String> {
        // As much as two full pipes: somebody may have this one open for ever.
        for _ in 0..32 {
            let Some((_, time_ns)) = self.in_hand()? else {
                break;
            };
            writer.give_up(time_ns, self.held.frame());
            self.note_untold(writer);
            self.pass_on(status);
            self.held.clear();
        }
        Ok(())
    }

    /// Moves one frame.
    pub(super) fn bring(
        &mut self,
        writer: &mut Writer,
        status: &mut Status,
    ) -> Result<Brought, String> {
        let Some((len, time_ns)) = self.in_hand()? else {
            return Ok(Brought::Nothing);
        };
        let stored = writer.append(self.stream, time_ns, self.held.frame());
        match stored {
            Ok(Stored::Kept) => {
                status.records += writer.records();
                status.bytes += len as u64;
            }
            Ok(Stored::Dropped) => {}
            Ok(Stored::Full) | Err(_) => return Ok(Brought::Stuck),
        }
        self.note_untold(writer);
        self.pass_on(status);
        self.held.clear();
        Ok(Brought::Some(len))
    }

    /// The copy, as far as its pipe takes it at once.
    fn pass_on(&mut self, status: &mut Status) {
        let Some(copy) = &self.copy else { return };
        let to = copy.as_raw_fd();
        let mut rest = &self.held.frame()[HEADER..];
        while !rest.is_empty() {
            match process::write(to, rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    self.copy = None;
                    return;
                }
            }
        }
        status.copy_lost += rest.len() as u64;
    }
}
