//! The event itself: a closed list of kinds, each with its facts. Plain data, read and written as JSON.
//!
//! A new kind goes here, into bearing.rs, sentence.rs and ocsf.rs, and the schema is made again (`UPDATE=1 cargo test schema`).
//! A field is never renamed or removed while [`VERSION`] stays; new ones are optional.

use super::parts::{Asked, Change, Counters, ExecResult, HookResult, Limit, Link, Reason, Stage};
use crate::controls::ControlId;
use serde::{Deserialize, Serialize};

/// Version of the layout.
pub const VERSION: u32 = 1;

/// Something that has happened to one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// Layout of this event: 1.
    pub version: u32,
    /// When: RFC 3339, UTC, microseconds.
    pub time: String,
    /// The container's name, or under an engine its id.
    pub id: String,
    /// A name that people gave it, if another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One launch of that id.
    pub launch: String,
    /// The controls that it bears on.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub controls: Vec<ControlId>,
    /// How many events could not be sent since the one before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsent: u64,
    /// Texts in it were shortened to keep the line below 8 KiB.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortened: bool,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Which launch of which container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The container's name, or under an engine its id.
    pub id: String,
    /// A name that people gave it, if another one.
    pub name: Option<String>,
    /// One launch of that id.
    pub launch: String,
}

impl From<&crate::logs::Origin> for About {
    fn from(origin: &crate::logs::Origin) -> Self {
        Self {
            id: origin.id.clone(),
            name: origin.name.clone(),
            launch: origin.launch.clone(),
        }
    }
}

