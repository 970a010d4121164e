//! Cleans up when the launcher is killed: a small process that waits for the launcher's end of a pipe to close.
//!
//! It is made before anything that could be left behind, and told of each thing before it is made.

use super::error::{ContainerError, at, sys};
use super::network::{self, Held};
use super::store::Claim;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::sys::fs::dup_above;
use crate::sys::process::{self, Side, SingleThreaded};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// One thing that must not stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Left {
    /// A container's state folder.
    State(Claim),
    /// Cgroups that are about to be made (removed if empty) or that were made (emptied and removed).
    Cgroup(CgroupRecord),
    /// The file of a network's name servers.
    File(PathBuf),
}

/// The last word of a launcher that has cleaned up.
const DISMISSED: &[u8] = b"done\n";

/// Lower numbers are looked at for what the caller hands on (LISTEN_FDS, --preserve-fds).
const ABOVE: i32 = 900;

/// The launcher's end.
#[must_use]
pub struct Janitor {
    pid: i32,
    /// Until it is to end.
    pipe: Option<File>,
}

/// Not dismissed: it removes what it was told of, and is waited for.
impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }
}

impl Janitor {
    /// Makes it; the launcher must have one thread.
    pub fn start() -> Result<Self, ContainerError> {
        let (reader, low) = sys(
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC),
            "make a pipe (pipe2)",
        )?;
        let writer = sys(
            dup_above(low.as_fd(), ABOVE),
            "number the janitor's pipe (fcntl)",
        )?;
        drop(low);
        let proof = SingleThreaded::prove()
            .ok_or(ContainerError::Launch(crate::sandbox::LaunchError::Threads))?;
        match sys(
            process::clone_child(&proof, 0, None),
            "make the janitor (clone3)",
        )? {
            Side::Parent { pid, .. } => Ok(Self {
                pid,
                pipe: Some(File::from(writer)),
            }),
            Side::Child => {
                drop(writer);
                sweep(reader);
                process::exit_now(0)
            }
        }
    }

    fn tell(&mut self, left: &Left) -> Result<(), ContainerError> {
        let mut line = serde_json::to_vec(left).unwrap_or_default();
        line.push(b'\n');
        let told = self.pipe.as_mut().map_or(Ok(()), |p| p.write_all(&line));
        at(told, "write to the janitor", &PathBuf::from("(pipe)"))
    }

    /// A state folder is about to be made.
    pub fn state(&mut self, claim: &Claim) -> Result<(), ContainerError> {
        self.tell(&Left::State(claim.clone()))
    }

    /// These are about to be made, or were.
    pub fn cgroup(&mut self, record: CgroupRecord) -> Result<(), ContainerError> {
        self.tell(&Left::Cgroup(record))
    }

    /// The file of a network's name servers is there.
    pub fn file(&mut self, path: &Path) -> Result<(), ContainerError> {
        self.tell(&Left::File(path.into()))
    }

    /// All is clean, or belongs to a container that goes on: it may go home.
    pub fn dismiss(mut self) {
        if let Some(pipe) = &mut self.pipe {
            let _ = pipe.write_all(DISMISSED);
        }
    }
}

/// What is left when the launcher is gone; `None`: dismissed. Read only then: most launches end well, and what the
/// janitor does meanwhile is taken from theirs.
fn hear(reader: OwnedFd) -> Option<Vec<Left>> {
    let mut told = Vec::with_capacity(4096);
    let mut reader = File::from(reader);
    // A read that fails is an end: what was told so far is what there is.
    let _ = reader.read_to_end(&mut told);
    let left: Vec<Left> = match told.ends_with(DISMISSED) {
        true => return None,
        false => told
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect(),
    };
    Some(left)
}

/// Reads until the launcher is gone, then removes what it left.
fn sweep(reader: OwnedFd) {
    // A Ctrl-C or TERM meant for the launcher is not for us.
    let _ = nix::unistd::setsid();
    process::ignore_the_callers_signals();
    let _ = process::prctl_name(c"cofferdam-clean");
    process::close_stdio();
    let Some(left) = hear(reader) else { return };
    let made: Vec<Cgroup> = left
        .iter()
        .rev()
        .filter_map(|l| match l {
            Left::Cgroup(record) => Cgroup::open(record).ok(),
            _ => None,
        })
        .collect();
    // While there is a process to find its namespace by.
    let network = left.iter().rev().find_map(|l| match l {
        Left::State(claim) => Held::of(claim.folder()?).ok().flatten(),
        _ => None,
    });
    for cgroup in &made {
        let _ = cgroup.kill();
        let _ = cgroup.remove();
    }
    if network.is_some() {
        // What plugins are given must not be where their standard streams go.
        process::null_stdio();
        let _ = network::detached(network);
    }
    for thing in &left {
        match thing {
            Left::State(claim) => claim.undo(),
            Left::File(path) => super::resolver::remove(path),
            _ => {}
        }
    }
}
