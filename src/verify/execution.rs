//! Compares scheduling, I/O class, personality, memory policy and clocks with the plan.

use super::{Checker, VerifyError};
use crate::controls::ControlId;
use crate::plan::execution::{KEEP_PARAMS, KEEP_POLICY, Scheduler, SchedulerClass, cpu_mask};
use crate::plan::ids::MapWriter;
use crate::sys::schedule::{SchedAttr, ioprio_get, sched_getattr};
use nix::errno::Errno;

impl Checker<'_> {
    pub(super) fn execution(&mut self) -> Result<(), VerifyError> {
        let plan = &self.plan.execution;
        // The kernel shows it to the owner alone, who is another where newuidmap has mapped the ids.
        let user = self.plan.namespaces.user.as_ref();
        if !user.is_some_and(|u| matches!(u.by, MapWriter::Helpers { .. })) {
            let want = format!("{:08x}", plan.personality.number());
            let found = self.read("personality")?;
            self.same(ControlId::S8_1_4, "personality", &want, found.trim());
        }
        if let Some(scheduler) = &plan.scheduler {
            let found = self.asked("sched_getattr", sched_getattr(self.pid))?;
            let (want, found) = compared(scheduler, &found);
            self.same(ControlId::S8_1_4, "scheduling", &want, &found);
        }
        if let Some(io) = plan.io_priority {
            let found = self.asked("ioprio_get", ioprio_get(self.pid))?;
            let (want, found) = (io.number().to_string(), found.to_string());
            self.same(ControlId::S8_1_4, "I/O class and level", &want, &found);
        }
        if let Some(policy) = &plan.memory_policy {
            let maps = self.read("numa_maps")?;
            let shown = maps.lines().next().and_then(|l| l.split_once(' '));
            let shown = shown.map_or("", |(_, rest)| rest);
            let (want, found) = (policy.shown(), shown.to_string());
            let found = match found.starts_with(&want) {
                true => want.clone(),
                false => found
                    .split([' ', ':', '='])
                    .next()
                    .unwrap_or_default()
                    .into(),
            };
            self.same(ControlId::S8_1_4, "memory policy", &want, &found);
        }
        let affinity = &plan.affinity;
        if let Some(list) = affinity.last.as_ref().or(affinity.initial.as_ref()) {
            let status = self.read("status")?;
            let line = status
                .lines()
                .find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
            let found = line.unwrap_or_default().trim();
            // The kernel leaves out what the host or the cpuset has not.
            let (asked, has) = (cpu_mask(list), cpu_mask(found));
            let beyond = asked.iter().zip(has).any(|(asked, has)| has & !asked != 0);
            let shown = if beyond { found } else { list };
            self.same(ControlId::S8_1_4, "CPUs", list, shown);
        }
        if !plan.clock_offsets.is_empty() {
            let text = self.read("timens_offsets")?;
            for offset in &plan.clock_offsets {
                let name = offset.clock.name();
                let want = format!("{} {}", offset.seconds, offset.nanoseconds);
                let line = text.lines().find_map(|l| l.strip_prefix(name));
                let found: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
                let what = format!("offset of the {name} clock");
                self.same(ControlId::S8_1_3, &what, &want, &found.join(" "));
            }
        }
        Ok(())
    }

    fn asked<T>(&self, call: &str, answer: Result<T, Errno>) -> Result<T, VerifyError> {
        answer.map_err(|errno| VerifyError::Read {
            path: format!("{call}({})", self.pid),
            why: errno.into(),
        })
    }
}

/// Both as text, without what the flags tell the kernel to keep and what the class has no use for.
fn compared(want: &Scheduler, found: &SchedAttr) -> (String, String) {
    let text = |policy: u32, nice: i32, priority: u32, times: [u64; 3]| {
        let mut out = String::new();
        if want.flags & KEEP_POLICY == 0 {
            out.push_str(&format!("class {policy}"));
        }
        if want.flags & KEEP_PARAMS == 0 {
            match want.class {
                SchedulerClass::Other | SchedulerClass::Batch => {
                    out.push_str(&format!(" nice {nice}"));
                }
                SchedulerClass::Fifo | SchedulerClass::RoundRobin => {
                    out.push_str(&format!(" priority {priority}"));
                }
                SchedulerClass::Deadline => out.push_str(&format!(" times {times:?}")),
                SchedulerClass::Idle => {}
            }
        }
        out
    };
    let period = match want.period {
        0 => want.deadline,
        period => period,
    };
    let times = [want.runtime, want.deadline, period];
    (
        text(want.class.number(), want.nice, want.priority, times),
        text(
            found.policy,
            found.nice,
            found.priority,
            [found.runtime, found.deadline, found.period],
        ),
    )
}
