//! Namespaces: what clone3 makes, what is joined, who is who in the new user namespace.

use super::PrepareError;
use crate::plan::namespaces::{MapWriter, UserMap};
use crate::plan::{NamespaceKind, Plan};
use crate::sandbox::LaunchError;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// Lines for uid_map and gid_map.
pub(in crate::sandbox) struct Maps {
    pub(in crate::sandbox) uids: String,
    pub(in crate::sandbox) gids: String,
    pub(in crate::sandbox) deny_setgroups: bool,
}

/// A namespace that the child is to be in, and the launcher only for the moment in which it makes the child.
pub(in crate::sandbox) struct Join {
    pub(in crate::sandbox) fd: OwnedFd,
    pub(in crate::sandbox) kind: i32,
    name: &'static str,
}

impl Join {
    /// The launcher's own.
    pub(in crate::sandbox) fn home(&self) -> Result<OwnedFd, LaunchError> {
        let path = format!("/proc/self/ns/{}", self.name);
        let opened = std::fs::File::open(&path);
        opened
            .map(OwnedFd::from)
            .map_err(|e| LaunchError::Launcher {
                tried: format!("open {path}"),
                errno: nix::errno::Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
            })
    }
}

/// Every kind of namespace that is the child's own.
pub(super) fn new_kinds(plan: &Plan) -> i32 {
    let kinds = plan.namespaces.new.iter();
    kinds.map(|kind| flag_of(*kind)).fold(0, |a, b| a | b)
}

pub(super) fn clone_flags(plan: &Plan) -> u64 {
    // The cgroup namespace is made once the child is in its cgroup: that is its root.
    let by_clone = plan
        .namespaces
        .new
        .iter()
        .filter(|kind| **kind != NamespaceKind::Cgroup);
    by_clone
        .map(|kind| flag_of(*kind) as u64)
        .fold(0, |a, b| a | b)
}

fn flag_of(kind: NamespaceKind) -> i32 {
    match kind {
        NamespaceKind::User => libc::CLONE_NEWUSER,
        NamespaceKind::Mount => libc::CLONE_NEWNS,
        NamespaceKind::Pid => libc::CLONE_NEWPID,
        NamespaceKind::Network => libc::CLONE_NEWNET,
        NamespaceKind::Ipc => libc::CLONE_NEWIPC,
        NamespaceKind::Uts => libc::CLONE_NEWUTS,
        NamespaceKind::Cgroup => libc::CLONE_NEWCGROUP,
        NamespaceKind::Time => 0x80, // CLONE_NEWTIME
    }
}

pub(super) fn joins(plan: &Plan) -> Result<Vec<Join>, PrepareError> {
    plan.namespaces
        .joined
        .iter()
        .map(|(kind, path)| {
            let open = || {
                let file = std::fs::File::open(path.as_path())?;
                let own = std::fs::metadata(format!("/proc/self/ns/{}", kind.proc_name()))?;
                let there = file.metadata()?;
                Ok((file, (there.dev(), there.ino()) == (own.dev(), own.ino())))
            };
            match open() {
                // By whatever process it is named: every one outside has the host's.
                Ok((_, true)) => Err(PrepareError::OwnNamespace {
                    path: path.to_string(),
                    name: kind.proc_name(),
                }),
                Ok((file, false)) => Ok(Join {
                    fd: OwnedFd::from(file),
                    kind: flag_of(*kind),
                    name: kind.proc_name(),
                }),
                Err(why) => Err(PrepareError::Open {
                    path: path.to_string(),
                    why,
                }),
            }
        })
        .collect()
}

pub(super) fn maps(user: &UserMap) -> Maps {
    let text = |maps: &[crate::plan::IdMap]| {
        maps.iter()
            .map(|m| format!("{} {} {}\n", m.inside, m.outside, m.count))
            .collect::<String>()
    };
    Maps {
        uids: text(&user.uids),
        gids: text(&user.gids),
        deny_setgroups: user.by == MapWriter::OwnId,
    }
}
