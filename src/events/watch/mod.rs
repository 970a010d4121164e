//! The watcher: answers every call that a watched filter asks about with the errno that the filter would have given,
//! and tells what was refused.
//!
//! Runs in a jailed worker of the monitor, with the listener, the way for events, and nothing else. It lets no call
//! through and never reads the program's memory. Where calls are carried out from outside, it runs in the process that
//! does so (a filter has one listener), as whose [`Carrier`] `ports` comes in. If it dies, whoever keeps the listener
//! starts another; with nobody left the kernel itself answers ENOSYS.

mod arguments;
mod denial;
mod notebook;
mod pace;
mod words;
mod worker;

pub use denial::{Denial, control};
pub use notebook::Notebook;
pub use worker::ROW;

use super::Sender;
use super::tally::{Tally, Told};
use crate::seccomp::{Arch, Call, Program};
use crate::sys::notify::{self, Notification};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pace::Pace;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Who carries out calls that the filter does not refuse and asks about all the same.
pub trait Carrier: Send {
    /// Whether a call of this number (of the native ABI) is one of them.
    fn carries(&self, number: u32) -> bool;

    /// Carries one out and answers it; the errno, if it was refused for a control's sake. `again`: somebody was killed
    /// over it, who may have done any part of it.
    fn carry(&self, asked: &Notification, again: bool) -> Option<u16>;

    /// Does what only time makes due; when it wants to be asked again.
    fn due(&mut self, _now: Instant) -> Option<Duration> {
        None
    }
}

/// One container's watcher.
pub struct Watcher {
    /// The filter's listener.
    pub listener: OwnedFd,
    /// What the filter would have answered.
    pub plain: Program,
    /// Who else has a part.
    pub carrier: Option<Box<dyn Carrier>>,
    /// Where the call in hand is noted: a watcher that follows one that was killed answers it.
    pub notebook: Notebook,
    /// Where events go.
    pub events: Sender,
}

impl Watcher {
    /// Serves until the last process under the filter has ended.
    pub fn serve(mut self) {
        // Older kernels answer more slowly.
        let _ = notify::wake_in_place(self.listener.as_fd());
        let (mut tally, mut pace) = (Tally::new(Instant::now()), Pace::new(Instant::now()));
        if let Some(asked) = self.notebook.last()
            && let Some(denial) = self.answer(&asked, true)
        {
            self.tell(tally.count(denial, Instant::now()));
        }
        loop {
            let now = Instant::now();
            self.tell(tally.due(now));
            let carrier = self.carrier.as_mut().and_then(|c| c.due(now));
            let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, patience(&tally, carrier, now));
            let seen = fds[0].revents().unwrap_or(PollFlags::empty());
            match ready {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) if seen.contains(PollFlags::POLLIN) => {}
                // POLLHUP: nobody is under the filter any more.
                _ => break,
            }
            pace.wait(Instant::now());
            // ENOENT: it was killed before we looked.
            if let Ok(asked) = self.notebook.next(self.listener.as_fd())
                && let Some(denial) = self.answer(&asked, false)
            {
                self.tell(tally.count(denial, Instant::now()));
            }
        }
        self.tell(tally.rest());
    }

    /// Answers one call; what there is to tell of it. One that was answered already is one that the kernel knows no more.
    fn answer(&self, asked: &Notification, again: bool) -> Option<Denial> {
        let call = call_of(asked);
        let errno = match self.carrier(&call) {
            Some(carrier) => carrier.carry(asked, again)?,
            None => {
                let errno = self.plain.errno(&call);
                // ENOENT: it was killed meanwhile. It has not been carried out either.
                let answered = notify::refuse(self.listener.as_fd(), asked.id, errno);
                if again && answered.is_err() {
                    return None;
                }
                errno
            }
        };
        Some(Denial::of(&call, errno, asked.pid as i32))
    }

    /// Who else has a part in a call: nobody in one that the filter refuses.
    fn carrier(&self, call: &Call) -> Option<&dyn Carrier> {
        let carrier = self.carrier.as_deref()?;
        let native = call.audit_arch == Arch::NATIVE.audit_arch();
        let is_its = native && carrier.carries(call.number) && self.plain.refusal(call).is_none();
        is_its.then_some(carrier)
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

fn patience(tally: &Tally<Denial>, carrier: Option<Duration>, now: Instant) -> PollTimeout {
    let tally = tally.next_due();
    let tally = tally.map(|due| due.saturating_duration_since(now));
    tally
        .into_iter()
        .chain(carrier)
        .min()
        .map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.as_millis() as i32 + 1).unwrap_or(PollTimeout::NONE)
        })
}
