//! The spool: what a container said, on a disk outside of it, until a collector has it (LOGGING: SS-011 8.4.2, OSG §3).
//!
//! ```text
//! FOLDER/000000000001.seg   head, frame, frame, …     one after the other, never changed once written
//! FOLDER/cursor-NAME        how far the collector NAME has acknowledged
//! FOLDER/status             what capture says about itself: counters, as JSON
//! head   "CFSPOOL1" | length u32 | CRC-32 u32 | JSON: number, first seq, origin, salt, SHA-256 of the segment before
//! frame  length u32 | CRC-32 u32 | seq u64 | time u64 | flags u8 | pid u24 | bytes    (little-endian; pid: of exec's)
//! ```
//! A frame holds what one read of a pipe brought; it is split into records by whoever reads it, by a rule that depends
//! on its own bytes alone (`frame::records`), so that numbers never differ. Its checksum begins with the segment's
//! salt, which the service doesn't know: nothing that it writes can pass for a frame. Readers and writers take a
//! descriptor of the folder and memory of fixed size; damage costs the frames that it hit, is told in a gap record,
//! and never stops a start.

mod behind;
mod cursor;
mod folder;
mod frame;
mod gap;
mod held;
mod reader;
mod segment;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use behind::waiting;
pub use cursor::{Cursor, Position};
pub use folder::{can_write, overwrite, read_small, segments, size};
pub use frame::{Frame, HEADER, MOST, RECORD, Records, count};
pub use gap::{Gap, Why};
pub use held::Held;
pub use reader::Reader;
pub use segment::Head;
pub use verify::{Problem, Verified, verify};
pub use writer::{Room, Settings, Stored, Sync, WhenFull, Writer};

/// Why a spool could not be used. Damage of what is in it is no error: it is read as a gap.
#[derive(Debug, thiserror::Error)]
#[error("can't {tried} {name} of the spool: {why}")]
pub struct SpoolError {
    /// What was tried, with the system call.
    pub tried: &'static str,
    /// On which file of the folder.
    pub name: String,
    /// What the kernel said.
    pub why: std::io::Error,
}

/// Names the deed.
fn at<T>(result: std::io::Result<T>, tried: &'static str, name: &str) -> Result<T, SpoolError> {
    result.map_err(|why| SpoolError {
        tried,
        name: name.into(),
        why,
    })
}
