//! Process descriptors (pidfd_open(2), pidfd_send_signal(2), Linux 5.3): signals that can't hit a reused pid.
//!
//! Called by `cgroup` to end what is left; decides nothing.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor for a process (close-on-exec).
pub fn open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: two integer arguments, no memory involved.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the very process the descriptor was opened for.
pub fn signal(process: BorrowedFd, signal: Signal) -> nix::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is borrowed, so open; a null siginfo is allowed and means the same as kill(2).
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal as libc::c_int,
            no_info,
            0,
        )
    })
    .map(drop)
}
