//! Output on its way from the pipe to the spool, held so that a worker may be killed at any moment.
//!
//! ```text
//! the program's pipe ──splice──▶ hold pipe ──read──▶ held memory ──pwrite──▶ spool
//! ```
//! Pipes and memory belong to the monitor. A splice moves bytes from one pipe to the other in one system call, which a
//! KILL can't divide, and so does a read: bytes are in one of the three places, always. What a successor must know
//! besides is written into the memory *before* the read: how many bytes it will bring, and when they were taken.
//! Stored or not is seen in the spool itself: its last frame has that time and that length, or it hasn't.

use super::super::spool::{HEADER, MOST};
use crate::sys::memory::{Shared, anonymous};
use crate::sys::{pipe, process};
use crate::worker::Descriptors;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;

/// The numbers stand in front, the frame behind them.
const NUMBERS: usize = 64;
const SIZE: usize = NUMBERS + HEADER + MOST;

const LEN: usize = 0;
const TIME: usize = 1;
const UNTOLD_RECORDS: usize = 2;
const UNTOLD_BYTES: usize = 3;
const UNTOLD_EVENTS: usize = 4;
const UNTOLD_EVENT_BYTES: usize = 5;

/// Makes pipe and memory of one stream.
pub(in crate::logs) fn prepare(name: &str, fds: &mut Descriptors) -> Result<(), Errno> {
    let (from, into) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fds.insert(format!("hold-{name}"), from);
    fds.insert(format!("hold-{name}-in"), into);
    fds.insert(format!("held-{name}"), anonymous(c"cofferdam-held", SIZE)?);
    Ok(())
}

/// One stream's bytes on their way.
pub(in crate::logs) struct Held {
    from: OwnedFd,
    into: OwnedFd,
    memory: Shared,
}

/// What became of an attempt to take something.
pub(in crate::logs) enum Taken {
    /// There is something in the memory now.
    Some,
    /// Nothing for now.
    Nothing,
    /// Nothing ever.
    End,
}

impl Held {
    pub(in crate::logs) fn open(name: &str, fds: &mut Descriptors) -> Result<Self, String> {
        let memory = fds.must(&format!("held-{name}"))?;
        let memory = Shared::map(memory.as_fd(), SIZE);
        Ok(Self {
            from: fds.must(&format!("hold-{name}"))?,
            into: fds.must(&format!("hold-{name}-in"))?,
            memory: memory.map_err(|e| format!("map what is held (mmap): {}", e.desc()))?,
        })
    }

    fn number(&self, index: usize) -> u64 {
        self.memory.number(index).load(SeqCst)
    }

    fn set(&self, index: usize, value: u64) {
        self.memory.number(index).store(value, SeqCst);
    }

    /// How many bytes are in hand, and when they were taken.
    pub(in crate::logs) fn pending(&self) -> Option<(usize, u64)> {
        let len = self.number(LEN) as usize;
        (1..=MOST).contains(&len).then(|| (len, self.number(TIME)))
    }

    /// The frame: room for its header and the bytes in hand.
    pub(in crate::logs) fn frame(&mut self) -> &mut [u8] {
        let len = self.number(LEN) as usize;
        &mut self.memory.bytes(NUMBERS)[..HEADER + len.min(MOST)]
    }

    /// They are where they belong.
    pub(in crate::logs) fn clear(&self) {
        self.set(LEN, 0);
    }

    /// Goes on where a killed predecessor stopped; whether there is something in hand.
    pub(in crate::logs) fn recover(&mut self, now_ns: u64) -> Result<bool, Errno> {
        let waiting = pipe::waiting(&self.from)?;
        match (self.pending(), waiting) {
            (None, 0) => Ok(false),
            (None, n) => {
                self.note(n, now_ns);
                self.fetch(0).map(|()| true)
            }
            // Killed before its read, or in the middle of a signal-torn one.
            (Some((len, _)), n) => self.fetch(len.saturating_sub(n)).map(|()| true),
        }
    }

    /// Takes what is in the program's pipe, up to a frame: whole pages of the pipe, and a write that is shorter than a page
    /// lies in one. So lines that are written one at a time are not cut, which counting bytes would do.
    pub(in crate::logs) fn take(
        &mut self,
        source: &OwnedFd,
        now: impl Fn() -> u64,
    ) -> Result<Taken, Errno> {
        match pipe::splice(source, &self.into, MOST) {
            Ok(0) => Ok(Taken::End),
            Ok(n) => {
                self.note(n, now());
                self.fetch(0).map(|()| Taken::Some)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Taken::Nothing),
            Err(errno) => Err(errno),
        }
    }

    fn note(&self, len: usize, now_ns: u64) {
        self.set(TIME, now_ns);
        self.set(LEN, len as u64);
    }

    /// Reads what is in the hold pipe behind the bytes that are in memory.
    fn fetch(&mut self, mut have: usize) -> Result<(), Errno> {
        let len = self.number(LEN) as usize;
        let from = self.from.as_raw_fd();
        let bytes = &mut self.memory.bytes(NUMBERS + HEADER)[..len];
        while have < len {
            match process::read(from, &mut bytes[have..]) {
                Ok(0) => return Err(Errno::EPIPE),
                Ok(n) => have += n,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// What was dropped and is not told in the spool: (records, bytes).
    pub(in crate::logs) fn untold(&self) -> (u64, u64) {
        (self.number(UNTOLD_RECORDS), self.number(UNTOLD_BYTES))
    }

    /// Leaves it to a successor.
    pub(in crate::logs) fn set_untold(&self, (records, bytes): (u64, u64)) {
        self.set(UNTOLD_RECORDS, records);
        self.set(UNTOLD_BYTES, bytes);
    }

    /// The same of events.
    pub(super) fn untold_events(&self) -> (u64, u64) {
        (self.number(UNTOLD_EVENTS), self.number(UNTOLD_EVENT_BYTES))
    }

    /// The same of events.
    pub(super) fn set_untold_events(&self, (events, bytes): (u64, u64)) {
        self.set(UNTOLD_EVENTS, events);
        self.set(UNTOLD_EVENT_BYTES, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_written_one_at_a_time_are_not_cut_between_frames() {
        let mut fds = Descriptors::default();
        prepare("out", &mut fds).unwrap();
        let mut held = Held::open("out", &mut fds).unwrap();
        let (from, into) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        pipe::enlarge(&from, 1 << 20).unwrap();
        let mut line = [b'x'; 120];
        line[119] = b'\n';
        let lines = 8 * MOST / line.len();
        for _ in 0..lines {
            assert_eq!(process::write(into.as_raw_fd(), &line), Ok(line.len()));
        }
        drop(into);
        let (mut frames, mut bytes) = (0, 0);
        while matches!(held.take(&from, || 1).unwrap(), Taken::Some) {
            let frame = &held.frame()[HEADER..];
            assert_eq!(frame.last(), Some(&b'\n'));
            (frames, bytes) = (frames + 1, bytes + frame.len());
            held.clear();
        }
        assert_eq!(bytes, lines * line.len());
        assert!((8..12).contains(&frames), "{frames}");
    }
}
