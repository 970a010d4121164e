//! Scheduling, I/O class, CPU affinity, personality, memory policy: what takes from others needs an exception.

use super::case::Case;
use super::limits::id_list;
use crate::controls::ControlId;
use crate::policy::{
    ExecAffinity, IoClass, IoPriority, MemoryFlag, MemoryMode, MemoryPolicy, Personality,
    Scheduler, SchedulerClass,
};
use oci_spec::runtime::{
    IOPriorityClass, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy,
    MemoryPolicyFlagType, MemoryPolicyModeType,
};

/// process.scheduler.
pub(super) fn scheduler(case: &mut Case<'_>) {
    let process = case.spec().process().as_ref();
    let Some(asked) = process.and_then(|p| p.scheduler().as_ref()) else {
        return;
    };
    let at = "/process/scheduler";
    let class = match asked.policy() {
        LinuxSchedulerPolicy::SchedOther => SchedulerClass::Other,
        LinuxSchedulerPolicy::SchedFifo => SchedulerClass::Fifo,
        LinuxSchedulerPolicy::SchedRr => SchedulerClass::RoundRobin,
        LinuxSchedulerPolicy::SchedBatch => SchedulerClass::Batch,
        LinuxSchedulerPolicy::SchedIdle => SchedulerClass::Idle,
        LinuxSchedulerPolicy::SchedDeadline => SchedulerClass::Deadline,
        LinuxSchedulerPolicy::SchedIso => {
            let remedy = "no Linux has this class: use SCHED_OTHER, SCHED_BATCH or SCHED_IDLE";
            case.refuse(
                ControlId::S8_1_4,
                &format!("{at}/policy"),
                "SCHED_ISO",
                remedy,
            );
            return;
        }
    };
    let mut granted = Scheduler {
        class,
        nice: asked.nice().unwrap_or(0),
        priority: u32::try_from(asked.priority().unwrap_or(0)).unwrap_or(u32::MAX),
        flags: flags(case, asked.flags().as_deref().unwrap_or_default()),
        runtime: asked.runtime().unwrap_or(0),
        deadline: asked.deadline().unwrap_or(0),
        period: asked.period().unwrap_or(0),
    };
    if !parameters(case, at, &mut granted) {
        return;
    }
    let realtime =
        |case: &mut Case<'_>, pointer: &str, what: &str| case.waived(pointer, what, |g| g.realtime);
    if class.is_realtime() {
        let (place, found) = (format!("{at}/policy"), asked.policy().to_string());
        if !realtime(case, &place, &found) {
            case.over(
                ControlId::S8_1_4,
                &place,
                found,
                "SCHED_OTHER: a real-time process can starve the host",
            );
            granted = Scheduler {
                class: SchedulerClass::Other,
                priority: 0,
                runtime: 0,
                deadline: 0,
                period: 0,
                ..granted
            };
        }
    }
    let place = format!("{at}/nice");
    if granted.nice < 0 && !realtime(case, &place, &format!("nice {}", granted.nice)) {
        case.over(ControlId::S8_1_4, &place, granted.nice, 0);
        granted.nice = 0;
    }
    case.grant.execution.scheduler = Some(granted);
}

