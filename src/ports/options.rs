//! What a program had set on a socket before it was bound, and where it was watched: taken over by the one in its place.

use super::kept::HIGH;
use crate::sys::fs::dup_above;
use crate::sys::net;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const SOCKET: i32 = libc::SOL_SOCKET;
const TCP: i32 = libc::IPPROTO_TCP;
const IP: i32 = libc::IPPROTO_IP;
const IPV6: i32 = libc::IPPROTO_IPV6;

/// Options that are one number and are set as they are read.
const NUMBERS: &[(i32, i32)] = &[
    (SOCKET, libc::SO_REUSEADDR),
    (SOCKET, libc::SO_REUSEPORT),
    (SOCKET, libc::SO_KEEPALIVE),
    (SOCKET, libc::SO_OOBINLINE),
    (SOCKET, libc::SO_RCVLOWAT),
    (TCP, libc::TCP_NODELAY),
    (TCP, libc::TCP_MAXSEG),
    (TCP, libc::TCP_KEEPIDLE),
    (TCP, libc::TCP_KEEPINTVL),
    (TCP, libc::TCP_KEEPCNT),
    (TCP, libc::TCP_SYNCNT),
    (TCP, libc::TCP_LINGER2),
    (TCP, libc::TCP_DEFER_ACCEPT),
    (TCP, libc::TCP_WINDOW_CLAMP),
    (TCP, libc::TCP_QUICKACK),
    (TCP, libc::TCP_USER_TIMEOUT),
    (TCP, libc::TCP_FASTOPEN),
    (IP, libc::IP_TOS),
    (IP, libc::IP_TTL),
    (IPV6, libc::IPV6_TCLASS),
    (IPV6, libc::IPV6_UNICAST_HOPS),
];

/// Those that the kernel doubles when they are set.
const SIZES: &[i32] = &[libc::SO_RCVBUF, libc::SO_SNDBUF];

/// Those that are structures or text.
const BYTES: &[(i32, i32, usize)] = &[
    (SOCKET, libc::SO_LINGER, 8),
    (SOCKET, libc::SO_RCVTIMEO, 16),
    (SOCKET, libc::SO_SNDTIMEO, 16),
    (TCP, libc::TCP_CONGESTION, 16),
];

/// Sets on `to` whatever `from` has that a new socket has not. What can't be set is a hint that is lost.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd, domain: i32) {
    for (level, name) in NUMBERS {
        if *level == IPV6 && domain != libc::AF_INET6 {
            continue;
        }
        if let (Ok(theirs), Ok(ours)) = (
            net::option(from.as_fd(), *level, *name),
            net::option(to.as_fd(), *level, *name),
        ) && theirs != ours
        {
            let _ = net::set_option(to.as_fd(), *level, *name, theirs);
        }
    }
    for name in SIZES {
        if let (Ok(theirs), Ok(ours)) = (
            net::option(from.as_fd(), SOCKET, *name),
            net::option(to.as_fd(), SOCKET, *name),
        ) && theirs != ours
        {
            let _ = net::set_option(to.as_fd(), SOCKET, *name, theirs / 2);
        }
    }
    for (level, name, size) in BYTES {
        let (mut theirs, mut ours) = ([0; 16], [0; 16]);
        let read = net::option_bytes(from.as_fd(), *level, *name, &mut theirs[..*size]);
        let own = net::option_bytes(to.as_fd(), *level, *name, &mut ours[..*size]);
        if let (Ok(n), Ok(_)) = (read, own)
            && theirs != ours
        {
            let _ = net::set_bytes(to.as_fd(), *level, *name, &theirs[..n]);
        }
    }
    if let Ok(flags) = fcntl(from, FcntlArg::F_GETFL) {
        let flags = OFlag::from_bits_truncate(flags) & OFlag::O_NONBLOCK;
        let _ = fcntl(to, FcntlArg::F_SETFL(flags));
    }
}

/// An epoll of the program's that watches a descriptor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) epoll: i32,
    events: u32,
    data: u64,
}

/// The epolls that watch a descriptor of a thread's process.
pub(super) fn epolls(
    read: impl Fn(&str) -> Result<String, Errno>,
    thread: u32,
    number: i32,
) -> Vec<Watched> {
    // Descriptors are looked at by number: a folder can't be listed behind the jail's door. Few programs have many
    // in front of their first bind.
    let mut out = Vec::new();
    for epoll in (0..256).filter(|n| *n != number) {
        let Ok(info) = read(&format!("{thread}/fdinfo/{epoll}")) else {
            continue;
        };
        out.extend(info.lines().filter_map(|line| watched(line, epoll, number)));
    }
    out
}

/// "tfd:        5 events:       19 data:                5  pos:0 ino:7a sdev:8".
fn watched(line: &str, epoll: i32, number: i32) -> Option<Watched> {
    let mut words = line.split_whitespace();
    if words.next()? != "tfd:" || words.next()?.parse::<i32>().ok()? != number {
        return None;
    }
    let mut after = |label: &str| (words.next()? == label).then(|| words.next()).flatten();
    let events = u32::from_str_radix(after("events:")?, 16).ok()?;
    let data = u64::from_str_radix(after("data:")?, 16).ok()?;
    Some(Watched {
        epoll,
        events,
        data,
    })
}

/// Adds a socket to an epoll under the number that the program knows it by.
pub(super) fn add(
    epoll: OwnedFd,
    socket: &OwnedFd,
    number: i32,
    watched: &Watched,
) -> Result<(), Errno> {
    // Out of the way: its own number may be the very one.
    let away = dup_above(epoll.as_fd(), HIGH)?;
    drop(epoll);
    let epoll = away;
    let copy = dup_above(socket.as_fd(), number)?;
    if copy.as_raw_fd() != number {
        return Err(Errno::EBUSY);
    }
    net::watch(epoll.as_fd(), copy.as_fd(), watched.events, watched.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoll_s_line_is_understood() {
        let line = "tfd:        5 events:       19 data:         deadbeef  pos:0 ino:7a sdev:8";
        let expected = Watched {
            epoll: 4,
            events: 0x19,
            data: 0xdead_beef,
        };
        assert_eq!(watched(line, 4, 5), Some(expected));
        assert_eq!(watched(line, 4, 6), None);
        for bad in [
            "",
            "pos:\t0",
            "tfd: 5",
            "tfd: 5 events: x data: 1",
            "tfd: 5 data: 1 events: 1",
        ] {
            assert_eq!(watched(bad, 4, 5), None, "{bad:?}");
        }
    }
}
