//! Programs that write, and what stands beside them: the monitor's processes, the spool.

use crate::support::{Rig, text};
use cofferdam::logs::spool::{Position, Reader};
use cofferdam::logs::{Kind, Record, Stream};
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes numbered lines of so many bytes, one write each.
pub fn lines(count: &str, len: &str) -> i32 {
    let (count, len): (u64, usize) = (count.parse().unwrap(), len.parse().unwrap());
    let mut out = fs::File::from(std::io::stdout().as_fd_owned());
    for n in 0..count {
        let mut line = format!("{n:010} ").into_bytes();
        line.resize(len - 1, b'x');
        line.push(b'\n');
        out.write_all(&line).unwrap();
    }
    0
}

/// Writes numbered lines until TERM comes, then the number of the last one, and ends with 0.
pub fn flood() -> i32 {
    use std::sync::atomic::{AtomicBool, Ordering};
    static OVER: AtomicBool = AtomicBool::new(false);
    extern "C" fn over(_: i32) {
        OVER.store(true, Ordering::SeqCst);
    }
    let handler = nix::sys::signal::SigHandler::Handler(over);
    // SAFETY: the handler stores to an atomic.
    unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGTERM, handler).unwrap() };
    let mut out = fs::File::from(std::io::stdout().as_fd_owned());
    out.write_all(b"ready\n").unwrap();
    let mut n = 0u64;
    while !OVER.load(Ordering::SeqCst) {
        let line = format!("line {n:012} of a service that has much to say about nothing\n");
        out.write_all(line.as_bytes()).unwrap();
        n += 1;
    }
    out.write_all(format!("end {n}\n").as_bytes()).unwrap();
    0
}

/// A duplicate without std's buffer.
pub trait Unbuffered {
    fn as_fd_owned(&self) -> OwnedFd;
}

impl<T: std::os::fd::AsFd> Unbuffered for T {
    fn as_fd_owned(&self) -> OwnedFd {
        self.as_fd().try_clone_to_owned().unwrap()
    }
}

/// A rig whose policy keeps logs below `spool/`, with more lines of the section.
pub fn rig(more: &str) -> Rig {
    let rig = Rig::new();
    logged(&rig, &rig.path("spool"), more);
    rig
}

/// The same with a spool elsewhere.
pub fn logged(rig: &Rig, spool: &Path, more: &str) {
    let policy = format!("version = 1\n[logs]\nspool = {:?}\n{more}\n", text(spool));
    fs::write(rig.path("policy.toml"), policy).unwrap();
}

pub fn folder(path: &Path) -> OwnedFd {
    let flags = nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_RDONLY;
    nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).unwrap()
}

/// Every byte of a stream as the program wrote it, from the spool, and the JSON of every gap.
pub fn kept(path: &Path, stream: Stream) -> (Vec<u8>, Vec<String>) {
    let mut reader = Reader::of_now(folder(path), Position::default()).unwrap();
    let (mut out, mut gaps) = (Vec::new(), Vec::new());
    let mut expected = 0;
    while let Some(frame) = reader.read().unwrap() {
        for record in frame.records() {
            assert!(
                record.seq > expected,
                "record {} behind {expected}",
                record.seq
            );
            expected = record.seq;
            if record.kind == Kind::Gap {
                gaps.push(String::from_utf8(record.bytes.to_vec()).unwrap());
            } else if record.stream == stream && record.pid == 0 {
                out.extend_from_slice(record.bytes);
                if record.kind == Kind::Line {
                    out.push(b'\n');
                }
            }
        }
    }
    (out, gaps)
}

/// The bytes of some records.
pub fn kept_of(path: &Path, wanted: impl Fn(&Record<'_>) -> bool) -> Vec<u8> {
    let mut reader = Reader::of_now(folder(path), Position::default()).unwrap();
    let mut out = Vec::new();
    while let Some(frame) = reader.read().unwrap() {
        for record in frame.records().filter(|r| r.kind != Kind::Gap && wanted(r)) {
            out.extend_from_slice(record.bytes);
            out.extend((record.kind == Kind::Line).then_some(b'\n'));
        }
    }
    out
}

/// What capture says about itself.
pub fn status(rig: &Rig, name: &str) -> serde_json::Value {
    let status = rig.call(&["logs", "status", "--json", name]);
    let status: serde_json::Value = serde_json::from_str(status.ok()).unwrap();
    status["capture"].clone()
}

/// Events that were stored, parsed.
pub fn events(path: &Path) -> Vec<serde_json::Value> {
    let (bytes, _) = kept(path, Stream::Event);
    let lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    lines.map(|l| serde_json::from_slice(l).unwrap()).collect()
}

/// (pid, parent, name) of every process that is no zombie.
fn processes() -> Vec<(i32, i32, String)> {
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let (begin, end) = (stat.find('(').unwrap(), stat.rfind(')').unwrap());
        let rest: Vec<&str> = stat[end + 2..].split(' ').collect();
        if rest[0] != "Z" {
            out.push((
                pid,
                rest[1].parse().unwrap(),
                stat[begin + 1..end].to_string(),
            ));
        }
    }
    out
}

/// The child of this name, as soon as there is one that is not `other`.
pub fn child_named(parent: i32, name: &str, other: i32) -> i32 {
    until(&format!("a child {name} of {parent}"), || {
        let all = processes();
        let found = all
            .iter()
            .find(|(pid, of, called)| *of == parent && called == name && *pid != other);
        found.map(|(pid, _, _)| *pid)
    })
}

/// Waits for something that must come.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{what} never came"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn kill(pid: i32, signal: i32) {
    cofferdam::sys::process::kill(pid, signal).unwrap();
}