/// Whether the kernel would take the numbers; those of another class are dropped with a note.
fn parameters(case: &mut Case<'_>, at: &str, asked: &mut Scheduler) -> bool {
    let mut refuse = |key: &str, found: String, remedy: &str| {
        case.refuse(ControlId::S8_1_4, &format!("{at}/{key}"), found, remedy);
        false
    };
    if !(-20..=19).contains(&asked.nice) {
        return refuse(
            "nice",
            format!("nice {}", asked.nice),
            "give -20 (most) to 19 (least)",
        );
    }
    let turns = matches!(
        asked.class,
        SchedulerClass::Fifo | SchedulerClass::RoundRobin
    );
    if turns != (1..=99).contains(&asked.priority) || (!turns && asked.priority != 0) {
        let remedy = "SCHED_FIFO and SCHED_RR take 1 to 99, the other classes none";
        return refuse(
            "priority",
            format!("the priority {}", asked.priority as i32),
            remedy,
        );
    }
    let times = [asked.runtime, asked.deadline, asked.period];
    if asked.class == SchedulerClass::Deadline {
        // sched(7): at least 1024 ns, below 2^63, in this order; a period of 0 is the deadline.
        let ordered = asked.runtime <= asked.deadline
            && (asked.period == 0 || asked.deadline <= asked.period);
        if asked.runtime < 1024 || !ordered || times.iter().any(|t| *t >= 1 << 63) {
            let found = format!(
                "runtime {}, deadline {}, period {} ns",
                times[0], times[1], times[2]
            );
            return refuse("runtime", found, "1024 <= runtime <= deadline <= period");
        }
    } else if times.iter().any(|t| *t != 0) {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/runtime"),
            "times of SCHED_DEADLINE",
            "none: the class has no use for them",
        );
        (asked.runtime, asked.deadline, asked.period) = (0, 0, 0);
    }
    true
}

/// linux/sched.h: SCHED_FLAG_*.
fn flags(case: &mut Case<'_>, asked: &[LinuxSchedulerFlag]) -> u64 {
    let mut bits = 0;
    for (at, flag) in asked.iter().enumerate() {
        bits |= match flag {
            LinuxSchedulerFlag::SchedResetOnFork => 0x01,
            LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
            LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
            LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
            LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
            LinuxSchedulerFlag::SchedFlagUtilClampMin
            | LinuxSchedulerFlag::SchedFlagUtilClampMax => {
                let remedy = "config.json has no field for the value to clamp to: leave it out";
                let place = format!("/process/scheduler/flags/{at}");
                case.refuse(ControlId::S8_1_4, &place, "a utilisation clamp", remedy);
                0
            }
        };
    }
    bits
}

/// process.ioPriority.
pub(super) fn io_priority(case: &mut Case<'_>) {
    let process = case.spec().process().as_ref();
    let Some(asked) = process.and_then(|p| p.io_priority().as_ref()) else {
        return;
    };
    let at = "/process/ioPriority";
    let Some(level) = u8::try_from(asked.priority()).ok().filter(|n| *n <= 7) else {
        let found = format!("the priority {}", asked.priority());
        case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/priority"),
            found,
            "give 0 (most) to 7",
        );
        return;
    };
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => IoClass::Realtime,
        IOPriorityClass::IoprioClassBe => IoClass::BestEffort,
        IOPriorityClass::IoprioClassIdle => IoClass::Idle,
    };
    let place = format!("{at}/class");
    let mut granted = IoPriority { class, level };
    if class == IoClass::Realtime && !case.waived(&place, "IOPRIO_CLASS_RT", |g| g.realtime) {
        case.over(
            ControlId::S8_1_4,
            &place,
            "IOPRIO_CLASS_RT",
            "IOPRIO_CLASS_BE: a real-time process can starve the host's disks",
        );
        granted.class = IoClass::BestEffort;
    }
    case.grant.execution.io_priority = Some(granted);
}

/// process.execCPUAffinity: for the verb `exec`; the first process has the cpuset alone.
pub(super) fn affinity(case: &mut Case<'_>) {
    let process = case.spec().process().as_ref();
    let Some(asked) = process.and_then(|p| p.exec_cpu_affinity().as_ref()) else {
        return;
    };
    let at = "/process/execCPUAffinity";
    let list = |text: &Option<String>| text.clone().filter(|t| !t.trim().is_empty());
    case.grant.execution.exec_affinity = ExecAffinity {
        initial: id_list(case, &format!("{at}/initial"), list(asked.initial())),
        last: id_list(
            case,
            &format!("{at}/final"),
            list(asked.cpu_affinity_final()),
        ),
    };
}

