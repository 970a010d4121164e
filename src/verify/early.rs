//! What need not wait until the child stands still: the limits, the launcher's own side, and which cgroups it is in.

use super::{Difference, Verification, VerifyError, read_of};
use crate::cgroup::Cgroup;
use crate::plan::{NamespaceKind, Plan};
use std::fs;

/// What was found while the child locked itself down.
#[must_use]
pub struct Early {
    /// The limits as the kernel took them; the child has no part in them.
    pub(super) limits: Verification,
    /// The launcher's own namespaces.
    ours: Vec<(NamespaceKind, String)>,
    /// /proc/PID/cgroup at a moment when each cgroup had the process in its list; `None`: it was not in all of them.
    /// As long as this file says the same, it is where it was, since nobody can replace a cgroup with a process in it.
    inside: Option<String>,
}

/// Looks at what can be told of a child that is locking itself down.
pub fn early(plan: &Plan, pid: i32, cgroup: &Cgroup) -> Result<Early, VerifyError> {
    let differences = cgroup.read_back(&plan.limits)?.into_iter();
    let limits = Verification {
        checked: plan.limits.writes.len(),
        differences: differences
            .map(|d| Difference {
                control: d.control,
                what: d.file,
                expected: d.expected,
                found: d.found,
            })
            .collect(),
    };
    let kinds = plan.namespaces.new.iter();
    Ok(Early {
        limits,
        ours: kinds.map(|kind| (*kind, our(*kind))).collect(),
        inside: inside(pid, cgroup)?,
    })
}

impl Early {
    /// The launcher's own namespace.
    pub(super) fn our(&self, kind: NamespaceKind) -> String {
        let known = self.ours.iter().find(|(k, _)| *k == kind);
        known.map_or_else(|| our(kind), |(_, link)| link.clone())
    }

    /// Whether the process is in all its cgroups still, by this text of its /proc/PID/cgroup.
    pub(super) fn still_inside(&self, now: &str) -> bool {
        self.inside.as_deref() == Some(now)
    }
}

fn our(kind: NamespaceKind) -> String {
    fs::read_link(format!("/proc/self/ns/{}", kind.proc_name()))
        .map(|p| p.display().to_string())
        .unwrap_or_default()
}

fn inside(pid: i32, cgroup: &Cgroup) -> Result<Option<String>, VerifyError> {
    let before = read_of(pid, "cgroup")?;
    let missing = cgroup.missing_from(nix::unistd::Pid::from_raw(pid))?;
    let after = read_of(pid, "cgroup")?;
    Ok((missing.is_empty() && before == after).then_some(after))
}
