//! What stands beside the container while it runs: where its output is kept, and how long it may live.
//!
//! Plain data. It is also what the monitor process is given, so it can be read back.

use crate::policy::collectors::Target;
use serde::{Deserialize, Serialize};

/// Beside the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Where its output goes; `None`: to the caller alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
    /// How long it may live; `None`: as long as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
}

impl Watch {
    /// Whether nothing stands beside it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a container's output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Folder of the spools; each container has one of its own in it.
    pub spool: String,
    /// Most bytes of one container's spool.
    pub quota: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
    /// Durability.
    pub sync: Sync,
    /// Whether it may run unlogged.
    pub need: LogNeed,
    /// What becomes of it when its monitor is killed.
    pub on_monitor_death: MonitorDeath,
    /// Whether its output also goes where it would go without a spool.
    pub copy: Copying,
    /// Seconds from one heartbeat to the next; at least one.
    #[serde(default = "minute")]
    pub heartbeat: u64,
    /// Whether it may start while they can't be reached.
    #[serde(default)]
    pub start: LogStart,
    /// The collectors, in order.
    #[serde(default)]
    pub targets: Vec<Target>,
}

fn minute() -> u64 {
    60
}

/// What happens to output that doesn't fit into the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It waits in the pipe, and the service waits when that is full.
    Block,
    /// It is dropped and counted.
    DropNew,
    /// The oldest segment is removed and counted.
    DropOld,
}

/// When what was written is put on the disk for good (fdatasync).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// Behind each frame.
    Record,
    /// Every second, if there is something.
    Second,
    /// When the kernel likes.
    Never,
}

/// Whether a container may run unlogged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogNeed {
    /// It may not: terminals are refused.
    Required,
    /// It may, where its output can't be taken (a terminal).
    Wanted,
}

/// Whether a container may start while its collectors can't be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStart {
    /// It may: its lines wait in the spool.
    #[default]
    Anyway,
    /// It may not.
    Reached,
}

/// What becomes of a container whose monitor was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MonitorDeath {
    /// It is killed.
    End,
    /// It goes on; capture does too, but nobody starts it again.
    GoOn,
}

/// Whether output also goes where it would go without a spool: to the caller, or to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Copying {
    /// A copy, which never holds the service up.
    Tee,
    /// To the spool alone.
    None,
}

/// How long a container may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// Seconds from its start to TERM.
    pub seconds: u64,
    /// Seconds from TERM to KILL.
    pub grace: u64,
}
