//! The program's first function, called by the C library itself ([`entry!`](crate::entry)).
//!
//! Rust's runtime in front of `main` reads /proc/self/maps to find the stack's guard page and makes a stack for a handler
//! that names an overflow; a launch has no use for either, and feels their cost. What it does besides is done here.
//! Must not start threads.

use crate::outcome::FAILED;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::io::Write;
use std::os::fd::{AsFd, IntoRawFd};

/// Calls the function with the program's words and exits with what it returns.
#[macro_export]
macro_rules! entry {
    ($function:path) => {
        // SAFETY: no other function has this name, which is the C library's for the first one.
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: i32, _words: *const *const u8) -> i32 {
            $crate::sys::start::prepare();
            $crate::sys::start::finish($function(::std::env::args_os().collect()))
        }
    };
}

/// Ends the process: what was printed is written, and the libraries are not asked to put in order what ends with it.
pub fn finish(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    super::process::exit_now(code)
}

/// As every Rust program begins: a pipe that nobody reads is an error and no end, and no descriptor that is opened later
/// is taken for standard input, output or error.
pub fn prepare() {
    super::process::ignore_signal(libc::SIGPIPE);
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let all = [input.as_fd(), output.as_fd(), error.as_fd()];
    let mut fds = all.map(|fd| PollFd::new(fd, PollFlags::empty()));
    loop {
        match poll(&mut fds, PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            Err(_) => std::process::exit(FAILED.into()),
            Ok(_) => break,
        }
    }
    let closed = |fd: &PollFd<'_>| {
        fd.revents()
            .is_some_and(|r| r.contains(PollFlags::POLLNVAL))
    };
    if closed(&fds[1]) {
        super::output::was_closed();
    }
    for _ in fds.iter().filter(|fd| closed(fd)) {
        // The lowest one that is free, which is the next of these.
        match open(c"/dev/null", OFlag::O_RDWR, Mode::empty()) {
            Ok(fd) => drop(fd.into_raw_fd()),
            Err(_) => std::process::exit(FAILED.into()),
        }
    }
}
