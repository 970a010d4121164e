//! `run`: build, start, forward signals, wait, clean up; everything is gone when it returns.

use super::begun::begun;
use super::build::{Context, build};
use super::error::{ContainerError, sys};
use super::hooks;
use super::janitor::Janitor;
use super::network;
use super::signals::{Forwarding, block_signals};
use super::store::{Entry, Store};
use super::streams::{Relay, copy, drain, streams};
use super::terminal::Proxy;
use super::told;
use crate::cgroup::OomKills;
use crate::events::Sender;
use crate::monitor::Monitor;
use crate::outcome::{LIFETIME, Outcome};
use crate::plan::{NamespaceKind, Plan};
use crate::sandbox::Running;
use crate::sys::process;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::AsFd;

/// What became of a run, and what there is to say about it.
#[must_use]
pub struct Ended {
    /// How the program ended.
    pub outcome: Outcome,
    /// How many processes the kernel killed for want of memory.
    pub oom_kills: u64,
}

/// Runs a plan to its end; `janitor`: one that was made before.
pub fn run(
    plan: &Plan,
    context: &Context<'_>,
    store: &Store,
    janitor: Option<Janitor>,
) -> Result<Ended, ContainerError> {
    let signals = block_signals()?;
    let mut janitor = janitor.map_or_else(Janitor::start, Ok)?;
    if let Some(file) = &context.resolver {
        janitor.file(file.as_path())?;
    }
    let mut claim = store.reserve(&plan.name)?;
    janitor.state(&claim)?;
    store.prepare(&mut claim)?;
    janitor.state(&claim)?;
    let mut entry = store.take(&claim)?;
    // Hooks behind the end belong to a container that was there; for one that never was, `build` has run them.
    let mut left = None;
    let ended = run_in(
        plan,
        context,
        &mut entry,
        (&mut janitor, &mut left),
        &signals,
    );
    let ours = entry.relock();
    if !matches!(ours, Ok(false)) {
        context.warn(network::detached(context.network.take()));
    }
    let removed = match ours {
        Ok(true) => entry.remove().map(|()| true),
        // `delete --force` has been here (it has detached it and run the last hooks): what has the name now is not ours.
        Ok(false) => Ok(false),
        Err(error) => Err(error),
    };
    janitor.dismiss();
    if let (Ok(true), Some(beside)) = (&removed, &left) {
        let hooks = hooks::SavedHooks::of(plan);
        let tell = |what| beside.events.send(what);
        context.warn(hooks::poststop(&hooks, &context.about(plan), tell));
    }
    // Nobody has anything to tell any more: the monitor comes to its end.
    drop(left);
    let ended = ended?;
    removed.map(|_| ended)
}

/// What outlives the container by the hooks behind its end.
struct Beside {
    events: Sender,
    monitor: Option<Monitor>,
}

fn run_in(
    plan: &Plan,
    context: &Context<'_>,
    entry: &mut Entry,
    (janitor, left): (&mut Janitor, &mut Option<Beside>),
    signals: &SignalFd,
) -> Result<Ended, ContainerError> {
    let beside = plan.monitor.as_ref();
    let logged = beside.is_some_and(|m| m.watch.logs.is_some());
    let (streams, relays) = streams(plan.process.stdio, logged)?;
    let ready = build(plan, context, entry, janitor, streams, None)?;
    let cgroup = ready.cgroup;
    let Beside { events, monitor } = left.insert(Beside {
        events: ready.events,
        monitor: ready.monitor,
    });
    let proxy = ready.created.take_terminal().map(Proxy::new).transpose();
    let proxy = match proxy {
        Ok(proxy) => proxy,
        Err(error) => {
            ready.created.abandon();
            let _ = cgroup.remove();
            return Err(error.into());
        }
    };
    let mut oom_kills = OomKills::of(&cgroup);
    let hooks = &ready.state.hooks;
    told::started(events, plan, ready.created.pid);
    let outcome = match begun(plan, ready.created.start()) {
        Err(error) => {
            let inside = hooks.failed_inside(&error).into_iter();
            inside.for_each(|what| events.send(what));
            Err(error).inspect_err(|e| told::failed(events, e))
        }
        Ok(running) => {
            hooks.ran_inside().for_each(|what| events.send(what));
            let tell = |what| events.send(what);
            context.warn(hooks::poststart(
                hooks,
                &context.about(plan),
                running.pid,
                tell,
            ));
            // `kill`, `delete` and a mistaken `start` must not wait for the program's end.
            entry.unlock();
            wait(
                &running,
                signals,
                (relays, proxy),
                Forwarding::new(context.stop_timeout),
                Some(&mut oom_kills),
            )
            .inspect_err(|_| {
                let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
            })
        }
    };
    if let (Some(keeper), Ok(_)) = (context.keeper.take(), &outcome) {
        // A next launch finds the ports free.
        keeper.finish();
    }
    oom_kills.look();
    let oom_kills = oom_kills.count();
    let watched = monitor.is_some();
    told::ended(events, (&cgroup, watched), outcome.as_ref().ok(), oom_kills);
    // Whoever looks at the log when we have ended finds all of it there.
    let outlived = monitor.as_ref().is_some_and(Monitor::drained);
    let outcome = outcome.map(|outcome| match outlived {
        true => Outcome::Exited(LIFETIME),
        false => outcome,
    });
    if entry.relock()? {
        // With the first process of a pid namespace all others in it have ended.
        if !plan.namespaces.is_new(NamespaceKind::Pid) || outcome.is_err() {
            cgroup.kill()?;
        }
        cgroup.remove()?;
    }
    outcome.map(|outcome| Ended { outcome, oom_kills })
}

