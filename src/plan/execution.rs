//! How the kernel treats the process: scheduling, I/O class, memory nodes, personality, clocks. Pure.
//!
//! The grant's words stay; what the kernel calls them stands beside, for the sandbox and for `verify`.

use super::{Line, PlanError};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::policy::Grant;
pub use crate::policy::{
    Clock, ClockOffset, ExecAffinity, IoClass, IoPriority, MemoryFlag, MemoryMode, MemoryPolicy,
    Personality, Scheduler, SchedulerClass,
};
use serde::Serialize;

/// What is set, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecutionPlan {
    /// Scheduling class.
    pub scheduler: Option<Scheduler>,
    /// I/O class.
    pub io_priority: Option<IoPriority>,
    /// CPUs for the verb `exec`.
    pub exec_affinity: ExecAffinity,
    /// CPUs of this process: nothing unless it comes by that verb.
    pub affinity: ExecAffinity,
    /// Execution domain, always set.
    pub personality: Personality,
    /// Memory nodes.
    pub memory_policy: Option<MemoryPolicy>,
    /// Clock offsets of the new time namespace.
    pub clock_offsets: Vec<ClockOffset>,
    /// Who sets the classes.
    pub classes_by: ClassesBy,
}

/// Who sets scheduling and I/O class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassesBy {
    /// The launcher, once the child is in its cgroup: a cgroup without real-time share takes no real-time process.
    Launcher,
    /// The child: an unprivileged launcher may not, once the child has other ids.
    Child,
}

pub(super) fn plan(grant: &Grant, host: &Host) -> Result<ExecutionPlan, PlanError> {
    let asked = &grant.execution;
    let refuse = |pointer: &str, what: String| PlanError::Value {
        pointer: pointer.into(),
        what,
    };
    let user = host.privilege == Privilege::User;
    if user && !asked.clock_offsets.is_empty() {
        let what = "an ordinary user's time namespace can't be shifted by this launcher: launch as root, or leave the offsets out";
        return Err(refuse("/linux/timeOffsets", what.into()));
    }
    if let Some(policy) = &asked.memory_policy {
        let since = policy.mode.since();
        if host.kernel < since {
            let what = format!(
                "{:?} came with Linux {}.{}, this is {}: choose another mode",
                policy.mode, since.0, since.1, host.release
            );
            return Err(refuse("/linux/memoryPolicy/mode", what));
        }
    }
    Ok(ExecutionPlan {
        scheduler: asked.scheduler.clone(),
        io_priority: asked.io_priority,
        exec_affinity: asked.exec_affinity.clone(),
        affinity: ExecAffinity::default(),
        personality: asked.personality,
        memory_policy: asked.memory_policy.clone(),
        clock_offsets: asked.clock_offsets.clone(),
        classes_by: match host.privilege {
            Privilege::Root => ClassesBy::Launcher,
            Privilege::User => ClassesBy::Child,
        },
    })
}

/// Of a process that joins: the clocks are the container's already, and it alone has an affinity of its own.
pub(super) fn newcomer(grant: &Grant, host: &Host) -> Result<ExecutionPlan, PlanError> {
    let mut plan = plan(grant, host)?;
    plan.clock_offsets = Vec::new();
    plan.affinity = grant.execution.exec_affinity.clone();
    Ok(plan)
}

impl SchedulerClass {
    /// SCHED_* (linux/sched.h).
    pub fn number(self) -> u32 {
        match self {
            Self::Other => 0,
            Self::Fifo => 1,
            Self::RoundRobin => 2,
            Self::Batch => 3,
            Self::Idle => 5,
            Self::Deadline => 6,
        }
    }
}

/// SCHED_FLAG_KEEP_POLICY and SCHED_FLAG_KEEP_PARAMS: the kernel leaves as it is what verification would compare.
pub const KEEP_POLICY: u64 = 0x08;
/// See [`KEEP_POLICY`].
pub const KEEP_PARAMS: u64 = 0x10;

impl IoPriority {
    /// IOPRIO_PRIO_VALUE (linux/ioprio.h). The idle class has no levels.
    pub fn number(self) -> i32 {
        let (class, level) = match self.class {
            IoClass::Realtime => (1, self.level),
            IoClass::BestEffort => (2, self.level),
            IoClass::Idle => (3, 0),
        };
        (class << 13) | i32::from(level)
    }
}

impl Personality {
    /// PER_* (sys/personality.h).
    pub fn number(self) -> u32 {
        match self {
            Self::Linux => 0,
            Self::Linux32 => 8,
        }
    }
}

impl MemoryMode {
    fn since(self) -> (u32, u32) {
        match self {
            Self::PreferredMany => (5, 15),
            Self::WeightedInterleave => (6, 9),
            _ => (0, 0),
        }
    }

