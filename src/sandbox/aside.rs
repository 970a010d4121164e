//! A process that joins namespaces in the launcher's stead, makes the child in them, and ends.
//!
//! Only where namespaces are joined or a clock is shifted. A process can't come back from a user namespace, and what
//! the launcher joined would be shown to all that it starts later; so one that is needed for nothing else goes.
//! The child has the launcher for its parent (CLONE_PARENT) all the same. It neither allocates nor panics.

use super::prepare::Joining;
use super::wire::{Report, Step};
use crate::sys::process::{self, Side, SingleThreaded};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What the launcher hears of it.
pub(super) enum Made {
    /// The child's pid.
    Child(i32),
    /// What failed.
    Failed(Report),
    /// It ended without a word.
    Silent,
}

/// Goes into the namespaces and makes the child there; returns in the child alone.
pub(super) fn step(
    proof: &SingleThreaded,
    joining: &Joining,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    tell: RawFd,
) {
    let made = enter(joining).and_then(|()| {
        process::clone_child_of_parent(proof, flags, cgroup).map_err(|errno| Report {
            step: Step::CloneAside,
            index: 0,
            errno: errno as i32,
        })
    });
    let said = match made {
        Ok(Side::Child) => return,
        Ok(Side::Parent { pid, .. }) => Report {
            step: Step::Ready,
            index: 0,
            errno: pid,
        },
        Err(report) => report,
    };
    let _ = process::write(tell, &said.bytes());
    process::exit_now(0)
}

fn enter(joining: &Joining) -> Result<(), Report> {
    let failed = |step, index: usize| {
        move |errno: Errno| Report {
            step,
            index: index as u16,
            errno: errno as i32,
        }
    };
    // First: /proc is still the launcher's. clone3 would freeze the offsets of a time namespace that it makes.
    if !joining.offsets.is_empty() {
        shift_clocks(&joining.offsets).map_err(failed(Step::Clocks, 0))?;
    }
    for (index, (fd, kind)) in joining.namespaces.iter().enumerate() {
        process::setns(fd.as_fd(), *kind).map_err(failed(Step::Enter, index))?;
    }
    Ok(())
}

/// For the children of this process, so for the one that it makes.
fn shift_clocks(offsets: &str) -> Result<(), Errno> {
    process::unshare(process::NEW_TIME)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(c"/proc/self/timens_offsets", flags, Mode::empty())?;
    match process::write(file.as_raw_fd(), offsets.as_bytes())? {
        n if n == offsets.len() => Ok(()),
        _ => Err(Errno::EIO),
    }
}

/// Hears what it has to say, and reaps it.
pub(super) fn hear(pid: i32, from: &OwnedFd) -> Made {
    let mut bytes = [0u8; 8];
    let read = loop {
        match process::read(from.as_raw_fd(), &mut bytes) {
            Err(Errno::EINTR) => {}
            other => break other,
        }
    };
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
    match read.ok().and_then(|n| Report::parse(&bytes[..n])) {
        Some(report) if report.step == Step::Ready => Made::Child(report.errno),
        Some(report) => Made::Failed(report),
        None => Made::Silent,
    }
}
