//! How the kernel is to treat the process: its turn on the CPU and the disk, its memory nodes, ABI and clocks.

use serde::Serialize;

/// What is asked of the kernel for the one process, beyond limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// Scheduling class and its parameters; `None`: as the launcher has them.
    pub scheduler: Option<Scheduler>,
    /// I/O class; `None`: by the nice value.
    pub io_priority: Option<IoPriority>,
    /// CPUs for programs that the verb `exec` starts; never for the first one.
    pub exec_affinity: ExecAffinity,
    /// The execution domain.
    pub personality: Personality,
    /// NUMA memory policy.
    pub memory_policy: Option<MemoryPolicy>,
    /// Offsets of clocks in the container's own time namespace.
    pub clock_offsets: Vec<ClockOffset>,
}

/// sched_setattr(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scheduler {
    /// Which queue.
    pub class: SchedulerClass,
    /// -20 (most) to 19.
    pub nice: i32,
    /// 1 to 99 for the real-time classes, else 0.
    pub priority: u32,
    /// SCHED_FLAG_* bits.
    pub flags: u64,
    /// Nanoseconds of CPU in each period (deadline).
    pub runtime: u64,
    /// Nanoseconds by which they must be had (deadline).
    pub deadline: u64,
    /// Nanoseconds of a period (deadline).
    pub period: u64,
}

/// Scheduling classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerClass {
    /// Time-sharing.
    Other,
    /// Time-sharing for work that nobody waits for.
    Batch,
    /// Only when nothing else runs.
    Idle,
    /// Real-time, first in first out.
    Fifo,
    /// Real-time, in turns.
    RoundRobin,
    /// Real-time, by deadline.
    Deadline,
}

impl SchedulerClass {
    /// Whether it goes before every ordinary process of the host.
    pub fn is_realtime(self) -> bool {
        matches!(self, Self::Fifo | Self::RoundRobin | Self::Deadline)
    }
}

/// ioprio_set(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IoPriority {
    /// Which queue.
    pub class: IoClass,
    /// 0 (most) to 7.
    pub level: u8,
}

/// I/O classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IoClass {
    /// Before everybody.
    Realtime,
    /// In turns.
    BestEffort,
    /// When the disk is idle.
    Idle,
}

/// CPUs of programs that `exec` starts, in the kernel's list form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExecAffinity {
    /// Before the container's cgroup is entered.
    pub initial: Option<String>,
    /// After.
    #[serde(rename = "final")]
    pub last: Option<String>,
}

/// personality(2). It is always set: what the launcher inherited (`setarch -R`: no address randomisation) ends here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Personality {
    /// The kernel's own.
    #[default]
    Linux,
    /// uname says that the machine has 32 bits.
    Linux32,
}

/// set_mempolicy(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPolicy {
    /// How nodes are chosen.
    pub mode: MemoryMode,
    /// The nodes, sorted.
    pub nodes: Vec<u16>,
    /// How the nodes are to be read.
    pub flags: Vec<MemoryFlag>,
}

/// MPOL_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryMode {
    /// Where the process runs.
    Default,
    /// There first.
    Preferred,
    /// There only.
    Bind,
    /// In turns.
    Interleave,
    /// Where the process runs, said so.
    Local,
    /// There first, several.
    PreferredMany,
    /// In turns, by weight (Linux 6.9).
    WeightedInterleave,
}

/// MPOL_F_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryFlag {
    /// Nodes may be balanced (with `bind`).
    NumaBalancing,
    /// Numbers count the allowed nodes.
    RelativeNodes,
    /// Numbers mean those very nodes.
    StaticNodes,
}

/// One line of /proc/PID/timens_offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClockOffset {
    /// Which.
    pub clock: Clock,
    /// Seconds.
    pub seconds: i64,
    /// And nanoseconds, below a second.
    pub nanoseconds: u32,
}

/// Clocks that a time namespace can shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_BOOTTIME.
    Boottime,
}

impl Clock {
    /// The kernel's name in timens_offsets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monotonic => "monotonic",
            Self::Boottime => "boottime",
        }
    }
}
