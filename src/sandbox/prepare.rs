//! Turns a plan into memory that the child can use as it is: strings, pointer arrays, filters, descriptors.
//!
//! Every allocation and every failure that is ours happens here, before there is a child.

mod execution;
mod hooks;
mod mounts;
mod namespaces;
mod ruleset;
mod settings;

use super::apparmor::Profile;
use super::ops::{Op, Slots};
use super::start_hooks::StartHooks;
use crate::plan::NamespaceKind;
use crate::plan::Plan;
use crate::plan::capabilities::{CapabilityPlan, FilterLoader};
use crate::plan::limits::{CgroupDir, CgroupVersion};
use crate::plan::namespaces::MapWriter;
use crate::plan::network::{Loopback, NetDevice};
use crate::plan::process::{Dumpable, NewPrivileges, ParentDeath, Speculation, Stdio, Terminal};
use crate::plan::seccomp::Mdwe;
use crate::sys::process::{ExecStrings, SingleThreaded};
pub(super) use execution::{Classes, OwnExecution};
pub(super) use namespaces::{Joining, Maps};
use namespaces::{clone_flags, has_own_network, joining, kinds_apart, maps};
pub(super) use ruleset::Landlock;
use ruleset::landlock_ruleset;
use settings::{own_proc, rlimits, sysctl};
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// Everything the launch needs, ready made.
pub struct Prepared {
    pub(super) clone_flags: u64,
    pub(super) joining: Joining,
    /// Namespaces that are not the launcher's, as setns takes them.
    pub(super) kinds: i32,
    pub(super) user: Option<Maps>,
    pub(super) launcher_ops: Vec<Op>,
    pub(super) child: ChildWork,
    pub(super) labels: Labels,
    pub(super) oom_score_adj: Option<i32>,
    pub(super) classes: Classes,
    pub(super) devices: Vec<NetDevice>,
}

/// What the child works from.
pub(super) struct ChildWork {
    pub(super) slots: Slots,
    /// That the launcher had one thread, filled in when the child is made.
    pub(super) proof: Option<SingleThreaded>,
    /// Hooks run in front of the pivot, by the launcher.
    pub(super) stops_before_pivot: bool,
    /// Hooks that the child runs in front of its program.
    pub(super) start_hooks: Option<StartHooks>,
    /// The launcher's /proc, for kernel parameters.
    pub(super) proc: Option<OwnedFd>,
    /// v1 `tasks` files: the launcher sends them behind the mounts, when the cgroups stand.
    pub(super) doors: Vec<OwnedFd>,
    /// How many will come; there is room for them.
    pub(super) doors_due: usize,
    pub(super) new_cgroup_namespace: bool,
    /// It is not among what clone3 makes.
    pub(super) new_network: bool,
    /// The AppArmor profile of the program.
    pub(super) apparmor: Option<Profile>,
    /// Slots that the launcher fills, in the order in which it sends them.
    pub(super) received: Vec<usize>,
    pub(super) ops: Vec<Op>,
    /// How many of them, the last, are done when the root is the root.
    pub(super) behind_pivot: usize,
    /// How many mounts lie on the new root after pivot_root: the host's root and the stages.
    pub(super) stages: usize,
    pub(super) become_root: bool,
    pub(super) pivot: bool,
    pub(super) sysctl: Vec<(CString, CString)>,
    pub(super) hostname: Option<CString>,
    pub(super) domainname: Option<CString>,
    pub(super) loopback: bool,
    pub(super) execution: OwnExecution,
    pub(super) rlimits: Vec<(i32, u64, u64)>,
    pub(super) keyring: CString,
    pub(super) program: CString,
    pub(super) argv: ExecStrings,
    pub(super) envp: ExecStrings,
    pub(super) exec_fd: i32,
    pub(super) cwd: CString,
    pub(super) umask: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Option<Vec<u32>>,
    pub(super) bounding_drop: Vec<caps::Capability>,
    pub(super) sets: CapSets,
    /// (permitted, effective) until the filter is loaded, where that needs a right of its own.
    pub(super) loading: Option<(caps::CapsHashSet, caps::CapsHashSet)>,
    pub(super) new_privileges: NewPrivileges,
    pub(super) securebits: u32,
    pub(super) mdwe: bool,
    pub(super) speculation: bool,
    pub(super) landlock: Option<Landlock>,
    /// (program, flags).
    pub(super) filters: Vec<(Vec<seccompiler::sock_filter>, u64)>,
    pub(super) dumpable: Dumpable,
    pub(super) parent_death: bool,
    pub(super) stdio: [Option<OwnedFd>; 3],
    /// Descriptors that stay open: the caller's, with room for the launch's own.
    pub(super) keep: Vec<i32>,
    /// How many of them are the caller's.
    pub(super) preserved: usize,
    /// The terminal to be made, and the program's end once it is.
    pub(super) terminal: Option<Terminal>,
    pub(super) own_terminal: Option<OwnedFd>,
    pub(super) gate: Option<StartGate>,
}

