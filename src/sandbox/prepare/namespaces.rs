//! Namespaces: what clone3 makes, what is joined, who is who in the new user namespace.

use super::{Labels, PrepareError};
use crate::paths::HostPath;
use crate::plan::namespaces::{MapWriter, UserMap};
use crate::plan::{IdMap, NamespaceKind, Plan};
use crate::sys::process::{self, Side, SingleThreaded};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// How the maps of the user namespace come about.
pub(in crate::sandbox) enum Maps {
    /// The launcher writes these lines into uid_map and gid_map.
    Written {
        uids: String,
        gids: String,
        deny_setgroups: bool,
    },
    /// Set-uid programs do, each with a process id before these words.
    Helped([(HostPath, Vec<String>); 2]),
    /// They are there.
    Joined,
}

/// Every kind of namespace that the child has for itself or with others, but not with the launcher.
pub(super) fn kinds_apart(plan: &Plan) -> i32 {
    let joined = plan.namespaces.joined.iter().map(|(kind, _)| kind);
    let kinds = plan.namespaces.new.iter().chain(joined);
    kinds.map(|kind| flag_of(*kind)).fold(0, |a, b| a | b)
}

/// Whether the child makes its network namespace itself: that takes as long as all others together, and the launcher
/// has the child's ids and mounts to see to meanwhile. Not where it gives interfaces into it, and so needs it at once,
/// and not where a process aside is told all namespaces.
pub(super) fn has_own_network(plan: &Plan) -> bool {
    let aside = !plan.namespaces.joined.is_empty() || !plan.execution.clock_offsets.is_empty();
    plan.namespaces.is_new(NamespaceKind::Network) && plan.network.devices.is_empty() && !aside
}

pub(super) fn clone_flags(plan: &Plan) -> u64 {
    // The cgroup namespace is made once the child is in its cgroup: that is its root.
    let shifted = !plan.execution.clock_offsets.is_empty();
    let by_clone = plan.namespaces.new.iter().filter(|kind| match kind {
        NamespaceKind::Cgroup => false,
        NamespaceKind::Network => !has_own_network(plan),
        NamespaceKind::Time => !shifted,
        _ => true,
    });
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
        NamespaceKind::Time => crate::sys::process::NEW_TIME,
    }
}

/// What a process must do before it makes the child.
pub(in crate::sandbox) struct Joining {
    /// In this order.
    pub(in crate::sandbox) namespaces: Vec<(OwnedFd, i32)>,
    /// Lines for timens_offsets.
    pub(in crate::sandbox) offsets: String,
}

impl Joining {
    pub(in crate::sandbox) fn is_needed(&self) -> bool {
        !self.namespaces.is_empty() || !self.offsets.is_empty()
    }
}

pub(super) fn joining(plan: &Plan, labels: &mut Labels) -> Result<Joining, PrepareError> {
    let offsets = plan.execution.clock_offsets.iter();
    let offsets = offsets.map(|o| format!("{} {} {}\n", o.clock.name(), o.seconds, o.nanoseconds));
    let joined = &plan.namespaces.joined;
    labels.joins = joined.iter().map(|(_, path)| path.to_string()).collect();
    Ok(Joining {
        namespaces: joins(plan)?,
        offsets: offsets.collect(),
    })
}

fn joins(plan: &Plan) -> Result<Vec<(OwnedFd, i32)>, PrepareError> {
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
                Ok((file, false)) => Ok((OwnedFd::from(file), flag_of(*kind))),
                Err(why) => Err(PrepareError::Open {
                    path: path.to_string(),
                    why,
                }),
            }
        })
        .collect()
}

pub(super) fn maps(user: &UserMap) -> Maps {
    let words = |maps: &[IdMap]| {
        let numbers = maps.iter().flat_map(|m| [m.inside, m.outside, m.count]);
        numbers.map(|n| n.to_string()).collect()
    };
    match &user.by {
        MapWriter::Joined => Maps::Joined,
        MapWriter::Helpers { uids, gids } => Maps::Helped([
            (uids.clone(), words(&user.uids)),
            (gids.clone(), words(&user.gids)),
        ]),
        by => Maps::Written {
            uids: lines(&user.uids),
            gids: lines(&user.gids),
            deny_setgroups: *by == MapWriter::OwnId,
        },
    }
}

/// A user namespace that nobody is in, for the maps of one mount. The process that it is made with ends here.
pub(super) fn namespace_with(uids: &[IdMap], gids: &[IdMap]) -> Result<OwnedFd, PrepareError> {
    let failed = |what: &str, why: std::io::Error| {
        PrepareError::Unknown(format!("couldn't {what} for the id maps of a mount: {why}"))
    };
    let lone = std::io::Error::other("the launcher has more than one thread");
    let proof = SingleThreaded::prove().ok_or_else(|| failed("fork", lone))?;
    let (hold, release) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
        .map_err(|e| failed("make a pipe", e.into()))?;
    match process::clone_child(&proof, libc::CLONE_NEWUSER as u64, None) {
        Err(errno) => Err(failed("make a user namespace (clone3)", errno.into())),
        Ok(Side::Child) => {
            drop(release);
            let _ = process::read(hold.as_raw_fd(), &mut [0]);
            process::exit_now(0)
        }
        Ok(Side::Parent { pid, .. }) => {
            let at = |file: &str| format!("/proc/{pid}/{file}");
            let made = std::fs::write(at("uid_map"), lines(uids))
                .and_then(|()| std::fs::write(at("gid_map"), lines(gids)))
                .and_then(|()| std::fs::File::open(at("ns/user")))
                .map_err(|e| failed("map ids", e));
            drop(release);
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            made.map(OwnedFd::from)
        }
    }
}

fn lines(maps: &[IdMap]) -> String {
    let one = |m: &IdMap| format!("{} {} {}\n", m.inside, m.outside, m.count);
    maps.iter().map(one).collect()
}
