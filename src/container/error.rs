//! Errors of the lifecycle. The texts that engines match on stand here, word for word (runc's).

use super::receiver::ReceiverError;
use super::terminal::TerminalError;
use crate::cgroup::CgroupError;
use crate::sandbox::{HookError, LaunchError, PrepareError};
use crate::verify::{Difference, VerifyError};
use nix::errno::Errno;

/// Why a lifecycle command failed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No container of that id.
    #[error("container does not exist")]
    Unknown,
    /// The id is taken.
    #[error("container with given ID already exists")]
    Exists,
    /// The id is taken by what a launcher left that was killed together with its janitor.
    #[error(
        "container with given ID already exists, half made by a launcher that was killed: delete --force removes what is left of it"
    )]
    HalfMade,
    /// Started already.
    #[error("cannot start an already running container")]
    AlreadyRunning,
    /// Over already.
    #[error("cannot start a container that has stopped")]
    Stopped,
    /// Frozen before it was started.
    #[error("cannot start a container in the paused state")]
    StartPaused,
    /// A signal for nobody.
    #[error("container not running")]
    NotRunning,
    /// Nothing to resume.
    #[error("container not paused")]
    NotPaused,
    /// Nothing to join.
    #[error("cannot exec in a stopped container")]
    ExecStopped,
    /// A newcomer would be frozen in front of its program.
    #[error("cannot exec in a paused container (use --ignore-paused to override)")]
    ExecPaused,
    /// Deleted too early.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// Which.
        id: String,
        /// Its status.
        status: &'static str,
    },
    /// The state folder.
    #[error("can't {tried} {path}: {why}")]
    Store {
        /// What was tried.
        tried: &'static str,
        /// Where.
        path: String,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// A state folder that the caller may not look into.
    #[error(
        "{path} belongs to uid {owner} with mode {mode:o}: its containers are for that user to see; ask as that user, or name another folder with --root"
    )]
    StoreClosed {
        /// The folder.
        path: String,
        /// Whose.
        owner: u32,
        /// Permission bits.
        mode: u32,
    },
    /// A state folder that others could have written.
    #[error(
        "{path} belongs to uid {owner} with mode {mode:o}: the state folder must be the caller's own and closed to others (chown, chmod 0700)"
    )]
    StoreNotOurs {
        /// Where.
        path: String,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// The state folder is a link, which leads elsewhere tomorrow.
    #[error("{path} is a symbolic link: give the state folder itself (--root)")]
    StoreIsLink {
        /// Where.
        path: String,
    },
    /// A state file that makes no sense.
    #[error("{path} is damaged ({why}): delete the container with --force")]
    StateDamaged {
        /// Where.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing that a newcomer could be held in.
    #[error(
        "the container has no mount namespace of its own, so a second process would stand among the host's files: permission denied"
    )]
    NoMountNamespace,
    /// A limit below what is in use.
    #[error(
        "unable to set memory limit to {limit} (current usage: {in_use}): give more, or leave checkBeforeUpdate out"
    )]
    InUse {
        /// Asked, in bytes.
        limit: u64,
        /// In use, in bytes.
        in_use: u64,
    },
    /// More than is kept.
    #[error(
        "request and policy of the container have {size} bytes, and {most} are kept for exec and update: make config.json or the exception files smaller"
    )]
    TooMuch {
        /// Bytes.
        size: u64,
        /// Allowed.
        most: u64,
    },
    /// Preparation.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// What stands beside the container.
    #[error(transparent)]
    Monitor(#[from] crate::monitor::MonitorError),
    /// The launch.
    #[error("unable to start container process: {0}")]
    Launch(#[from] LaunchError),
    /// Ports, links and connections.
    #[error(transparent)]
    Ports(#[from] crate::ports::PortsError),
    /// A network of the site's.
    #[error("--network cni:{name}: {why}")]
    Network {
        /// Which.
        name: String,
        /// The plugin, and what became of it.
        why: String,
    },
    /// Cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Verification could not be done.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A hook in front of the program.
    #[error("the {point} hook {path:?}: {why}")]
    Hook {
        /// Its point.
        point: &'static str,
        /// Its program.
        path: String,
        /// What became of it.
        why: HookError,
    },
    /// The terminal.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// Somebody who was to take a descriptor.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    /// Verification found differences: nothing of the image has run.
    #[error("the container was not as planned, so it was killed before its program ran: {}", list(.0))]
    Different(Vec<Difference>),
    /// Exec gave another AppArmor label than the plan says.
    #[error("the program began under another AppArmor label, so it was killed: {}", list(std::slice::from_ref(.0)))]
    Label(Difference),
    /// A system call of the launcher's.
    #[error("can't {tried}: {}", .errno.desc())]
    Sys {
        /// What was tried.
        tried: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

fn list(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(|d| {
            format!(
                "{}: {} is {:?}, planned {:?}",
                d.control, d.what, d.found, d.expected
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Names the file and the deed.
pub(super) fn at<T>(
    result: std::io::Result<T>,
    tried: &'static str,
    path: &std::path::Path,
) -> Result<T, ContainerError> {
    result.map_err(|why| ContainerError::Store {
        tried,
        path: path.display().to_string(),
        why,
    })
}

/// Names the deed.
pub(super) fn sys<T>(result: Result<T, Errno>, tried: &'static str) -> Result<T, ContainerError> {
    result.map_err(|errno| ContainerError::Sys { tried, errno })
}
