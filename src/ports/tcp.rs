//! The forwarder's connections: accepted at one side, opened at the other, kept in a table.
//!
//! Takes no decision but those of the plan (who may come in, where a port leads). Called by `worker`, once an event.

use super::admission::Gate;
use super::events::{Counts, Why, client as named};
use super::flow::{Flow, Progress, Shared};
use super::peers::{self, Answer, Caller};
use super::proxy;
use crate::plan::openings::ProxyHeader;
use crate::sys::net::{self, RawAddress};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many connections are accepted before others have their turn.
const BATCH: usize = 64;
/// How soon a peer that is not there is looked for again.
const AGAIN: Duration = Duration::from_millis(200);

/// Where a door leads.
pub(super) enum Target {
    /// A port of 127.0.0.1 or ::1, in the namespace that this process is in.
    Inside(u16),
    /// One of these addresses, in turn.
    Outside(Vec<SocketAddr>),
    /// A port of another container.
    Peer(Caller),
}

/// A listening socket and where it leads.
pub(super) struct Door {
    /// Non-blocking, listening.
    pub(super) listener: OwnedFd,
    /// What it is called in events: the port on the host, or the one inside that leads out.
    pub(super) port: u16,
    pub(super) target: Target,
    pub(super) gate: Gate,
    pub(super) proxy: Option<ProxyHeader>,
    pub(super) paused: bool,
}

impl Door {
    /// Who got no connection, and why.
    fn unreached(&self, from: Option<SocketAddr>, errno: Errno) -> (String, Why) {
        match &self.target {
            Target::Inside(_) => (named(from), Why::not_served(errno)),
            Target::Peer(caller) => {
                let why = match errno {
                    Errno::EACCES => Why::NotPermitted,
                    _ => Why::missing(errno),
                };
                (
                    format!("container {} port {}", caller.peer, caller.port),
                    why,
                )
            }
            Target::Outside(all) => {
                let to = all.first().map(ToString::to_string);
                (to.unwrap_or_default(), Why::missing(errno))
            }
        }
    }

    /// Bytes from the client and to it, as seen from the container.
    fn directions(&self, [from, to]: [u64; 2]) -> (u64, u64) {
        match self.target {
            Target::Inside(_) => (from, to),
            Target::Outside(_) | Target::Peer(_) => (to, from),
        }
    }
}

/// A connection on its way to the other side.
struct Opening {
    client: OwnedFd,
    from: Option<SocketAddr>,
    stage: Stage,
}

enum Stage {
    /// Being connected to the nth address.
    Connecting(OwnedFd, usize),
    /// The peer's answer is awaited.
    Asking(OwnedFd, Instant),
    /// The peer is not there: when it is looked for again, and until when.
    Waiting(Instant, Instant),
}

enum Slot {
    Free,
    Opening(Box<Opening>, usize),
    Open(Box<Flow>, usize),
}

/// All connections.
pub(super) struct Table {
    pub(super) doors: Vec<Door>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Ended in this round: their numbers may still be named by events that were fetched with it.
    ended: Vec<usize>,
    again: Vec<usize>,
    waiting: Vec<usize>,
    shared: Shared,
    pub(super) counts: Counts,
}

/// Edge-triggered: the kernel tells each change once, and nothing is registered twice.
fn edges() -> EpollFlags {
    EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET
}

/// What an event of a connection's end is told by.
fn token(slot: usize, end: usize) -> u64 {
    (slot as u64) << 1 | end as u64
}

impl Table {
    pub(super) fn new(doors: Vec<Door>, room: usize, counts: Counts) -> Self {
        Self {
            doors,
            slots: Vec::new(),
            free: Vec::new(),
            ended: Vec::new(),
            again: Vec::new(),
            waiting: Vec::new(),
            shared: Shared::new(room),
            counts,
        }
    }

    /// When something is due without an event.
    pub(super) fn due(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.waiting.iter().filter_map(|at| match &self.slots[*at] {
            Slot::Opening(o, _) => match o.stage {
                Stage::Waiting(next, _) => Some(next.saturating_duration_since(now)),
                _ => None,
            },
            _ => None,
        });
        next.min()
    }