/// linux.personality.
pub(super) fn personality(case: &mut Case<'_>) {
    let Some(asked) = case.linux().and_then(|l| l.personality().as_ref()) else {
        return;
    };
    if asked.flags().as_ref().is_some_and(|f| !f.is_empty()) {
        case.refuse(
            ControlId::S8_1_4,
            "/linux/personality/flags",
            "flags of the personality",
            "runtime-spec 1.3 defines none: leave them out",
        );
    }
    case.grant.execution.personality = match asked.domain() {
        LinuxPersonalityDomain::PerLinux => Personality::Linux,
        LinuxPersonalityDomain::PerLinux32 => Personality::Linux32,
    };
}

/// linux.memoryPolicy: the process's own choice among the nodes that its cpuset allows.
pub(super) fn memory_policy(case: &mut Case<'_>) {
    let Some(asked) = case.linux().and_then(|l| l.memory_policy().as_ref()) else {
        return;
    };
    let at = "/linux/memoryPolicy";
    let mode = match asked.mode() {
        MemoryPolicyModeType::MpolDefault => MemoryMode::Default,
        MemoryPolicyModeType::MpolBind => MemoryMode::Bind,
        MemoryPolicyModeType::MpolInterleave => MemoryMode::Interleave,
        MemoryPolicyModeType::MpolWeightedInterleave => MemoryMode::WeightedInterleave,
        MemoryPolicyModeType::MpolPreferred => MemoryMode::Preferred,
        MemoryPolicyModeType::MpolPreferredMany => MemoryMode::PreferredMany,
        MemoryPolicyModeType::MpolLocal => MemoryMode::Local,
    };
    let list = asked.nodes().clone().filter(|t| !t.trim().is_empty());
    let nodes = numbers(id_list(case, &format!("{at}/nodes"), list).as_deref());
    let mut refuse = |key: &str, found: &str, remedy: &str| {
        case.refuse(ControlId::S8_1_4, &format!("{at}/{key}"), found, remedy);
    };
    let Some(nodes) = nodes else {
        return refuse("nodes", "a node above 1023", "the kernel has at most 1024");
    };
    let without = matches!(mode, MemoryMode::Default | MemoryMode::Local);
    match (without, nodes.is_empty()) {
        (true, false) => {
            return refuse("nodes", "nodes for a mode without any", "leave them out");
        }
        // set_mempolicy(2): `preferred` without nodes means `local`.
        (false, true) if mode != MemoryMode::Preferred => {
            return refuse("nodes", "no nodes", "name them: \"0-1,3\"");
        }
        _ => {}
    }
    let mut flags = Vec::new();
    for flag in asked.flags().iter().flatten() {
        flags.push(match flag {
            MemoryPolicyFlagType::MpolFNumaBalancing => MemoryFlag::NumaBalancing,
            MemoryPolicyFlagType::MpolFRelativeNodes => MemoryFlag::RelativeNodes,
            MemoryPolicyFlagType::MpolFStaticNodes => MemoryFlag::StaticNodes,
        });
    }
    let has = |flag| flags.contains(&flag);
    if has(MemoryFlag::StaticNodes) && has(MemoryFlag::RelativeNodes) {
        return refuse("flags", "static and relative nodes at once", "choose one");
    }
    if has(MemoryFlag::NumaBalancing)
        && !matches!(mode, MemoryMode::Bind | MemoryMode::PreferredMany)
    {
        let remedy = "the kernel balances with MPOL_BIND and MPOL_PREFERRED_MANY only";
        return refuse("flags", "MPOL_F_NUMA_BALANCING with this mode", remedy);
    }
    if without && !flags.is_empty() {
        return refuse("flags", "flags for a mode without nodes", "leave them out");
    }
    case.grant.execution.memory_policy = Some(MemoryPolicy { mode, nodes, flags });
}

/// "0-3,7" as numbers below 1024.
fn numbers(list: Option<&str>) -> Option<Vec<u16>> {
    let mut out = Vec::new();
    for part in list.into_iter().flat_map(|l| l.split(',')) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.parse::<u16>().ok()?, to.parse::<u16>().ok()?);
        if to > 1023 {
            return None;
        }
        out.extend(from..=to);
    }
    out.sort_unstable();
    out.dedup();
    Some(out)
}
