//! What the one program is given: ids, environment, limits of its own, capabilities, filters.

use crate::paths::{GuestPath, HostPath};
use crate::request::Template;
use crate::seccomp;
use serde::Serialize;

/// The one program.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// argv; its first word names the program.
    pub args: Vec<String>,
    /// `K=V` strings.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: GuestPath,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// OOM score adjustment; `None`: as inherited.
    pub oom_score_adj: Option<i32>,
    /// Resource limits: (name as in getrlimit(2) without RLIMIT_, soft, hard).
    pub rlimits: Vec<Rlimit>,
    /// A terminal, by exception only.
    pub terminal: Option<Terminal>,
    /// Descriptors of the caller's that stay open.
    pub descriptors: Vec<i32>,
    /// Whether an exec can give it more rights.
    pub new_privileges: NewPrivileges,
}

/// no_new_privs (prctl(2)): whether set-user-id programs, file capabilities and the like have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPrivileges {
    /// The mark is set.
    Never,
    /// The request does not ask for the mark, and under compat that counts.
    Possible,
}

/// Size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Terminal {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// One resource limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// Lower case, without RLIMIT_: "nofile", "core".
    pub kind: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// What may be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exec {
    /// The program, once.
    Once,
    /// Any of these, any number of times (landlock).
    Listed(Vec<GuestPath>),
    /// Anything in the image (compat only).
    Any,
}

/// Memory-deny-write-execute (PR_SET_MDWE, Linux 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteExecute {
    /// Refused by the kernel.
    Denied,
    /// Allowed by a recorded exception (`jit`).
    Waived,
}

/// Capability names without `CAP_`, upper case, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CapabilitySets {
    /// Bounding set.
    pub bounding: Vec<String>,
    /// Permitted set.
    pub permitted: Vec<String>,
    /// Effective set.
    pub effective: Vec<String>,
    /// Inheritable set.
    pub inheritable: Vec<String>,
    /// Ambient set.
    pub ambient: Vec<String>,
}

/// Which filters are loaded: the template's, and the request's beside it.
#[derive(Clone, Debug, Serialize)]
pub struct SeccompGrant {
    /// The shipped profile; `None` under compat.
    pub template: Option<Template>,
    /// Optional groups of it that are switched on.
    pub groups: Vec<String>,
    /// The request's own profile: it can only restrict further.
    #[serde(skip)]
    pub requested: Option<seccomp::Profile>,
    /// How that profile is loaded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<FilterFlag>,
    /// Who answers its calls with SCMP_ACT_NOTIFY.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
    /// Whether refused calls are told.
    #[serde(skip_serializing_if = "Watching::is_off")]
    pub watching: Watching,
    /// Calls that the watcher hands on to another worker, which carries them out or refuses them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routed: Vec<String>,
}

/// Whether the filter asks a watcher outside about what it refuses (seccomp user notification, Linux 5.0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watching {
    /// No: the kernel answers, and nobody hears of it.
    #[default]
    Off,
    /// Yes: each refused call becomes an event, and is answered as the filter would have.
    On,
}

impl Watching {
    /// Whether nobody watches.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// Flags of seccomp(2) that change what a filter does to one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterFlag {
    /// What is not allowed is logged (Linux 4.14).
    Log,
    /// No mitigation of speculative store bypass comes with it (Linux 4.17).
    SpecAllow,
    /// A call that waits for the listener can be interrupted by fatal signals only (Linux 5.19).
    WaitKillable,
}

/// An agent outside that decides on system calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Its unix socket.
    pub path: HostPath,
    /// Passed on to it.
    pub metadata: String,
}

/// Labels of Linux security modules, carried only where the module is active.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LsmLabels {
    /// AppArmor profile of the process.
    pub apparmor: Option<String>,
    /// SELinux label of the process.
    pub selinux: Option<String>,
    /// SELinux label of the mounts.
    pub mount: Option<String>,
}

/// The points of the lifecycle, in their order (runtime-spec, config.md, POSIX-platform Hooks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HookPoint {
    /// Namespaces stand, the root is not pivoted; the runtime's namespaces (deprecated, still in use).
    Prestart,
    /// The same, right after.
    CreateRuntime,
    /// The same moment, in the container's namespaces, the host's root still there.
    CreateContainer,
    /// At `start`, inside the container, in front of its program.
    StartContainer,
    /// After the program was executed; the runtime's namespaces.
    Poststart,
    /// After the container is gone; the runtime's namespaces.
    Poststop,
}

impl HookPoint {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// Its name in config.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

/// A program that runs outside at a point of the lifecycle (policy decides which).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// When it runs, and in whose namespaces.
    pub point: HookPoint,
    /// Absolute path; inside the container for `startContainer`, on the host otherwise.
    pub path: HostPath,
    /// The file that was judged, where the path is a link to a running program.
    pub file: Option<HostPath>,
    /// argv.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<u64>,
}