/// Descriptors that the child needs for itself until exec: socket, program, both ends of the gate, the hooks' state.
pub(super) const OWN_DESCRIPTORS: usize = 5;

/// The five sets, bounding aside.
pub(super) struct CapSets {
    pub(super) permitted: caps::CapsHashSet,
    pub(super) effective: caps::CapsHashSet,
    pub(super) inheritable: caps::CapsHashSet,
    pub(super) ambient: Vec<caps::Capability>,
}

/// Where a created container waits for `start`, and where it says that the exec failed.
pub struct StartGate {
    /// Read end (a FIFO opened for both, so that it never sees an end).
    pub go: OwnedFd,
    /// Write end.
    pub report: OwnedFd,
}

/// Names of what has an index in a report.
#[derive(Default)]
pub(super) struct Labels {
    pub(super) launcher_ops: Vec<String>,
    pub(super) child_ops: Vec<String>,
    pub(super) joins: Vec<String>,
    pub(super) limits: Vec<String>,
    pub(super) rules: Vec<String>,
    pub(super) sysctl: Vec<String>,
}

/// Why a plan could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A NUL byte in a string that the kernel takes as C text.
    #[error("{what} has a NUL byte in it: remove it")]
    Nul {
        /// Which.
        what: String,
    },
    /// A file that is needed can't be opened.
    #[error("can't open {path}: {why}")]
    Open {
        /// Which.
        path: String,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// Secrets that are no secrets by their size.
    #[error(
        "the secret {name} ({path}) does not fit into /run/secrets, which holds 4 MiB of all of them: give what is larger as a read-only volume"
    )]
    TooMuch {
        /// The first that did not fit.
        name: String,
        /// Its file.
        path: String,
    },
    /// A namespace to be joined that is the launcher's, so the host's.
    #[error(
        "{path} is the launcher's own {name} namespace: the host's is never joined (SS-011/8.1.3); name another one, or leave the entry out for a new one: permission denied"
    )]
    OwnNamespace {
        /// By which path.
        path: String,
        /// Which kind.
        name: &'static str,
    },
    /// The landlock ruleset can't be made.
    #[error("can't make the landlock ruleset (landlock_create_ruleset): {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// Something that the plan names is not known here.
    #[error("{0}")]
    Unknown(String),
}

pub(super) fn c_string(text: &str, what: &str) -> Result<CString, PrepareError> {
    CString::new(text).map_err(|_| PrepareError::Nul { what: what.into() })
}

/// A name of a plan.
fn capability(name: &String) -> Result<caps::Capability, PrepareError> {
    format!("CAP_{name}")
        .parse::<caps::Capability>()
        .map_err(|_| PrepareError::Unknown(format!("{name}: a capability unknown here")))
}

fn capability_set(names: &[String]) -> Result<caps::CapsHashSet, PrepareError> {
    names.iter().map(capability).collect()
}

/// What is kept until the filter is loaded.
fn loading(
    plan: &CapabilityPlan,
) -> Result<Option<(caps::CapsHashSet, caps::CapsHashSet)>, PrepareError> {
    if plan.loader == FilterLoader::Itself {
        return Ok(None);
    }
    let (mut permitted, mut effective) = (
        capability_set(&plan.sets.permitted)?,
        capability_set(&plan.sets.effective)?,
    );
    permitted.insert(caps::Capability::CAP_SYS_ADMIN);
    effective.insert(caps::Capability::CAP_SYS_ADMIN);
    Ok(Some((permitted, effective)))
}

/// Streams that replace the caller's, for 0, 1 and 2; `None` keeps what is inherited.
pub type Streams = [Option<OwnedFd>; 3];

