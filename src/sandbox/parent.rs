//! The launcher's side: one clone3, what only the outside can do, before the first word to the child.
//!
//! On any failure the child is killed and reaped before the error is returned. Called by `container`.

use super::child;
use super::created::Created;
use super::error::{LaunchError, at};
use super::launched::Launched;
use super::ops::{Op, Slots};
use super::prepare::{Maps, Prepared};
use super::wire;
use crate::cgroup::Cgroup;
use crate::sys::process::{self, Side, SingleThreaded};
use crate::sys::socket;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Makes the child and gives it all that only the outside can.
pub fn launch(mut prepared: Prepared, cgroup: &Cgroup) -> Result<Launched, LaunchError> {
    let mut homes = Vec::new();
    for join in &prepared.joins {
        homes.push((join.home()?, join.kind));
        at(
            process::setns(join.fd.as_fd(), join.kind),
            "join a namespace (setns)",
        )?;
    }
    at(
        crate::sys::fs::cloexec_from(3),
        "mark descriptors close-on-exec (close_range)",
    )?;
    prepared.child.doors = cgroup.v1_doors()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = at(
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags),
        "make a socket pair (socketpair)",
    )?;
    let proof = SingleThreaded::prove().ok_or(LaunchError::Threads)?;
    let kinds = prepared.kinds;
    let become_root = prepared.child.become_root;
    let side = at(
        process::clone_child(&proof, prepared.clone_flags, cgroup.v2_fd()),
        "make the child with its namespaces (clone3); are user namespaces allowed (user.max_user_namespaces)?",
    )?;
    let Side::Parent { pid, pidfd } = side else {
        drop(ours);
        let socket = theirs.as_raw_fd();
        std::mem::forget((theirs, homes));
        prepared.child.proof = Some(proof);
        child::run(prepared.child, socket)
    };
    drop(theirs);
    let created = Created::new(pid, pidfd, ours, prepared.labels);
    let outside = Outside {
        user: prepared.user,
        ops: prepared.launcher_ops,
        slots: prepared.child.slots,
        received: prepared.child.received,
        oom_score_adj: prepared.oom_score_adj,
    };
    // Only the child was to be in them.
    let home = homes.iter().rev().try_for_each(|(fd, kind)| {
        at(
            process::setns(fd.as_fd(), *kind),
            "return to a namespace of its own (setns)",
        )
    });
    match home.and_then(|()| outside.serve(&created)) {
        Ok(()) => Ok(Launched {
            created,
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

/// What the launcher does for the child.
struct Outside {
    user: Option<Maps>,
    ops: Vec<Op>,
    slots: Slots,
    received: Vec<usize>,
    oom_score_adj: Option<i32>,
}

impl Outside {
    fn serve(mut self, created: &Created) -> Result<(), LaunchError> {
        let pid = created.pid;
        if let Some(score) = self.oom_score_adj {
            write_proc(pid, "oom_score_adj", &score.to_string())?;
        }
        let userns = match &self.user {
            None => None,
            Some(maps) => Some(map_ids(pid, maps)?),
        };
        for (index, op) in self.ops.iter().enumerate() {
            op.run(&mut self.slots, userns.as_ref().map(OwnedFd::as_fd))
                .map_err(|errno| {
                    let label = created
                        .labels
                        .launcher_ops
                        .get(index)
                        .map_or("", String::as_str);
                    LaunchError::Launcher {
                        tried: format!("make the mount {label} ({})", op.call()),
                        errno,
                    }
                })?;
        }
        let fds: Result<Vec<BorrowedFd<'_>>, Errno> = self
            .received
            .iter()
            .map(|slot| self.slots.get(*slot))
            .collect();
        let fds = at(fds, "collect the mounts")?;
        for part in fds.chunks(socket::MOST) {
            created.tell(wire::MOUNTS, part)?;
        }
        created.tell(wire::GO, &[])
    }
}

pub(super) fn write_proc(pid: i32, file: &str, text: &str) -> Result<(), LaunchError> {
    std::fs::write(format!("/proc/{pid}/{file}"), text).map_err(|e| LaunchError::Launcher {
        tried: format!("write {:?} to /proc/{pid}/{file}", text.trim()),
        errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
    })
}

fn map_ids(pid: i32, maps: &Maps) -> Result<OwnedFd, LaunchError> {
    if maps.deny_setgroups {
        write_proc(pid, "setgroups", "deny")?;
    }
    write_proc(pid, "uid_map", &maps.uids)?;
    write_proc(pid, "gid_map", &maps.gids)?;
    let path = format!("/proc/{pid}/ns/user");
    std::fs::File::open(&path)
        .map(OwnedFd::from)
        .map_err(|e| LaunchError::Launcher {
            tried: format!("open {path}"),
            errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
        })
}
