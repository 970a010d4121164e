//! startContainer hooks: the child runs them itself, behind its own filters, in front of its program.
//!
//! The child's rules hold: it does not allocate, lock, format or panic. Only the template compat comes here.

use super::child::{Done, Failed};
use super::wire::Step;
use crate::sys::fs::dup_to_stdio;
use crate::sys::process::{self, ExecStrings, Side, SingleThreaded};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Whence, lseek};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// The hooks, ready to be executed.
pub(super) struct StartHooks {
    pub(super) hooks: Vec<StartHook>,
    /// A file in memory that the launcher writes the state to before it gives the word.
    pub(super) state: OwnedFd,
}

pub(super) struct StartHook {
    pub(super) path: CString,
    pub(super) argv: ExecStrings,
    pub(super) envp: ExecStrings,
    pub(super) timeout: PollTimeout,
}

/// One after the other; the first that fails ends the launch.
pub(super) fn run(work: &StartHooks, proof: &SingleThreaded) -> Done {
    for (index, hook) in work.hooks.iter().enumerate() {
        let failed = |code: u8, errno| {
            Failed(
                Step::StartHook,
                (index as u16) << 8 | u16::from(code),
                errno,
            )
        };
        let status = one(work, hook, proof).map_err(|errno| failed(0, errno))?;
        match status {
            WaitStatus::Exited(_, 0) => {}
            WaitStatus::Exited(_, code) => return Err(failed(code as u8, Errno::ECANCELED)),
            WaitStatus::Signaled(_, signal, _) => {
                return Err(failed(128 + signal as u8, Errno::ECANCELED));
            }
            _ => return Err(failed(0, Errno::ECANCELED)),
        }
    }
    Ok(())
}

fn one(work: &StartHooks, hook: &StartHook, proof: &SingleThreaded) -> Result<WaitStatus, Errno> {
    lseek(&work.state, 0, Whence::SeekSet)?;
    let Side::Parent { pid, pidfd } = process::fork_child(proof)? else {
        let _ = nix::unistd::setsid();
        let _ = dup_to_stdio(work.state.as_fd(), 0);
        process::exec_path(&hook.path, &hook.argv, &hook.envp);
        process::exit_now(127)
    };
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let in_time = loop {
        match poll(&mut fds, hook.timeout) {
            Ok(n) => break n > 0,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    };
    if !in_time {
        let _ = process::kill(-pid, libc::SIGKILL);
        let _ = process::pidfd_signal(pidfd.as_fd(), libc::SIGKILL);
    }
    let status = waitpid(Pid::from_raw(pid), None)?;
    if in_time {
        Ok(status)
    } else {
        Err(Errno::ETIMEDOUT)
    }
}
