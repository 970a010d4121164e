//! The streams of a program that has no terminal, where the caller's are one: copied, never handed in.

use super::error::{ContainerError, sys};
use crate::monitor::{NOBODY, PipeOwner};
use crate::plan::Plan;
use crate::plan::process::Stdio;
use crate::sandbox::Streams;
use crate::sys::{fs::fs_magic, process};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{fchown, geteuid};
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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

/// PIPEFS_MAGIC (linux/magic.h).
const PIPEFS: i64 = 0x5049_5045;

/// Images link their logs to /dev/stdout, which is opened anew. A pipe for output lets its program do that, for writing:
/// whose it is stays as it was, for an owner could read his own log back out of it. Files and named pipes of the caller
/// are not touched, nor is what another user's are.
pub(super) fn can_be_reopened(streams: &Streams, plan: &Plan, owner: PipeOwner) {
    let user = plan.namespaces.user.as_ref();
    let uid = user.and_then(|u| u.outside_uid(plan.process.uid));
    let uid = uid.unwrap_or(plan.process.uid);
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let callers = [out.as_fd(), err.as_fd()];
    for (stream, caller) in streams[1..].iter().zip(callers) {
        let fd = stream.as_ref().map_or(caller, |fd| fd.as_fd());
        // What can't be opened again is the program's to say: it has its stream.
        let _ = for_writing(fd, uid, owner);
    }
}

fn for_writing(fd: BorrowedFd<'_>, uid: u32, owner: PipeOwner) -> nix::Result<()> {
    let held = fstat(fd)?;
    if held.st_mode & 0o777 == 0o222 {
        return Ok(()); // the monitor's
    }
    let ours = held.st_uid == geteuid().as_raw() && fs_magic(fd)? == PIPEFS;
    match owner {
        PipeOwner::Nobody if ours => fchown(fd, Some(NOBODY.into()), None)?,
        PipeOwner::Launcher if ours && uid != held.st_uid => {}
        _ => return Ok(()),
    }
    fchmod(fd, Mode::from_bits_truncate(0o622))
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
