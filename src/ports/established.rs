//! How many connections the native ports have: the kernel is asked now and then (sock_diag(7)) and the answer told.
//!
//! No byte of them passes through us, so nobody can count what comes and goes; what is established at one moment the
//! kernel knows. It tells that of its own network namespace, the host's, to everybody: no capability is used. Called by
//! `native`, between two calls of the program.

use super::kept::HIGH;
use crate::events::{Sender, What};
use crate::sys::fs::dup_above;
use crate::sys::net;
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST_DUMP: u16 = 0x301;
/// A bit a state; TCP_ESTABLISHED is 1.
const ESTABLISHED: u32 = 1 << 1;
/// The kernel sends no more at once to whoever does not say that he has more room.
const ROOM: usize = 16 << 10;
/// Answers that are read of one question at most: a host with more connections than these hold is told of as many.
const MOST: usize = 4096;

/// A port whose connections are looked for.
struct Port {
    number: u16,
    /// Where it is published: one address or several.
    at: Vec<IpAddr>,
    /// What was told last.
    told: u64,
}

/// What is asked again and again.
pub(super) struct Established {
    kernel: OwnedFd,
    ports: Vec<Port>,
    events: Sender,
    every: Duration,
    next: Instant,
}

impl Established {
    /// `None`: nobody listens, there is nothing to look for, or this kernel does not tell (CONFIG_INET_TCP_DIAG).
    pub(super) fn of(places: &[SocketAddr], events: Sender, every: Duration) -> Option<Self> {
        if places.is_empty() || !events.is_heard() {
            return None;
        }
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK;
        let kernel = net::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG).ok()?;
        let kernel = dup_above(kernel.as_fd(), HIGH).ok()?;
        let mut ports: Vec<Port> = Vec::new();
        for place in places {
            match ports.iter_mut().find(|p| p.number == place.port()) {
                Some(port) => port.at.push(place.ip()),
                None => ports.push(Port {
                    number: place.port(),
                    at: vec![place.ip()],
                    told: 0,
                }),
            }
        }
        let mut new = Self {
            kernel,
            ports,
            events,
            every,
            next: Instant::now() + every,
        };
        // A kernel that can't say so says it now.
        new.count(0).ok().map(|_| new)
    }

    /// What stays open.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let own = [self.kernel.as_raw_fd()];
        own.into_iter().chain(self.events.numbers()).collect()
    }

    /// Looks and tells, if it is time; when it is next.
    pub(super) fn due(&mut self, now: Instant) -> Duration {
        if self.next <= now {
            self.next = now + self.every;
            (0..self.ports.len()).for_each(|at| self.tell(at));
        }
        self.next.saturating_duration_since(now)
    }

    /// A port that was not used, and is not, is not told.
    fn tell(&mut self, at: usize) {
        let Ok(established) = self.count(at) else {
            return;
        };
        let port = &mut self.ports[at];
        if established == 0 && port.told == 0 {
            return;
        }
        port.told = established;
        self.events.send(What::PortNative {
            port: port.number,
            established,
        });
    }

    fn count(&mut self, at: usize) -> Result<u64, Errno> {
        let mut count = 0;
        // A socket for both families has connections of IPv4 among those of IPv6.
        for family in [libc::AF_INET, libc::AF_INET6] {
            net::send(
                self.kernel.as_fd(),
                &question(family as u8, self.ports[at].number),
            )?;
            count += self.answers(&self.ports[at])?;
        }
        Ok(count)
    }

    fn answers(&self, port: &Port) -> Result<u64, Errno> {
        let (mut room, mut count) = (vec![0; ROOM], 0);
        for _ in 0..MOST {
            let n = match net::receive(self.kernel.as_fd(), &mut room) {
                Err(Errno::EINTR) => continue,
                read => read?,
            };
            for (kind, body) in messages(&room[..n]) {
                match kind {
                    NLMSG_DONE => return Ok(count),
                    NLMSG_ERROR => return Err(error(body)),
                    _ => count += u64::from(local(body).is_some_and(|ip| port.has(ip))),
                }
            }
        }
        Ok(count)
    }
}

