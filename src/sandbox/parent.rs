//! The launcher's side: one clone3, what only the outside can do, before the first word to the child.
//!
//! On any failure the child is killed and reaped before the error is returned. Called by `container`.

use super::aside::{self, Made};
use super::child;
use super::created::Created;
use super::error::{LaunchError, at};
use super::idmaps::{map_ids, write_proc};
use super::interfaces;
use super::launched::Launched;
use super::ops::{Op, Slots};
use super::prepare::{Maps, Prepared};
use super::wire;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::plan::network::NetDevice;
use crate::sys::process::{self, Side, SingleThreaded};
use crate::sys::socket;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Makes the child and gives it all that only the outside can. `told` hears of the cgroups when all of them are there
/// and nobody is in them, and says whether it has.
pub fn launch(
    mut prepared: Prepared,
    cgroup: &mut Cgroup,
    told: impl FnOnce(CgroupRecord) -> bool,
) -> Result<Launched, LaunchError> {
    at(
        crate::sys::fs::cloexec_from(3),
        "mark descriptors close-on-exec (close_range)",
    )?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = at(
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags),
        "make a socket pair (socketpair)",
    )?;
    let proof = SingleThreaded::prove().ok_or(LaunchError::Threads)?;
    let kinds = prepared.kinds;
    let become_root = prepared.child.become_root;
    let (pid, pidfd) = match make(&prepared, &proof, cgroup.v2_fd())? {
        Side::Parent { pid, pidfd } => (pid, pidfd),
        Side::Child => {
            drop(ours);
            let socket = theirs.as_raw_fd();
            std::mem::forget(theirs);
            prepared.child.proof = Some(proof);
            child::run(prepared.child, socket)
        }
    };
    drop(theirs);
    let created = Created::new(pid, pidfd, ours, prepared.labels);
    let mut outside = Outside {
        user: prepared.user,
        doors: Vec::new(),
        ops: prepared.launcher_ops,
        slots: prepared.child.slots,
        received: prepared.child.received,
        oom_score_adj: prepared.oom_score_adj,
        devices: prepared.devices,
        exec_fd: prepared.child.exec_fd,
    };
    let around = around(cgroup, Pid::from_raw(pid), told);
    let served = around.and_then(|doors| {
        outside.doors = doors;
        outside.serve(&created)?;
        // While the child makes its mounts; hooks, if there are any, find them set.
        Ok(cgroup.limit()?)
    });
    match served {
        Ok(()) => Ok(Launched {
            created,
            classes: prepared.classes,
            kinds,
            become_root,
            state: prepared.child.start_hooks.map(|h| h.state),
        }),
        Err(error) => {
            created.abandon();
            Err(error)
        }
    }
}

/// Cgroups around a child, and the doors by which it enters those of v1.
fn around(
    cgroup: &mut Cgroup,
    pid: Pid,
    told: impl FnOnce(CgroupRecord) -> bool,
) -> Result<Vec<OwnedFd>, LaunchError> {
    cgroup.take_in(pid)?;
    if !told(cgroup.record()) {
        return at(Err(Errno::EPIPE), "tell the janitor of the cgroups (write)");
    }
    Ok(cgroup.v1_doors()?)
}

/// The child, made by the launcher itself or, where namespaces are joined, by a process aside.
fn make(
    prepared: &Prepared,
    proof: &SingleThreaded,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Side, LaunchError> {
    let flags = prepared.clone_flags;
    let tried = "make the child with its namespaces (clone3); are user namespaces allowed (user.max_user_namespaces)?";
    if !prepared.joining.is_needed() {
        return at(process::clone_child(proof, flags, cgroup), tried);
    }
    let (from, tell) = at(
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC),
        "make a pipe (pipe2)",
    )?;
    match at(process::clone_child(proof, 0, None), tried)? {
        Side::Child => {
            aside::step(proof, &prepared.joining, flags, cgroup, tell.as_raw_fd());
            Ok(Side::Child)
        }
        Side::Parent { pid, .. } => {
            drop(tell);
            match aside::hear(pid, &from) {
                Made::Child(pid) => {
                    let pidfd = at(process::pidfd_open(pid), "refer to the child (pidfd_open)")?;
                    Ok(Side::Parent { pid, pidfd })
                }
                Made::Failed(report) => Err(prepared.labels.sentence(report)),
                Made::Silent => Err(LaunchError::Silent("before there was a child".into())),
            }
        }
    }
}

/// What the launcher does for the child.
struct Outside {
    user: Option<Maps>,
    doors: Vec<OwnedFd>,
    ops: Vec<Op>,
    slots: Slots,
    received: Vec<usize>,
    oom_score_adj: Option<i32>,
    devices: Vec<NetDevice>,
    exec_fd: i32,
}

/// The program's descriptor has the number of the limit, so the child needs one more until exec; where its hard limit
/// (the kernel's 4096, without an init that raises it) is lower, only the launcher may raise it.
pub(super) fn room_for_program(pid: i32, exec_fd: i32) -> Result<(), LaunchError> {
    let tried = "raise the limit of open files for the program's descriptor (prlimit)";
    let kind = libc::RLIMIT_NOFILE as i32;
    let least = exec_fd as u64 + 1;
    match at(process::prlimit(pid, kind, None), tried)? {
        (soft, hard) if hard < least => {
            at(process::prlimit(pid, kind, Some((soft, least))), tried).map(drop)
        }
        _ => Ok(()),
    }
}

impl Outside {
    /// The mounts that only the launcher can make.
    fn make(
        &mut self,
        created: &Created,
        userns: Option<BorrowedFd<'_>>,
    ) -> Result<(), LaunchError> {
        for (index, op) in self.ops.iter().enumerate() {
            op.run(&mut self.slots, userns).map_err(|errno| {
                let label = created.labels.launcher_ops.get(index);
                let label = label.map_or("", String::as_str);
                LaunchError::Launcher {
                    tried: format!("make the mount {label} ({})", op.call()),
                    errno,
                }
            })?;
        }
        Ok(())
    }

    fn serve(mut self, created: &Created) -> Result<(), LaunchError> {
        let pid = created.pid;
        room_for_program(pid, self.exec_fd)?;
        if let Some(score) = self.oom_score_adj {
            write_proc(pid, "oom_score_adj", &score.to_string())?;
        }
        let userns = match &self.user {
            None => None,
            Some(maps) => Some(map_ids(pid, maps)?),
        };
        interfaces::give(pid, &self.devices)
            .map_err(|(tried, errno)| LaunchError::Launcher { tried, errno })?;
        // Modes are the plan's: no mask takes bits away.
        let mask = umask(Mode::empty());
        let made = self.make(created, userns.as_ref().map(OwnedFd::as_fd));
        umask(mask);
        made?;
        let fds: Result<Vec<BorrowedFd<'_>>, Errno> = self
            .received
            .iter()
            .map(|slot| self.slots.get(*slot))
            .chain(self.doors.iter().map(|door| Ok(door.as_fd())))
            .collect();
        let fds = at(fds, "collect the mounts")?;
        for part in fds.chunks(socket::MOST) {
            created.tell(wire::MOUNTS, part)?;
        }
        created.tell(wire::GO, &[])
    }
}
