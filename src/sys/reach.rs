//! Reaching into another process on its behalf: a copy of its descriptor, of its memory, and a descriptor put in place
//! of one that it has, while it waits for the answer to a call (seccomp_unotify(2)).
//!
//! Takes PTRACE_MODE_ATTACH over the process, but for what goes through the listener. Called by `ports`.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// SECCOMP_IOCTL_NOTIF_ID_VALID and _ADDFD (linux/seccomp.h).
const ID_VALID: libc::c_ulong = 0x4008_2102;
const ADD_FD: libc::c_ulong = 0x4018_2103;
const CONTINUE: u32 = 1;
const SET_FD: u32 = 1;

/// A descriptor of the process behind a pidfd (Linux 5.6): the same open file.
pub fn descriptor(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_getfd,
            pidfd.as_raw_fd(),
            number,
            0 as libc::c_uint,
        )
    })?;
    // SAFETY: the kernel has just handed us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Copies memory of a process: all of it, or EFAULT.
pub fn memory(pid: i32, from: u64, into: &mut [u8]) -> Result<(), Errno> {
    let ours = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let theirs = libc::iovec {
        iov_base: from as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: our side is writable for its length; the other one is checked by the kernel in the other process.
    let n = check(unsafe { libc::process_vm_readv(pid, &ours, 1, &theirs, 1, 0) as libc::c_long })?;
    match n as usize == into.len() {
        true => Ok(()),
        false => Err(Errno::EFAULT),
    }
}

/// Whether the thread behind a question still waits for its answer: what was read of it before is its own then.
pub fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request's size is that of the number, which the kernel only reads.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) }.into()).is_ok()
}

#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    number: u32,
    number_flags: u32,
}

/// Puts a descriptor in the place of one that the waiting process has (Linux 5.9).
pub fn replace(
    listener: BorrowedFd<'_>,
    id: u64,
    source: BorrowedFd<'_>,
    number: i32,
    cloexec: bool,
) -> Result<(), Errno> {
    let all = AddFd {
        id,
        flags: SET_FD,
        source: source.as_raw_fd() as u32,
        number: number as u32,
        number_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    // SAFETY: the request's size is that of the structure, which the kernel only reads.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), ADD_FD, &raw const all) }.into()).map(drop)
}

/// Lets the kernel carry the call out as the process made it. What was looked at before may have changed by then: only
/// for calls that can do no harm whatever their arguments are.
pub fn carry_on(listener: BorrowedFd<'_>, id: u64) -> Result<(), Errno> {
    super::notify::answer(listener, id, 0, CONTINUE)
}
