//! One line of a container's output or of its event stream, and where it comes from.
//!
//! Plain data: made by the spool's readers, read by the collectors' protocols and the `logs` verbs.

use serde::{Deserialize, Serialize};

/// Which of a container's streams a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The program's standard output.
    Stdout,
    /// The program's standard error.
    Stderr,
    /// The launcher's own words about the container: JSON, one event a record.
    Event,
}

/// Whose words they are: a stream, and of which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Which stream.
    pub stream: Stream,
    /// The process id on the host of a program that `exec` has started; 0 for the container's own.
    pub pid: u32,
}

impl From<Stream> for Whose {
    fn from(stream: Stream) -> Self {
        Self { stream, pid: 0 }
    }
}

/// What the bytes of a record are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A whole line, or the last part of one, without its line feed.
    Line,
    /// A part of a line that goes on in the next record of the same stream.
    Partial,
    /// Not output: a count, as JSON, of what was dropped here.
    Gap,
}

/// One record. Its bytes are exactly what the program wrote: any byte, also NUL and invalid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Number within the container and boot, from 1, without holes.
    pub seq: u64,
    /// When it was read from the pipe: CLOCK_REALTIME in nanoseconds.
    pub time_ns: u64,
    /// Which stream.
    pub stream: Stream,
    /// The process id on the host of the program that `exec` has started and whose output it is; 0: the container's own.
    pub pid: u32,
    /// What the bytes are.
    pub kind: Kind,
    /// The bytes, without the line feed.
    pub bytes: &'a [u8],
}

/// Where a spool's records come from; the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The container's name, or under an engine its id.
    pub id: String,
    /// A name that people gave it, if another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its image, as the engine or the caller names it, with its digest where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The host's name.
    pub host: String,
    /// The kernel's boot id (/proc/sys/kernel/random/boot_id).
    pub boot: String,
    /// One launch of that id: tells a restarted container's numbers from those before.
    pub launch: String,
}
