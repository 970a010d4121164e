//! What exactly will be done: every mount, flag, limit and filter of one launch. Pure.
//!
//! A [`Plan`] is so specific that nothing is left to choose when it is carried out, and it can be printed
//! (one screen, each line with the controls it serves) or given as JSON. `plan` and `run` use the same value.

pub mod calls;
pub mod capabilities;
pub mod execution;
pub mod hooks;
pub mod ids;
pub mod joined;
pub mod landlock;
pub mod limits;
pub mod monitor;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod openings;
pub mod process;
pub mod seccomp;

mod screen;

use crate::controls::ControlId;
use crate::host::Host;
// What later stages need of the grant's words: they name the plan alone.
pub use crate::policy::{
    Atime, Exec, HookPoint, IdMap, NamespaceKind, Propagation, Translation, Writing,
};

use crate::policy::{Caller, Clamp, Grant, Template, Waiver};
use crate::survey::{ProgramError, Survey};
use serde::Serialize;

/// Everything that one launch will do.
#[must_use]
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The container's name (OCI: its id).
    pub name: String,
    /// Who asked.
    pub caller: Caller,
    /// The template in force.
    pub template: Template,
    /// Program, arguments, ids, resource limits, marks.
    pub process: process::ProcessPlan,
    /// Scheduling, memory nodes, personality, clocks.
    pub execution: execution::ExecutionPlan,
    /// Namespaces and id maps.
    pub namespaces: namespaces::NamespacePlan,
    /// Root and mounts.
    pub mounts: mounts::MountPlan,
    /// Capability sets.
    pub capabilities: capabilities::CapabilityPlan,
    /// System-call filters.
    pub seccomp: seccomp::SeccompPlan,
    /// Landlock ruleset.
    pub landlock: landlock::LandlockPlan,
    /// Cgroups.
    pub limits: limits::LimitPlan,
    /// Network and kernel parameters.
    pub network: network::NetworkPlan,
    /// What comes in and goes out.
    #[serde(skip_serializing_if = "openings::OpeningsPlan::is_closed")]
    pub openings: openings::OpeningsPlan,
    /// What stands beside it; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<monitor::MonitorPlan>,
    /// Programs at points of the lifecycle.
    pub hooks: hooks::HookPlan,
    /// What was asked and cut down.
    pub clamps: Vec<Clamp>,
    /// Exceptions in use.
    pub waivers: Vec<Waiver>,
    /// What this host can't give.
    pub lacks: Vec<Lack>,
}

/// Something that this host can't give, and what is lost by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The control that suffers.
    pub control: ControlId,
    /// What is missing, and since when kernels have it.
    pub what: String,
    /// What is lost.
    pub lost: String,
    /// Whether the launch may go on without it by itself (defence in depth remains), or needs `degraded`.
    pub weight: Weight,
}

/// How much a lack matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Another layer covers the control: shown, not refused.
    Covered,
    /// The control itself is gone: refused unless `degraded` is granted.
    Control,
}

/// One line of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Left column.
    pub topic: &'static str,
    /// What is done.
    pub text: String,
    /// The controls it serves.
    pub controls: &'static [ControlId],
}

impl Line {
    /// A line of the screen.
    pub fn new(
        topic: &'static str,
        text: impl Into<String>,
        controls: &'static [ControlId],
    ) -> Self {
        Self {
            topic,
            text: text.into(),
            controls,
        }
    }
}

/// Why a granted launch can't be planned on this host.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlanError {
    /// Nothing to run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A mount can't be made where it was asked.
    #[error("{}{what}", in_front(pointer))]
    Mount {
        /// JSON pointer or flag.
        pointer: String,
        /// What was found and what to do.
        what: String,
    },
    /// Controls that the host can't give.
    #[error("{}", lacks_text(.0))]
    Lacking(Vec<Lack>),
    /// A value that can't be carried out.
    #[error("{}{what}", in_front(pointer))]
    Value {
        /// JSON pointer or flag.
        pointer: String,
        /// What was found and what to do.
        what: String,
    },
}

/// A place with what divides it from what is said of it; nothing where it is the launcher's own.
pub(crate) fn in_front(place: &str) -> String {
    match place {
        "" => String::new(),
        place => format!("{place}: "),
    }
}

impl PlanError {
    /// The same, its place as whoever asked knows it.
    #[must_use]
    pub fn placed(mut self, name: impl Fn(&str) -> String) -> Self {
        if let Self::Mount { pointer, .. } | Self::Value { pointer, .. } = &mut self {
            *pointer = name(pointer);
        }
        self
    }
}

fn lacks_text(lacks: &[Lack]) -> String {
    let all: Vec<String> = lacks
        .iter()
        .map(|l| format!("{}: {}, so {}", l.control, l.what, l.lost))
        .collect();
    format!(
        "this host can't give what the policy requires (an exception with degraded = true would let it pass): {}",
        all.join("; ")
    )
}

