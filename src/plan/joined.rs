//! A second process in a container that is there: what it joins, and the lockdown it is held to. Pure.
//!
//! What depends on the launch (id maps, writable places) is [`Inside`], kept with the container; everything else is
//! planned from the grant by the same functions as at the launch, so a newcomer is held to no less.

use super::landlock::LandlockPlan;
use super::mounts::{By, MountPlan, RootFrom, RootPlan, Skeleton};
use super::namespaces::{NamespacePlan, UserMap};
use super::network::{Loopback, NetworkPlan};
use super::process::{self, Dumpable, ParentDeath, Stdio};
use super::{
    Plan, PlanError, capabilities, execution, hold, limits, monitor, seccomp, unsupported,
};
use crate::host::Host;
use crate::paths::GuestPath;
use crate::policy::{Grant, MountSource, Propagation};
use crate::survey::Program;
use serde::{Deserialize, Serialize};

/// What a newcomer must be told of the container that is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inside {
    /// Id maps of its user namespace.
    pub user: Option<UserMap>,
    /// The ruleset of its first process.
    pub landlock: LandlockPlan,
}

impl Inside {
    /// Of a container that is about to be made.
    pub fn of(plan: &Plan) -> Self {
        Self {
            user: plan.namespaces.user.clone(),
            landlock: plan.landlock.clone(),
        }
    }
}

/// Whether the launcher stays until the process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It waits, and the process ends with it.
    Foreground,
    /// It ends; the process goes on with the caller's streams.
    Detached,
}

/// Whether the container has a monitor that takes a newcomer's refused calls and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has.
    ByMonitor,
    /// Nobody listens.
    ByNobody,
}

/// The plan of a process that joins: its namespaces, mounts and cgroups are those that are there.
pub fn joined(
    grant: &Grant,
    host: &Host,
    inside: &Inside,
    program: Program,
    (stay, heard): (Stay, Heard),
) -> Result<Plan, PlanError> {
    unsupported(grant, host)?;
    let mut lacks = Vec::new();
    let namespaces = NamespacePlan {
        new: Vec::new(),
        joined: Vec::new(),
        user: inside.user.clone(),
        hostname: None,
        domainname: None,
    };
    let mut process = process::plan(grant, host, &namespaces, program, &mut lacks)?;
    // Others are inside already: from its first step on nobody may look into it.
    process.dumpable = Dumpable::NeverUntilExec;
    process.parent_death = match stay {
        Stay::Foreground => ParentDeath::Kill,
        Stay::Detached => ParentDeath::Outlives,
    };
    process.stdio = match (grant.process.terminal, stay) {
        (Some(size), _) => {
            has_devpts(grant)?;
            Stdio::Terminal(size)
        }
        (None, Stay::Foreground) => Stdio::NoTerminal,
        (None, Stay::Detached) => Stdio::Inherited,
    };
    let mut seccomp = match heard {
        Heard::ByMonitor => seccomp::watched_newcomer(grant, host, process.exec_fd, &mut lacks)?,
        Heard::ByNobody => seccomp::unwatched(grant, host, process.exec_fd, &mut lacks)?,
    };
    if !grant.openings.listen.is_empty() || !grant.openings.publish.is_empty() {
        // The first process may hold a socket of the host's, and could hand it over.
        use seccomp::guard::{UnixSockets, Whose, lay};
        lay(&mut seccomp, UnixSockets::Possible, Whose::Newcomer)?;
    }
    hold(grant, &lacks)?;
    let beside = match heard {
        Heard::ByMonitor => monitor::newcomer(grant, (&seccomp, &inside.landlock)),
        Heard::ByNobody => None,
    };
    Ok(Plan {
        name: grant.name.clone(),
        caller: grant.caller,
        template: grant.template,
        landlock: inside.landlock.for_process(&process),
        process,
        execution: execution::newcomer(grant, host)?,
        namespaces,
        mounts: MountPlan {
            root: RootPlan {
                from: RootFrom::Empty,
                readonly: grant.root.readonly,
                skeleton: Skeleton::default(),
                propagation: Propagation::Private,
                by: By::Launcher,
            },
            steps: Vec::new(),
            io_devices: Vec::new(),
        },
        capabilities: capabilities::plan(grant),
        monitor: beside,
        seccomp,
        limits: limits::LimitPlan::default(),
        network: NetworkPlan {
            attached: None,
            devices: Vec::new(),
            loopback: Loopback::AsJoined,
            ports: grant.ports.clone(),
            sysctl: Vec::new(),
        },
        openings: Default::default(),
        hooks: Default::default(),
        clamps: grant.clamps.clone(),
        waivers: grant.waivers.clone(),
        lacks,
    })
}

/// A terminal is one of the container's own: nothing is mounted for a newcomer.
fn has_devpts(grant: &Grant) -> Result<(), PlanError> {
    let at = GuestPath::root().join("dev/pts");
    let mut mounts = grant.mounts.iter();
    match mounts.any(|m| m.target == at && matches!(m.source, MountSource::Devpts { .. })) {
        true => Ok(()),
        false => Err(PlanError::Value {
            pointer: "/process/terminal".into(),
            what: "the container has no devpts file system at /dev/pts for it: make the container with that mount (run: with --tty), or leave the terminal out (no -t)".into(),
        }),
    }
}
