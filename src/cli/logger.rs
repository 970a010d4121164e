//! `logger`: containerd's `binary://` logger. The output comes by descriptors 3 and 4; 5 is closed when we are ready.
//!
//! It never ends before its streams do, whatever goes wrong: a logger that ends makes the service hang in its next
//! write (containerd issue 12462). Without a spool the output is read away, and why is said on standard error.

use super::Global;
use super::launch::policy_owner;
use crate::events::{About, Sender};
use crate::monitor::{Launching, Monitor, PipeOwner};
use crate::plan::monitor::{Copying, MonitorPlan, Watch};
use crate::report::{self, Failure};
use crate::request::is_name;
use crate::site;
use crate::sys::process;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

pub(super) fn logger(global: &Global) -> Result<u8, Failure> {
    for number in 3..6 {
        if !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(Failure::new(
                "logger is called by containerd, with output on descriptors 3 and 4: write binary:///PATH/cofferdam?logger as the log URI",
            ));
        }
    }
    // Whoever called us has put them there, and we have opened nothing yet.
    let [out, err, ready] = [3, 4, 5].map(process::own);
    let streams = [out, err];
    let monitor = start(global, &streams);
    // containerd lets the program run when this is closed.
    drop(ready);
    match monitor {
        Ok(monitor) => {
            drop(streams);
            monitor.outlive();
        }
        Err(failure) => {
            report::say(&format!("nothing is logged: {failure}"));
            read_away(streams);
        }
    }
    Ok(0)
}

fn start(global: &Global, streams: &[OwnedFd; 2]) -> Result<Monitor, String> {
    let policy = site::load(global.policy.as_deref(), policy_owner()).map_err(|e| e.to_string())?;
    let mut logs = policy.logs().ok_or(
        "the policy keeps no logs: write [logs] spool = \"/var/log/cofferdam/spool\" into it",
    )?;
    logs.copy = Copying::None;
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let (namespace, id) = (variable("CONTAINER_NAMESPACE")?, variable("CONTAINER_ID")?);
    let name = format!("{namespace}.{id}");
    if !is_name(&name) {
        return Err(format!("{name:?} is no container's name"));
    }
    let plan = MonitorPlan {
        watch: Watch {
            logs: Some(logs),
            lifetime: None,
        },
        ..MonitorPlan::default()
    };
    let events = Sender::nowhere(About::launch_of(&name));
    let launching = Launching {
        plan: &plan,
        name: &name,
        called: Some(id),
        image: None,
        owner: PipeOwner::Launcher,
        delays_end: false,
        events: &events,
        plain: None,
        folder: None,
    };
    let monitor = Monitor::of_streams(&launching, streams).map_err(|e| e.to_string())?;
    monitor.ready().map_err(|e| e.to_string())?;
    Ok(monitor)
}

/// So that the service goes on.
fn read_away(streams: [OwnedFd; 2]) {
    let mut streams = Vec::from(streams);
    let mut buffer = [0u8; 16384];
    while !streams.is_empty() {
        let mut fds: Vec<PollFd<'_>> = streams
            .iter()
            .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut fds, PollTimeout::NONE);
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);
        let mut ready = ready.into_iter();
        streams.retain(|fd| {
            !ready.next().unwrap_or(false)
                || !matches!(
                    process::read(fd.as_raw_fd(), &mut buffer),
                    Ok(0) | Err(Errno::EIO)
                )
        });
    }
}
