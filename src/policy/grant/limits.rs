//! Cgroups: limits, the device filter, the place; and ports.

use serde::Serialize;

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
    /// How readily memory is swapped (v1 only).
    pub swappiness: Option<u64>,
    /// Bytes of TCP buffers (v1 only; elsewhere they count as memory).
    pub kernel_tcp: Option<u64>,
    /// Whether a process that hits the limit waits instead of being killed (v1, compat).
    pub oom_waits: bool,
    /// The cgroup only gets CPU time that nobody else wants.
    pub cpu_idle: bool,
    /// Microseconds of quota that may be saved up.
    pub cpu_burst: Option<u64>,
    /// Real-time share: microseconds, of each period if one is given (v1).
    pub realtime: Option<(u64, Option<u64>)>,
    /// Relative share of disks, 10 to 1000.
    pub io_weight: Option<u16>,
    /// The same for single devices: (major, minor, weight).
    pub io_weights: Vec<(u32, u32, u16)>,
    /// Class of outgoing packets (v1 net_cls).
    pub net_class: Option<u32>,
    /// Priority of outgoing packets by interface (v1 net_prio).
    pub net_priorities: Vec<(String, u32)>,
    /// RDMA handles and objects by device.
    pub rdma: Vec<RdmaLimit>,
    /// Raw v2 keys (linux.resources.unified), policy-checked.
    pub unified: Vec<(String, String)>,
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
    /// Asked for with --systemd-cgroup: systemd makes it, and `path` is not used.
    pub scope: Option<ScopeName>,
}

/// A systemd scope as `cgroupsPath` names it: slice:prefix:name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeName {
    /// "kubepods-burstable.slice"; `None`: the manager's usual one.
    pub slice: Option<String>,
    /// "cri-containerd-0123.scope".
    pub unit: String,
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

/// Limits of one RDMA device; `None`: not limited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RdmaLimit {
    /// Which.
    pub device: String,
    /// HCA handles.
    pub handles: Option<u32>,
    /// HCA objects.
    pub objects: Option<u32>,
}
