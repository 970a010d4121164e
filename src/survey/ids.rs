//! The id maps of a user namespace that is to be joined.
//!
//! The kernel shows them by process only: those of the process that the path names, or of one that goes in to be
//! looked at, and ends.

use crate::paths::HostPath;
use crate::policy::IdMap;
use crate::sys::fs::read_kernel_file;
use crate::sys::process::{self, Side, SingleThreaded};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde::Serialize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Both maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<IdMap>,
    /// Group ids.
    pub gids: Vec<IdMap>,
}

/// The maps of the namespace at `path`, or why they can't be told.
pub(super) fn of_namespace(path: &HostPath) -> Result<IdMaps, String> {
    let text = path.to_string();
    match text
        .strip_prefix("/proc/")
        .and_then(|r| r.strip_suffix("/ns/user"))
    {
        Some(pid) if pid.bytes().all(|b| b.is_ascii_digit()) => of_process(pid),
        _ => by_going_in(&text),
    }
}

fn of_process(pid: &str) -> Result<IdMaps, String> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        let text = read_kernel_file(&path).map_err(|e| format!("read {path}: {e}"))?;
        parse(&text).ok_or_else(|| format!("{path} is no id map"))
    };
    Ok(IdMaps {
        uids: read("uid_map")?,
        gids: read("gid_map")?,
    })
}

fn by_going_in(path: &str) -> Result<IdMaps, String> {
    let namespace: OwnedFd = std::fs::File::open(path)
        .map_err(|e| format!("open {path}: {e}"))?
        .into();
    let proof = SingleThreaded::prove().ok_or("the launcher has more than one thread")?;
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe2: {}", e.desc()));
    let ((said, say), (hold, release)) = (pipe()?, pipe()?);
    match process::clone_child(&proof, 0, None) {
        Err(errno) => Err(format!("clone3: {}", errno.desc())),
        Ok(Side::Child) => {
            drop((said, release));
            if process::setns(namespace.as_fd(), libc::CLONE_NEWUSER).is_ok() {
                let _ = process::write(say.as_raw_fd(), b"in");
                let _ = process::read(hold.as_raw_fd(), &mut [0]);
            }
            process::exit_now(0)
        }
        Ok(Side::Parent { pid, .. }) => {
            drop((say, hold));
            let entered = process::read(said.as_raw_fd(), &mut [0; 2]) == Ok(2);
            let maps = match entered {
                true => of_process(&pid.to_string()),
                false => Err(format!("{path} can't be entered (setns)")),
            };
            drop(release);
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            maps
        }
    }
}

fn parse(text: &str) -> Option<Vec<IdMap>> {
    let maps: Option<Vec<IdMap>> = text
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|n| n.parse::<u32>().ok());
            let mut next = || numbers.next().flatten();
            Some(IdMap {
                inside: next()?,
                outside: next()?,
                count: next()?,
            })
        })
        .collect();
    maps.filter(|m| !m.is_empty())
}
