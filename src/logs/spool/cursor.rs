//! How far a collector has acknowledged: a small file, written in place after the acknowledgement.
//!
//! A cursor that can't be read means "from the beginning": at worst something arrives twice, never not at all.

use super::folder;
use super::segment::fill;
use super::{SpoolError, at};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

const MAGIC: &[u8; 8] = b"CFCURSR1";
const SIZE: usize = 44;

/// A place in a spool: the frame to be read next, and of its records the first that is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Segment; 0 is the beginning of whatever is there.
    pub segment: u64,
    /// Byte in it where a frame begins; 0 is its first frame.
    pub offset: u64,
    /// Records with smaller numbers have been delivered.
    pub seq: u64,
}

/// An open cursor file.
#[derive(Debug)]
pub struct Cursor {
    file: File,
    name: String,
    position: Position,
    stored_ns: u64,
}

impl Cursor {
    /// The file's name for a collector: letters, digits, '-', '_' and '.' stay, others become '_'.
    pub fn name_of(collector: &str) -> String {
        let plain = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => c,
            _ => '_',
        };
        format!(
            "cursor-{}",
            collector.chars().map(plain).collect::<String>()
        )
    }

    /// Opens or makes it.
    pub fn open(dir: &OwnedFd, collector: &str) -> Result<Self, SpoolError> {
        let name = Self::name_of(collector);
        let flags = OFlag::O_RDWR | OFlag::O_CREAT;
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let file = folder::open(dir, &name, flags)?;
        let file = at(file.ok_or_else(missing), "open (openat)", &name)?;
        let (position, stored_ns) = at(load(&file), "read (pread64)", &name)?.unwrap_or_default();
        Ok(Self {
            file,
            name,
            position,
            stored_ns,
        })
    }

    /// What a collector has acknowledged, without making anything; `None` if nothing was ever.
    pub fn peek(dir: &OwnedFd, file_name: &str) -> Option<(Position, u64)> {
        let file = folder::open(dir, file_name, OFlag::O_RDONLY).ok()??;
        load(&file).ok()?
    }

    /// Names of all cursor files.
    pub fn all(dir: &OwnedFd) -> Result<Vec<String>, SpoolError> {
        let names = folder::names(dir)?;
        let text = |name: Vec<u8>| String::from_utf8(name).ok();
        let mut out: Vec<String> = names
            .into_iter()
            .filter_map(text)
            .filter(|name| name.starts_with("cursor-"))
            .collect();
        out.sort();
        Ok(out)
    }

    /// Takes the collector for this process, until it ends or drops the cursor, and reads where another has left it
    /// (flock(2)); false while another has it.
    pub fn claim(&mut self) -> Result<bool, SpoolError> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return at(Err(error), "lock (flock)", &self.name),
        }
        let now = at(load(&self.file), "read (pread64)", &self.name)?;
        (self.position, self.stored_ns) = now.unwrap_or_default();
        Ok(true)
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// When it was moved last (CLOCK_REALTIME, nanoseconds; 0: never).
    pub fn stored_ns(&self) -> u64 {
        self.stored_ns
    }

    /// Moves it; no fdatasync, since to send something twice after a power cut is allowed.
    pub fn store(&mut self, position: Position, now_ns: u64) -> Result<(), SpoolError> {
        let mut bytes = [0u8; SIZE];
        bytes[..8].copy_from_slice(MAGIC);
        let numbers = [position.segment, position.offset, position.seq, now_ns];
        for (index, number) in numbers.into_iter().enumerate() {
            let from = 8 + index * 8;
            bytes[from..from + 8].copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[..SIZE - 4]);
        bytes[SIZE - 4..].copy_from_slice(&sum.to_le_bytes());
        at(
            self.file.write_all_at(&bytes, 0),
            "write (pwrite64)",
            &self.name,
        )?;
        self.position = position;
        self.stored_ns = now_ns;
        Ok(())
    }
}

fn load(file: &File) -> std::io::Result<Option<(Position, u64)>> {
    let mut bytes = [0u8; SIZE];
    if fill(file, &mut bytes, 0)? < SIZE || &bytes[..8] != MAGIC {
        return Ok(None);
    }
    let sum = crc32fast::hash(&bytes[..SIZE - 4]);
    if sum.to_le_bytes() != bytes[SIZE - 4..] {
        return Ok(None);
    }
    let eight = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let position = Position {
        segment: eight(8),
        offset: eight(16),
        seq: eight(24),
    };
    Ok(Some((position, eight(32))))
}
