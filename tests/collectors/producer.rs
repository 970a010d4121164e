//! What a capture does, without the container: frames of numbered lines into a real spool, at a speed.

use crate::lab::{open, origin};
use cofferdam::logs::Stream;
use cofferdam::logs::spool::{HEADER, Settings, Stored, Sync, WhenFull, Writer};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Lines of one frame at most.
const LINES: u64 = 100;

pub struct Producer {
    writer: Writer,
    /// Open as long as more may come.
    over: OwnedFd,
}

/// How a running producer gets on.
pub struct Progress {
    pub written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Progress {
    pub fn join(self) {
        self.thread.join().unwrap();
    }
}

/// A line of 120 bytes with its number in front.
pub fn line(number: u64) -> String {
    format!("{number:010} {:x<108}", "line of a busy service ")
}

impl Producer {
    /// The producer, and what becomes readable when it has ended.
    pub fn new(spool: &Path) -> (Self, OwnedFd) {
        let settings = Settings {
            quota: 4 << 30,
            when_full: WhenFull::Block,
            sync: Sync::Never,
        };
        let writer = Writer::open(open(spool), &origin(), settings, now()).unwrap();
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        (
            Self {
                writer,
                over: write,
            },
            read,
        )
    }

    /// One frame with exactly these bytes.
    pub fn frame(&mut self, stream: Stream, bytes: &[u8]) {
        let mut whole = vec![0; HEADER];
        whole.extend_from_slice(bytes);
        let stored = self.writer.append(stream, now(), &mut whole).unwrap();
        assert_eq!(stored, Stored::Kept);
    }

    /// Writes lines from number 1 on, so many a second, and ends.
    pub fn write(mut self, lines: u64, a_second: u64) {
        self.lines(lines, a_second, &AtomicU64::new(0));
        self.end();
    }

    pub fn end(self) {
        self.writer.close().unwrap();
        drop(self.over);
    }

    /// The same beside the caller.
    pub fn start(mut self, lines: u64, a_second: u64) -> Progress {
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let thread = std::thread::spawn(move || {
            self.lines(lines, a_second, &count);
            self.end();
        });
        Progress { written, thread }
    }

    fn lines(&mut self, lines: u64, a_second: u64, count: &AtomicU64) {
        let began = Instant::now();
        let mut number = 0;
        while number < lines {
            let mut frame = String::new();
            for _ in 0..LINES.min(lines - number) {
                number += 1;
                frame.push_str(&line(number));
                frame.push('\n');
            }
            self.frame(Stream::Stdout, frame.as_bytes());
            count.store(number, Ordering::Relaxed);
            // The speed that is asked for, not a wait for anything.
            let due = Duration::from_secs_f64(number as f64 / a_second as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
}

pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}
