//! Moves interfaces of the host into the container's network namespace, with their addresses.

use super::rtnetlink::Route;
use crate::plan::network::NetDevice;
use crate::sys::process::setns;
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// What failed, in words, and what the kernel said.
pub(super) type Failure = (String, Errno);

pub(super) fn give(pid: i32, devices: &[NetDevice]) -> Result<(), Failure> {
    if devices.is_empty() {
        return Ok(());
    }
    let theirs = namespace(&format!("/proc/{pid}/ns/net"))?;
    let failed = |tried: &str| {
        let tried = tried.to_string();
        move |errno| (tried, errno)
    };
    let mut here = Route::open().map_err(failed("ask the kernel for interfaces (socket)"))?;
    let mut there = in_namespace(&theirs)?;
    for NetDevice { host, inside } in devices {
        let during = |what: &str| failed(&format!("{what} the interface {host} (rtnetlink)"));
        let index = here.index(host).map_err(during("find"))?;
        let addresses = here
            .addresses(index)
            .map_err(during("read the addresses of"))?;
        here.give(index, &theirs, inside)
            .map_err(during(&format!("move, as {inside},")))?;
        let index = there.index(inside).map_err(during("find, once moved,"))?;
        for address in &addresses {
            there
                .add(index, address)
                .map_err(during("give its address to"))?;
        }
        there.up(index).map_err(during("bring up"))?;
    }
    Ok(())
}

fn namespace(path: &str) -> Result<OwnedFd, Failure> {
    std::fs::File::open(path).map(OwnedFd::from).map_err(|e| {
        let errno = Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
        (format!("open {path}"), errno)
    })
}

/// A socket stays in the namespace that it was made in, so the launcher is there for that one call.
fn in_namespace(theirs: &OwnedFd) -> Result<Route, Failure> {
    let ours = namespace("/proc/self/ns/net")?;
    let enter = |to: &OwnedFd, what: &str| {
        setns(to.as_fd(), libc::CLONE_NEWNET).map_err(|errno| (what.to_string(), errno))
    };
    enter(theirs, "enter the container's network namespace (setns)")?;
    let route = Route::open();
    enter(
        &ours,
        "come back from the container's network namespace (setns)",
    )?;
    route.map_err(|errno| {
        (
            "ask the kernel for interfaces inside (socket)".into(),
            errno,
        )
    })
}
