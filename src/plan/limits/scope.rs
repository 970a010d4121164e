//! The systemd scope of a container: its name, where systemd puts it, and the limits as systemd's properties.
//!
//! Every limit is both a property and a file. systemd writes the files of its units again whenever it sees fit, with
//! what the properties say; what it has no property for it leaves alone. (memory.oom.group it takes for its own OOMPolicy's
//! and sets to 0 at a reload: then an OOM ends one process and not all.)

use super::place::refuse;
use super::properties::of_writes;
use super::{Lacks, LimitLine, LimitWrite};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::policy::ScopeName;
use serde::{Deserialize, Serialize};

/// What systemd is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopePlan {
    /// "docker-0123.scope".
    pub unit: String,
    /// Whom to ask.
    pub manager: Manager,
    /// Where systemd must put it: a path of the v2 hierarchy that begins with a slash.
    pub cgroup: String,
    /// What makes it a container's scope.
    pub identity: Vec<Property>,
    /// The limits.
    pub limits: Vec<Property>,
}

/// Which systemd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// The machine's.
    System {
        /// The address of its message bus.
        bus: String,
    },
    /// The caller's own.
    User {
        /// The address of its message bus.
        bus: String,
    },
}

/// One property of a unit (org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Property {
    /// "MemoryMax".
    pub name: &'static str,
    /// Its value.
    pub value: PropertyValue,
}

/// Values by D-Bus type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PropertyValue {
    /// s
    Text(String),
    /// b
    Flag(bool),
    /// t
    Number(u64),
    /// ay: one bit a CPU or memory node, the lowest first.
    Set(Vec<u8>),
    /// a(st): a number for each block device.
    Devices(Vec<(String, u64)>),
}

/// As root's launcher finds it on any machine with systemd (file-hierarchy(7)).
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// The place of a scope, before its limits are known.
pub(super) struct ScopeSite {
    unit: String,
    slice: String,
    manager: Manager,
    /// The manager's own cgroup below the mount; empty: the root.
    pub(super) manager_cgroup: String,
    /// The scope's, below the mount.
    pub(super) path: String,
    /// What the manager can hand out.
    pub(super) controllers: Vec<String>,
}

impl ScopeSite {
    pub(super) fn find(asked: &ScopeName, host: &Host) -> Result<Self, Lacks> {
        let layout = &host.cgroups;
        // On v1 and hybrid layouts a scope has some of the controllers and the rest would have to be joined beside it, by a
        // process that systemd may move at any time: two owners of one limit. systemd itself has given v1 up (256, 258).
        let Some(v2) = layout.v2.as_ref().filter(|_| layout.v1.is_empty()) else {
            return Err(refuse(
                "--systemd-cgroup needs pure cgroup v2, and this machine has v1 hierarchies (or none): boot with systemd.unified_cgroup_hierarchy=1, or leave the option out",
            ));
        };
        let (manager, manager_cgroup, controllers, usual) = match (
            host.privilege,
            &layout.user_manager,
        ) {
            (Privilege::Root, _) => {
                let bus = SYSTEM_BUS.into();
                let all = v2.controllers.clone();
                (Manager::System { bus }, String::new(), all, "system.slice")
            }
            (Privilege::User, Some(user)) => {
                let bus = user.bus.clone();
                let (own, delegated) = (user.cgroup.clone(), user.controllers.clone());
                (Manager::User { bus }, own, delegated, "user.slice")
            }
            (Privilege::User, None) => {
                return Err(refuse(
                    "--systemd-cgroup of an ordinary user needs a systemd of that user, and none runs: log in, or loginctl enable-linger; or leave the option out",
                ));
            }
        };
        let slice = asked.slice.clone().unwrap_or_else(|| usual.into());
        let parts = [manager_cgroup.as_str(), &expand(&slice), &asked.unit];
        let path: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        Ok(Self {
            unit: asked.unit.clone(),
            path: path.join("/"),
            slice,
            manager,
            manager_cgroup,
            controllers,
        })
    }

    pub(super) fn plan(&self, writes: &[LimitWrite], container: &str) -> ScopePlan {
        use PropertyValue::{Flag, Text};
        let property = |name, value| Property { name, value };
        ScopePlan {
            unit: self.unit.clone(),
            manager: self.manager.clone(),
            cgroup: format!("/{}", self.path),
            identity: vec![
                property(
                    "Description",
                    Text(format!("cofferdam container {container}")),
                ),
                property("Slice", Text(self.slice.clone())),
                // All controllers, and nobody but us below it.
                property("Delegate", Flag(true)),
                // Neither stopped in front of a shutdown's last services nor ordered behind basic.target.
                property("DefaultDependencies", Flag(false)),
                // Forgotten however it ends: one whose process ended before it began counts as failed, and nobody who
                // knows of it may be left to say so.
                property("CollectMode", Text("inactive-or-failed".into())),
                property("MemoryAccounting", Flag(true)),
                property("CPUAccounting", Flag(true)),
                property("IOAccounting", Flag(true)),
                property("TasksAccounting", Flag(true)),
            ],
            limits: of_writes(writes),
        }
    }

    pub(super) fn line(&self) -> LimitLine {
        let whose = match self.manager {
            Manager::System { .. } => "",
            Manager::User { .. } => " of the user's systemd",
        };
        LimitLine {
            control: ControlId::S8_1_4,
            name: "systemd".into(),
            text: format!("scope {} in slice {}{whose}", self.unit, self.slice),
        }
    }
}

impl ScopePlan {
    /// The same scope with the limits of other writes.
    pub(super) fn with(&self, writes: &[LimitWrite]) -> Self {
        Self {
            limits: of_writes(writes),
            ..self.clone()
        }
    }
}

/// Where a slice lies: a-b.slice in a.slice (systemd.slice(5)); nothing for the root.
fn expand(slice: &str) -> String {
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    if stem == "-" {
        return String::new();
    }
    let ends = stem.match_indices('-').map(|(at, _)| at);
    ends.chain([stem.len()])
        .map(|end| format!("{}.slice", &stem[..end]))
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests;
