//! The way out: a socket to the capture worker, a file, or nowhere. Never waits, never fails, and counts what was lost.
//!
//! Everybody who has something to tell has one of these; the monitor makes the sockets.

use super::line::MOST;
use super::model::{About, Event, What};
use crate::controls::ControlId;
use crate::sys::fs::dup_above;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt,
};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// What the kernel said when a line of `--events` could not be written by this process; 0: all could.
static UNWRITTEN: AtomicI32 = AtomicI32::new(0);

/// The sentence for whoever asked for a file of events that lacks some of them.
pub fn unwritten() -> Option<String> {
    let errno = UNWRITTEN.load(Relaxed);
    (errno != 0).then(|| {
        format!(
            "events are lost: can't write to what --events names (write): {}; give it a file that takes them",
            Errno::from_raw(errno).desc()
        )
    })
}

/// Tells events about one launch.
#[derive(Debug)]
pub struct Sender {
    about: About,
    ways: Vec<Way>,
    unsent: Cell<u64>,
    sent: Cell<u64>,
}

#[derive(Debug)]
enum Way {
    /// The capture worker's socket: one datagram an event.
    Socket(OwnedFd),
    /// `--events`: lines, appended.
    Lines(File),
}

/// Room for a launch's own events (one with many clamps has some fifty) while nobody reads yet.
const BUFFER: usize = 512 * 1024;

/// A way to the capture worker: what senders get (to be duplicated freely) and what it reads with [`receive`].
/// Whole messages only, and the reader sees the end when the last sender is gone.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (to, from) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )?;
    // No more than net.core.wmem_max, which is enough.
    let _ = setsockopt(&to, sockopt::SndBuf, &BUFFER);
    Ok((to, from))
}

/// One event's line out of the capture worker's end: how many bytes; 0 when every sender is gone, EAGAIN when there is
/// none. What is too long for an event is none of ours, and cut.
pub fn receive(from: impl AsFd, line: &mut [u8; MOST]) -> Result<usize, Errno> {
    recv(from.as_fd().as_raw_fd(), line, MsgFlags::MSG_DONTWAIT)
}

impl Sender {
    /// To nobody.
    pub fn nowhere(about: About) -> Self {
        Self {
            about,
            ways: Vec::new(),
            unsent: Cell::new(0),
            sent: Cell::new(0),
        }
    }

    /// To the capture worker, by the first end of a [`pair`].
    pub fn socket(about: About, to: OwnedFd) -> Self {
        Self::nowhere(about).and_socket(to)
    }

    /// By those of the ways of a monitor's descriptors (`tell-events`, `lines`) that there are.
    pub fn by(about: About, socket: Option<OwnedFd>, lines: Option<OwnedFd>) -> Self {
        let socket = socket.map(Way::Socket);
        let lines = lines.map(|to| Way::Lines(to.into()));
        Self {
            ways: socket.into_iter().chain(lines).collect(),
            ..Self::nowhere(about)
        }
    }

    /// Also to the capture worker.
    #[must_use]
    pub fn and_socket(mut self, to: OwnedFd) -> Self {
        self.ways.push(Way::Socket(to));
        self
    }

    /// Also to a file that is open for appending.
    #[must_use]
    pub fn and_lines(mut self, to: File) -> Self {
        self.ways.push(Way::Lines(to));
        self
    }

    /// Another one that tells of the same launch by the same ways.
    pub fn again(&self) -> Self {
        self.from_number(0)
    }

    /// The same, its descriptors from this number on.
    pub fn from_number(&self, least: i32) -> Self {
        let copy = |fd| dup_above(fd, least).ok();
        let ways = self.ways.iter().filter_map(|way| {
            Some(match way {
                Way::Socket(to) => Way::Socket(copy(to.as_fd())?),
                Way::Lines(to) => Way::Lines(copy(to.as_fd())?.into()),
            })
        });
        Self {
            ways: ways.collect(),
            ..Self::nowhere(self.about.clone())
        }
    }

