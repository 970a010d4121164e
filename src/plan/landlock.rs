//! The landlock ruleset of the payload: what may be executed, written and bound. Pure.
//!
//! Rules are additive: nothing is denied below an allowed folder, so writing is allowed on declared places only.

use super::mounts::{MountPlan, What};
use super::openings::OpeningsPlan;
use super::process::ProcessPlan;
use super::{Lack, Line, Weight};
use crate::controls::ControlId;
use crate::host::Host;
use crate::paths::GuestPath;
use crate::policy::{Exec, Grant, Ports, Template, Watching};
use serde::{Deserialize, Serialize};

/// A ruleset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// The ABI it is made for; 0: no ruleset.
    pub abi: u32,
    /// Rules on paths.
    pub paths: Vec<PathRule>,
    /// TCP ports that may be bound; `None`: neither these nor connections are handled.
    pub ports: Option<Vec<u16>>,
    /// TCP ports that may be connected to.
    #[serde(default)]
    pub connect: Vec<u16>,
    /// Abstract sockets and signals stay inside (ABI 6).
    pub scoped: Scoped,
    /// Whether the kernel records what it refuses behind exec, too.
    #[serde(default, skip_serializing_if = "Refusals::are_silent")]
    pub refusals: Refusals,
}

/// What the kernel's audit learns of refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusals {
    /// Nothing of the program's.
    #[default]
    Silent,
    /// All of them (ABI 7), where audit is on.
    Recorded,
}

impl Refusals {
    fn are_silent(&self) -> bool {
        *self == Self::Silent
    }
}

/// Landlock scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scoped {
    /// Abstract unix sockets and signals reach nobody outside.
    AbstractSocketsAndSignals,
    /// The kernel has no scopes.
    None,
}

/// One path and what may be done below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// File or folder.
    pub path: GuestPath,
    /// What.
    pub access: Access,
}

/// Kinds of access, each a fixed set of landlock rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read files and list folders.
    Read,
    /// Execute this file.
    Execute,
    /// Execute everything below.
    ExecuteTree,
    /// Read and change everything, but execute nothing and make no device.
    Write,
    /// Read and write existing files (device nodes), and use device ioctls.
    Devices,
}

pub(super) fn plan(
    grant: &Grant,
    host: &Host,
    (mounts, openings): (&MountPlan, &OpeningsPlan),
    process: &ProcessPlan,
    lacks: &mut Vec<Lack>,
) -> LandlockPlan {
    if grant.template == Template::Compat {
        return LandlockPlan::none();
    }
    if host.landlock_abi == 0 {
        lacks.push(Lack {
            control: ControlId::S8_4_3,
            what: "the kernel has no landlock (Linux 5.13, and in the lsm= list)".into(),
            lost: "executing, writing and binding are limited by mounts, seccomp and the namespace alone".into(),
            weight: Weight::Covered,
        });
        return LandlockPlan::none();
    }
    let ports = match &grant.ports {
        Ports::Any => None,
        // Who holds a socket of the host's binds and connects nothing by himself.
        Ports::Declared(_) if openings.host_sockets() => Some(Vec::new()),
        Ports::Declared(ports) if host.landlock_abi >= 4 => Some(ports.clone()),
        Ports::Declared(_) => {
            lacks.push(Lack {
                control: ControlId::S8_2_4,
                what: "landlock port rules need ABI 4 (Linux 6.7)".into(),
                lost: "undeclared ports can be bound inside the namespace".into(),
                weight: Weight::Covered,
            });
            None
        }
    };
    if host.landlock_abi < 6 {
        lacks.push(Lack {
            control: ControlId::S8_1_3,
            what: "landlock scopes need ABI 6 (Linux 6.12)".into(),
            lost: "abstract sockets and signals are kept in by the namespaces alone".into(),
            weight: Weight::Covered,
        });
    }
    LandlockPlan {
        abi: host.landlock_abi,
        paths: rules(mounts, process),
        connect: match &ports {
            Some(_) if openings.host_sockets() => Vec::new(),
            Some(own) => [own.clone(), openings.ways_out()].concat(),
            None => Vec::new(),
        },
        ports,
        scoped: if host.landlock_abi >= 6 {
            Scoped::AbstractSocketsAndSignals
        } else {
            Scoped::None
        },
        refusals: match grant.seccomp.watching {
            Watching::On if host.landlock_abi >= 7 => Refusals::Recorded,
            _ => Refusals::Silent,
        },
    }
}

fn rules(mounts: &MountPlan, process: &ProcessPlan) -> Vec<PathRule> {
    let rule = |path: &GuestPath, access| PathRule {
        path: path.clone(),
        access,
    };
    let root = GuestPath::root();
    let mut out = vec![rule(
        &root,
        if mounts.root.readonly {
            Access::Read
        } else {
            Access::Write
        },
    )];
    out.extend(executable(process));
    for (at, step) in mounts.steps.iter().enumerate() {
        // What a later mount hides has no path any more.
        let mut later = mounts.steps[at + 1..].iter();
        if later.any(|above| step.target.is_at_or_below(&above.target)) {
            continue;
        }
        match step.what {
            What::Dev { .. } | What::Device { .. } => {
                out.push(rule(&step.target, Access::Devices));
            }
            What::Bind { .. } | What::Tmpfs { .. } | What::Mqueue if !step.attrs.readonly => {
                out.push(rule(&step.target, Access::Write));
            }
            What::Devpts { .. } => out.push(rule(&step.target, Access::Devices)),
            _ => {}
        }
    }
    out
}

/// What the process may execute.
fn executable(process: &ProcessPlan) -> Vec<PathRule> {
    let rule = |path: &GuestPath, access| PathRule {
        path: path.clone(),
        access,
    };
    let mut out: Vec<PathRule> = match &process.exec {
        Exec::Once => vec![rule(&process.program.path, Access::Execute)],
        Exec::Listed(list) => list.iter().map(|p| rule(p, Access::Execute)).collect(),
        Exec::Any => return vec![rule(&GuestPath::root(), Access::ExecuteTree)],
    };
    let loader = process.program.shape.loader.iter();
    out.extend(loader.map(|p| rule(p, Access::Execute)));
    out
}

impl LandlockPlan {
    /// Nothing is ruled by it.
    pub fn none() -> Self {
        Self {
            abi: 0,
            paths: Vec::new(),
            ports: None,
            connect: Vec::new(),
            scoped: Scoped::None,
            refusals: Refusals::Silent,
        }
    }

    /// The same ruleset for another process: only what may be executed is its own.
    #[must_use]
    pub fn for_process(&self, process: &ProcessPlan) -> Self {
        let mut own = self.clone();
        if own.abi > 0 {
            let execute = [Access::Execute, Access::ExecuteTree];
            own.paths.retain(|rule| !execute.contains(&rule.access));
            own.paths.extend(executable(process));
        }
        own
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        if self.abi == 0 {
            return vec![Line::new("landlock", "none", &[])];
        }
        let of = |wanted: &[Access]| {
            let paths: Vec<&str> = self
                .paths
                .iter()
                .filter(|r| wanted.contains(&r.access))
                .map(|r| r.path.as_str())
                .collect();
            if paths.is_empty() {
                "nothing".to_string()
            } else {
                paths.join(" ")
            }
        };
        let text = format!(
            "ABI {}: execute {}; write {}",
            self.abi,
            of(&[Access::Execute, Access::ExecuteTree]),
            of(&[Access::Write, Access::Devices])
        );
        vec![Line::new(
            "landlock",
            text,
            &[ControlId::S8_4_3, ControlId::S8_4_7, ControlId::S8_4_8],
        )]
    }
}
