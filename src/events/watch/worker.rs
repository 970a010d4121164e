//! The watcher as a worker of the monitor: one listener, the notebook, the ways for events.

use super::{Route, Watcher, notebook_program};
use crate::events::{About, Sender};
use crate::plan::monitor::MonitorPlan;
use crate::seccomp::{Arch, syscalls};
use crate::worker::{Descriptors, Jail, Row, Said, Worker};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: "watch",
    wanted: |plan: &MonitorPlan| plan.denials.is_some(),
    needs: &["listener", "notebook"],
    takes: &["tell-events", "lines", "route"],
    prepare,
    jail: |_| Jail::default(),
    run,
    last: Duration::from_secs(5),
};

/// The way to whoever carries out routed calls: that worker takes "routed" and "listener".
fn prepare(plan: &MonitorPlan, fds: &mut Descriptors) -> Result<(), String> {
    let routed = plan.denials.as_ref().is_some_and(|d| !d.routed.is_empty());
    if routed {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(|e| format!("make a socket pair for routed calls: {}", e.desc()))?;
        fds.insert("route", ours);
        fds.insert("routed", theirs);
    }
    Ok(())
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let fds = &mut worker.fds;
    let (listener, notebook) = (fds.must("listener")?, fds.must("notebook")?);
    let plain = notebook_program(&notebook).ok_or("the notebook holds no program")?;
    let mut events = Sender::nowhere(About::from(&worker.origin));
    if let Some(fd) = fds.take("tell-events") {
        events = events.and_socket(fd);
    }
    if let Some(fd) = fds.take("lines") {
        events = events.and_lines(fd.into());
    }
    let names = worker.plan.denials.iter().flat_map(|d| &d.routed);
    let numbers: Vec<u32> = names
        .filter_map(|name| syscalls::number(Arch::NATIVE, name))
        .collect();
    let routes = fds.take("route").map(|to| Route { numbers, to });
    worker.tell.say(&Said::Ready);
    Watcher {
        listener,
        plain,
        routes: routes.into_iter().collect(),
        notebook,
        events,
    }
    .serve();
    Ok(())
}
