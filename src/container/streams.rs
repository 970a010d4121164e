//! The streams of a program that has no terminal, where the caller's are one: copied, never handed in.

use super::error::{ContainerError, sys};
use crate::plan::process::Stdio;
use crate::sandbox::Streams;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::io::IsTerminal;
use std::os::fd::{AsRawFd, OwnedFd};

/// A pipe whose other end the program has, and our own stream that it is copied to.
pub(super) struct Relay {
    pub(super) from: OwnedFd,
    to: i32,
}

/// A terminal never goes in (SS-011 8.4.1): stdin becomes /dev/null, stdout and stderr become pipes that we copy, unless
/// the monitor takes them.
pub(super) fn streams(stdio: Stdio, logged: bool) -> Result<(Streams, Vec<Relay>), ContainerError> {
    let mut streams: Streams = [None, None, None];
    let mut relays = Vec::new();
    if matches!(stdio, Stdio::Terminal(_)) {
        return Ok((streams, relays));
    }
    if std::io::stdin().is_terminal() {
        let null = std::fs::File::open("/dev/null");
        streams[0] =
            Some(super::error::at(null, "open", std::path::Path::new("/dev/null"))?.into());
    }
    let terminal = [
        !logged && std::io::stdout().is_terminal(),
        !logged && std::io::stderr().is_terminal(),
    ];
    for (index, is_terminal) in terminal.into_iter().enumerate() {
        if is_terminal {
            let (from, into) = sys(nix::unistd::pipe2(OFlag::O_CLOEXEC), "make a pipe (pipe2)")?;
            streams[index + 1] = Some(into);
            relays.push(Relay {
                from,
                to: index as i32 + 1,
            });
        }
    }
    Ok((streams, relays))
}

/// One piece; false at the end.
pub(super) fn copy(relay: &Relay) -> bool {
    let mut buffer = [0u8; 16384];
    match process::read(relay.from.as_raw_fd(), &mut buffer) {
        Ok(0) => false,
        Ok(n) => write_all(relay.to, &buffer[..n]),
        Err(errno) => errno == Errno::EINTR,
    }
}

pub(super) fn drain(relay: &Relay) {
    let flags = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
    if nix::fcntl::fcntl(&relay.from, flags).is_ok() {
        while copy(relay) {}
    }
}

/// Everything, to one of our own streams; false when nobody takes it any more.
pub(super) fn write_all(to: i32, mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        match process::write(to, rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}
