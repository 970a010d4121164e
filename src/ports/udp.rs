//! Published datagrams: each client gets a socket of its own inside, so that answers find their way back.
//!
//! The table is bounded: the client that was quiet longest makes room. Called by `worker`.

use super::admission::Gate;
use super::events::{Counts, Why, client as named};
use crate::sys::net::{self, RawAddress};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Clients at once, where the plan says nothing.
const CLIENTS: usize = 1024;
/// How long a client may be quiet.
const IDLE: Duration = Duration::from_secs(60);
/// How many datagrams are taken before others have their turn.
const BATCH: usize = 64;
/// The largest datagram.
const LARGEST: usize = 65_536;

struct Client {
    socket: OwnedFd,
    address: SocketAddr,
    last: Instant,
}

/// One published socket.
pub(super) struct Datagrams {
    pub(super) socket: OwnedFd,
    /// On the host, and inside.
    host: u16,
    port: u16,
    gate: Gate,
    most: usize,
    clients: Vec<Option<Client>>,
    by_address: HashMap<SocketAddr, usize>,
    buffer: Vec<u8>,
}

impl Datagrams {
    pub(super) fn new(
        socket: OwnedFd,
        (host, port): (u16, u16),
        gate: Gate,
        most: Option<u32>,
    ) -> Self {
        Self {
            socket,
            host,
            port,
            gate,
            most: most.map_or(CLIENTS, |n| (n as usize).min(CLIENTS)),
            clients: Vec::new(),
            by_address: HashMap::new(),
            buffer: vec![0; LARGEST],
        }
    }

    /// Datagrams of clients; `token` names a client's socket in events.
    pub(super) fn inward(
        &mut self,
        poll: &Epoll,
        token: impl Fn(usize) -> u64,
        counts: &mut Counts,
        now: Instant,
    ) {
        for _ in 0..BATCH {
            let (n, from) = match net::receive_from(self.socket.as_fd(), &mut self.buffer) {
                Ok((n, Some(from))) => (n, from),
                Ok((_, None)) => continue,
                Err(Errno::EAGAIN) => return,
                // An ICMP error of an answer that could not be delivered.
                Err(_) => continue,
            };
            let Some(slot) = self.client(poll, &token, (from, now), counts) else {
                continue;
            };
            if let Some(client) = &mut self.clients[slot] {
                client.last = now;
                counts.moved(self.host, [n as u64, 0]);
                // A service that does not listen, or whose buffer is full, loses it, as on any network.
                let _ = net::send(client.socket.as_fd(), &self.buffer[..n]);
            }
        }
    }

    fn client(
        &mut self,
        poll: &Epoll,
        token: &impl Fn(usize) -> u64,
        (from, now): (SocketAddr, Instant),
        counts: &mut Counts,
    ) -> Option<usize> {
        if let Some(slot) = self.by_address.get(&from) {
            return Some(*slot);
        }
        if self.by_address.len() >= self.most {
            self.drop_oldest(counts);
        }
        if let Err(why) = self.gate.enter(Some(from), now) {
            counts.refused(self.host, named(Some(from)), Why::Gate(why), now);
            return None;
        }
        let slot = self.clients.iter().position(Option::is_none);
        let slot = slot.unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        match self.open(poll, token(slot)) {
            Ok(socket) => {
                counts.accepted(self.host);
                self.by_address.insert(from, slot);
                self.clients[slot] = Some(Client {
                    socket,
                    address: from,
                    last: now,
                });
                Some(slot)
            }
            Err(errno) => {
                self.gate.leave();
                counts.refused(self.host, named(Some(from)), Why::not_served(errno), now);
                None
            }
        }
    }

    fn open(&self, poll: &Epoll, token: u64) -> Result<OwnedFd, Errno> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK;
        let socket = net::socket(libc::AF_INET, kind, 0)?;
        let inside = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port);
        net::connect(socket.as_fd(), &RawAddress::of(inside))?;
        poll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        Ok(socket)
    }

    fn drop_oldest(&mut self, counts: &mut Counts) {
        let known = self.clients.iter().enumerate();
        let known = known.filter_map(|(slot, c)| c.as_ref().map(|c| (c.last, slot)));
        if let Some((_, slot)) = known.min() {
            self.forget(slot, counts);
        }
    }

    fn forget(&mut self, slot: usize, counts: &mut Counts) {
        if let Some(client) = self.clients[slot].take() {
            self.by_address.remove(&client.address);
            self.gate.leave();
            counts.ended(self.host);
        }
    }

    /// Answers for one client.
    pub(super) fn outward(&mut self, slot: usize, counts: &mut Counts, now: Instant) {
        let Some(Some(client)) = self.clients.get_mut(slot) else {
            return;
        };
        let to = RawAddress::of(client.address);
        for _ in 0..BATCH {
            match net::receive(client.socket.as_fd(), &mut self.buffer) {
                Ok(n) => {
                    client.last = now;
                    counts.moved(self.host, [0, n as u64]);
                    let _ = net::send_to(self.socket.as_fd(), &self.buffer[..n], &to);
                }
                Err(Errno::EAGAIN) => return,
                // Nobody listens inside: read once, it is over.
                Err(_) => return,
            }
        }
    }

    /// Forgets who was quiet for long; when to look again.
    pub(super) fn sweep(&mut self, counts: &mut Counts, now: Instant) -> Option<Duration> {
        for slot in 0..self.clients.len() {
            let quiet = |c: &Client| now.saturating_duration_since(c.last) >= IDLE;
            if self.clients[slot].as_ref().is_some_and(quiet) {
                self.forget(slot, counts);
            }
        }
        (!self.by_address.is_empty()).then_some(IDLE)
    }
}
