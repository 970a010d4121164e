//! Ends the container when its monitor is killed, where policy says that nothing runs unlogged (SS-011 8.4.2).
//!
//! Keeps CAP_KILL and nothing else; the monitor starts it again, so that both would have to be killed at once.

use crate::plan::monitor::MonitorPlan;
use crate::sys::process;
use crate::worker::{Jail, Row, Said, Told, Worker, nothing, opens_nothing};
use caps::Capability;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: "guard",
    wanted: MonitorPlan::is_vital,
    needs: &["container"],
    takes: &[],
    prepare: nothing,
    opens: opens_nothing,
    jail: |_| Jail {
        keeps: vec![Capability::CAP_KILL],
        ..Jail::default()
    },
    run,
    last: Duration::ZERO,
};

fn run(worker: &mut Worker) -> Result<(), String> {
    let container = worker.fds.must("container")?;
    worker.tell.say(&Said::Ready);
    loop {
        let mut fds = [
            PollFd::new(container.as_fd(), PollFlags::POLLIN),
            PollFd::new(worker.tell.fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
        }
        if fds[0].any() == Some(true) {
            return Ok(());
        }
        match worker.tell.asked() {
            Told::Nothing => {}
            Told::Finish => return Ok(()),
            Told::Alone => {
                let killed = process::pidfd_signal(container.as_fd(), libc::SIGKILL);
                return killed.map_err(|e| format!("end the container: {}", e.desc()));
            }
        }
    }
}
