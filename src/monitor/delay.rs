//! Delays the end of a container until the engine has its output: an ended process in its pid namespace, not collected.
//!
//! conmon reads what is in its pipes when the container's process ends, and no more; what is still on its way through
//! capture would be missing from `podman logs`. The kernel lets the first process of a pid namespace end only when every
//! other process in it has been collected by its parent, and the parent of this one is the monitor. It has ended before
//! the program begins, so there is nothing of ours to attack. Used under the OCI verbs only; bounded by the monitor.

use crate::sys::process::{self, Side, SingleThreaded};
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A process that has ended.
#[must_use]
pub(super) struct Delay(i32);

impl Delay {
    /// Makes it, as a child of ours in the pid namespace behind the pidfd. `None`: this kernel or these rights can't.
    pub(super) fn begin(container: BorrowedFd<'_>) -> Option<Self> {
        let (from, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok()?;
        let proof = SingleThreaded::prove()?;
        match process::clone_child(&proof, 0, None).ok()? {
            Side::Child => {
                let made = aside(&proof, container);
                let _ = process::write(tell.as_raw_fd(), &made.unwrap_or(0).to_ne_bytes());
                process::exit_now(0)
            }
            Side::Parent { pid, .. } => {
                drop(tell);
                let mut bytes = [0u8; 4];
                let heard = std::fs::File::from(from).read_exact(&mut bytes);
                let _ = waitpid(Pid::from_raw(pid), None);
                let made = i32::from_ne_bytes(bytes);
                (heard.is_ok() && made > 0).then_some(Self(made))
            }
        }
    }

    /// Lets the container end.
    pub(super) fn end(self) {
        let _ = waitpid(Pid::from_raw(self.0), None);
    }
}

/// In a process of its own, since nobody comes back from a namespace: the child's parent is the monitor.
fn aside(proof: &SingleThreaded, container: BorrowedFd<'_>) -> Result<i32, Errno> {
    match process::setns(container, libc::CLONE_NEWPID) {
        // An ordinary user has the rights inside the container's user namespace only.
        Err(Errno::EPERM) => process::setns(container, libc::CLONE_NEWUSER | libc::CLONE_NEWPID)?,
        other => other?,
    }
    match process::clone_child_of_parent(proof, 0, None)? {
        Side::Child => process::exit_now(0),
        Side::Parent { pid, .. } => Ok(pid),
    }
}

/// Whether a process is ending (PF_EXITING): a pidfd says so only when it has.
pub(super) fn is_ending(pid: i32) -> bool {
    const EXITING: u32 = 4;
    let stat = crate::sys::fs::read_kernel_file(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = stat
        .rfind(')')
        .and_then(|end| stat[end + 1..].split_whitespace().nth(6))
        .and_then(|flags| flags.parse::<u32>().ok());
    flags.is_none_or(|flags| flags & EXITING != 0)
}
