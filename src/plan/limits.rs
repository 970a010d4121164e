//! Cgroups and limits: which are made, what is written into them, what must be read back.
//!
//! [`plan_limits`] takes a grant and host facts and leaves nothing to choose; it does no I/O. `cgroup::Cgroup`
//! carries it out line by line, `verify` compares with [`LimitPlan::expected`], the `plan` screen prints it.

mod filter;
mod lesser;
mod place;
mod program;
mod properties;
mod scope;
mod units;
mod update;
mod writes;

pub use units::human as bytes;

pub use filter::DeviceFilter;
pub use program::BpfInstruction;
pub use scope::{Manager, Property, PropertyValue, ScopePlan};

use crate::controls::ControlId;
use crate::host::Host;
use crate::paths::HostPath;
use crate::policy::{CgroupPlace, DeviceRule, Limits};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that will be done about cgroups, in order.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitPlan {
    /// The systemd scope that is the (only) cgroup; `None`: we make it ourselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopePlan>,
    /// The cgroups that are made and entered, one a hierarchy; v2 first.
    pub dirs: Vec<CgroupDir>,
    /// The v1 freezer's cgroup: made only when the container is paused and there is no v2 cgroup.
    pub freezer: Option<CgroupDir>,
    /// A v2 leaf the launcher itself steps into first: a cgroup with processes can't hand out controllers.
    pub step_aside: Option<CgroupDir>,
    /// v2: controllers switched on in cgroups above, outermost first.
    pub enable: Vec<Enable>,
    /// What is written, in order.
    pub writes: Vec<LimitWrite>,
    /// Which devices may be opened or made.
    pub filter: DeviceFilter,
    /// One line a limit, for people.
    pub lines: Vec<LimitLine>,
    /// What was asked and can't be given here.
    pub lacks: Vec<Lack>,
}

/// One cgroup in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupDir {
    /// Where the hierarchy is mounted.
    pub mount: HostPath,
    /// The cgroup below the mount, without a leading slash.
    pub path: String,
    /// The interface.
    pub version: CgroupVersion,
    /// Controllers of the hierarchy that are used here.
    pub controllers: Vec<String>,
    /// Why it is entered.
    pub purpose: Purpose,
}

/// The two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupVersion {
    /// One hierarchy a controller (or a few).
    V1,
    /// The unified hierarchy.
    V2,
}

/// Why a cgroup is entered (entering a v1 cgroup is what costs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// It carries a limit.
    Limit,
    /// It is how the processes are found and killed.
    Track,
    /// An engine reads its figures there, or an init system follows its processes there.
    Account,
}

/// Controllers switched on for the cgroups below one v2 cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enable {
    /// Where the hierarchy is mounted.
    pub mount: HostPath,
    /// The cgroup whose `cgroup.subtree_control` is written; empty: the mount's root.
    pub path: String,
    /// Controller names.
    pub controllers: Vec<String>,
}

/// One write into one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitWrite {
    /// Index into [`LimitPlan::dirs`].
    pub dir: usize,
    /// File name, e.g. "memory.max".
    pub file: String,
    /// What is written.
    pub value: Value,
    /// The control it serves.
    pub control: ControlId,
    /// What must be read back.
    pub expect: Expect,
    /// Whether this kernel may lack the file.
    pub presence: Presence,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// This text.
    Text(String),
    /// What the same file says one cgroup up, at each level that has none (v1 cpuset starts empty and takes no
    /// process until it has both cpus and mems).
    Inherited,
}

/// What must be read back, after the kernel's own normalisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// This text.
    Text(String),
    /// This many bytes, rounded down to a page (at most 64 KiB) by the kernel.
    Bytes(u64),
    /// A line among others.
    Line(String),
    /// A list of CPUs or memory nodes, in whatever spelling.
    List(String),
    /// Anything but nothing.
    Something,
    /// Not compared (raw keys of the request whose form only the kernel knows).
    Unchecked,
}

