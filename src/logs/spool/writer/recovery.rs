//! Where a predecessor stopped: the end of its whole frames, found again by reading unless it was closed.
//!
//! What a killed one left half written is cut off. Used by `Writer::open`, and by the check for its hashes.

use super::super::cursor::Position;
use super::super::folder::{self, name_of};
use super::super::reader::Reader;
use super::super::segment::{Head, fill};
use super::super::{SpoolError, at};
use crate::logs::record::Whose;
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::OwnedFd;

/// What stands in the file `closed`, so that the next launch need not read the last segment.
#[derive(Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) number: u64,
    pub(super) size: u64,
    pub(super) sha256: String,
}

pub(super) const CLOSED: &str = "closed";

/// See [`recovered`].
pub(super) type Recovered = (u64, u64, u64, Option<(Whose, u64, usize)>);

/// The end of the whole frames, the next number, and how many bytes of an unfinished one were cut off.
pub(super) fn recovered(
    dir: &OwnedFd,
    head: &Head,
    file: &File,
    ours: bool,
) -> Result<Recovered, SpoolError> {
    let name = name_of(head.number);
    let size = at(file.metadata(), "look at (fstat)", &name)?.len();
    if !ours && is_closed(dir, head.number, size) {
        return Ok((size, 0, 0, None));
    }
    let own = at(dir.try_clone(), "duplicate (fcntl)", "the folder")?;
    let mut reader = Reader::open(
        own,
        Position {
            segment: head.number,
            ..Position::default()
        },
    );
    let mut last = None;
    while let Some(frame) = reader.read()? {
        if !frame.gap {
            let whose = Whose {
                stream: frame.stream,
                pid: frame.pid,
            };
            last = Some((whose, frame.time_ns, frame.bytes.len()));
        }
    }
    let Position { offset, seq, .. } = reader.position();
    if offset < size {
        at(file.set_len(offset), "cut (ftruncate)", &name)?;
    }
    // A killed predecessor still has those bytes in its hands: nothing is lost.
    Ok((offset, seq, if ours { 0 } else { size - offset }, last))
}

fn is_closed(dir: &OwnedFd, number: u64, size: u64) -> bool {
    let text = folder::read_small(dir, CLOSED);
    let closed: Option<Closed> = text.and_then(|t| serde_json::from_slice(&t).ok());
    closed.is_some_and(|c| (c.number, c.size) == (number, size))
}

/// SHA-256 of a file's first bytes, in small pieces.
pub(in crate::logs::spool) fn hashed(file: &File, end: u64) -> Result<digest::Context, SpoolError> {
    let mut chain = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 32 << 10];
    let mut from = 0;
    while from < end {
        let most = buffer.len().min((end - from) as usize);
        let got = at(
            fill(file, &mut buffer[..most], from),
            "read (pread64)",
            "a segment",
        )?;
        if got == 0 {
            break;
        }
        chain.update(&buffer[..got]);
        from += got as u64;
    }
    Ok(chain)
}
