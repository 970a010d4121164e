//! What capture says about itself: the file `status` in the spool's folder, written at most once a second.
//!
//! Read by `logs status`; nothing depends on it.

use super::super::record::Origin;
use super::super::spool::{Room, SpoolError, can_write, overwrite, read_small};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;

/// Counters of one launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which launch.
    pub launch: String,
    /// Number of the next record.
    pub next_seq: u64,
    /// Records of output stored.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events stored.
    pub events: u64,
    /// Events for which there was no room.
    pub events_lost: u64,
    /// Bytes that the copy's reader did not take in time; they are in the spool.
    pub copy_lost: u64,
    /// How often capture was started again.
    pub restarts: u64,
    /// The spool's room, and what was dropped.
    pub room: Room,
    /// Output waits for room right now.
    pub full: bool,
    /// The disk's last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Calls that the filter refused, as far as events told.
    #[serde(default)]
    pub denied: u64,
    /// Events that could not be sent, as far as later ones told.
    #[serde(default)]
    pub unsent: u64,
    /// Workers that were started again.
    #[serde(default)]
    pub workers_restarted: u64,
    /// When the launch ended (CLOCK_REALTIME, nanoseconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ns: Option<u64>,
}

const NAME: &str = "status";
const SIZE: usize = 1024;

impl Status {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            launch: origin.launch.clone(),
            next_seq: 1,
            records: 0,
            bytes: 0,
            events: 0,
            events_lost: 0,
            copy_lost: 0,
            restarts: 0,
            room: Room::default(),
            full: false,
            error: None,
            denied: 0,
            unsent: 0,
            workers_restarted: 0,
            ended_ns: None,
        }
    }

    /// What a killed predecessor has told of this launch.
    pub(super) fn load(dir: &OwnedFd, origin: &Origin) -> Option<Self> {
        Self::read(dir).filter(|status| status.launch == origin.launch)
    }

    /// What was told last.
    pub fn read(dir: &OwnedFd) -> Option<Self> {
        serde_json::from_slice(&read_small(dir, NAME)?).ok()
    }

    /// Why it can't have been written since, if the disk says so: then it is old.
    pub fn trouble(dir: &OwnedFd) -> Option<String> {
        let error = can_write(dir, NAME).err()?;
        let errno = error.why.raw_os_error().map(Errno::from_raw);
        // Who only reads has no right to write.
        matches!(errno, Some(Errno::EROFS | Errno::EIO)).then(|| error.to_string())
    }

    pub(super) fn store(&self, dir: &OwnedFd) -> Result<(), SpoolError> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        // In place and always as long: a full disk has room for what is there already.
        text.resize(text.len().max(SIZE), b' ');
        overwrite(dir, NAME, &text)
    }
}