/// Whether a file must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Its absence fails the launch.
    Required,
    /// Its absence is reported as a [`Lack`] with this loss.
    Optional(String),
}

/// One limit in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitLine {
    /// The control it serves.
    pub control: ControlId,
    /// What is limited: "memory".
    pub name: String,
    /// To what: "256 MiB, no swap".
    pub text: String,
}

/// Something asked that this host can't give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The control that suffers.
    pub control: ControlId,
    /// What is missing, and how to get it.
    pub what: String,
    /// What is lost without it.
    pub lost: String,
}

/// All that is missing, as an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lacks(pub Vec<Lack>);

/// One file to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Where.
    pub dir: &'a CgroupDir,
    /// File name.
    pub file: &'a str,
    /// What it must say.
    pub expect: &'a Expect,
    /// The control it serves.
    pub control: ControlId,
}

/// Decides every write for this grant on this host. Missing controllers are noted in the plan ([`LimitPlan::check`]
/// says whether they matter); `Err` means that the request itself can't be carried out anywhere (a path with `..`,
/// a raw key that is not a file name).
///
/// `io_devices`: whole disks (major, minor) behind the root and the volumes. `rules` are applied after deny-all and
/// before the five harmless devices (null, zero, full, random, urandom), which are always allowed; terminals are the
/// caller's to add.
pub fn plan_limits(
    grant: &Limits,
    rules: &[DeviceRule],
    place: &CgroupPlace,
    name: &str,
    host: &Host,
    io_devices: &[(u32, u32)],
) -> Result<LimitPlan, Lacks> {
    let site = place::Site::find(place, name, host)?;
    let mut plan = LimitPlan::default();
    writes::plan(&mut plan, &site, grant, host, io_devices)?;
    filter::plan(&mut plan, &site, rules, host);
    site.finish(&mut plan);
    site.scope(&mut plan, name);
    Ok(plan)
}

impl LimitPlan {
    /// Every file that must be read back.
    pub fn expected(&self) -> impl Iterator<Item = Expected<'_>> {
        self.writes.iter().filter_map(|w| {
            Some(Expected {
                dir: self.dirs.get(w.dir)?,
                file: &w.file,
                expect: &w.expect,
                control: w.control,
            })
        })
    }

    /// Refuses when something is missing whose control is not among `allowed` (exceptions of kind `degraded`).
    pub fn check(&self, allowed: &[ControlId]) -> Result<(), Lacks> {
        let missing: Vec<Lack> = self
            .lacks
            .iter()
            .filter(|lack| !allowed.contains(&lack.control))
            .cloned()
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Lacks(missing))
        }
    }

    /// The v2 cgroup, if one is used.
    pub fn v2_dir(&self) -> Option<&CgroupDir> {
        self.dirs.iter().find(|d| d.version == CgroupVersion::V2)
    }
}

impl Expect {
    /// Whether what the kernel says now is what was meant.
    pub fn holds(&self, found: &str) -> bool {
        let found = found.trim();
        match self {
            Expect::Text(want) => found == want,
            Expect::Bytes(want) => found
                .parse::<u64>()
                .is_ok_and(|n| n <= *want && want - n < 65536),
            Expect::Line(want) => found.lines().any(|line| line.trim() == want),
            Expect::List(want) => units::same_list(found, want),
            Expect::Something => !found.is_empty(),
            Expect::Unchecked => true,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Text(s) | Expect::Line(s) | Expect::List(s) => f.write_str(s),
            Expect::Bytes(n) => n.fmt(f),
            Expect::Something => f.write_str("some value"),
            Expect::Unchecked => f.write_str("any value"),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; without it: {}",
            self.control, self.what, self.lost
        )
    }
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, lack) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            lack.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Lacks {}

impl fmt::Display for LimitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{:<10} {}  [{}]", line.name, line.text, line.control)?;
        }
        for lack in &self.lacks {
            writeln!(f, "{:<10} {lack}", "missing")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
