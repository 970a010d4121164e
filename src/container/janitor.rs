//! Cleans up when the launcher is killed: a small process that waits for the launcher's end of a pipe to close.
//!
//! It is made before anything that could be left behind, and told of each thing before it is made.

use super::error::{ContainerError, at, sys};
use super::store::Claim;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::sys::process::{self, Side, SingleThreaded};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// One thing that must not stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Left {
    /// A container's state folder.
    State(Claim),
    /// Cgroups that are about to be made (removed if empty) or that were made (emptied and removed).
    Cgroup(CgroupRecord),
    /// Nothing: the launcher has cleaned up.
    Nothing,
}

/// The launcher's end.
#[must_use]
pub struct Janitor {
    pid: i32,
    pipe: File,
}

impl Janitor {
    /// Makes it; the launcher must have one thread.
    pub fn start() -> Result<Self, ContainerError> {
        let (reader, writer) = sys(
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC),
            "make a pipe (pipe2)",
        )?;
        let proof = SingleThreaded::prove()
            .ok_or(ContainerError::Launch(crate::sandbox::LaunchError::Threads))?;
        match sys(
            process::clone_child(&proof, 0, None),
            "make the janitor (clone3)",
        )? {
            Side::Parent { pid, .. } => Ok(Self {
                pid,
                pipe: File::from(writer),
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
        at(
            self.pipe.write_all(&line),
            "write to the janitor",
            &PathBuf::from("(pipe)"),
        )
    }

    /// A state folder is about to be made.
    pub fn state(&mut self, claim: &Claim) -> Result<(), ContainerError> {
        self.tell(&Left::State(claim.clone()))
    }

    /// These are about to be made, or were.
    pub fn cgroup(&mut self, record: CgroupRecord) -> Result<(), ContainerError> {
        self.tell(&Left::Cgroup(record))
    }

    /// All is clean, or belongs to a container that goes on: it may go home.
    pub fn dismiss(mut self) {
        let _ = self.tell(&Left::Nothing);
        drop(self.pipe);
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }
}

/// Reads until the launcher is gone, then removes what it left.
fn sweep(reader: OwnedFd) {
    // A Ctrl-C or TERM meant for the launcher is not for us.
    let _ = nix::unistd::setsid();
    for signal in [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGPIPE,
    ] {
        process::ignore_signal(signal);
    }
    let _ = process::prctl_name(c"cofferdam-clean");
    process::close_stdio();
    let mut left = Vec::new();
    for line in BufReader::new(File::from(reader))
        .lines()
        .map_while(Result::ok)
    {
        match serde_json::from_str(&line) {
            Ok(Left::Nothing) => return,
            Ok(thing) => left.push(thing),
            Err(_) => {}
        }
    }
    let made: Vec<Cgroup> = left
        .iter()
        .rev()
        .filter_map(|l| match l {
            Left::Cgroup(record) => Cgroup::open(record).ok(),
            _ => None,
        })
        .collect();
    for cgroup in &made {
        let _ = cgroup.kill();
        let _ = cgroup.remove();
    }
    for thing in &left {
        if let Left::State(claim) = thing {
            claim.undo();
        }
    }
}
