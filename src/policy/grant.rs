//! What a launch is allowed: the request cut down to the ceiling, every cut noted. Plain data.
//!
//! Made by `policy::decide` alone, read by `plan::plan` alone. It says *what*, never *how*:
//! nothing here depends on the mechanisms of the host.

pub use crate::bundle::{Caller, RootSource};
use crate::controls::ControlId;
use crate::paths::{GuestPath, HostPath};
pub use crate::request::{Secret, Template};
use crate::seccomp;
use serde::Serialize;

/// The permission to do something, all that `decide` lets through.
#[must_use]
#[derive(Clone, Debug, Serialize)]
pub struct Grant {
    /// The container's name (OCI: its id).
    pub name: String,
    /// Who asked.
    pub caller: Caller,
    /// The template in force.
    pub template: Template,
    /// The root file system.
    pub root: Root,
    /// The program and its environment.
    pub process: Process,
    /// Programs that may be executed.
    pub exec: Exec,
    /// How far the verb `exec` may go in this container; `None`: not at all.
    pub exec_verb: Option<super::ExecVerb>,
    /// Whether memory may be both writable and executable.
    pub write_execute: WriteExecute,
    /// The five capability sets.
    pub capabilities: CapabilitySets,
    /// System-call filters.
    pub seccomp: SeccompGrant,
    /// Namespaces, each kind at most once.
    pub namespaces: Vec<Namespace>,
    /// How ids inside relate to ids outside.
    pub ids: Ids,
    /// File systems below the root, in order.
    pub mounts: Vec<Mount>,
    /// Paths that read as empty.
    pub masked_paths: Vec<GuestPath>,
    /// Paths that are read-only.
    pub readonly_paths: Vec<GuestPath>,
    /// Device nodes beyond null, zero, full, random, urandom.
    pub devices: Vec<Device>,
    /// Device access beyond those nodes (cgroup device filter), in order.
    pub device_rules: Vec<DeviceRule>,
    /// Cgroup limits.
    pub limits: Limits,
    /// Where the cgroup goes.
    pub cgroup: CgroupPlace,
    /// Kernel parameters of the container's own namespaces.
    pub sysctl: Vec<(String, String)>,
    /// TCP ports that may be bound (and connected to, inside).
    pub ports: Ports,
    /// Name of the host inside; `None`: the container's name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Labels of Linux security modules.
    pub lsm: LsmLabels,
    /// Secrets, as files below /run/secrets.
    pub secrets: Vec<Secret>,
    /// Hooks that policy allows.
    pub hooks: Vec<Hook>,
    /// Free-form labels of the request.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// What was asked and cut down.
    pub clamps: Vec<Clamp>,
    /// Exceptions that were used.
    pub waivers: Vec<Waiver>,
    /// Controls that may be missing on this host by exception (`degraded`).
    pub degraded_allowed: Vec<ControlId>,
}

/// The root file system.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    /// Where it comes from.
    pub source: RootSource,
    /// Read-only, recursively; false only by exception.
    pub readonly: bool,
    /// Propagation asked for with linux.rootfsPropagation; `None`: private.
    pub propagation: Option<Propagation>,
}

/// Mount propagation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Nothing crosses.
    Private,
    /// From the host inwards.
    Slave,
    /// Both ways.
    Shared,
    /// Private and can't be bound again.
    Unbindable,
}

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
}

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// User and group ids, capabilities.
    User,
    /// Mount table.
    Mount,
    /// Process ids.
    Pid,
    /// Network stack.
    Network,
    /// System V IPC and POSIX queues.
    Ipc,
    /// Host name.
    Uts,
    /// View of the cgroup tree.
    Cgroup,
    /// Monotonic and boot clocks.
    Time,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// Which.
    pub kind: NamespaceKind,
    /// `None`: a new one. Otherwise the one at this path is joined.
    pub join: Option<HostPath>,
}

/// Ids inside and outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// A range of 65536 ids that nobody else has, picked by the launcher.
    OwnRange,
    /// As the request maps them.
    Mapped {
        /// User ids.
        uids: Vec<IdMap>,
        /// Group ids.
        gids: Vec<IdMap>,
    },
    /// No user namespace: the same ids as on the host.
    Host,
    /// Those of a user namespace that is joined.
    Joined,
}

/// One range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A file system to attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where.
    pub target: GuestPath,
    /// What.
    pub source: MountSource,
    /// Read-only.
    pub readonly: bool,
    /// No execution from it.
    pub noexec: bool,
    /// Set-uid bits have no effect. False only by exception.
    pub nosuid: bool,
    /// Device nodes have no effect. False only for /dev and /dev/pts.
    pub nodev: bool,
    /// No access times, or as the request says.
    pub atime: Atime,
    /// Symbolic links are not followed (MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14).
    pub nosymfollow: bool,
    /// Propagation of the new mount; `None`: private.
    pub propagation: Option<Propagation>,
    /// JSON pointer or flag that asked for it.
    pub pointer: String,
}

