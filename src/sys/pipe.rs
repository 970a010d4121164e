//! Pipes: moving bytes between them without a copy, how many are in one, how many fit (splice, FIONREAD, F_SETPIPE_SZ).

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// Moves up to `most` bytes from one descriptor to another, one of them a pipe; never waits. 0 at the end.
pub fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> Result<usize, Errno> {
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    let none = std::ptr::null_mut();
    // SAFETY: borrowed descriptors and plain integers; null offsets mean the files' own.
    check(unsafe {
        libc::splice(
            from.as_fd().as_raw_fd(),
            none,
            to.as_fd().as_raw_fd(),
            none,
            most,
            flags,
        ) as libc::c_long
    })
    .map(|n| n as usize)
}

/// How many bytes can be read at once.
pub fn waiting(fd: impl AsFd) -> Result<usize, Errno> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which `count` is.
    check(unsafe {
        libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD as _, &mut count) as libc::c_long
    })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Makes a pipe this large, if the caller may: a user has a limit over all his pipes (pipe(7)).
pub fn enlarge(fd: impl AsFd, bytes: usize) -> Result<(), Errno> {
    let bytes = libc::c_int::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    // SAFETY: plain integers.
    check(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETPIPE_SZ, bytes) as libc::c_long })
        .map(drop)
}
