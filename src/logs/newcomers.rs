//! What programs that `exec` starts say, on its way to the capture worker of their container: one message a piece.
//!
//! A piece says whose it is and when it was read, so that one that comes twice, because its relay or capture was killed
//! over it, is stored once. Whoever sends waits while the spool has no room, and so does the program.

use super::record::{Stream, Whose};
use super::spool::{HEADER, MOST};
use crate::sys::memory::{Shared, anonymous};
use crate::worker::Descriptors;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;

/// What capture has stored last of each, by the name of its memory among descriptors.
pub(super) const KNOWN: &str = "newcomers-known";
/// Capture's end.
pub(super) const TAKES: &str = "newcomers";
/// The other end.
pub(crate) const TELLS: &str = "tell-newcomers";

/// Makes both ends; both belong to the monitor.
pub(super) fn prepare(fds: &mut Descriptors) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (to, from) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    fds.insert(TELLS, to);
    fds.insert(TAKES, from);
    fds.insert(KNOWN, anonymous(c"cofferdam-known", SIZE)?);
    Ok(())
}

/// Which piece of a stream was stored last: a successor of capture knows it, and one that comes again is not stored again.
pub(super) struct Known(Shared);

/// Streams that are told apart; of two that share a row, one is stored again if somebody is killed over it.
const ROWS: usize = 256;
const SIZE: usize = ROWS * 16;

impl Known {
    pub(super) fn open(fds: &mut Descriptors) -> Result<Self, String> {
        let memory = fds.must(KNOWN)?;
        let memory = Shared::map(memory.as_fd(), SIZE);
        memory
            .map(Self)
            .map_err(|e| format!("map what is known (mmap): {}", e.desc()))
    }

    fn row(whose: Whose) -> (usize, u64) {
        let key = u64::from(whose.pid) << 1 | u64::from(whose.stream == Stream::Stderr);
        ((key as usize % ROWS) * 2, key)
    }

    /// Whether the piece that was read then is stored.
    pub(super) fn has(&self, whose: Whose, time_ns: u64) -> bool {
        let (at, key) = Self::row(whose);
        self.0.number(at).load(SeqCst) == key && self.0.number(at + 1).load(SeqCst) == time_ns
    }

    pub(super) fn note(&self, whose: Whose, time_ns: u64) {
        let (at, key) = Self::row(whose);
        self.0.number(at + 1).store(time_ns, SeqCst);
        self.0.number(at).store(key, SeqCst);
    }
}

/// Writes whose a piece is into the first [`HEADER`] bytes of `whole`, behind which it stands.
pub(super) fn mark(whole: &mut [u8], whose: Whose, time_ns: u64) {
    whole[..HEADER].fill(0);
    whole[0] = match whose.stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::Event => 0,
    };
    whole[4..8].copy_from_slice(&whose.pid.to_le_bytes());
    whole[8..16].copy_from_slice(&time_ns.to_le_bytes());
}

/// Whose it is, and when it was read; `None` if it is no piece.
pub(super) fn marked(whole: &[u8]) -> Option<(Whose, u64)> {
    let stream = match whole.first()? {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return None,
    };
    let pid = u32::from_le_bytes(whole.get(4..8)?.try_into().ok()?);
    let time_ns = u64::from_le_bytes(whole.get(8..16)?.try_into().ok()?);
    let len = whole.len().checked_sub(HEADER)?;
    ((1..=MOST).contains(&len) && pid > 0).then_some((Whose { stream, pid }, time_ns))
}

/// Sends a piece; EAGAIN while there is no room for it.
pub(super) fn hand_on(to: &OwnedFd, whole: &[u8]) -> Result<(), Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(to.as_raw_fd(), whole, flags).map(drop)
}

/// The next piece, which stays where it is; `None` if there is none.
pub(super) fn look(from: &OwnedFd) -> Result<Option<Vec<u8>>, Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    let length = recv(from.as_raw_fd(), &mut [0], flags | MsgFlags::MSG_TRUNC);
    let length = match length {
        // Nobody has the other end: not even the monitor.
        Ok(0) | Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        other => other?,
    };
    let mut whole = vec![0; length];
    let got = recv(from.as_raw_fd(), &mut whole, flags)?;
    whole.truncate(got);
    Ok(Some(whole))
}

/// Takes the one that was looked at away.
pub(super) fn take(from: &OwnedFd) {
    let _ = recv(from.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_looked_at_before_it_is_taken() {
        let mut fds = Descriptors::default();
        prepare(&mut fds).unwrap();
        let (to, from) = (fds.take(TELLS).unwrap(), fds.take(TAKES).unwrap());
        assert_eq!(look(&from), Ok(None));
        for pid in [7, 8] {
            let mut whole = vec![b'x'; HEADER + MOST];
            let stream = Stream::Stderr;
            mark(&mut whole, Whose { stream, pid }, 9);
            hand_on(&to, &whole).unwrap();
        }
        for pid in [7, 7, 8] {
            let whole = look(&from).unwrap().unwrap();
            assert_eq!(whole.len(), HEADER + MOST);
            let (whose, time) = marked(&whole).unwrap();
            assert_eq!((whose.stream, time), (Stream::Stderr, 9));
            if whose.pid != pid {
                take(&from);
            }
            let whole = look(&from).unwrap().unwrap();
            assert_eq!(marked(&whole).unwrap().0.pid, pid);
        }
        take(&from);
        assert_eq!(look(&from), Ok(None));
        assert_eq!(marked(&[0; HEADER + 1]), None);
    }
}
