//! Standard output, for what a verb answers. A write that fails is remembered: whoever ends the process has to say so.
//!
//! `std::io::stdout` takes a descriptor that is closed, or not open for writing, for one that swallows everything, and
//! its last lines are written when nobody looks any more. Called by `report`, `logs` and `cli`; prints nothing itself.

use nix::errno::Errno;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};

/// What the kernel said to the first write that failed; 0: none has.
static FAILED: AtomicI32 = AtomicI32::new(0);
/// It was closed when we began; something else has its number since ([`super::start::prepare`]).
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes what it is given at once. Behind a failure nothing more is written: an answer has no hole in its middle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match (failure(), CLOSED.load(Relaxed)) {
            (Some(errno), _) => Err(errno),
            (None, true) => Err(Errno::EBADF),
            (None, false) => nix::unistd::write(io::stdout(), bytes),
        };
        written.map_err(|errno| {
            if errno != Errno::EINTR {
                FAILED.store(errno as i32, Relaxed);
            }
            errno.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why what was written is not all there.
pub fn failure() -> Option<Errno> {
    match FAILED.load(Relaxed) {
        0 => None,
        errno => Some(Errno::from_raw(errno)),
    }
}

/// The caller gave none.
pub(super) fn was_closed() {
    CLOSED.store(true, Relaxed);
}
