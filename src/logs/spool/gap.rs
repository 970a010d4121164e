//! What a gap record says: how much is missing where it stands, and why.
//!
//! Made by the writer (dropped, torn) and by readers that met damage; its JSON reaches the collector.

use serde::{Deserialize, Serialize};

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// New output was dropped: the spool was full, its disk could not be written, or the launch ended meanwhile.
    DropNew,
    /// Events that found no room, not even in the reserve.
    Events,
    /// The spool was full and its oldest segment was removed before it was delivered.
    DropOld,
    /// The last frame of a launch was not written to its end (the host went down).
    Torn,
    /// Frames whose checksum is wrong.
    Damaged,
    /// A segment whose head can't be read; it is set aside as `.bad`.
    Unreadable,
}

/// The JSON of a gap record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub gap: Why,
    /// How many bytes of output or events, or of the file where only that is known.
    pub bytes: u64,
    /// How many records, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Numbers of the first and the last of them, where they had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<(u64, u64)>,
    /// When the first of them was dropped (CLOCK_REALTIME, nanoseconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ns: Option<u64>,
}

impl Gap {
    pub(super) fn of(gap: Why, bytes: u64) -> Self {
        Self {
            gap,
            bytes,
            records: None,
            seq: None,
            since_ns: None,
        }
    }

    /// Its JSON.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
