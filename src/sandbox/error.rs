//! Why a launch failed: what was tried, what the kernel said, what to do.

use crate::cgroup::CgroupError;
use nix::errno::Errno;

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A step of the launcher.
    #[error("couldn't {tried}: {}", errno.desc())]
    Launcher {
        /// What was tried.
        tried: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// A step of the child.
    #[error("couldn't {tried}: {}{}", errno.desc(), hint(*errno, tried))]
    Child {
        /// What was tried, in words.
        tried: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// A hook inside ended badly.
    #[error("the startContainer hook number {number} ended with exit code {code}")]
    StartHook {
        /// Which, from 0.
        number: u16,
        /// Its exit code; 128 and the number for a signal.
        code: u16,
    },
    /// The child ended without a word.
    #[error("the child ended during setup without a report ({0})")]
    Silent(String),
    /// A program that maps ids.
    #[error("{tried} failed: {why} (are the ranges the caller's in /etc/subuid and /etc/subgid?)")]
    Helper {
        /// The command.
        tried: String,
        /// What it said.
        why: String,
    },
    /// Cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// More than one thread: fork would not be sound.
    #[error(
        "the launcher has more than one thread, so it can't fork safely: start it without a preloaded library"
    )]
    Threads,
}

fn hint(errno: Errno, tried: &str) -> &'static str {
    if errno == Errno::EACCES && tried.contains("execute the program") {
        return ": permission denied (is it on a noexec mount, or may its user not read it?)";
    }
    if errno == Errno::EPERM && tried.contains("user namespace") {
        return " (are user namespaces allowed? see kernel.unprivileged_userns_clone, user.max_user_namespaces)";
    }
    ""
}

/// Names the deed.
pub(super) fn at<T>(result: Result<T, Errno>, tried: &str) -> Result<T, LaunchError> {
    result.map_err(|errno| LaunchError::Launcher {
        tried: tried.into(),
        errno,
    })
}
