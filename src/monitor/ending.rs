//! How a container ended that was another's child: what the kernel tells of it, once its parent has collected it.
//!
//! Called by the monitor under the OCI verbs; `run` knows by itself.

use crate::events::What;
use crate::sys::process;
use nix::poll::{PollFd, PollFlags, poll};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long the container's parent, an engine, may take to collect it.
const COLLECTED: Duration = Duration::from_secs(1);

/// As far as the kernel tells those whose child it was not.
pub(super) fn how_it_ended(container: Option<BorrowedFd<'_>>, oom_kills: u64) -> What {
    let status = container.and_then(collected);
    let (code, signal) = match status {
        Some(status) if libc::WIFSIGNALED(status) => (None, Some(libc::WTERMSIG(status))),
        Some(status) => (Some(libc::WEXITSTATUS(status) as u8), None),
        None => (None, None),
    };
    What::Exited {
        code,
        signal,
        oom_kills,
    }
}

/// Its status, as soon as its parent has collected it: before that the kernel doesn't say (nor before Linux 6.15).
fn collected(container: BorrowedFd<'_>) -> Option<i32> {
    let begun = Instant::now();
    loop {
        let status = process::pidfd_exit(container);
        if status.is_some() || begun.elapsed() > COLLECTED || !process::tells_exit() {
            return status;
        }
        // No event but the hang-up, which comes with the collection.
        let mut fds = [PollFd::new(container, PollFlags::empty())];
        let _ = poll(&mut fds, 50u16);
    }
}
