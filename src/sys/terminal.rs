//! Pseudo terminals: their pairs, sizes and modes, and who is controlled by them.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The other end of a pty master, by descriptor and not by name (TIOCGPTPEER, Linux 4.13); unlocks it first.
pub fn peer(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int, which `unlock` is.
    let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK as _, &unlock) };
    check(done.into())?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags by value.
    let fd = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, flags) };
    check(fd.into())?;
    // SAFETY: the kernel has just handed us this descriptor; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number in /dev/pts of a master's other end.
pub fn number(master: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes an unsigned int, which `number` is.
    let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN as _, &mut number) };
    check(done.into())?;
    Ok(number)
}

/// Rows and columns.
pub fn size(terminal: BorrowedFd<'_>) -> Result<(u16, u16), Errno> {
    // SAFETY: an all-zero winsize is valid.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes a winsize, which `size` is.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ as _, &mut size) };
    check(done.into())?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets rows and columns; the programs there get SIGWINCH.
pub fn set_size(terminal: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> Result<(), Errno> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads a winsize, which `size` is.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ as _, &size) };
    check(done.into()).map(drop)
}

/// Makes it the controlling terminal of this session, which must have none.
pub fn control(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: TIOCSCTTY takes an integer; 0 steals from nobody.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0) };
    check(done.into()).map(drop)
}