impl Port {
    /// Whether a connection to this address of the host is one to where it is published.
    fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let any = |at: &IpAddr| at.is_unspecified() && at.is_ipv4() == ip.is_ipv4();
        self.at.iter().any(|at| any(at) || at.to_canonical() == ip)
    }
}

/// nlmsghdr and inet_diag_req_v2: all established connections of a family at a port of ours.
fn question(family: u8, port: u16) -> Vec<u8> {
    const LENGTH: u32 = 16 + 56;
    let mut out = Vec::with_capacity(LENGTH as usize);
    out.extend(LENGTH.to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(REQUEST_DUMP.to_ne_bytes());
    out.extend([0; 8]);
    out.extend([family, libc::IPPROTO_TCP as u8, 0, 0]);
    out.extend(ESTABLISHED.to_ne_bytes());
    out.extend(port.to_be_bytes());
    out.resize(LENGTH as usize, 0);
    out
}

/// The messages of one answer: each one's kind and what is behind its header. What makes no sense ends it.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        let body = rest.get(16..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn error(body: &[u8]) -> Errno {
    let code = body.get(..4).and_then(|b| b.try_into().ok());
    Errno::from_raw(code.map_or(libc::EPROTO, |b| i32::from_ne_bytes(b).wrapping_neg()))
}

/// The local address of an inet_diag_msg.
fn local(body: &[u8]) -> Option<IpAddr> {
    let bytes: [u8; 16] = body.get(8..24)?.try_into().ok()?;
    match i32::from(body[0]) {
        libc::AF_INET => {
            let four: [u8; 4] = bytes[..4].try_into().ok()?;
            Some(Ipv4Addr::from(four).into())
        }
        libc::AF_INET6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn port(at: &[&str]) -> Port {
        Port {
            number: 80,
            at: at.iter().map(|a| a.parse().unwrap()).collect(),
            told: 0,
        }
    }

    #[test]
    fn only_connections_to_where_it_is_published_count() {
        let has = |at: &[&str], ip: &str| port(at).has(ip.parse().unwrap());
        assert!(has(&["0.0.0.0"], "10.0.0.1") && has(&["0.0.0.0"], "::ffff:10.0.0.1"));
        assert!(!has(&["0.0.0.0"], "::1") && has(&["0.0.0.0", "::"], "::1"));
        assert!(has(&["127.0.0.1"], "127.0.0.1") && !has(&["127.0.0.1"], "127.0.0.2"));
        assert!(!has(&["::"], "10.0.0.1") && has(&["::1"], "::1"));
    }

    #[test]
    fn the_kernel_counts_connections_of_both_families() {
        let listener = std::net::TcpListener::bind("[::]:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let four = std::net::TcpStream::connect(("127.0.0.1", number)).unwrap();
        let six = std::net::TcpStream::connect(("::1", number)).unwrap();
        let kept: Vec<_> = listener.incoming().take(2).collect();
        let about = crate::events::About::launch_of("x");
        let mut asked = Established {
            kernel: net::socket(libc::AF_NETLINK, libc::SOCK_DGRAM, NETLINK_SOCK_DIAG).unwrap(),
            ports: vec![port(&["0.0.0.0", "::"]), port(&["::"])],
            events: Sender::nowhere(about),
            every: Duration::ZERO,
            next: Instant::now(),
        };
        asked.ports.iter_mut().for_each(|p| p.number = number);
        assert_eq!((asked.count(0), asked.count(1)), (Ok(2), Ok(1)));
        drop((four, six, kept));
        assert_eq!(asked.count(0), Ok(0));
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for (_, body) in messages(&bytes) {
                let _ = (local(body), error(body));
            }
        }
    }
}
