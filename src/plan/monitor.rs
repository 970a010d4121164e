//! What is started beside the container: a monitor, only where the plan has something for it to do. Pure.

use super::landlock::{LandlockPlan, Refusals};
use super::seccomp::SeccompPlan;
use super::{Line, PlanError};
use crate::controls::ControlId;
use crate::policy::Grant;
pub use crate::policy::{
    Copying, Lifetime, LogNeed, LogStart, Logs, MonitorDeath, Sync, Target, Watch, WhenFull,
};
use serde::{Deserialize, Serialize};

/// What the monitor does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorPlan {
    /// Logs and lifetime.
    #[serde(flatten)]
    pub watch: Watch,
    /// Who answers and tells refused system calls, if they are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denials: Option<Answering>,
    /// Whether accesses that landlock refuses are told, where the host's audit is on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_accesses: bool,
    /// It stands beside a program that `exec` has started, and works with the container's own monitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newcomer: Option<NewcomerPlan>,
}

/// What becomes of the output of a program that `exec` has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewcomerPlan {
    /// Whether it must be kept where the container's is; `None`: its caller alone sees it.
    pub output: Option<LogNeed>,
}

/// Who has the filter's one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answering {
    /// The monitor's watcher.
    Watcher,
    /// Who carries out bind and listen for the program.
    Binder,
}

pub(super) fn plan(
    grant: &Grant,
    (seccomp, landlock): (&SeccompPlan, &LandlockPlan),
) -> Result<Option<MonitorPlan>, PlanError> {
    let plan =
        MonitorPlan {
            watch: grant.watch.clone(),
            denials: seccomp.watch.as_ref().filter(|w| w.tells).map(|w| {
                match w.routed.is_empty() {
                    true => Answering::Watcher,
                    false => Answering::Binder,
                }
            }),
            tells_accesses: landlock.refusals == Refusals::Recorded,
            newcomer: None,
        };
    Ok((plan != MonitorPlan::default()).then_some(plan))
}

/// Beside a program that joins, where the container has a monitor that listens.
pub(super) fn newcomer(
    grant: &Grant,
    (seccomp, landlock): (&SeccompPlan, &LandlockPlan),
) -> Option<MonitorPlan> {
    let logs = grant.watch.logs.as_ref();
    let denials = seccomp.watch.as_ref().filter(|w| w.tells);
    let plan = MonitorPlan {
        watch: Watch::default(),
        denials: denials.map(|_| Answering::Watcher),
        tells_accesses: landlock.refusals == Refusals::Recorded,
        newcomer: Some(NewcomerPlan {
            output: logs.map(|l| l.need),
        }),
    };
    (denials.is_some() || logs.is_some() || plan.tells_accesses).then_some(plan)
}

impl MonitorPlan {
    /// Whether the service must not outlive the monitor.
    pub fn is_vital(&self) -> bool {
        let logs = self.watch.logs.as_ref();
        logs.is_some_and(|l| l.on_monitor_death == MonitorDeath::End)
    }

    /// Whether output also goes where it would go without a monitor.
    pub fn copies(&self) -> bool {
        let logs = self.watch.logs.as_ref();
        logs.is_some_and(|l| l.copy == Copying::Tee)
    }

    pub(super) fn lines(&self, name: &str) -> Vec<Line> {
        let mut out = Vec::new();
        if let Some(logs) = &self.watch.logs {
            let full = match logs.when_full {
                WhenFull::Block => "then the service waits",
                WhenFull::DropNew => "then new output is dropped and counted",
                WhenFull::DropOld => "then the oldest is dropped and counted",
            };
            let quota = crate::policy::Amount(logs.quota);
            let copy = match logs.copy {
                Copying::Tee => "; a copy to the caller",
                Copying::None => "",
            };
            out.push(Line::new(
                "logs",
                format!(
                    "kept in {}/{name}, at most {quota}, {full}{copy}",
                    logs.spool
                ),
                &[ControlId::S8_4_2, ControlId::S8_4_13, ControlId::S8_3_4],
            ));
            if !logs.targets.is_empty() {
                let names: Vec<&str> = logs.targets.iter().map(|t| t.name.as_str()).collect();
                let start = match logs.start {
                    LogStart::Anyway => "",
                    LogStart::Reached => "; nothing runs unless they can be reached at the start",
                };
                out.push(Line::new(
                    "collectors",
                    names.join(" ") + start,
                    &[ControlId::S8_3_4, ControlId::Osg3],
                ));
            }
            if self.is_vital() {
                out.push(Line::new(
                    "monitor",
                    "the service ends with it: nothing runs unlogged",
                    &[ControlId::S8_4_2],
                ));
            }
        }
        if self.denials.is_some() || self.watch.logs.is_some() {
            let (label, text) = match self.tells_accesses {
                true => (
                    "told",
                    "accesses that landlock refuses, if the host's audit is on at the launch: the kernel tells them there alone",
                ),
                false => (
                    "not told",
                    "accesses that landlock refuses: the kernel can't (before Linux 6.15), or there is no ruleset",
                ),
            };
            out.push(Line::new(label, text, &[ControlId::S8_3_4]));
            let kept = match &self.watch.logs {
                Some(_) => {
                    " and what it says is kept before its caller sees it (a terminal's is not)"
                }
                None => "",
            };
            out.push(Line::new(
                "exec",
                format!("what a program that `exec` starts is refused is told{kept}, where an exception allows `exec`"),
                &[ControlId::S8_3_4, ControlId::S8_4_1, ControlId::S8_4_2],
            ));
        }
        if let Some(life) = self.watch.lifetime {
            out.push(Line::new(
                "lifetime",
                format!("TERM after {} s, KILL {} s later", life.seconds, life.grace),
                &[ControlId::Osg3],
            ));
        }
        out
    }
}