/// Makes everything ready.
pub fn prepare(
    plan: &Plan,
    stdio: Streams,
    gate: Option<StartGate>,
) -> Result<Prepared, PrepareError> {
    let process = &plan.process;
    let mut labels = Labels::default();
    let mounts = mounts::compile(plan, &mut labels)?;
    let user = plan.namespaces.user.as_ref();
    let joining = joining(plan, &mut labels)?;
    let sysctl = sysctl(plan, &mut labels)?;
    let sets = &plan.capabilities.sets;
    let bounding_drop: Vec<caps::Capability> = plan
        .capabilities
        .dropped
        .iter()
        .map(capability)
        .collect::<Result<_, _>>()?;
    let (own_execution, classes) = execution::split(&plan.execution);
    let v1 = |dir: &&CgroupDir| dir.version == CgroupVersion::V1;
    let doors_due = plan.limits.dirs.iter().filter(v1).count();
    let child = ChildWork {
        slots: Slots::new(mounts.slots),
        proof: None,
        stops_before_pivot: plan.hooks.stops_before_pivot(),
        start_hooks: hooks::start_hooks(&plan.hooks)?,
        apparmor: process
            .apparmor
            .as_ref()
            .map(|name| Profile::named(name))
            .transpose()?,
        proc: if plan.network.sysctl.is_empty() && process.apparmor.is_none() {
            None
        } else {
            Some(own_proc()?)
        },
        doors: Vec::with_capacity(doors_due),
        doors_due,
        new_cgroup_namespace: plan.namespaces.is_new(NamespaceKind::Cgroup),
        new_network: has_own_network(plan),
        received: mounts.received,
        stages: mounts
            .child
            .iter()
            .filter(|op| matches!(op, Op::AttachStage { .. }))
            .count(),
        ops: mounts.child,
        behind_pivot: mounts.behind_pivot,
        become_root: user.is_some_and(|u| u.by != MapWriter::OwnId && u.outside_uid(0).is_some()),
        pivot: plan.namespaces.is_apart(NamespaceKind::Mount),
        sysctl,
        hostname: plan
            .namespaces
            .hostname
            .as_deref()
            .map(|h| c_string(h, "/hostname"))
            .transpose()?,
        domainname: plan
            .namespaces
            .domainname
            .as_deref()
            .map(|d| c_string(d, "/domainname"))
            .transpose()?,
        loopback: plan.network.loopback == Loopback::Up,
        execution: own_execution,
        rlimits: rlimits(process, &mut labels)?,
        keyring: c_string(&format!("cofferdam-{}", plan.name), "the name")?,
        program: c_string(process.program.path.relative(), "the program")?,
        argv: strings(&process.program.args, "/process/args")?,
        envp: strings(&process.env, "/process/env")?,
        exec_fd: i32::try_from(process.exec_fd).unwrap_or(1024),
        cwd: c_string(process.cwd.relative(), "/process/cwd")?,
        umask: process.umask,
        uid: process.uid,
        gid: process.gid,
        groups: process.groups.clone(),
        bounding_drop,
        sets: CapSets {
            permitted: capability_set(&sets.permitted)?,
            effective: capability_set(&sets.effective)?,
            inheritable: capability_set(&sets.inheritable)?,
            ambient: sets
                .ambient
                .iter()
                .map(capability)
                .collect::<Result<_, _>>()?,
        },
        loading: loading(&plan.capabilities)?,
        new_privileges: process.new_privileges,
        securebits: plan.capabilities.securebits,
        mdwe: plan.seccomp.write_execute == Mdwe::Denied,
        speculation: process.speculation == Speculation::ForceDisabled,
        landlock: landlock_ruleset(&plan.landlock, &process.exec, &mut labels)?,
        filters: plan
            .seccomp
            .filters
            .iter()
            .map(|f| (f.program.to_bpf(), f.flags))
            .collect(),
        dumpable: process.dumpable,
        parent_death: process.parent_death == ParentDeath::Kill,
        stdio,
        keep: {
            let mut keep = process.descriptors.clone();
            keep.reserve_exact(OWN_DESCRIPTORS);
            keep
        },
        preserved: process.descriptors.len(),
        terminal: match process.stdio {
            Stdio::Terminal(size) => Some(size),
            _ => None,
        },
        own_terminal: None,
        gate,
    };
    debug_assert!(
        !matches!(process.stdio, Stdio::Terminal(_)) || child.stdio.iter().all(Option::is_none)
    );
    Ok(Prepared {
        clone_flags: clone_flags(plan),
        joining,
        kinds: kinds_apart(plan),
        user: user.map(maps),
        launcher_ops: mounts.launcher,
        child,
        labels,
        oom_score_adj: process.oom_score_adj,
        classes,
        devices: plan.network.devices.clone(),
    })
}

pub(super) fn strings(list: &[String], what: &str) -> Result<ExecStrings, PrepareError> {
    let all: Result<Vec<CString>, _> = list.iter().map(|s| c_string(s, what)).collect();
    Ok(ExecStrings::new(all?))
}