/// All that can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// Somebody asks for a launch.
    LaunchRequested {
        /// Who.
        by: Asked,
        /// The image, if the engine or the caller names it.
        image: Option<String>,
        /// argv's first word.
        program: String,
        /// SHA-256 of config.json.
        bundle_digest: String,
    },
    /// Whose rights the program has.
    Identity {
        /// User id inside.
        uid: u32,
        /// Group id inside.
        gid: u32,
        /// The same user on the host.
        host_uid: Option<u32>,
        /// The host's name.
        host: String,
        /// Its kernel.
        kernel: String,
    },
    /// Policy lets it run.
    Granted {
        /// The template in force.
        template: String,
        /// SHA-256 of the policy.
        policy_digest: String,
        /// SHA-256 of the plan.
        plan_digest: String,
        /// How many things asked for were cut down: an event each.
        clamps: u64,
        /// How many exceptions are in use: an event each.
        exceptions: u64,
        /// What the host can't give.
        lacks: Vec<String>,
    },
    /// Something asked for was cut down.
    Clamped {
        /// JSON pointer into config.json, or the flag.
        pointer: String,
        /// What was asked.
        asked: String,
        /// What is given.
        granted: String,
    },
    /// An exception loosens a control.
    ExceptionUsed {
        /// Its id.
        exception: String,
        /// What it grants, in words.
        grants: String,
        /// Its last day.
        expires: String,
        /// Who approved.
        approver: String,
        /// Ticket or document.
        reference: String,
    },
    /// The container was compared with the plan, from outside.
    Verified {
        /// How many facts were compared.
        checked: u64,
        /// Process id on the host.
        pid: i32,
    },
    /// The program is let run. Where the kernel then won't execute it, `refused` follows.
    Started {
        /// Process id on the host.
        pid: i32,
        /// argv's first word.
        program: String,
    },
    /// Nothing was run.
    Refused {
        /// Where it ended.
        stage: Stage,
        /// Every reason.
        reasons: Vec<Reason>,
    },
    /// System calls that the filter refused.
    DeniedCall {
        /// The call's name; "unknown" for one that this launcher doesn't know.
        call: String,
        /// Its number.
        number: u32,
        /// Its arguments in words, as far as they are numbers; what a pointer points to is not looked at.
        arguments: Vec<String>,
        /// The arguments as they are, in hex.
        raw: [String; 6],
        /// What the program was told, e.g. "EPERM".
        answer: String,
        /// The thread on the host.
        pid: i32,
        /// How often, since the last event of the same call and arguments.
        count: u64,
        /// How many other calls were refused meanwhile and are not told one by one.
        #[serde(default, skip_serializing_if = "is_zero")]
        untold: u64,
    },
    /// Accesses that landlock refused. The kernel tells them in the host's audit records alone (Linux 6.15), so they are told
    /// where audit is on at the launch.
    DeniedAccess {
        /// The rights that were missing, as the kernel names them.
        blockers: Vec<String>,
        /// The path, or the port or process as the kernel tells it.
        object: String,
        /// The process on the host whose ruleset it was: the container's first, or the one that `exec` has started.
        pid: i32,
        /// How often, since the last event of the same access.
        count: u64,
        /// How many other accesses were refused meanwhile and are not told one by one.
        #[serde(default, skip_serializing_if = "is_zero")]
        untold: u64,
    },
    /// The kernel killed processes for want of memory.
    OomKilled {
        /// How many since the start.
        count: u64,
    },
    /// A limit was met.
    LimitHit {
        /// Which.
        limit: Limit,
        /// How often since the start.
        count: u64,
    },
    /// The program has ended.
    Exited {
        /// Its exit code.
        code: Option<u8>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// How many processes were killed for want of memory.
        oom_kills: u64,
    },
    /// Somebody asks for a second program.
    Exec {
        /// Who.
        by: Asked,
        /// argv's first word.
        program: String,
        /// What became of it.
        result: ExecResult,
        /// Why not.
        #[serde(default)]
        reasons: Vec<Reason>,
    },
    /// A hook has run. Those behind a container's end (poststop) are told by `run` and `delete --force`; a `delete` of
    /// one that has ended long before has no monitor left to tell.
    Hook {
        /// When in the lifecycle, e.g. "createRuntime".
        point: String,
        /// Its program.
        program: String,
        /// How it went.
        result: HookResult,
        /// What it said when it failed.
        said: Option<String>,
    },
    /// An operator's act on a container that is there.
    Changed {
        /// Who.
        by: Asked,
        /// What.
        change: Change,
        /// The signal, the limits.
        detail: String,
    },
    /// A collector can be reached, or can't.
    Collector {
        /// Its name in the policy.
        collector: String,
        /// Which.
        link: Link,
        /// Why.
        why: Option<String>,
        /// How many records wait for it.
        waiting: u64,
    },
    /// Whoever answered is not the collector: nothing was sent.
    PeerRefused {
        /// The collector's name in the policy.
        collector: String,
        /// What was wrong with it.
        why: String,
    },
    /// The spool fills.
    Spool {
        /// How full it is: 50, 80, 95 or 100.
        percent: u8,
        /// Bytes in it.
        bytes: u64,
        /// Bytes that it may have.
        quota: u64,
    },
    /// Records were lost.
    Gap {
        /// How many.
        records: u64,
        /// Their bytes.
        bytes: u64,
        /// The first one's number, if they had any.
        first: Option<u64>,
        /// The last one's.
        last: Option<u64>,
        /// Why.
        why: String,
    },
    /// A part of the monitor has ended and was started again.
    WorkerRestarted {
        /// Which.
        worker: String,
        /// How it ended, e.g. "signal 9".
        ended: String,
        /// How often since the launch.
        count: u64,
    },
    /// The host's clock was set.
    ClockStep {
        /// By how much, in milliseconds.
        milliseconds: i64,
    },
    /// What a forwarded port has seen.
    Port {
        /// The port on the host.
        port: u16,
        /// Connections taken since the last event.
        accepted: u64,
        /// Connections refused since the last event.
        refused: u64,
        /// Connections open now.
        open: u64,
        /// Bytes to the container.
        bytes_in: u64,
        /// Bytes from the container.
        bytes_out: u64,
    },
    /// What the kernel says of a port whose connections pass through nobody.
    PortNative {
        /// The port on the host.
        port: u16,
        /// Connections established at this moment; those that came and went since the last event are not counted.
        established: u64,
    },
    /// A connection to a port that was turned away.
    PortRefused {
        /// The port.
        port: u16,
        /// Who.
        peer: String,
        /// Why not.
        why: String,
        /// How often.
        count: u64,
        /// How many others were refused meanwhile and are not told one by one.
        #[serde(default, skip_serializing_if = "is_zero")]
        untold: u64,
    },
    /// The container has lived as long as it may.
    LifetimeReached {
        /// Its lifetime in seconds.
        seconds: u64,
        /// How long it has to end by itself, in seconds.
        grace: u64,
    },
    /// Nothing has happened; everybody is still there.
    Heartbeat {
        /// What has been counted since the launch.
        counters: Counters,
    },
}
