//! How many records of a spool lie behind one: what a collector that has got so far does not have yet.
//!
//! Reads the heads of the segments, and the last segment of each launch. Called when a collector comes or goes.

use super::cursor::Position;
use super::folder::{self, name_of, segments};
use super::reader::Reader;
use super::segment::Head;
use super::{SpoolError, at};
use nix::fcntl::OFlag;
use std::os::fd::OwnedFd;

/// Records of this launch with greater numbers than `delivered`, and all of later launches.
pub fn waiting(dir: &OwnedFd, launch: &str, delivered: u64) -> Result<u64, SpoolError> {
    let mut rows: Vec<(String, u64)> = Vec::new();
    for number in segments(dir)? {
        let name = name_of(number);
        let Some(file) = folder::open(dir, &name, OFlag::O_RDONLY)? else {
            continue;
        };
        // One without a head has no records that could be counted.
        let Some((head, _)) = at(Head::read(&file), "read (pread64)", &name)? else {
            continue;
        };
        match rows.last_mut() {
            Some((own, last)) if *own == head.origin.launch => *last = number,
            _ => rows.push((head.origin.launch, number)),
        }
    }
    let from = rows.iter().rposition(|(own, _)| own == launch);
    let mut all = 0;
    for (own, segment) in rows.into_iter().skip(from.unwrap_or(0)) {
        let last = last_seq(dir, segment)?;
        all += match own == launch {
            true => last.saturating_sub(delivered),
            false => last,
        };
    }
    Ok(all)
}

/// The number of the last record in a segment.
fn last_seq(dir: &OwnedFd, segment: u64) -> Result<u64, SpoolError> {
    let own = at(dir.try_clone(), "duplicate (fcntl)", "the folder")?;
    let begin = Position {
        segment,
        ..Position::default()
    };
    let mut reader = Reader::open(own, begin);
    let mut last = 0;
    loop {
        let frame = reader.read()?.is_some();
        let here = reader.position();
        if !frame || here.segment != segment {
            return Ok(last);
        }
        last = here.seq.saturating_sub(1);
    }
}
