//! What a launch is allowed: the request cut down to the ceiling, every cut noted. Plain data.
//!
//! Made by `policy::decide` alone, read by `plan::plan` alone. It says *what*, never *how*:
//! nothing here depends on the mechanisms of the host.

mod execution;
mod files;
mod limits;
mod monitor;
mod namespaces;
mod process;

pub use crate::bundle::{Caller, RootSource};
use crate::controls::ControlId;
use crate::paths::GuestPath;
pub use crate::request::{Openings, Secret, Template};
pub use execution::*;
pub use files::*;
pub use limits::*;
pub use monitor::*;
pub use namespaces::*;
pub use process::*;
use serde::Serialize;

/// The permission to do something, all that `decide` lets through.
#[must_use]
#[derive(Clone, Debug, Serialize)]
pub struct Grant {
    /// The container's name (OCI: its id).
    pub name: String,
    /// Who asked.
    pub caller: Caller,
    /// The template in force.
    pub template: Template,
    /// The root file system.
    pub root: Root,
    /// The program and its environment.
    pub process: Process,
    /// How the kernel treats it: scheduling, memory nodes, clocks.
    pub execution: Execution,
    /// Programs that may be executed.
    pub exec: Exec,
    /// How far the verb `exec` may go in this container; `None`: not at all.
    pub exec_verb: Option<super::ExecVerb>,
    /// Whether memory may be both writable and executable.
    pub write_execute: WriteExecute,
    /// The five capability sets.
    pub capabilities: CapabilitySets,
    /// System-call filters.
    pub seccomp: SeccompGrant,
    /// Namespaces, each kind at most once.
    pub namespaces: Vec<Namespace>,
    /// How ids inside relate to ids outside.
    pub ids: Ids,
    /// File systems below the root, in order.
    pub mounts: Vec<Mount>,
    /// Paths that read as empty.
    pub masked_paths: Vec<GuestPath>,
    /// Paths that are read-only.
    pub readonly_paths: Vec<GuestPath>,
    /// Device nodes beyond null, zero, full, random, urandom.
    pub devices: Vec<Device>,
    /// Device access beyond those nodes (cgroup device filter), in order.
    pub device_rules: Vec<DeviceRule>,
    /// Cgroup limits.
    pub limits: Limits,
    /// What stands beside it while it runs.
    #[serde(skip_serializing_if = "Watch::is_nothing")]
    pub watch: Watch,
    /// Where the cgroup goes.
    pub cgroup: CgroupPlace,
    /// Kernel parameters of the container's own namespaces.
    pub sysctl: Vec<(String, String)>,
    /// Interfaces of the host that move into the container.
    pub net_devices: Vec<NetDevice>,
    /// TCP ports that may be bound (and connected to, inside).
    pub ports: Ports,
    /// What comes in and goes out.
    #[serde(skip_serializing_if = "Openings::is_empty")]
    pub openings: Openings,
    /// Where the site's networks are, if it is attached to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<super::NetworkFolders>,
    /// Name of the host inside; `None`: the container's name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Labels of Linux security modules.
    pub lsm: LsmLabels,
    /// Secrets, as files below /run/secrets.
    pub secrets: Vec<Secret>,
    /// Hooks that policy allows.
    pub hooks: Vec<Hook>,
    /// Free-form labels of the request.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// What was asked and cut down.
    pub clamps: Vec<Clamp>,
    /// Exceptions that were used.
    pub waivers: Vec<Waiver>,
    /// Controls that may be missing on this host by exception (`degraded`).
    pub degraded_allowed: Vec<ControlId>,
}

impl Grant {
    /// Whether a terminal may come in: the first process's, or one by the verb `exec`.
    pub fn may_have_terminals(&self) -> bool {
        self.process.terminal.is_some() || self.exec_verb == Some(super::ExecVerb::Terminal)
    }
}

/// Something that was asked and cut down to the ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clamp {
    /// The control that it serves.
    pub control: ControlId,
    /// JSON pointer into config.json, or the flag.
    pub pointer: String,
    /// What was asked.
    pub asked: String,
    /// What is given.
    pub granted: String,
}

/// An exception in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiver {
    /// The exception's id.
    pub exception: String,
    /// The control that it loosens.
    pub control: ControlId,
    /// What it grants, in words.
    pub grants: String,
    /// The same as an exception's `grant` table: no more than this launch used of it.
    pub loosens: super::Loosened,
    /// Last day, ISO 8601.
    pub expires: String,
    /// Who approved.
    pub approver: String,
    /// Ticket or document.
    pub reference: String,
}

/// One reason against a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The control.
    pub control: ControlId,
    /// JSON pointer into config.json, or the flag.
    pub pointer: String,
    /// What was found.
    pub found: String,
    /// What is allowed and what to do.
    pub remedy: String,
}
