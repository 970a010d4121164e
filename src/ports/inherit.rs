//! Listening sockets that the launcher itself was started with (sd_listen_fds(3)), and room for those of a program.
//!
//! Descriptors 3 and up belong to the program: [`reserve`] keeps them free before the launcher opens anything.

use super::error::PortsError;
use crate::sys::net;
use crate::sys::process::own;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The first one.
pub const FIRST: i32 = 3;
/// The most that a program is given.
pub const MOST: usize = 64;

/// How many this process was given by whoever started it.
pub fn given() -> usize {
    let own = std::process::id().to_string();
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own);
    let count = std::env::var("LISTEN_FDS").ok().filter(|_| for_us);
    count
        .and_then(|n| n.parse::<usize>().ok())
        .unwrap_or(0)
        .min(MOST)
}

/// Their names.
pub fn names() -> Vec<String> {
    let text = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    text.split(':')
        .filter(|n| !n.is_empty())
        .map(String::from)
        .collect()
}

/// Copies of the sockets that were given; each has to be a listening stream socket.
pub(super) fn sockets() -> Result<Vec<OwnedFd>, PortsError> {
    let count = given();
    if count == 0 {
        let text = "this launcher was not started with listening sockets (LISTEN_FDS, LISTEN_PID): start it from a socket unit, or name the socket";
        return Err(PortsError::Inherit(text.into()));
    }
    (FIRST..).take(count).map(copy).collect()
}

fn copy(number: i32) -> Result<OwnedFd, PortsError> {
    let not = |why: &str| PortsError::Inherit(format!("descriptor {number} {why}"));
    // SAFETY is not needed: the number is only looked at, and whoever started us says that it is open.
    let fd = std::mem::ManuallyDrop::new(own(number));
    let fd: BorrowedFd<'_> = fd.as_fd();
    let is = |name| net::option(fd, libc::SOL_SOCKET, name);
    match (is(libc::SO_TYPE), is(libc::SO_ACCEPTCONN)) {
        (Ok(libc::SOCK_STREAM), Ok(1)) => {}
        (Ok(libc::SOCK_DGRAM), _) => {
            return Err(not(
                "is a datagram socket, which could send anywhere from inside: use --publish PORT:PORT/udp",
            ));
        }
        (Err(Errno::EBADF), _) => return Err(not("is not open")),
        _ => return Err(not("is not a listening stream socket")),
    }
    fd.try_clone_to_owned()
        .map_err(|_| not("can't be copied (dup)"))
}

/// Keeps descriptors 3 to 2+`count` from being used by the launcher; those that were given stay.
pub fn reserve(count: usize) -> std::io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    let last = FIRST + count.min(MOST) as i32;
    for number in FIRST + given() as i32..last {
        if number != null.as_raw_fd() {
            crate::sys::fs::dup_to(null.as_fd(), number)?;
        }
    }
    // Its own number may be one of them: it stays open then, and else it is closed.
    if (FIRST..last).contains(&null.as_raw_fd()) {
        std::mem::forget(null);
    }
    Ok(())
}

/// Puts the sockets where the program looks for them.
pub fn place(sockets: &[OwnedFd]) -> Result<(), Errno> {
    for (socket, number) in sockets.iter().zip(FIRST..) {
        crate::sys::fs::dup_to(socket.as_fd(), number)?;
    }
    Ok(())
}
