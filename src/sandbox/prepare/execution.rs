//! Scheduling, I/O class, memory nodes and personality as the kernel's numbers.

use crate::plan::execution::{CPU_WORDS, ClassesBy, ExecutionPlan, NODE_WORDS, cpu_mask};
use crate::sys::schedule::{self, SchedAttr};
use nix::errno::Errno;

/// Scheduling and I/O class.
#[derive(Clone, Copy, Default)]
pub(in crate::sandbox) struct Classes {
    scheduler: Option<SchedAttr>,
    io: Option<i32>,
}

/// What the child sets for itself.
pub(in crate::sandbox) struct OwnExecution {
    pub(in crate::sandbox) personality: u32,
    pub(in crate::sandbox) memory: Option<(i32, [u64; NODE_WORDS])>,
    pub(in crate::sandbox) classes: Classes,
    /// Before the cgroup is entered, and after.
    pub(in crate::sandbox) cpus: [Option<[u64; CPU_WORDS]>; 2],
}

impl Classes {
    /// Gives them to a process; 0 is the caller. The call's name stands with the error.
    pub(in crate::sandbox) fn give(&self, pid: i32) -> Result<(), (&'static str, Errno)> {
        if let Some(attr) = &self.scheduler {
            schedule::sched_setattr(pid, attr).map_err(|e| {
                ("set the scheduling class (sched_setattr); a real-time one needs a share: cpu.rt_runtime_us of the cgroup", e)
            })?;
        }
        match self.io {
            Some(value) => {
                schedule::ioprio_set(pid, value).map_err(|e| ("set the I/O class (ioprio_set)", e))
            }
            None => Ok(()),
        }
    }
}

/// The child's part, and the launcher's.
pub(super) fn split(plan: &ExecutionPlan) -> (OwnExecution, Classes) {
    let classes = Classes {
        scheduler: plan.scheduler.as_ref().map(|s| SchedAttr {
            size: 0,
            policy: s.class.number(),
            flags: s.flags,
            nice: s.nice,
            priority: s.priority,
            runtime: s.runtime,
            deadline: s.deadline,
            period: s.period,
        }),
        io: plan.io_priority.map(|p| p.number()),
    };
    let (own, outside) = match plan.classes_by {
        ClassesBy::Child => (classes, Classes::default()),
        ClassesBy::Launcher => (Classes::default(), classes),
    };
    let memory = plan.memory_policy.as_ref().map(|p| (p.number(), p.mask()));
    let own = OwnExecution {
        personality: plan.personality.number(),
        memory,
        classes: own,
        cpus: [&plan.affinity.initial, &plan.affinity.last]
            .map(|list| list.as_deref().map(cpu_mask)),
    };
    (own, outside)
}
