//! Files on a volume of the site's choice: the kubelet's format, or a line of JSON a record; rotated by size.
//!
//! `ID.log` is written, `ID.log.1` is the newest of the old ones. Everything happens below one open folder, without
//! following links. A record counts as delivered when its bytes are written and synced.

use super::super::{Kind, Origin, Record, Stream};
use super::sink::{Ended, Sink};
use super::stamp::{Digits, Stamp};
use super::trouble::Trouble;
use crate::policy::{Protocol, Target};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// How much is gathered before it is written.
const GATHERED: usize = 64 * 1024;
const USUAL_SIZE: u64 = 64 << 20;
const USUAL_KEEP: u32 = 4;

/// A file that is appended to.
pub struct Files {
    folder: OwnedFd,
    name: String,
    json: bool,
    file: File,
    written: u64,
    most: u64,
    keep: u32,
    origin: Origin,
    stamp: Stamp,
    gathered: Vec<u8>,
    last: u64,
    acknowledged: u64,
}

/// A record as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    stream: Stream,
    #[serde(skip_serializing_if = "is_line")]
    kind: Kind,
    /// Of a program that `exec` has started.
    #[serde(skip_serializing_if = "is_first")]
    pid: u32,
    seq: u64,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    boot: &'a str,
    launch: &'a str,
    /// Control characters and bytes that are not UTF-8 as `\xHH`, and then so is a backslash.
    #[serde(skip_serializing_if = "Option::is_none")]
    enc: Option<&'static str>,
    log: &'a str,
}

fn is_line(kind: &Kind) -> bool {
    *kind == Kind::Line
}

fn is_first(pid: &u32) -> bool {
    *pid == 0
}

impl Files {
    /// Opens the file in an open folder.
    pub fn in_folder(
        folder: OwnedFd,
        origin: &Origin,
        target: &Target,
        delivered: u64,
    ) -> Result<Self, Trouble> {
        let fits = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        };
        let id: String = origin.id.chars().map(fits).take(128).collect();
        let name = format!("{}.log", id.trim_start_matches('.'));
        let file = open(&folder, &name)?;
        let size = file
            .metadata()
            .map_err(|error| Trouble::local(&format!("look at {name}"), error))?;
        Ok(Self {
            written: size.len(),
            folder,
            name,
            json: target.protocol == Protocol::Json,
            file,
            most: target.max_file.map_or(USUAL_SIZE, |most| most.0),
            keep: target.keep.unwrap_or(USUAL_KEEP),
            origin: origin.clone(),
            stamp: Stamp::default(),
            gathered: Vec::with_capacity(GATHERED),
            last: delivered,
            acknowledged: delivered,
        })
    }

    fn cri(&mut self, record: &Record<'_>) {
        let out = &mut self.gathered;
        self.stamp.write(out, record.time_ns, Digits::Nano);
        // There is no third stream in this format, and no place for a second program's id.
        out.extend_from_slice(match record.stream {
            Stream::Stdout => b" stdout ",
            Stream::Stderr | Stream::Event => b" stderr ",
        });
        out.extend_from_slice(match record.kind {
            Kind::Partial => b"P ",
            Kind::Line | Kind::Gap => b"F ",
        });
        // As they are, which is what readers of this format expect; only a line feed can't be in a record.
        out.extend_from_slice(record.bytes);
        out.push(b'\n');
    }

    fn json(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        let mut time = Vec::with_capacity(32);
        self.stamp.write(&mut time, record.time_ns, Digits::Nano);
        // JSON escapes control characters by itself: only what is not UTF-8 needs our escapes.
        let (text, enc) = match std::str::from_utf8(record.bytes) {
            Ok(text) => (std::borrow::Cow::Borrowed(text), None),
            Err(_) => {
                let mut text = Vec::new();
                super::message::escaped(&mut text, record.bytes);
                let text = String::from_utf8_lossy(&text).into_owned();
                (std::borrow::Cow::Owned(text), Some("esc"))
            }
        };
        let line = Line {
            time: std::str::from_utf8(&time).unwrap_or_default(),
            stream: record.stream,
            kind: record.kind,
            pid: record.pid,
            seq: record.seq,
            id: &self.origin.id,
            name: self.origin.name.as_deref(),
            boot: &self.origin.boot,
            launch: &self.origin.launch,
            enc,
            log: &text,
        };
        serde_json::to_writer(&mut self.gathered, &line)
            .map_err(|error| Trouble::local("write a record as JSON", error))?;
        self.gathered.push(b'\n');
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Trouble> {
        let folder = self.folder.as_fd();
        let name = |n: u32| match n {
            0 => self.name.clone(),
            n => format!("{}.{n}", self.name),
        };
        let absent = |result: Result<(), Errno>| match result {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Trouble::local(
                &format!("rotate {}", self.name),
                errno.desc(),
            )),
        };
        if self.keep == 0 {
            absent(unlinkat(folder, &name(0)[..], UnlinkatFlags::NoRemoveDir))?;
        }
        for n in (0..self.keep).rev() {
            absent(renameat(folder, &name(n)[..], folder, &name(n + 1)[..]))?;
        }
        self.file = open(&self.folder, &self.name)?;
        self.written = 0;
        Ok(())
    }
}

fn open(folder: &OwnedFd, name: &str) -> Result<File, Trouble> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_APPEND
        | OFlag::O_CREAT
        | OFlag::O_CLOEXEC
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK;
    let opened = openat(folder.as_fd(), name, flags, Mode::from_bits_truncate(0o600));
    opened.map(File::from).map_err(|errno| {
        Trouble::local(
            &format!("open {name} in the folder of `path`"),
            errno.desc(),
        )
    })
}

impl Sink for Files {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        match self.json {
            true => self.json(record)?,
            false => self.cri(record),
        }
        self.last = self.last.max(record.seq);
        match self.gathered.len() >= GATHERED {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if self.written > 0 && self.written + self.gathered.len() as u64 > self.most {
            self.rotate()?;
        }
        let wrong =
            |what: &str, name: &str, error| Trouble::local(&format!("{what} {name}"), error);
        if let Err(error) = self.file.write_all(&self.gathered) {
            // Half a line would be joined to the next one.
            let _ = self.file.set_len(self.written);
            return Err(wrong("write", &self.name, error));
        }
        self.file
            .sync_data()
            .map_err(|error| wrong("sync", &self.name, error))?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        self.acknowledged = self.last;
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Ended {
        let _ = self.flush();
        Ended::at(self.acknowledged)
    }
}