/// Decides nothing that policy decides: turns what was granted into steps for this host.
pub fn plan(grant: &Grant, host: &Host, survey: &Survey) -> Result<Plan, PlanError> {
    unsupported(grant, host)?;
    let mut lacks = Vec::new();
    let program = survey.program.clone()?;
    let execution = execution::plan(grant, host)?;
    let namespaces = namespaces::plan(grant, host, survey, &mut lacks)?;
    let limits = limit_plan(grant, host, survey)?;
    let seen = mounts::Surroundings {
        host,
        survey,
        namespaces: &namespaces,
        cgroups: &limits.dirs,
    };
    let mounts = mounts::plan(grant, &seen, &program, &mut lacks)?;
    let process = process::plan(grant, host, &namespaces, program, &mut lacks)?;
    let openings = openings::plan(grant, host, survey)?;
    let seccomp = guarded(grant, host, (&openings, process.exec_fd), &mut lacks)?;
    let landlock = landlock::plan(grant, host, (&mounts, &openings), &process, &mut lacks);
    let monitor = monitor::plan(grant, (&seccomp, &landlock))?;
    lacks.extend(limits.lacks.iter().map(|l| Lack {
        control: l.control,
        what: l.what.clone(),
        lost: l.lost.clone(),
        weight: Weight::Control,
    }));
    let network = network::plan(grant, host, &namespaces, &mut lacks)?;
    hold(grant, &lacks)?;
    Ok(Plan {
        name: grant.name.clone(),
        caller: grant.caller,
        template: grant.template,
        process,
        execution,
        namespaces,
        mounts,
        capabilities: capabilities::plan(grant),
        seccomp,
        landlock,
        limits,
        network,
        openings,
        monitor,
        hooks: hooks::plan(grant),
        clamps: grant.clamps.clone(),
        waivers: grant.waivers.clone(),
        lacks,
    })
}

/// The filters; with what is closed where a socket of the host's stands inside.
fn guarded(
    grant: &Grant,
    host: &Host,
    (openings, exec_fd): (&openings::OpeningsPlan, u32),
    lacks: &mut Vec<Lack>,
) -> Result<seccomp::SeccompPlan, PlanError> {
    if !openings.host_sockets() {
        return seccomp::plan(grant, host, exec_fd, lacks);
    }
    let mut grant = grant.clone();
    grant.seccomp.routed = seccomp::guard::ROUTED.map(String::from).to_vec();
    let mut all = seccomp::plan(&grant, host, exec_fd, lacks)?;
    seccomp::guard::lay(&mut all, openings.unix, seccomp::guard::Whose::First)?;
    Ok(all)
}

/// What policy may grant and this launcher has no mechanism for yet: refused, never ignored.
fn unsupported(grant: &Grant, host: &Host) -> Result<(), PlanError> {
    calls::all_there(host)?;
    let refuse = |pointer: &str, what: String| {
        Err(PlanError::Value {
            pointer: pointer.into(),
            what,
        })
    };
    let labels = [
        ("/process/selinuxLabel", &grant.lsm.selinux),
        ("/linux/mountLabel", &grant.lsm.mount),
    ];
    match labels
        .iter()
        .find_map(|(at, label)| label.as_ref().map(|l| (at, l)))
    {
        Some((at, label)) => refuse(
            at,
            format!(
                "{label:?}: SELinux labels are not applied: leave it out, or switch labels off in the engine"
            ),
        ),
        None => Ok(()),
    }
}

fn limit_plan(grant: &Grant, host: &Host, survey: &Survey) -> Result<limits::LimitPlan, PlanError> {
    limits::plan_limits(
        &grant.limits,
        &grant.device_rules,
        &grant.cgroup,
        &grant.name,
        host,
        &survey.disks,
    )
    .map_err(|e| PlanError::Value {
        pointer: "/linux/resources".into(),
        what: e.to_string(),
    })
}

/// Refuses what the host can't give, unless an exception says that it may be missing.
fn hold(grant: &Grant, lacks: &[Lack]) -> Result<(), PlanError> {
    let refused: Vec<Lack> = lacks
        .iter()
        .filter(|l| l.weight == Weight::Control && !is_excused(grant, l))
        .cloned()
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(PlanError::Lacking(refused)),
    }
}

fn is_excused(grant: &Grant, lack: &Lack) -> bool {
    grant.degraded_allowed.contains(&lack.control)
}

impl Plan {
    /// The lines of the screen, one family after the other.
    pub fn lines(&self) -> Vec<Line> {
        let mut out = self.process.lines();
        out.extend(self.execution.lines());
        out.extend(self.namespaces.lines());
        out.extend(self.mounts.lines());
        out.extend(self.capabilities.lines());
        out.extend(self.seccomp.lines());
        out.extend(self.landlock.lines());
        out.extend(self.network.lines());
        out.extend(self.openings.lines());
        out.extend(self.limits.lines.iter().map(|l| {
            Line::new(
                "limit",
                format!("{} {}", l.name, l.text),
                &[ControlId::S8_1_4],
            )
        }));
        out.extend(self.monitor.iter().flat_map(|m| m.lines(&self.name)));
        out.extend(self.hooks.lines());
        out
    }

    /// SHA-256 over the plan's JSON, in hex: the same digest means the same deeds.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        crate::digest::sha256_hex(&json)
    }
}
