//! The words between a worker and the monitor: whole messages over a socket pair, small enough never to wait.
//!
//! A worker says how far it is; the monitor asks it to finish. The end of the socket is the other side's end.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It is at work: the program may run.
    Ready,
    /// It can't work, and why.
    Failed(String),
    /// Its streams are at their end and all that came from them is where it belongs.
    Drained,
}

/// What the monitor asks of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// The container is over and everybody else is done: come to an end.
    Finish,
    /// The monitor is gone.
    Alone,
}

/// Either end.
#[derive(Debug)]
pub struct Tell(OwnedFd);

const FINISH: &[u8] = b"finish";

impl Tell {
    /// The monitor's end and the worker's.
    pub(crate) fn pair() -> Result<(Self, Self), Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Self(ours), Self(theirs)))
    }

    /// To be polled for reading: something was asked, or the other side is gone.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Says something to the monitor; a monitor that is gone is none of the worker's trouble.
    pub fn say(&self, said: &Said) {
        let text = serde_json::to_vec(said).unwrap_or_default();
        let _ = send(self.0.as_raw_fd(), &text, MsgFlags::MSG_NOSIGNAL);
    }

    /// What was asked.
    pub fn asked(&self) -> Told {
        let mut word = [0u8; 16];
        match recv(self.0.as_raw_fd(), &mut word, MsgFlags::MSG_DONTWAIT) {
            Ok(0) | Err(Errno::ECONNRESET) => Told::Alone,
            Ok(n) if &word[..n] == FINISH => Told::Finish,
            _ => Told::Nothing,
        }
    }

    pub(crate) fn finish(&self) {
        let _ = send(self.0.as_raw_fd(), FINISH, MsgFlags::MSG_NOSIGNAL);
    }

    /// What a worker has said; `None`: nothing (more), or nothing that makes sense.
    pub(crate) fn heard(&self) -> Option<Said> {
        let mut text = [0u8; 4096];
        match recv(self.0.as_raw_fd(), &mut text, MsgFlags::MSG_DONTWAIT) {
            Ok(n) if n > 0 => serde_json::from_slice(&text[..n]).ok(),
            _ => None,
        }
    }
}
