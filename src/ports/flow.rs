//! One forwarded connection: two sockets and two ways between them.
//!
//! What is sent arrives in order, an end of sending is handed on as one (half-close), a reset as a reset behind what was
//! said before it, and who does not read makes the other side wait. Short messages go through one buffer that all
//! connections share; a stream goes through a pipe (splice), so its bytes never come to this process. Called by `tcp`.

use crate::sys::net;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::EpollFlags;
use std::os::fd::{AsFd, OwnedFd};

/// How much one read takes; as much in a single read makes a connection count as a stream.
pub(super) const BUFFER: usize = 32 << 10;
/// How much of a stream is moved at once.
const STREAM: usize = 1 << 20;
/// A stream that moves so little at a time is one no more.
const TRICKLE: usize = 4 << 10;
/// Moves in a row before others get their turn.
const TURNS: usize = 16;
/// Pipes kept for the next stream.
const SPARE: usize = 8;

/// What all connections share.
pub(super) struct Shared {
    buffer: Vec<u8>,
    spare: Vec<Pipe>,
    /// Descriptors that may still be opened.
    pub(super) room: usize,
}

impl Shared {
    pub(super) fn new(room: usize) -> Self {
        Self {
            buffer: vec![0; BUFFER],
            spare: Vec::new(),
            room,
        }
    }

    fn pipe(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.spare.pop() {
            return Some(pipe);
        }
        if self.room < 4 {
            return None;
        }
        let (from, into) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
        // More than the default where the user's allowance has it.
        let size = nix::fcntl::FcntlArg::F_SETPIPE_SZ(STREAM as i32);
        let _ = nix::fcntl::fcntl(&from, size);
        self.room -= 2;
        Some(Pipe { from, into })
    }

    fn put_back(&mut self, pipe: Pipe) {
        match self.spare.len() < SPARE {
            true => self.spare.push(pipe),
            false => self.room += 2,
        }
    }
}

struct Pipe {
    from: OwnedFd,
    into: OwnedFd,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read and not yet sent.
    rest: Vec<u8>,
    sent: usize,
    /// Held by the pipe of a stream.
    piped: usize,
    pipe: Option<Pipe>,
    /// The source will send no more.
    ended: bool,
    /// The destination has been told so.
    told: bool,
}

impl Way {
    /// Something that was read waits to be sent.
    fn holds(&self) -> bool {
        self.piped > 0 || !self.rest.is_empty()
    }
}

/// What the kernel last said of a socket.
#[derive(Clone, Copy)]
struct Ready {
    read: bool,
    write: bool,
    /// Its end of sending was announced, or may have been before anybody looked: it is read until it is empty.
    last: bool,
}

impl Ready {
    /// Nothing is there, and no end either: the kernel will tell of both.
    fn empty(&mut self) {
        (self.read, self.last) = (false, false);
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to do until the kernel says so.
    Waits,
    /// Others are to have their turn, then this one again.
    More,
    /// Both sides have said all.
    Done,
    /// One side has broken off: the other one gets a reset.
    Broken,
}

/// One connection.
pub(super) struct Flow {
    /// Who came in, and where it leads.
    pub(super) ends: [OwnedFd; 2],
    ready: [Ready; 2],
    ways: [Way; 2],
    /// Bytes that came from each end and were not told yet.
    moved: [u64; 2],
}

impl Flow {
    /// Joins two connected sockets; `first` is sent to the second one before anything else.
    pub(super) fn new(ends: [OwnedFd; 2], first: Vec<u8>) -> Self {
        let all = Ready {
            read: true,
            write: true,
            last: true,
        };
        let mut ways = [Way::default(), Way::default()];
        ways[0].rest = first;
        Self {
            ends,
            ready: [all; 2],
            ways,
            moved: [0; 2],
        }
    }

    /// The kernel says that an end can be read or written.
    pub(super) fn wake(&mut self, end: usize, flags: EpollFlags) {
        let ready = &mut self.ready[end];
        ready.last |= flags.contains(EpollFlags::EPOLLRDHUP);
        ready.read |= ready.last || flags.contains(EpollFlags::EPOLLIN);
        ready.write |= flags.contains(EpollFlags::EPOLLOUT);
    }

    /// Moves what can be moved, both ways.
    pub(super) fn go(&mut self, shared: &mut Shared) -> Progress {
        let mut more = false;
        for way in [0, 1] {
            match self.push(way, shared) {
                Ok(Progress::More) => more = true,
                Ok(_) => {}
                Err(_) => return Progress::Broken,
            }
        }
        match (more, self.ways.iter().all(|w| w.told)) {
            (_, true) => Progress::Done,
            (true, _) => Progress::More,
            _ => Progress::Waits,
        }
    }

    /// Bytes that have come from each end since this was asked.
    pub(super) fn moved(&mut self) -> [u64; 2] {
        std::mem::take(&mut self.moved)
    }

