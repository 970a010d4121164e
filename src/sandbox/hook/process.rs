//! The hook's own process, from the fork to its exec.

use super::Ready;
use crate::sys::fs::{cloexec_from, dup_to_stdio, fchdir};
use crate::sys::process::{self, Side, SingleThreaded, prctl};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The namespaces and the root of a child that waits in front of its pivot.
pub(in crate::sandbox) struct Door {
    pub(in crate::sandbox) pidfd: OwnedFd,
    pub(in crate::sandbox) kinds: i32,
    pub(in crate::sandbox) root: OwnedFd,
    pub(in crate::sandbox) become_root: bool,
}

/// The hook's own process: never returns.
pub(super) fn be_hook(ready: &Ready, door: Option<&Door>, proof: &SingleThreaded) -> ! {
    let errno = match become_hook(ready, door, proof) {
        Ok(never) => match never {},
        Err(errno) => errno,
    };
    let _ = process::write(ready.trouble.as_raw_fd(), &(errno as i32).to_le_bytes());
    process::exit_now(127)
}

fn become_hook(
    ready: &Ready,
    door: Option<&Door>,
    proof: &SingleThreaded,
) -> Result<std::convert::Infallible, Errno> {
    // A group of its own, so that its children can be ended with it; and it ends with us.
    nix::unistd::setsid()?;
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
    dup_to_stdio(ready.input.as_fd(), 0)?;
    dup_to_stdio(ready.output.as_fd(), 1)?;
    dup_to_stdio(ready.errors.as_ref().unwrap_or(&ready.output).as_fd(), 2)?;
    cloexec_from(3)?;
    if let Some(door) = door {
        enter(door)?;
        // Only children are in the pid namespace that was joined.
        if let Side::Parent { pid, .. } = process::clone_child(proof, 0, None)? {
            process::exit_now(end_of(pid));
        }
        prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
    } else {
        nix::unistd::chdir(c"/")?;
    }
    process::reset_signals(proof.ignored)?;
    Err(match &ready.file {
        Some(file) => process::exec_fd(file.as_raw_fd(), &ready.argv, &ready.envp),
        None => process::exec_path(&ready.path, &ready.argv, &ready.envp),
    })
}

/// Into the container while it is being built: nothing of the image runs there yet, and what it will run can't see us.
fn enter(door: &Door) -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)?;
    process::setns(door.pidfd.as_fd(), door.kinds)?;
    fchdir(door.root.as_fd())?;
    nix::unistd::chroot(c".")?;
    if door.become_root {
        let _ = process::set_groups(&[]);
        process::set_gid(0)?;
        process::set_uid(0)?;
    }
    Ok(())
}

fn end_of(pid: i32) -> i32 {
    match waitpid(Pid::from_raw(pid), None) {
        Ok(WaitStatus::Exited(_, code)) => code,
        Ok(WaitStatus::Signaled(_, signal, _)) => 128 + signal as i32,
        _ => 127,
    }
}
