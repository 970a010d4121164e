//! What can go wrong with a cgroup, as sentences: what was tried, what the kernel said, what to do.

use crate::dbus::DbusError;
use nix::errno::Errno;
use std::path::Path;

/// Why a cgroup could not be made, entered, read, emptied or removed.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum CgroupError {
    /// A system call failed.
    #[error("{what} {path}: {}; {remedy}", .errno.desc())]
    Failed {
        /// What was tried, with the system call.
        what: String,
        /// On which file.
        path: String,
        /// What the kernel said.
        errno: Errno,
        /// What to do.
        remedy: &'static str,
    },
    /// Somebody else's processes are there.
    #[error(
        "made no cgroup {path}: it exists and is in use (processes {pids:?}); choose another name, or stop what runs there"
    )]
    Occupied {
        /// The cgroup.
        path: String,
        /// Some of the processes; none when only cgroups below it are in the way.
        pids: Vec<i32>,
    },
    /// The mount point is something else.
    #[error(
        "opened {path}, which is not a cgroup {expected} file system (statfs says {found:#x}); mount it there, or unmount what hides it"
    )]
    NotCgroup {
        /// The mount point.
        path: String,
        /// "v1" or "v2".
        expected: &'static str,
        /// The magic number found.
        found: i64,
    },
    /// The kernel took a value and keeps another.
    #[error("wrote {expected:?} into {path}, which then said {found:?}; nothing was changed")]
    Kept {
        /// The file.
        path: String,
        /// As planned.
        expected: String,
        /// As found.
        found: String,
    },
    /// systemd can't be talked to, or says no.
    #[error("{0}; {remedy}", remedy = remedy(.0))]
    Systemd(#[from] DbusError),
    /// systemd has not made the scope.
    #[error(
        "asked systemd to start {unit}, and the job ended as {result:?}; see journalctl -u {unit}"
    )]
    NoScope {
        /// The unit.
        unit: String,
        /// "failed", "timeout", "canceled" or "dependency".
        result: String,
    },
    /// Somebody else's unit.
    #[error(
        "asked systemd to start {unit}: a unit of this name exists and is in use; choose another name, or stop it (systemctl stop {unit})"
    )]
    UnitInUse {
        /// The unit.
        unit: String,
    },
    /// Another place than planned.
    #[error(
        "asked systemd to start {unit}, which it put into the cgroup {found:?} and not into {expected:?}; is this another machine's systemd? leave --systemd-cgroup out"
    )]
    Elsewhere {
        /// The unit.
        unit: String,
        /// As planned.
        expected: String,
        /// As systemd says.
        found: String,
    },
    /// Processes outlived SIGKILL.
    #[error(
        "killed everything in {path}, but {pids:?} are still there after {waited_ms} ms; they hang in the kernel (state D): look at /proc/PID/stack"
    )]
    Undead {
        /// The cgroup.
        path: String,
        /// Who is left.
        pids: Vec<i32>,
        /// How long was waited.
        waited_ms: u64,
    },
}

fn remedy(error: &DbusError) -> &'static str {
    match error {
        DbusError::Connect { .. } => {
            "is systemd running, with a message bus? start them (systemctl start dbus.socket; for an ordinary user loginctl enable-linger), or leave --systemd-cgroup out"
        }
        DbusError::Answer { name, .. } if name.ends_with(".AccessDenied") => {
            "systemd (polkit) does not allow it: run as root, or as a user with a manager of its own"
        }
        DbusError::Late { .. } => "systemd is busy or hangs: see systemctl list-jobs",
        _ => "see journalctl, or leave --systemd-cgroup out",
    }
}

impl CgroupError {
    pub(super) fn new(what: impl Into<String>, path: &Path, errno: Errno) -> Self {
        let remedy = match errno {
            Errno::EACCES | Errno::EPERM => {
                "run as root, or in a cgroup that is delegated (systemd-run --user --scope -p Delegate=yes)"
            }
            Errno::EROFS => {
                "the cgroup file system is mounted read-only: mount it writable for the launcher"
            }
            Errno::EBUSY => "processes or cgroups below it are in the way: stop them first",
            Errno::ENOENT => {
                "it is gone, or this kernel lacks it: check the mount and the controllers"
            }
            Errno::EINVAL | Errno::ERANGE => {
                "the kernel does not accept the value: a cgroup above may allow less, see its files"
            }
            Errno::ENODEV => "the device does not exist or is a partition: name the whole disk",
            Errno::ENOSPC => {
                "the cgroup has no CPUs or memory nodes, or the machine has too many cgroups"
            }
            Errno::EMFILE | Errno::ENFILE => "too many open files: raise the limit",
            _ => "see cgroups(7)",
        };
        Self::Failed {
            what: what.into(),
            path: path.display().to_string(),
            errno,
            remedy,
        }
    }
}
