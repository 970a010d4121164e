//! What events are made of: who asked, where a launch ended, a reason, a limit, what a heartbeat counts. Plain data.
//!
//! The same rules as for the kinds in model.rs: a field is never renamed or removed, new ones are optional.

use crate::controls::ControlId;
use serde::{Deserialize, Serialize};

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Asked {
    /// By which way.
    pub way: Ask,
    /// Effective user id.
    pub uid: u32,
    /// Login user id (/proc/PID/loginuid), if set.
    pub login: Option<u32>,
    /// The launcher's process id.
    pub launcher: u32,
}

/// The ways to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// `run`.
    Standalone,
    /// The OCI verbs.
    Engine,
}

/// Where a launch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Policy refused.
    Policy,
    /// Something could not be set up.
    Setup,
    /// The kernel had done something else than planned.
    Verification,
    /// The program could not be executed.
    Exec,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reason {
    /// The control.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub control: Option<ControlId>,
    /// Where in the request, or what was looked at.
    pub at: String,
    /// What was found.
    pub found: String,
    /// What is allowed, or what to do.
    pub remedy: String,
}

/// Limits that are met without an error of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Threads and processes.
    Pids,
    /// Memory.
    Memory,
}

/// What became of an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ExecResult {
    /// It was run.
    Allowed,
    /// It was not.
    Refused,
}

/// How a hook went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HookResult {
    /// Well.
    Done,
    /// It ended badly, or not in time.
    Failed,
}

/// What an operator does to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A signal.
    Signal,
    /// Frozen.
    Paused,
    /// Thawed.
    Resumed,
    /// Other limits.
    Limits,
    /// Removed.
    Deleted,
}

/// Whether a collector can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// It can.
    Up,
    /// It can't.
    Down,
}

/// What a heartbeat counts; all since the launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Counters {
    /// The last record's number.
    pub last_seq: u64,
    /// Records of output.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events stored.
    pub events: u64,
    /// Events that could not be sent.
    pub unsent: u64,
    /// Records dropped.
    pub dropped: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Records that no collector has yet.
    pub waiting: u64,
    /// Calls that the filter refused.
    pub denied: u64,
    /// Workers started again.
    pub restarts: u64,
}

impl Reason {
    /// What went wrong where no control has a part in it.
    pub fn plain(found: impl Into<String>) -> Self {
        Self {
            control: None,
            at: String::new(),
            found: found.into(),
            remedy: String::new(),
        }
    }
}

impl From<&crate::policy::Violation> for Reason {
    fn from(violation: &crate::policy::Violation) -> Self {
        Self {
            control: Some(violation.control),
            at: violation.pointer.clone(),
            found: violation.found.clone(),
            remedy: violation.remedy.clone(),
        }
    }
}
