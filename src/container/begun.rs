//! A program that has just begun: whether it is under the AppArmor template, as the kernel shows it from outside.

use super::error::ContainerError;
use crate::plan::Plan;
use crate::sandbox::{Running, Started};
use crate::sys::process;
use crate::verify;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::os::fd::AsFd;

/// What `start` led to; a program with another label is killed and collected.
pub(super) fn begun(plan: &Plan, started: Started) -> Result<Running, ContainerError> {
    let running = match started {
        Started::Failed(error) => return Err(error.into()),
        Started::Running(running) => running,
    };
    match verify::label(plan.process.apparmor.as_deref(), running.pid) {
        None => Ok(running),
        Some(difference) => {
            let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
            let _ = waitpid(Pid::from_raw(running.pid), None);
            Err(ContainerError::Label(difference))
        }
    }
}
