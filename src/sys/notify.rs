//! seccomp user notification (seccomp_unotify(2), Linux 5.0): one call asked about, one answer.
//!
//! Reads `struct seccomp_data` only. What a pointer in it points to is the program's to change at any moment, so
//! nothing here can look there; and no answer lets a call through.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// SECCOMP_IOCTL_NOTIF_RECV, _SEND and _SET_FLAGS (linux/seccomp.h).
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const SET_FLAGS: libc::c_ulong = 0x4008_2104;
/// SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP.
const SYNC_WAKE_UP: u64 = 1;

/// A call that waits for an answer (`struct seccomp_notif`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Names the question.
    pub id: u64,
    /// The thread, in this process's pid namespace; 0 if it has none there.
    pub pid: u32,
    /// Always 0.
    pub flags: u32,
    /// The call's number.
    pub number: i32,
    /// The AUDIT_ARCH_* value of the ABI it came by.
    pub arch: u32,
    /// Where in the program.
    pub instruction: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// The size of a [`Notification`] in messages.
pub const SIZE: usize = size_of::<Notification>();

impl Notification {
    /// As the kernel lays it out, to hand it on to another process.
    pub fn bytes(&self) -> [u8; SIZE] {
        let words = [
            self.id,
            u64::from(self.pid) | u64::from(self.flags) << 32,
            u64::from(self.number as u32) | u64::from(self.arch) << 32,
            self.instruction,
        ];
        let mut out = [0; SIZE];
        for (to, word) in out.chunks_exact_mut(8).zip(words.iter().chain(&self.args)) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// What [`Self::bytes`] made.
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let mut words = [0; SIZE / 8];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().unwrap_or_default());
        }
        let (low, high) = (|w: u64| w as u32, |w: u64| (w >> 32) as u32);
        Self {
            id: words[0],
            pid: low(words[1]),
            flags: high(words[1]),
            number: low(words[2]) as i32,
            arch: high(words[2]),
            instruction: words[3],
            args: std::array::from_fn(|at| words[4 + at]),
        }
    }
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// The next call that waits, or one that comes; ENOENT: the thread was killed before we looked.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // The kernel insists on zeroes.
    let mut all = Notification::default();
    // SAFETY: the request's size is that of the structure, which the kernel fills; all bit patterns are valid in it.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut all) }.into())?;
    Ok(all)
}

/// The same, straight into memory that may outlive this process: the kernel writes it in the very call that takes it out
/// of its queue, so that no KILL comes between.
pub fn receive_into(
    listener: BorrowedFd<'_>,
    into: &mut [u8; SIZE],
) -> Result<Notification, Errno> {
    // The kernel insists on zeroes.
    into.fill(0);
    // SAFETY: the request's size is that of the array, which the kernel fills; it asks for no alignment.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, into.as_mut_ptr()) }.into())?;
    Ok(Notification::from_bytes(into))
}

/// Answers that the call failed with `errno`; 0: that it did nothing, well. ENOENT: nobody waits any more.
pub fn refuse(listener: BorrowedFd<'_>, id: u64, errno: u16) -> Result<(), Errno> {
    answer(listener, id, -i32::from(errno), 0)
}

pub(super) fn answer(
    listener: BorrowedFd<'_>,
    id: u64,
    error: i32,
    flags: u32,
) -> Result<(), Errno> {
    let response = Response {
        id,
        value: 0,
        error,
        flags,
    };
    // SAFETY: the request's size is that of the structure, which the kernel only reads.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const response) }.into()).map(drop)
}

/// Asks the kernel to hand over between program and watcher on one processor (Linux 6.6): half the time of an answer.
pub fn wake_in_place(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the argument is a plain number.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) }.into()).map(drop)
}
