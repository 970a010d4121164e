//! `create`, `start`, `state`, `kill`, `delete`: one container over several commands, with runc's semantics.

use super::build::{Context, build};
use super::error::{ContainerError, at};
use super::hooks;
use super::janitor::Janitor;
use super::network::{self, Held as HeldNetwork};
use super::receiver::Receiver;
use super::store::{State, Status, Store};
use super::terminal::hand_over;
use super::told;
use crate::cgroup::Cgroup;
use crate::events::{Change, What, verbs};
use crate::plan::Plan;
use crate::policy::Template;
use crate::sandbox::{StartGate, exec_failure};
use crate::sys::process;
use crate::sys::socket::send_fds;
use crate::verify;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the caller wants to be told of the first process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// Its number, in a file.
    pub pid_file: Option<&'a Path>,
    /// Its pidfd, over a unix socket.
    pub pidfd_socket: Option<&'a Path>,
}

impl Told<'_> {
    fn tell(self, pid: i32) -> Result<(), ContainerError> {
        if let Some(path) = self.pidfd_socket {
            let sent = UnixStream::connect(path).and_then(|socket| {
                let pidfd = process::pidfd_open(pid)?;
                Ok(send_fds(socket.as_fd(), &[0], &[pidfd.as_fd()]).map(drop)?)
            });
            at(sent, "send the pidfd to the socket", path)?;
        }
        write_pid_file(self.pid_file, pid)
    }
}

/// Makes a container that waits for `start`; the launcher may end then. `janitor`: one that was made before.
pub fn create(
    plan: &Plan,
    context: &Context<'_>,
    store: &Store,
    told: &Told<'_>,
    console: Option<Receiver>,
    janitor: Option<Janitor>,
) -> Result<State, ContainerError> {
    let mut janitor = janitor.map_or_else(Janitor::start, Ok)?;
    if let Some(file) = &context.resolver {
        janitor.file(file.as_path())?;
    }
    let mut claim = store.reserve(&plan.name)?;
    janitor.state(&claim)?;
    store.prepare(&mut claim)?;
    janitor.state(&claim)?;
    let entry = store.take(&claim)?;
    let made = entry.make_gate().and_then(|gate| {
        let gate = StartGate {
            go: gate.go,
            report: gate.report,
        };
        let ready = build(
            plan,
            context,
            &entry,
            &mut janitor,
            [None, None, None],
            Some(gate),
        )?;
        let pid = ready.created.pid;
        let handed = match (&console, ready.created.take_terminal()) {
            (Some(console), Some(master)) => hand_over(console, &master),
            _ => Ok(()),
        };
        let held = match handed {
            Ok(()) => ready.created.hold().map_err(ContainerError::from),
            Err(error) => {
                ready.created.abandon();
                Err(error)
            }
        };
        held.and_then(|_| told.tell(pid))
            .map(|()| ready.state)
            .inspect_err(|_| {
                let _ = ready.cgroup.kill();
                let _ = ready.cgroup.remove();
                let hooks = hooks::SavedHooks::of(plan);
                let tell = |what| ready.events.send(what);
                context.warn(hooks::poststop(&hooks, &context.about(plan), tell));
            })
    });
    match made {
        Ok(state) => {
            // It goes on without us: nothing is to be swept.
            janitor.dismiss();
            Ok(state)
        }
        Err(error) => {
            context.warn(network::detached(context.network.take()));
            let _ = entry.remove();
            if let Some(path) = told.pid_file {
                let _ = std::fs::remove_file(path);
            }
            janitor.dismiss();
            Err(error)
        }
    }
}

pub(super) fn write_pid_file(path: Option<&Path>, pid: i32) -> Result<(), ContainerError> {
    let Some(path) = path else { return Ok(()) };
    // Beside and renamed: an engine that watches never reads half a number.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    let written =
        std::fs::write(&beside, pid.to_string()).and_then(|()| std::fs::rename(&beside, path));
    at(written, "write the pid file", path)
}

/// Lets a created container execute its program; the warnings of its poststart hooks.
pub fn start(store: &Store, id: &str) -> Result<Vec<String>, ContainerError> {
    let entry = store.open(id)?;
    let mut state = entry.state()?.ok_or(ContainerError::Unknown)?;
    match state.status() {
        Status::Running => return Err(ContainerError::AlreadyRunning),
        Status::Stopped => return Err(ContainerError::Stopped),
        Status::Paused => return Err(ContainerError::StartPaused),
        Status::Created | Status::Creating => {}
    }
    let (mut go, mut report) = entry.open_gate()?;
    state.started = true;
    entry.save(&state)?;
    let what = What::Started {
        pid: state.pid,
        program: state.program.clone().unwrap_or_default(),
    };
    let monitor = verbs::hold(entry.dir(), id, what);
    at(go.write_all(b"x"), "open the gate", entry.dir())?;
    // The child's end closes at exec; if exec fails, eight bytes come first.
    let mut fds = [PollFd::new(report.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => {
                return Err(ContainerError::Sys {
                    tried: "wait for exec (poll)",
                    errno,
                });
            }
        }
    }
    let mut bytes = Vec::new();
    let _ = report.read_to_end(&mut bytes);
    let tell = |what| monitor.tell(what);
    match exec_failure(&bytes) {
        Some(error) => {
            let error = ContainerError::from(error);
            state.hooks.failed_inside(&error).into_iter().for_each(tell);
            tell(told::refused(&error));
            await_end(&state);
            Err(error)
        }
        None => {
            if let Some(difference) = verify::label(state.apparmor.as_deref(), state.pid)
                && state.is_alive()
            {
                Cgroup::open(&state.cgroup)?.kill()?;
                let error = ContainerError::Label(difference);
                tell(told::refused(&error));
                return Err(error);
            }
            state.hooks.ran_inside().for_each(tell);
            Ok(hooks::poststart(
                &state.hooks,
                &(&state).into(),
                state.pid,
                tell,
            ))
        }
    }
}