    /// The numbers of its descriptors, for who closes all others.
    pub fn numbers(&self) -> Vec<i32> {
        let number = |way: &Way| match way {
            Way::Socket(to) => to.as_raw_fd(),
            Way::Lines(to) => to.as_raw_fd(),
        };
        self.ways.iter().map(number).collect()
    }

    /// The file that it also writes to.
    pub fn lines(&self) -> Option<&File> {
        self.ways.iter().find_map(|way| match way {
            Way::Lines(to) => Some(to),
            Way::Socket(_) => None,
        })
    }

    /// Whether anybody gets them: what is dear to find out needn't be otherwise.
    pub fn is_heard(&self) -> bool {
        !self.ways.is_empty()
    }

    /// Which launch it tells of.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How many events could not be sent, ever.
    pub fn lost(&self) -> u64 {
        self.unsent.get()
    }

    /// Tells something.
    pub fn send(&self, what: What) {
        self.send_of(what, &[]);
    }

    /// Tells something that bears on these controls.
    pub fn send_of(&self, what: What, controls: &[ControlId]) {
        if self.is_heard() {
            self.pass(what.event(&self.about, controls));
        }
    }

    fn pass(&self, mut event: Event) {
        let (lost, told) = (self.unsent.get(), self.sent.get());
        event.unsent = lost - told;
        let line = event.line();
        let mut went = true;
        for way in &self.ways {
            went &= way.take(&line);
        }
        if went {
            self.sent.set(lost);
        } else {
            self.unsent.set(lost + 1);
        }
    }
}

impl About {
    /// A launch that begins now.
    pub fn launch_of(id: &str) -> Self {
        let mut launch = [0u8; 8];
        // Only has to differ from launch to launch; the process id helps where there is no randomness.
        let _ = crate::sys::process::random(&mut launch);
        Self {
            id: id.into(),
            name: None,
            launch: format!("{}-{}", crate::digest::hex(&launch), std::process::id()),
        }
    }
}

impl Way {
    fn take(&self, line: &[u8]) -> bool {
        match self {
            Self::Socket(to) => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                // The line feed belongs to files: a datagram has its own end.
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                loop {
                    match send(to.as_raw_fd(), line, flags) {
                        Err(Errno::EINTR) => {}
                        sent => return sent.is_ok(),
                    }
                }
            }
            Self::Lines(to) => {
                let mut to = to;
                let written = to.write_all(line);
                if let Err(why) = &written {
                    UNWRITTEN.store(why.raw_os_error().unwrap_or(libc::EIO), Relaxed);
                }
                written.is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            id: "c".into(),
            name: None,
            launch: "1".into(),
        }
    }

    fn oom(count: u64) -> What {
        What::OomKilled { count }
    }

    #[test]
    fn what_can_t_be_sent_is_counted_and_told() {
        let (to, from) = pair().unwrap();
        let sender = Sender::socket(about(), to);
        let mut sent = 0;
        while sender.lost() == 0 {
            sender.send(oom(sent));
            sent += 1;
        }
        sender.send(oom(sent));
        assert_eq!(sender.lost(), 2);
        let mut line = [0; MOST];
        for at in 0..sent - 1 {
            let n = receive(&from, &mut line).unwrap();
            let event = super::super::parse(&line[..n]).unwrap();
            assert_eq!((event.unsent, event.what), (0, oom(at)));
        }
        assert_eq!(receive(&from, &mut line), Err(Errno::EAGAIN));
        for expected in [2, 0] {
            sender.send(oom(0));
            let n = receive(&from, &mut line).unwrap();
            assert_eq!(super::super::parse(&line[..n]).unwrap().unsent, expected);
        }
        drop(sender);
        assert_eq!(receive(&from, &mut line), Ok(0));
    }

    #[test]
    fn a_reader_that_is_gone_hurts_nobody() {
        let (to, from) = pair().unwrap();
        drop(from);
        let sender = Sender::socket(about(), to);
        sender.send(oom(1));
        assert_eq!(sender.lost(), 1);
        let nobody = Sender::nowhere(about());
        nobody.send(oom(1));
        assert_eq!((nobody.lost(), nobody.is_heard()), (0, false));
    }
}
