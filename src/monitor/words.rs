//! The messages between launcher and monitor: JSON and descriptors by name, whole, over a SOCK_SEQPACKET pair.
//!
//! Neither side is hostile: both are the same program of the same user. What makes no sense ends the talk all the same.

use crate::logs::Origin;
use crate::plan::monitor::MonitorPlan;
use crate::sys::process;
use crate::sys::socket::{MOST, next_length, receive_fds, send_fds};
use crate::worker::Descriptors;
use nix::errno::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// From the launcher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The first one.
    Start {
        plan: Box<MonitorPlan>,
        origin: Origin,
        /// Whether the container's end waits for the copy of its output.
        delays_end: bool,
    },
    /// The container is there, with this process id.
    Launched(i32),
}

/// From the monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Every worker that the program needs is at work.
    Ready,
    /// There can be no monitor, and why.
    Failed(String),
    /// All that the program said is where it belongs.
    Drained,
    /// The container has lived as long as it may, and was told to end.
    Lifetime,
}

#[derive(Serialize, Deserialize)]
struct Message<T> {
    word: T,
    #[serde(default)]
    fds: Vec<String>,
}

/// Largest message: a plan with many collectors.
const SIZE: usize = 128 << 10;

pub(super) fn send<T: Serialize>(
    socket: &OwnedFd,
    word: T,
    fds: &Descriptors,
) -> Result<(), Errno> {
    let (names, numbers) = fds.parts();
    let text = serde_json::to_vec(&Message { word, fds: names }).map_err(|_| Errno::EINVAL)?;
    if text.len() > SIZE {
        return Err(Errno::EMSGSIZE);
    }
    loop {
        match send_fds(socket.as_fd(), &text, &numbers) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// The next message; `None` when the other side is gone.
pub(super) fn receive<T: DeserializeOwned>(
    socket: &OwnedFd,
    into: &mut Descriptors,
) -> Result<Option<T>, Errno> {
    let mut numbers = [-1; MOST];
    let (text, len, count) = loop {
        // No more memory than it takes: what a monitor has touched stays with it and its workers.
        let got = next_length(socket.as_raw_fd()).and_then(|length| {
            let mut text = vec![0u8; length.min(SIZE)];
            let got = receive_fds(socket.as_raw_fd(), &mut text, &mut numbers)?;
            Ok(got.map(|(len, count)| (text, len, count)))
        });
        match got {
            Ok(None) | Err(Errno::ECONNRESET) => return Ok(None),
            Ok(Some(got)) => break got,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    };
    // The kernel has just made these descriptors for us alone.
    let fds = numbers.iter().take(count).map(|fd| process::own(*fd));
    let fds: Vec<OwnedFd> = fds.collect();
    let message: Message<T> = serde_json::from_slice(&text[..len]).map_err(|_| Errno::EBADMSG)?;
    if message.fds.len() != fds.len() {
        return Err(Errno::EBADMSG);
    }
    into.extend(message.fds, fds);
    Ok(Some(message.word))
}