/// A process that could not begin is on its way out: whoever looks when `start` has failed finds it stopped.
fn await_end(state: &State) {
    let until = Instant::now() + Duration::from_secs(5);
    while state.is_alive() && Instant::now() < until {
        sleep(Duration::from_micros(500));
    }
}

/// The state of a container.
pub fn state(store: &Store, id: &str) -> Result<State, ContainerError> {
    store.peek(id)?.ok_or(ContainerError::Unknown)
}

/// Sends a signal to the first process, or with `all` to every one.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<(), ContainerError> {
    let state = state(store, id)?;
    // A look whether it is there changes nothing.
    if signal != 0 {
        told::changed(store, id, Change::Signal, signal.to_string());
    }
    if all {
        let cgroup = Cgroup::open(&state.cgroup)?;
        cgroup.signal(signal)?;
        return let_die(&state, signal);
    }
    if !state.is_alive() {
        return Err(ContainerError::NotRunning);
    }
    let failed = |errno| ContainerError::Sys {
        tried: "signal the container",
        errno,
    };
    let pidfd = process::pidfd_open(state.pid).map_err(failed)?;
    // The pid was not reused between the look and the pidfd.
    if !state.is_alive() {
        return Err(ContainerError::NotRunning);
    }
    process::pidfd_signal(pidfd.as_fd(), signal).map_err(|errno| match errno {
        Errno::ESRCH => ContainerError::NotRunning,
        errno => failed(errno),
    })?;
    let_die(&state, signal)
}

/// A process that the v1 freezer holds dies only when it goes on; v2 lets KILL through by itself.
fn let_die(state: &State, signal: i32) -> Result<(), ContainerError> {
    if signal == libc::SIGKILL {
        let cgroup = Cgroup::open(&state.cgroup)?;
        if cgroup.is_frozen() {
            cgroup.thaw()?;
        }
    }
    Ok(())
}

/// Forgets a stopped or created container; with `force` a running one is killed first and a missing one is no error.
/// One that can't be detached from its network stays, so that this can be tried again, but not with `force`.
/// The warnings of its poststop hooks.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<Vec<String>, ContainerError> {
    let entry = match store.open(id) {
        Err(ContainerError::Unknown) if force => return Ok(Vec::new()),
        other => other?,
    };
    let state = match entry.state() {
        Ok(state) => state,
        Err(error) if !force => return Err(error),
        Err(_) => None,
    };
    let network = match HeldNetwork::of(entry.dir()) {
        Err(error) if !force => return Err(error),
        found => found.ok().flatten(),
    };
    let mut monitor = None;
    if let Some(state) = &state {
        let status = state.status();
        // runc deletes a created container, too. The specification does not, and compat promises its letter.
        let waits = status == Status::Created && state.template == Some(Template::Compat);
        let lives = matches!(status, Status::Running | Status::Paused);
        if (lives || waits) && !force {
            return Err(ContainerError::NotStopped {
                id: id.into(),
                status: status.as_str(),
            });
        }
        let cgroup = Cgroup::open(&state.cgroup)?;
        // Before its end: the monitor hears it as long as it has a container.
        let what = told::change_of(Change::Deleted, String::new());
        monitor = Some(verbs::hold(entry.dir(), id, what));
        if state.is_alive() {
            let _ = process::pidfd_open(state.pid).and_then(|fd| {
                if state.is_alive() {
                    process::pidfd_signal(fd.as_fd(), libc::SIGKILL)
                } else {
                    Ok(())
                }
            });
        }
        cgroup.kill()?;
        cgroup.remove()?;
    }
    let mut warnings = match (force, network) {
        (true, network) => network::detached(network),
        (false, Some(network)) => network.detach().map(|()| Vec::new())?,
        (false, None) => Vec::new(),
    };
    entry.remove()?;
    if let Some(state) = &state {
        // A monitor that had ended before is told nothing more.
        let tell = |what| {
            if let Some(monitor) = &monitor {
                monitor.tell(what);
            }
        };
        warnings.extend(hooks::poststop(&state.hooks, &state.into(), tell));
    }
    Ok(warnings)
}
