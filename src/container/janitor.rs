//! Cleans up when the launcher is killed: a small process that waits for the launcher's end of a pipe to close.
//!
//! It is made before anything that could be left behind, and told of each thing before it is made. Most launches end
//! well, and what the janitor does meanwhile is taken from theirs: it shares the launcher's memory and reads nothing
//! (`sys::companion`). Where it is needed, it becomes this program anew, with the pipe as its standard input.

use super::error::{ContainerError, at, sys};
use super::network::{self, Held};
use super::store::Claim;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::sys::companion::Companion;
use crate::sys::fs::dup_above;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
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

/// Its name: the program's first word when it cleans up.
pub const NAME: &CStr = c"cofferdam-clean";

/// Lower numbers are looked at for what the caller hands on (LISTEN_FDS, --preserve-fds).
const ABOVE: i32 = 900;

/// What a pipe can be made to hold by anybody (/proc/sys/fs/pipe-max-size), in bytes; nobody reads it meanwhile.
const MOST: i32 = 1 << 20;

/// The launcher's end.
#[must_use]
pub struct Janitor {
    companion: Companion,
    /// Until it is to end.
    pipe: Option<File>,
}

/// Not dismissed: it removes what it was told of, and is waited for.
impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = waitpid(Pid::from_raw(self.companion.pid), None);
    }
}

impl Janitor {
    /// Makes it.
    pub fn start() -> Result<Self, ContainerError> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (reader, low) = sys(nix::unistd::pipe2(flags), "make a pipe (pipe2)")?;
        let writer = sys(
            dup_above(low.as_fd(), ABOVE),
            "number the janitor's pipe (fcntl)",
        )?;
        drop(low);
        let companion = Companion::start(NAME, &reader, &writer);
        Ok(Self {
            companion: sys(companion, "make the janitor (clone)")?,
            pipe: Some(File::from(writer)),
        })
    }

    fn tell(&mut self, left: &Left) -> Result<(), ContainerError> {
        let mut line = serde_json::to_vec(left).unwrap_or_default();
        line.push(b'\n');
        let told = self.pipe.as_mut().map_or(Ok(()), |p| write(p, &line));
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
    pub fn dismiss(self) {
        self.companion.dismiss();
    }
}

/// The whole line; a pipe that is full is made larger once.
fn write(pipe: &mut File, line: &[u8]) -> std::io::Result<()> {
    let mut rest = line;
    while !rest.is_empty() {
        match pipe.write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if fcntl(&*pipe, FcntlArg::F_GETPIPE_SZ)? >= MOST {
                    return Err(Errno::ENOSPC.into());
                }
                fcntl(&*pipe, FcntlArg::F_SETPIPE_SZ(MOST))?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The janitor of a launcher that is gone: removes what it left. Its standard input is the pipe.
pub fn main() -> i32 {
    let _ = process::prctl_name(NAME);
    let mut told = Vec::with_capacity(4096);
    // A read that fails is an end: what was told so far is what there is.
    let _ = std::io::stdin().lock().read_to_end(&mut told);
    sweep(&told);
    0
}

fn sweep(told: &[u8]) {
    let lines = told.split(|byte| *byte == b'\n');
    let left: Vec<Left> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
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