    /// Somebody is at a door.
    pub(super) fn accept(&mut self, poll: &Epoll, door: usize, now: Instant) {
        for _ in 0..BATCH {
            if self.shared.room < 4 {
                self.pause(poll, door, true);
                return;
            }
            match net::accept(self.doors[door].listener.as_fd()) {
                Ok((client, from)) => self.enter(poll, door, client, from, now),
                Err(Errno::EAGAIN) => return,
                Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS) => {
                    self.pause(poll, door, true);
                    return;
                }
                // The client has gone before it was taken.
                Err(_) => {}
            }
        }
    }

    fn pause(&mut self, poll: &Epoll, door: usize, paused: bool) {
        let flags = match paused {
            true => EpollFlags::empty(),
            false => EpollFlags::EPOLLIN,
        };
        self.doors[door].paused = paused;
        let mut event = EpollEvent::new(flags, super::worker::door_token(door));
        let _ = poll.modify(self.doors[door].listener.as_fd(), &mut event);
    }

    fn enter(
        &mut self,
        poll: &Epoll,
        door: usize,
        client: OwnedFd,
        from: Option<SocketAddr>,
        now: Instant,
    ) {
        let at = &mut self.doors[door];
        if let Err(why) = at.gate.enter(from, now) {
            let port = at.port;
            self.counts.refused(port, named(from), Why::Gate(why), now);
            let _ = net::reset_on_close(client.as_fd());
            return;
        }
        self.shared.room -= 2;
        let _ = net::set_option(client.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        let event = EpollEvent::new(edges(), token(slot, 0));
        let added = poll.add(client.as_fd(), event);
        let stage = match (&at.target, added) {
            (Target::Peer(caller), Ok(())) => {
                let until = now + Duration::from_secs(caller.wait.into());
                self.ask(poll, door, slot, until, now)
            }
            (_, Ok(())) => self.attempt(poll, door, slot, 0),
            (_, Err(errno)) => Err(errno),
        };
        self.proceed(poll, slot, (door, now), client, from, stage);
    }

    /// Puts an opening into its slot, or gives it up.
    fn proceed(
        &mut self,
        poll: &Epoll,
        slot: usize,
        (door, now): (usize, Instant),
        client: OwnedFd,
        from: Option<SocketAddr>,
        stage: Result<Stage, Errno>,
    ) {
        match stage {
            Ok(stage) => {
                if matches!(stage, Stage::Waiting(..)) && !self.waiting.contains(&slot) {
                    self.waiting.push(slot);
                }
                let opening = Opening {
                    client,
                    from,
                    stage,
                };
                self.slots[slot] = Slot::Opening(Box::new(opening), door);
            }
            Err(errno) => {
                let (peer, why) = self.doors[door].unreached(from, errno);
                self.counts.refused(self.doors[door].port, peer, why, now);
                let _ = net::reset_on_close(client.as_fd());
                drop(client);
                self.vacate(poll, slot, door);
            }
        }
    }

    /// Begins a connection to the nth address, or to the next one that does not refuse at once.
    fn attempt(&self, poll: &Epoll, door: usize, slot: usize, nth: usize) -> Result<Stage, Errno> {
        let mut last = Errno::ECONNREFUSED;
        for nth in nth.. {
            let address = match &self.doors[door].target {
                Target::Inside(port) => {
                    let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                    own.get(nth).map(|a| SocketAddr::new(*a, *port))
                }
                Target::Outside(all) => all.get(nth).copied(),
                Target::Peer(_) => None,
            };
            let Some(address) = address else { break };
            match connecting(address) {
                Ok(socket) => {
                    poll.add(socket.as_fd(), EpollEvent::new(edges(), token(slot, 1)))?;
                    return Ok(Stage::Connecting(socket, nth));
                }
                Err(errno) => last = errno,
            }
        }
        Err(last)
    }

    fn ask(
        &mut self,
        poll: &Epoll,
        door: usize,
        slot: usize,
        until: Instant,
        now: Instant,
    ) -> Result<Stage, Errno> {
        let Target::Peer(caller) = &self.doors[door].target else {
            return Err(Errno::EINVAL);
        };
        match peers::ask(caller) {
            Ok(socket) => {
                poll.add(socket.as_fd(), EpollEvent::new(edges(), token(slot, 1)))?;
                Ok(Stage::Asking(socket, until))
            }
            Err(_) if now < until => Ok(Stage::Waiting(now + AGAIN, until)),
            Err(errno) => Err(errno),
        }
    }

    /// An event of one end of a connection.
    pub(super) fn event(&mut self, poll: &Epoll, token: u64, flags: EpollFlags, now: Instant) {
        let (slot, end) = ((token >> 1) as usize, (token & 1) as usize);
        let Some(held) = self.slots.get_mut(slot) else {
            return;
        };
        let broken = flags.contains(EpollFlags::EPOLLERR);
        match std::mem::replace(held, Slot::Free) {
            Slot::Free => {}
            Slot::Open(flow, door) if broken => self.reset(poll, slot, flow, door),
            Slot::Open(mut flow, door) => {
                flow.wake(end, flags);
                self.go(poll, slot, flow, door);
            }
            Slot::Opening(opening, door) if end == 0 => {
                match broken || flags.contains(EpollFlags::EPOLLHUP) {
                    true => self.vacate(poll, slot, door),
                    false => self.slots[slot] = Slot::Opening(opening, door),
                }
            }
            Slot::Opening(opening, door) => self.opened(poll, slot, *opening, (door, flags), now),
        }
    }

    /// The far side of an opening has something to say.
    fn opened(
        &mut self,
        poll: &Epoll,
        slot: usize,
        opening: Opening,
        (door, flags): (usize, EpollFlags),
        now: Instant,
    ) {
        let Opening {
            client,
            from,
            stage,
        } = opening;
        let next = match stage {
            Stage::Waiting(..) => Ok(stage),
            Stage::Connecting(socket, nth) => match outcome(&socket, flags) {
                None => Ok(Stage::Connecting(socket, nth)),
                Some(Ok(())) => return self.join(poll, slot, door, [client, socket], from),
                Some(Err(_)) => {
                    drop(socket);
                    self.attempt(poll, door, slot, nth + 1)
                }
            },
            Stage::Asking(socket, until) => match peers::hear(&socket) {
                Answer::None => Ok(Stage::Asking(socket, until)),
                Answer::Socket(far) => {
                    drop(socket);
                    let event = EpollEvent::new(edges(), token(slot, 1));
                    match poll.add(far.as_fd(), event) {
                        Ok(()) => Ok(Stage::Connecting(far, 0)),
                        Err(errno) => Err(errno),
                    }
                }
                // It is on its way down or up.
                Answer::Gone | Answer::Silent if now < until => {
                    Ok(Stage::Waiting(now + AGAIN, until))
                }
                Answer::Gone | Answer::Silent => Err(Errno::ECONNREFUSED),
                Answer::Refused => Err(Errno::EACCES),
            },
        };
        self.proceed(poll, slot, (door, now), client, from, next);
    }

    fn join(
        &mut self,
        poll: &Epoll,
        slot: usize,
        door: usize,
        ends: [OwnedFd; 2],
        from: Option<SocketAddr>,
    ) {
        let _ = net::set_option(ends[1].as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
        let header = match (self.doors[door].proxy, from) {
            (Some(version), Some(from)) => {
                let to = net::local(ends[0].as_fd()).ok().and_then(|a| a.internet());
                proxy::header(version, from, to.unwrap_or(from))
            }
            _ => Vec::new(),
        };
        self.counts.accepted(self.doors[door].port);
        self.go(poll, slot, Box::new(Flow::new(ends, header)), door);
    }

    fn go(&mut self, poll: &Epoll, slot: usize, mut flow: Box<Flow>, door: usize) {
        let progress = flow.go(&mut self.shared);
        self.count(&mut flow, door);
        match progress {
            Progress::Waits => self.slots[slot] = Slot::Open(flow, door),
            Progress::More => {
                self.slots[slot] = Slot::Open(flow, door);
                self.again.push(slot);
            }
            Progress::Done => {
                flow.release(&mut self.shared);
                self.counts.ended(self.doors[door].port);
                self.vacate(poll, slot, door);
            }
            Progress::Broken => self.reset(poll, slot, flow, door),
        }
    }

    fn count(&mut self, flow: &mut Flow, door: usize) {
        let (inward, outward) = self.doors[door].directions(flow.moved());
        self.counts.moved(self.doors[door].port, [inward, outward]);
    }

    fn reset(&mut self, poll: &Epoll, slot: usize, mut flow: Box<Flow>, door: usize) {
        flow.last_words(&mut self.shared);
        self.count(&mut flow, door);
        self.counts.ended(self.doors[door].port);
        flow.reset();
        flow.release(&mut self.shared);
        self.vacate(poll, slot, door);
    }

    fn vacate(&mut self, poll: &Epoll, slot: usize, door: usize) {
        self.shared.room += 2;
        self.ended.push(slot);
        self.doors[door].gate.leave();
        for door in 0..self.doors.len() {
            if self.doors[door].paused {
                self.pause(poll, door, false);
            }
        }
    }

    /// After a round of events: streams that had to stop for others, peers that are looked for again.
    pub(super) fn round(&mut self, poll: &Epoll, now: Instant) {
        self.free.append(&mut self.ended);
        for slot in std::mem::take(&mut self.again) {
            match std::mem::replace(&mut self.slots[slot], Slot::Free) {
                Slot::Open(flow, door) => self.go(poll, slot, flow, door),
                other => self.slots[slot] = other,
            }
        }
        for slot in std::mem::take(&mut self.waiting) {
            let is_due = match &self.slots[slot] {
                Slot::Opening(o, _) => match o.stage {
                    Stage::Waiting(next, _) => next <= now,
                    _ => continue,
                },
                _ => continue,
            };
            if !is_due {
                self.waiting.push(slot);
                continue;
            }
            if let Slot::Opening(opening, door) =
                std::mem::replace(&mut self.slots[slot], Slot::Free)
                && let Stage::Waiting(_, until) = opening.stage
            {
                let stage = self.ask(poll, door, slot, until, now);
                let at = (door, now);
                self.proceed(poll, slot, at, opening.client, opening.from, stage);
            }
        }
    }
}

/// A socket on its way to an address.
pub(super) fn connecting(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let domain = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let socket = net::socket(domain, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
    match net::connect(socket.as_fd(), &RawAddress::of(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Whether a connection stands; `None`: not yet known.
fn outcome(socket: &OwnedFd, flags: EpollFlags) -> Option<Result<(), Errno>> {
    let known = EpollFlags::EPOLLOUT | EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
    if !flags.intersects(known) {
        return None;
    }
    Some(
        match net::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR) {
            Ok(0) => Ok(()),
            Ok(errno) => Err(Errno::from_raw(errno)),
            Err(errno) => Err(errno),
        },
    )
}