    /// Gives back what it had of the shared things.
    pub(super) fn release(self, shared: &mut Shared) {
        for way in self.ways {
            match way.pipe {
                Some(pipe) if way.piped == 0 => shared.put_back(pipe),
                Some(_) => shared.room += 2,
                None => {}
            }
        }
    }

    /// What an end had said before it broke off is handed on as far as the other takes it at once.
    pub(super) fn last_words(&mut self, shared: &mut Shared) {
        for from in [0, 1] {
            (self.ready[from].read, self.ready[from].last) = (true, true);
            while self.ways[from].holds() || (self.ready[from].read && !self.ways[from].ended) {
                let moved = match self.ways[from].holds() {
                    true => self.ready[1 - from].write && self.send_on(from, shared) == Ok(true),
                    false => self.take(from, shared).is_ok(),
                };
                if !moved {
                    break;
                }
            }
        }
    }

    /// The next close of both ends sends a reset.
    pub(super) fn reset(&self) {
        for end in &self.ends {
            let _ = net::reset_on_close(end.as_fd());
        }
    }

    fn push(&mut self, from: usize, shared: &mut Shared) -> Result<Progress, Errno> {
        let to = 1 - from;
        for _ in 0..TURNS {
            if self.ways[from].holds() {
                if !self.ready[to].write || !self.send_on(from, shared)? {
                    return Ok(Progress::Waits);
                }
                continue;
            }
            let way = &mut self.ways[from];
            if way.ended {
                if !way.told {
                    way.told = true;
                    // The other one may have gone already: its own way says so.
                    let _ = net::end_sending(self.ends[to].as_fd());
                }
                return Ok(Progress::Waits);
            }
            if !self.ready[from].read {
                return Ok(Progress::Waits);
            }
            self.take(from, shared)?;
        }
        Ok(Progress::More)
    }

    /// Sends what is held; whether all of it went.
    fn send_on(&mut self, from: usize, shared: &mut Shared) -> Result<bool, Errno> {
        let to = 1 - from;
        let way = &mut self.ways[from];
        let sent = match &way.pipe {
            Some(pipe) if way.piped > 0 => {
                net::splice(pipe.from.as_fd(), self.ends[to].as_fd(), way.piped)
            }
            _ => net::send(self.ends[to].as_fd(), &way.rest[way.sent..]),
        };
        match sent {
            Ok(n) if way.piped > 0 => way.piped = way.piped.saturating_sub(n),
            Ok(n) => way.sent += n,
            Err(Errno::EAGAIN) => {
                self.ready[to].write = false;
                return Ok(false);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if way.sent == way.rest.len() {
            (way.rest, way.sent) = (Vec::new(), 0);
        }
        if way.piped == 0
            && way.ended
            && let Some(pipe) = way.pipe.take()
        {
            shared.put_back(pipe);
        }
        Ok(true)
    }

    fn take(&mut self, from: usize, shared: &mut Shared) -> Result<(), Errno> {
        match self.ways[from].pipe {
            Some(_) => self.take_stream(from, shared),
            None => self.take_message(from, shared),
        }
    }

    fn take_stream(&mut self, from: usize, shared: &mut Shared) -> Result<(), Errno> {
        let way = &mut self.ways[from];
        let Some(pipe) = &way.pipe else { return Ok(()) };
        match net::splice(self.ends[from].as_fd(), pipe.into.as_fd(), STREAM) {
            Ok(0) => way.ended = true,
            Ok(n) => {
                way.piped = n;
                self.moved[from] += n as u64;
                return Ok(());
            }
            Err(Errno::EAGAIN) => self.ready[from].empty(),
            Err(Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        // Nothing came: the pipe is empty and free for others.
        if let Some(pipe) = way.pipe.take() {
            shared.put_back(pipe);
        }
        Ok(())
    }

    fn take_message(&mut self, from: usize, shared: &mut Shared) -> Result<(), Errno> {
        let to = 1 - from;
        let n = match net::receive(self.ends[from].as_fd(), &mut shared.buffer) {
            Ok(0) => {
                self.ways[from].ended = true;
                return Ok(());
            }
            Ok(n) => n,
            Err(Errno::EAGAIN) => {
                self.ready[from].empty();
                return Ok(());
            }
            Err(Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        self.moved[from] += n as u64;
        if n == BUFFER {
            self.ways[from].pipe = shared.pipe();
        } else if n < TRICKLE && !self.ready[from].last {
            // A short read has emptied it; the kernel will say when there is more.
            self.ready[from].read = false;
        }
        let sent = match self.ready[to].write {
            true => net::send(self.ends[to].as_fd(), &shared.buffer[..n]),
            false => Err(Errno::EAGAIN),
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            Err(errno) => return Err(errno),
        };
        if sent < n {
            self.ready[to].write = false;
            self.ways[from].rest = shared.buffer[sent..n].to_vec();
        }
        Ok(())
    }
}
