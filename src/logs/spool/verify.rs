//! The check of a spool: every checksum, every number, and the chain of hashes from segment to segment.
//!
//! Reads only. The hash of the last segment is the value to note elsewhere: with it the whole spool can't be
//! rewritten unseen. Called by `logs verify`.

use super::SpoolError;
use super::cursor::Position;
use super::folder::{names, open_segment, segments, size_of};
use super::reader::Reader;
use super::segment::Head;
use super::writer::{hashed, hex};
use serde::Serialize;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long capture may need for the rest of a frame.
const WRITTEN: Duration = Duration::from_millis(200);

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Segment.
    pub segment: u64,
    /// What is wrong.
    pub what: String,
}

/// What the check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many segments there are.
    pub segments: u64,
    /// Number of the first one: above 1 when older ones were delivered or dropped, and removed.
    pub first: u64,
    /// How many frames are whole.
    pub frames: u64,
    /// How many records they hold.
    pub records: u64,
    /// Gap records: what was dropped or damaged, as JSON.
    pub gaps: Vec<String>,
    /// SHA-256 of the last segment as it is now, in hexadecimal digits.
    pub last_hash: Option<String>,
    /// What is not as it was written.
    pub problems: Vec<Problem>,
}

/// Checks everything.
pub fn verify(dir: &OwnedFd) -> Result<Verified, SpoolError> {
    let all = segments(dir)?;
    let mut out = Verified {
        segments: all.len() as u64,
        first: all.first().copied().unwrap_or(0),
        ..Verified::default()
    };
    chain(dir, &all, &mut out)?;
    frames(dir, &mut out)?;
    for name in names(dir)? {
        let name = String::from_utf8_lossy(&name).into_owned();
        if name.ends_with(".bad") {
            let what = format!("{name} was set aside: its head could not be read");
            out.problems.push(Problem { segment: 0, what });
        }
    }
    Ok(out)
}

fn chain(dir: &OwnedFd, all: &[u64], out: &mut Verified) -> Result<(), SpoolError> {
    let mut before: Option<(u64, String)> = None;
    for number in all {
        let mut problem = |what: String| {
            out.problems.push(Problem {
                segment: *number,
                what,
            });
        };
        let Some(file) = open_segment(dir, *number)? else {
            continue;
        };
        let head = super::at(Head::read(&file), "read (pread64)", "a segment's head")?;
        match (&head, &before) {
            (None, _) => problem("its head can't be read".into()),
            (Some((head, _)), _) if head.number != *number => {
                problem(format!("it says that it is number {}", head.number));
            }
            (Some((head, _)), Some((last, hash))) if last + 1 == *number => {
                if head.previous.as_ref() != Some(hash) {
                    problem(format!(
                        "segment {last} is not the one that it was chained to"
                    ));
                }
            }
            (Some(_), Some((last, _))) => {
                problem(format!(
                    "segments {} to {} are missing",
                    last + 1,
                    number - 1
                ));
            }
            (Some((head, _)), None) if *number == 1 && head.previous.is_some() => {
                problem("it is chained to a segment in front of the first".into());
            }
            (Some(_), None) => {}
        }
        let hash = hex(hashed(&file, size_of(dir, *number))?);
        before = Some((*number, hash));
    }
    out.last_hash = before.map(|(_, hash)| hash);
    Ok(())
}

fn frames(dir: &OwnedFd, out: &mut Verified) -> Result<(), SpoolError> {
    let own = super::at(dir.try_clone(), "duplicate (fcntl)", "the folder")?;
    let mut reader = Reader::of_now(own, Position::default())?;
    let mut expected: Option<(String, u64)> = None;
    let mut awaited = false;
    loop {
        let Some(frame) = reader.read()? else {
            match reader.missing() {
                0 => return Ok(()),
                // It may be being written.
                _ if !std::mem::replace(&mut awaited, true) => std::thread::sleep(WRITTEN),
                left => {
                    let what = format!("{left} bytes behind the last whole frame are no frame");
                    let segment = reader.position().segment;
                    out.problems.push(Problem { segment, what });
                    return Ok(());
                }
            }
            continue;
        };
        let (seq, gap, damage) = (frame.seq, frame.gap, frame.met);
        let text = gap.then(|| String::from_utf8_lossy(frame.bytes).into_owned());
        let records = frame.records().count() as u64;
        let launch = reader.origin().map(|o| o.launch.clone());
        let segment = reader.position().segment;
        if damage {
            let what = format!(
                "frames are damaged: {}",
                text.as_deref().unwrap_or_default()
            );
            out.problems.push(Problem { segment, what });
        }
        out.gaps.extend(text);
        out.frames += 1;
        out.records += records;
        if let (Some((before, wanted)), Some(launch)) = (&expected, &launch)
            && before == launch
            && seq != *wanted
            && seq != 0
            && !damage
        {
            let what = format!("record {seq} follows where {wanted} was expected");
            out.problems.push(Problem { segment, what });
        }
        let next = reader.position().seq;
        expected = launch.map(|launch| (launch, next));
    }
}