    /// As /proc/PID/numa_maps has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Preferred => "prefer",
            Self::Bind => "bind",
            Self::Interleave => "interleave",
            Self::Local => "local",
            Self::PreferredMany => "prefer (many)",
            Self::WeightedInterleave => "weighted interleave",
        }
    }
}

/// Words of a node mask: 1024 nodes.
pub const NODE_WORDS: usize = 16;

impl MemoryPolicy {
    /// MPOL_* and MPOL_F_* (linux/mempolicy.h).
    pub fn number(&self) -> i32 {
        let mode = match self.mode {
            MemoryMode::Default => 0,
            MemoryMode::Preferred => 1,
            MemoryMode::Bind => 2,
            MemoryMode::Interleave => 3,
            MemoryMode::Local => 4,
            MemoryMode::PreferredMany => 5,
            MemoryMode::WeightedInterleave => 6,
        };
        let flag = |flag: &MemoryFlag| match flag {
            MemoryFlag::NumaBalancing => 1 << 13,
            MemoryFlag::RelativeNodes => 1 << 14,
            MemoryFlag::StaticNodes => 1 << 15,
        };
        self.flags.iter().map(flag).fold(mode, |a, b| a | b)
    }

    /// The nodes as a mask.
    pub fn mask(&self) -> [u64; NODE_WORDS] {
        let mut out = [0; NODE_WORDS];
        for node in &self.nodes {
            if let Some(word) = out.get_mut(usize::from(node / 64)) {
                *word |= 1 << (node % 64);
            }
        }
        out
    }

    /// What the first mapping in numa_maps begins with. Relative nodes fold onto those that are allowed, and a
    /// preference without nodes is `local`.
    pub fn shown(&self) -> String {
        match self.mode {
            MemoryMode::Preferred if self.nodes.is_empty() => "local".into(),
            mode => mode.name().into(),
        }
    }
}

/// Words of a CPU mask: 8192 CPUs, the most that a kernel is built for.
pub const CPU_WORDS: usize = 128;

/// "0-3,7" as a mask; CPUs that no kernel has are left out.
pub fn cpu_mask(list: &str) -> [u64; CPU_WORDS] {
    let mut out = [0; CPU_WORDS];
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |n: &str| n.trim().parse::<usize>().unwrap_or(usize::MAX);
        for cpu in number(from)..=number(to).min(CPU_WORDS * 64 - 1) {
            out[cpu / 64] |= 1 << (cpu % 64);
        }
    }
    out
}

impl ExecutionPlan {
    pub(super) fn lines(&self) -> Vec<Line> {
        let line = |topic, text: String| Line::new(topic, text, &[ControlId::S8_1_4]);
        let mut out = Vec::new();
        let mut classes = Vec::new();
        if let Some(s) = &self.scheduler {
            classes.push(match s.class {
                SchedulerClass::Fifo | SchedulerClass::RoundRobin => {
                    format!("{:?}, priority {}", s.class, s.priority)
                }
                SchedulerClass::Deadline => format!(
                    "Deadline, {} of each {} ns",
                    s.runtime,
                    s.period.max(s.deadline)
                ),
                class => format!("{class:?}, nice {}", s.nice),
            });
        }
        if let Some(io) = &self.io_priority {
            classes.push(format!("I/O {:?} {}", io.class, io.level));
        }
        if !classes.is_empty() {
            out.push(line("scheduling", classes.join("; ")));
        }
        if let Some(policy) = &self.memory_policy {
            let nodes: Vec<String> = policy.nodes.iter().map(u16::to_string).collect();
            out.push(line(
                "memory nodes",
                format!("{} {}", policy.mode.name(), nodes.join(",")),
            ));
        }
        if self.personality != Personality::Linux {
            out.push(line("personality", format!("{:?}", self.personality)));
        }
        let affinity = &self.exec_affinity;
        if affinity.initial.is_some() || affinity.last.is_some() {
            let cpus = |list: &Option<String>| list.clone().unwrap_or_else(|| "as they are".into());
            let text = format!(
                "of the verb exec: {} at first, then {}",
                cpus(&affinity.initial),
                cpus(&affinity.last)
            );
            out.push(line("cpus", text));
        }
        if !self.clock_offsets.is_empty() {
            let one = |o: &ClockOffset| {
                format!("{} {:+}.{:09} s", o.clock.name(), o.seconds, o.nanoseconds)
            };
            let all: Vec<String> = self.clock_offsets.iter().map(one).collect();
            out.push(Line::new("clocks", all.join(", "), &[ControlId::S8_1_3]));
        }
        out
    }
}