/// Access-time updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Atime {
    /// The kernel's default.
    Relatime,
    /// Never.
    Noatime,
    /// Always.
    Strict,
}

/// What is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A file or folder of the host.
    Bind {
        /// Where on the host.
        path: HostPath,
        /// With what is mounted below it.
        recursive: bool,
        /// Ids translated to the container's (MOUNT_ATTR_IDMAP, Linux 5.12).
        idmap: bool,
    },
    /// Memory, with a size.
    Tmpfs {
        /// Bytes.
        size: u64,
        /// Inodes; `None`: size / 4096, at least 64.
        inodes: Option<u64>,
        /// Mode of its root; `None`: that of the folder it covers.
        mode: Option<u32>,
        /// Owner inside; `None`: that of the folder it covers.
        uid: Option<u32>,
        /// Group inside.
        gid: Option<u32>,
    },
    /// Process information of the container's own processes only.
    Proc,
    /// Device nodes, built by the launcher.
    Dev,
    /// Pseudo terminals (terminal exception only).
    Devpts {
        /// Group of the terminals.
        gid: Option<u32>,
    },
    /// POSIX message queues.
    Mqueue,
    /// Kernel objects, always read-only.
    Sysfs,
    /// The cgroup tree as seen from the container's cgroup namespace, read-only.
    Cgroup,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Where, below /dev.
    pub path: GuestPath,
    /// 'c', 'b' or 'p'.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

/// One line of the device filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceRule {
    /// Allowed or denied.
    pub allow: bool,
    /// 'a', 'c' or 'b'.
    pub kind: char,
    /// `None`: any.
    pub major: Option<u32>,
    /// `None`: any.
    pub minor: Option<u32>,
    /// Some of "rwm".
    pub access: String,
}

/// Cgroup limits, all set by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of memory; `None` only under compat.
    pub memory: Option<u64>,
    /// Bytes of swap on top of memory; 0 by default.
    pub swap: Option<u64>,
    /// Soft limit of memory in bytes.
    pub memory_low: Option<u64>,
    /// Threads and processes.
    pub pids: Option<u64>,
    /// Microseconds of CPU time in each period.
    pub cpu_quota: Option<u64>,
    /// The period in microseconds.
    pub cpu_period: Option<u64>,
    /// Relative share (v1 scale, 2..262144; 1024 is normal).
    pub cpu_shares: Option<u64>,
    /// CPUs, in the kernel's list form.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, in the kernel's list form.
    pub cpuset_mems: Option<String>,
    /// Bytes a second read from, and written to, the root's and the volumes' devices.
    pub io_bps: Option<u64>,
    /// Operations a second.
    pub io_iops: Option<u64>,
    /// Tighter limits for single devices (linux.resources.blockIO).
    pub io_devices: Vec<IoThrottle>,
    /// Huge pages by page size ("2MB"), in bytes.
    pub hugepages: Vec<(String, u64)>,
    /// Raw v2 keys (linux.resources.unified), policy-checked.
    pub unified: Vec<(String, String)>,
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

/// I/O limits of one block device; 0 is "no limit of its own".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IoThrottle {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Bytes a second read.
    pub read_bps: u64,
    /// Bytes a second written.
    pub write_bps: u64,
    /// Operations a second read.
    pub read_iops: u64,
    /// Operations a second written.
    pub write_iops: u64,
}

/// Where the cgroup goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupPlace {
    /// linux.cgroupsPath; `None`: picked by the launcher.
    pub path: Option<String>,
    /// Asked for with --systemd-cgroup.
    pub systemd: bool,
}

/// TCP ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ports {
    /// These and no others.
    Declared(Vec<u16>),
    /// Not limited, by exception.
    Any,
}

/// A program that runs outside at a point of the lifecycle (policy decides which).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// The OCI point: "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop".
    pub point: String,
    /// Absolute path, owned by root.
    pub path: HostPath,
    /// argv.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<u64>,
}

/// Something that was asked and cut down to the ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clamp {
    /// The control that it serves.
    pub control: ControlId,
    /// JSON pointer into config.json, or the flag.
    pub pointer: String,
    /// What was asked.
    pub asked: String,
    /// What is given.
    pub granted: String,
}

/// An exception in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiver {
    /// The exception's id.
    pub exception: String,
    /// The control that it loosens.
    pub control: ControlId,
    /// What it grants, in words.
    pub grants: String,
    /// Last day, ISO 8601.
    pub expires: String,
    /// Who approved.
    pub approver: String,
    /// Ticket or document.
    pub reference: String,
}

/// One reason against a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The control.
    pub control: ControlId,
    /// JSON pointer into config.json, or the flag.
    pub pointer: String,
    /// What was found.
    pub found: String,
    /// What is allowed and what to do.
    pub remedy: String,
}
