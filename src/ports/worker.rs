//! The forwarder itself: one thread, one event loop, in a jail from its first accepted connection on.
//!
//! It stands in the namespace that it connects in; the sockets that it accepts from were made in the other one and
//! keep it. Made by `keeper`, which holds the listening sockets too and starts another one should this one end.

use super::admission::Gate;
use super::events::Counts;
use super::jail;
use super::peers::Permits;
use super::tcp::{Door, Table};
use super::udp::Datagrams;
use crate::events::Sender;
use crate::sys::{net, process};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Kinds of events, in the upper bits of a token; connections have none.
const KIND: u32 = 60;
const DOOR: u64 = 1;
const DATAGRAMS: u64 = 2;
const CLIENT: u64 = 3;
const PEERS: u64 = 4;
const QUESTION: u64 = 5;
const CONTAINER: u64 = 6;
/// Questions of peers that are awaited at once.
const QUESTIONS: usize = 64;
/// Descriptors that are not for connections.
const OWN: usize = 64;

pub(super) fn door_token(door: usize) -> u64 {
    DOOR << KIND | door as u64
}

/// All that one forwarder serves.
pub(super) struct Post {
    pub(super) doors: Vec<Door>,
    pub(super) datagrams: Vec<Datagrams>,
    /// The socket that peers ask at.
    pub(super) peers: Option<(OwnedFd, Permits)>,
    /// Ports that it may connect to.
    pub(super) ports: Vec<u16>,
    /// Where it tells what it has seen.
    pub(super) events: Sender,
    /// The container's first process: with its end, everything has been said.
    pub(super) container: OwnedFd,
}

struct Worker {
    poll: Epoll,
    table: Table,
    datagrams: Vec<Datagrams>,
    peers: Option<(OwnedFd, Permits)>,
    questions: Vec<Option<OwnedFd>>,
    container: OwnedFd,
}

/// Serves until it is killed; `ready` is told once it stands behind its jail's door.
pub(super) fn serve(post: Post, ready: &OwnedFd) -> Result<std::convert::Infallible, Errno> {
    let most = raise_descriptors();
    let ports = post.ports.clone();
    let mut worker = Worker::new(post, most)?;
    jail::enter(&ports, &worker.descriptors(ready))?;
    // Whoever started it again does not listen.
    let _ = process::write(ready.as_raw_fd(), &[0; 4]);
    // Its owner is the keeper's copy, which is not dropped here: this process ends without destructors.
    let _ = nix::unistd::close(ready.as_raw_fd());
    let mut events = [EpollEvent::empty(); 256];
    let mut sweep = Duration::from_secs(60);
    loop {
        let now = Instant::now();
        let due = worker.table.due(now);
        let tell = worker.table.counts.due(now);
        let wait = due.into_iter().chain(tell).min();
        let wait = wait.map_or(sweep, |wait| wait.min(sweep));
        let wait =
            EpollTimeout::try_from(wait + Duration::from_micros(999)).unwrap_or(EpollTimeout::NONE);
        let wait = if due == Some(Duration::ZERO) {
            EpollTimeout::ZERO
        } else {
            wait
        };
        let count = match worker.poll.wait(&mut events, wait) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno),
        };
        let now = Instant::now();
        for event in &events[..count] {
            worker.event(event.data(), event.events(), now);
        }
        worker.table.round(&worker.poll, now);
        if count == 0 {
            let counts = &mut worker.table.counts;
            let datagrams = worker.datagrams.iter_mut();
            let next = datagrams.filter_map(|d| d.sweep(counts, now)).min();
            sweep = next.unwrap_or(Duration::from_secs(3600));
        } else if !worker.datagrams.is_empty() {
            sweep = Duration::from_secs(60);
        }
    }
}

/// As many as the launcher may give; how many that are.
fn raise_descriptors() -> usize {
    let _ = process::raise_nofile();
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    limit.map_or(1024, |(soft, _)| soft as usize)
}

impl Worker {
    fn new(post: Post, most: usize) -> Result<Self, Errno> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let add =
            |fd: &OwnedFd, token| poll.add(fd.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token));
        for (at, door) in post.doors.iter().enumerate() {
            add(&door.listener, door_token(at))?;
        }
        for (at, datagrams) in post.datagrams.iter().enumerate() {
            add(&datagrams.socket, DATAGRAMS << KIND | at as u64)?;
        }
        if let Some((listener, _)) = &post.peers {
            add(listener, PEERS << KIND)?;
        }
        add(&post.container, CONTAINER << KIND)?;
        let counts = Counts::new(post.events, Instant::now());
        Ok(Self {
            poll,
            table: Table::new(post.doors, most.saturating_sub(OWN), counts),
            datagrams: post.datagrams,
            peers: post.peers,
            questions: Vec::new(),
            container: post.container,
        })
    }

    /// What must stay open.
    fn descriptors(&self, ready: &OwnedFd) -> Vec<i32> {
        let doors = self.table.doors.iter().map(|d| d.listener.as_raw_fd());
        let datagrams = self.datagrams.iter().map(|d| d.socket.as_raw_fd());
        let peers = self.peers.iter().map(|(l, _)| l.as_raw_fd());
        let own = [
            self.poll.0.as_raw_fd(),
            self.container.as_raw_fd(),
            ready.as_raw_fd(),
        ];
        let tells = self.table.counts.numbers();
        let others = doors.chain(datagrams).chain(peers);
        others.chain(own).chain(tells).collect()
    }

    fn event(&mut self, token: u64, flags: EpollFlags, now: Instant) {
        let at = (token & ((1 << KIND) - 1)) as usize;
        match token >> KIND {
            DOOR => self.table.accept(&self.poll, at, now),
            DATAGRAMS => {
                let client = |slot: usize| CLIENT << KIND | (at as u64) << 32 | slot as u64;
                self.datagrams[at].inward(&self.poll, client, &mut self.table.counts, now);
            }
            CLIENT => {
                let counts = &mut self.table.counts;
                self.datagrams[at >> 32].outward(at & 0xffff_ffff, counts, now);
            }
            PEERS => self.asked(),
            QUESTION => self.answer(at, now),
            CONTAINER => {
                self.table.counts.finish();
                process::exit_now(0)
            }
            _ => self.table.event(&self.poll, token, flags, now),
        }
    }

    /// A peer's forwarder has come with a question.
    fn asked(&mut self) {
        let Some((listener, _)) = &self.peers else {
            return;
        };
        let Ok((socket, _)) = net::accept(listener.as_fd()) else {
            return;
        };
        let free = self.questions.iter().position(Option::is_none);
        let slot = match free {
            Some(slot) => slot,
            None if self.questions.len() < QUESTIONS => {
                self.questions.push(None);
                self.questions.len() - 1
            }
            // Whoever asks nothing makes room.
            None => 0,
        };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, QUESTION << KIND | slot as u64);
        if self.poll.add(socket.as_fd(), event).is_ok() {
            self.questions[slot] = Some(socket);
        }
    }

    fn answer(&mut self, slot: usize, now: Instant) {
        let Some((_, permits)) = &self.peers else {
            return;
        };
        let Some(socket) = self.questions.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let Some(answered) = permits.answer(&socket) else {
            return;
        };
        let (counts, port) = (&mut self.table.counts, answered.port);
        match answered.refused {
            None => counts.linked(port),
            Some(why) => {
                let peer = format!("container {}", answered.caller);
                counts.refused(port, peer, why, now);
            }
        }
    }
}

/// The gate of a door.
pub(super) fn gate(rules: &crate::plan::openings::Admission) -> Gate {
    Gate::new(rules, Instant::now())
}
