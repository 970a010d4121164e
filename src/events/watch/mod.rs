//! The watcher: answers every call that a watched filter asks about with the errno that the filter would have given,
//! and tells what was refused.
//!
//! Runs in a jailed worker of the monitor, with the listener, the way for events, and nothing else. It lets no call
//! through and never reads the program's memory. If it dies, the monitor (which keeps the listener) starts another;
//! with nobody left the kernel itself answers ENOSYS.

mod arguments;
mod denial;
mod pace;
mod words;
mod worker;

pub use denial::{Denial, control};
pub use worker::ROW;

use super::Sender;
use super::tally::{Tally, Told};
use crate::seccomp::{Call, MAX_INSTRUCTIONS, Program};
use crate::sys::notify::{self, Notification};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::uio::{pread, pwrite};
use pace::Pace;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// Who carries out calls of some numbers: gets each [`Notification`] as it is, one message each, and answers through
/// its own copy of the listener.
#[derive(Debug)]
pub struct Route {
    /// The calls, by number.
    pub numbers: Vec<u32>,
    /// A SOCK_SEQPACKET socket to it.
    pub to: OwnedFd,
}

/// One container's watcher.
pub struct Watcher {
    /// The filter's listener.
    pub listener: OwnedFd,
    /// What the filter would have answered.
    pub plain: Program,
    /// Who else has a part.
    pub routes: Vec<Route>,
    /// Where the call in hand is noted ([`notebook`]): a watcher that follows one that was killed answers it.
    pub notebook: OwnedFd,
    /// Where events go.
    pub events: Sender,
}

/// A file in memory for [`Watcher::notebook`], to be kept by whoever starts watchers again; it also holds the program
/// that they ask.
pub fn notebook(plain: &Program) -> Result<OwnedFd, Errno> {
    let notebook = memfd_create(c"watcher", MFdFlags::MFD_CLOEXEC)?;
    pwrite(&notebook, &[0; notify::SIZE], 0)?;
    let bytes = plain.bytes();
    match pwrite(&notebook, &bytes, notify::SIZE as i64)? {
        n if n == bytes.len() => Ok(notebook),
        _ => Err(Errno::ENOSPC),
    }
}

/// The program in a notebook.
fn notebook_program(notebook: &OwnedFd) -> Option<Program> {
    let mut bytes = vec![0; MAX_INSTRUCTIONS * 8];
    let length = pread(notebook, &mut bytes, notify::SIZE as i64).ok()?;
    Program::from_bytes(&bytes[..length])
}

impl Watcher {
    /// Serves until the last process under the filter has ended.
    pub fn serve(&self) {
        // Older kernels answer more slowly.
        let _ = notify::wake_in_place(self.listener.as_fd());
        self.take_over();
        let (mut tally, mut pace) = (Tally::new(Instant::now()), Pace::new(Instant::now()));
        loop {
            let now = Instant::now();
            self.tell(tally.due(now));
            let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, patience(&tally, now));
            let seen = fds[0].revents().unwrap_or(PollFlags::empty());
            match ready {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) if seen.contains(PollFlags::POLLIN) => {}
                // POLLHUP: nobody is under the filter any more.
                _ => break,
            }
            pace.wait(Instant::now());
            if let Some(denial) = self.answer() {
                self.tell(tally.count(denial, Instant::now()));
            }
        }
        self.tell(tally.rest());
    }

    /// Answers the call that a watcher before this one had in hand; if it did answer, the kernel knows the call no more.
    fn take_over(&self) {
        let mut bytes = [0; notify::SIZE];
        if !matches!(pread(&self.notebook, &mut bytes, 0), Ok(notify::SIZE)) {
            return;
        }
        let asked = Notification::from_bytes(&bytes);
        let call = call_of(&asked);
        if self.route(&call).is_none() {
            let _ = notify::refuse(self.listener.as_fd(), asked.id, self.plain.errno(&call));
        }
    }

    /// Who else has a part in a call: nobody in one that the filter refuses.
    fn route(&self, call: &Call) -> Option<&Route> {
        let mut routes = self.routes.iter();
        let route = routes.find(|r| r.numbers.contains(&call.number));
        route.filter(|_| self.plain.refusal(call).is_none())
    }

    /// Takes one call and answers it; what there is to tell of it.
    fn answer(&self) -> Option<Denial> {
        // ENOENT: it was killed before we looked.
        let asked = notify::receive(self.listener.as_fd()).ok()?;
        let call = call_of(&asked);
        // Between these two lines alone a KILL leaves a call waiting, which its program's own end ends.
        let _ = pwrite(&self.notebook, &asked.bytes(), 0);
        if self.hand_on(&asked, &call) {
            return None;
        }
        let errno = self.plain.errno(&call);
        // ENOENT: it was killed meanwhile. It has not been carried out either.
        let _ = notify::refuse(self.listener.as_fd(), asked.id, errno);
        Some(Denial::of(&call, errno, asked.pid as i32))
    }

    /// Whether somebody else has it now. What can't be handed on is refused.
    fn hand_on(&self, asked: &Notification, call: &Call) -> bool {
        let Some(route) = self.route(call) else {
            return false;
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(route.to.as_raw_fd(), &asked.bytes(), flags).is_ok()
    }

    fn tell(&self, all: impl IntoIterator<Item = Told>) {
        for told in all {
            self.events.send_of(told.what, &[told.control]);
        }
    }
}

fn call_of(asked: &Notification) -> Call {
    Call {
        number: asked.number as u32,
        audit_arch: asked.arch,
        args: asked.args,
    }
}

fn patience(tally: &Tally<Denial>, now: Instant) -> PollTimeout {
    let left = tally
        .next_due()
        .map(|due| due.saturating_duration_since(now));
    left.map_or(PollTimeout::NONE, |left| {
        PollTimeout::try_from(left.as_millis() as i32 + 1).unwrap_or(PollTimeout::NONE)
    })
}
