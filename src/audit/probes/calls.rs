//! Deeds that several families share. Each answers 0 or an errno and leaves nothing behind.

use super::Tried;
use crate::sys::attempt::{self, call};
use crate::sys::process::own;
use std::os::fd::{AsRawFd, OwnedFd};

/// The current folder, as the *at calls take it.
pub(super) const HERE: u64 = libc::AT_FDCWD as i64 as u64;
/// No descriptor.
pub(super) const NO_FD: u64 = u64::MAX;

/// A call with up to six arguments; the rest are 0.
pub(super) fn sys<const N: usize>(nr: libc::c_long, args: [u64; N]) -> Tried {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&args);
    call(nr, all)
}

/// What a Rust call answered.
pub(super) fn io<T>(result: std::io::Result<T>) -> Tried {
    result.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |_| 0)
}

/// A descriptor that is closed when it goes.
pub(super) fn opened(made: Result<i64, Tried>) -> Result<OwnedFd, Tried> {
    // The kernel has just made it for us alone.
    made.map(|fd| own(fd as i32))
}

/// Opens a file and closes it again; what it made is removed.
pub(super) fn open(path: &str, flags: i32) -> Tried {
    open_mode(path, flags, 0o600)
}

/// The same with a mode for a new file.
pub(super) fn open_mode(path: &str, flags: i32, mode: u32) -> Tried {
    let args = [
        HERE,
        attempt::text(path),
        (flags | libc::O_CLOEXEC) as u64,
        u64::from(mode),
        0,
        0,
    ];
    match opened(attempt::value(libc::SYS_openat, args)) {
        Ok(_) => {
            if flags & libc::O_CREAT != 0 {
                let _ = std::fs::remove_file(path);
            }
            0
        }
        Err(errno) => errno,
    }
}

/// Makes a socket.
pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Tried> {
    let args = [family as u64, kind as u64, protocol as u64, 0, 0, 0];
    opened(attempt::value(libc::SYS_socket, args))
}

/// Makes a socket and closes it.
pub(super) fn can_socket(family: i32, kind: i32, protocol: i32) -> Tried {
    socket(family, kind, protocol).map_or_else(|e| e, |_| 0)
}

/// Something with a TCP socket.
pub(super) fn with_socket(then: impl Fn(u64) -> Tried) -> Tried {
    match socket(libc::AF_INET, libc::SOCK_STREAM, 0) {
        Ok(fd) => then(fd.as_raw_fd() as u64),
        Err(errno) => errno,
    }
}

/// Sets an option of a TCP socket.
pub(super) fn option(level: u64, name: u64, value: &'static [u8]) -> Tried {
    with_socket(|fd| {
        let at = value.as_ptr() as u64;
        sys(
            libc::SYS_setsockopt,
            [fd, level, name, at, value.len() as u64],
        )
    })
}

/// A prctl with two arguments.
pub(super) fn prctl(what: u64, a: u64, b: u64) -> Tried {
    sys(libc::SYS_prctl, [what, a, b])
}

/// The file that this process was executed from, as its own root names it.
pub(super) fn own_program() -> String {
    std::fs::read_link("/proc/self/exe")
        .map(|p| p.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// A line of /proc/self/status.
pub(super) fn status(field: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines()
        .find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))
        .map(|v| v.trim().to_string())
}
