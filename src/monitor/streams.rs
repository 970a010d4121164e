//! The pipes that a logged program writes to, and the folder that its output is kept in.
//!
//! The pipes' inode is not the program's and has mode 0222: the program may open /dev/stdout for writing, but
//! not read its own log back out of it. Called by the launcher, before there is a monitor.

use super::start::MonitorError;
use crate::host::Privilege;
use crate::sys::pipe;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// How much the program may write while nobody reads.
const PIPE: usize = 1 << 20;

/// Whose the pipes are: anybody's but the program's, who could give itself the right to read otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeOwner {
    /// Whoever launches.
    Launcher,
    /// A user that no program of id 0 is.
    Nobody,
}

impl PipeOwner {
    /// Of a program of this user: root without capabilities owns what root has made; no other id of a container is
    /// root's outside.
    pub fn of(uid: u32, launcher: Privilege) -> Self {
        match (uid, launcher) {
            (0, Privilege::Root) => Self::Nobody,
            _ => Self::Launcher,
        }
    }
}

/// The user of nobody's files.
pub const NOBODY: u32 = 65534;

/// (read end, write end).
pub(super) fn output(owner: PipeOwner) -> Result<(OwnedFd, OwnedFd), MonitorError> {
    let at = |tried| move |errno: nix::errno::Errno| MonitorError::sys(tried, errno);
    let (from, into) =
        nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(at("make a pipe for output (pipe2)"))?;
    if owner == PipeOwner::Nobody {
        nix::unistd::fchown(&into, Some(NOBODY.into()), None)
            .map_err(at("give a pipe to nobody (fchown)"))?;
    }
    let mode = Mode::from_bits_truncate(0o222);
    fchmod(&into, mode).map_err(at("close a pipe to readers (fchmod)"))?;
    // An ordinary user has a limit over all his pipes: a smaller one only means that the program waits sooner.
    let _ = pipe::enlarge(&from, PIPE);
    Ok((from, into))
}

/// The container's own folder in the spool, made where it is missing, closed to everybody else.
pub(super) fn folder(spool: &str, name: &str) -> Result<OwnedFd, MonitorError> {
    let spool = Path::new(spool);
    let mut made = std::fs::DirBuilder::new();
    made.recursive(true).mode(0o700);
    let own = spool.join(name);
    made.create(&own)
        .map_err(|why| MonitorError::folder("make", &own, &why))?;
    for folder in [spool, &own] {
        let meta = std::fs::symlink_metadata(folder)
            .map_err(|why| MonitorError::folder("look at", folder, &why))?;
        let ours = meta.uid() == nix::unistd::geteuid().as_raw();
        if !meta.is_dir() || !ours || meta.mode() & 0o022 != 0 {
            return Err(MonitorError::NotOurs {
                path: folder.display().to_string(),
                owner: meta.uid(),
                mode: meta.mode() & 0o7777,
            });
        }
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    open(&own, flags, Mode::empty())
        .map_err(|errno| MonitorError::folder("open", &own, &errno.into()))
}