/// Waits for the end, forwarding signals and copying what a terminal is to show.
pub(super) fn wait(
    running: &Running,
    signals: &SignalFd,
    (mut relays, mut proxy): (Vec<Relay>, Option<Proxy>),
    mut forwarding: Forwarding,
    mut oom_kills: Option<&mut OomKills<'_>>,
) -> Result<Outcome, ContainerError> {
    let stdin = std::io::stdin();
    loop {
        let mut fds = vec![
            PollFd::new(running.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(
            relays
                .iter()
                .map(|r| PollFd::new(r.from.as_fd(), PollFlags::POLLIN)),
        );
        let oom = oom_kills.as_ref().and_then(|oom| oom.fd());
        let told = oom.is_some().then_some(fds.len());
        fds.extend(oom.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let first = fds.len();
        fds.extend(proxy.iter().flat_map(|p| p.waits_for(stdin.as_fd())));
        match poll(&mut fds, forwarding.patience()) {
            Ok(_) | Err(Errno::EINTR) => forwarding.due(running),
            Err(errno) => return sys(Err(errno), "wait (poll)"),
        }
        let ready: Vec<bool> = fds
            .iter()
            .map(|f| f.revents().is_some_and(|r| !r.is_empty()))
            .collect();
        drop(fds);
        if told.is_some_and(|at| ready[at])
            && let Some(oom) = &mut oom_kills
        {
            oom.look();
        }
        let mut at = 1;
        relays.retain(|relay| {
            at += 1;
            !ready[at] || copy(relay)
        });
        if ready[1]
            && let Ok(Some(info)) = signals.read_signal()
        {
            match (info.ssi_signo as i32, &proxy) {
                (libc::SIGWINCH, Some(proxy)) => proxy.resize(),
                (libc::SIGWINCH, None) => {}
                (signal, _) => forwarding.pass(running, signal),
            }
        }
        let (shown, typed) = (ready.get(first), ready.get(first + 1));
        if (shown == Some(&true) || typed == Some(&true))
            && !proxy.as_mut().is_some_and(|p| p.copy(typed == Some(&true)))
            && !ready[0]
        {
            // Its terminal is closed and it goes on: what is left is its end.
            proxy = None;
        }
        if ready[0] {
            break;
        }
    }
    // What is still in the pipes was written before the end.
    for relay in &relays {
        drain(relay);
    }
    if let Some(proxy) = &proxy {
        proxy.drain();
    }
    let status = sys(
        waitpid(Pid::from_raw(running.pid), None),
        "collect the program's end (waitpid)",
    )?;
    Ok(match (status, forwarding.killed_by) {
        (WaitStatus::Signaled(_, Signal::SIGKILL, _), Some(signal)) => Outcome::Signaled(signal),
        (WaitStatus::Signaled(_, signal, _), _) => Outcome::Signaled(signal as i32),
        (WaitStatus::Exited(_, code), _) => Outcome::Exited(code as u8),
        _ => Outcome::Exited(super::super::outcome::FAILED),
    })
}
