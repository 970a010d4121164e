//! `exec`: a process beside the first one, joined, locked down as the container is, verified and recorded.
//!
//! Whether it may is decided before (see `cli::exec`); nothing here loosens anything.

use super::begun::begun;
use super::build::watched;
use super::error::{ContainerError, at, sys};
use super::journal::Line;
use super::lifecycle::write_pid_file;
use super::receiver::Receiver;
use super::run::wait;
use super::saved::Saved;
use super::signals::{Forwarding, StopTimeout, block_signals};
use super::store::{Entry, State, Status, Store};
use super::streams::{can_be_reopened, streams};
use super::terminal::{Proxy, hand_over};
use crate::cgroup::{Cgroup, LimitFiles};
use crate::events::verbs::{self, Joined};
use crate::events::{About, Sender};
use crate::host::Host;
use crate::monitor::{Launching, Monitor, PipeOwner};
use crate::plan::Plan;
use crate::plan::joined::Stay;
use crate::policy::Clamp;
use crate::sandbox::{Created, Running, Streams, Target, join, prepare};
use crate::sys::process;
use crate::verify::{Verification, observe_joined};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whether a container that stands still may be joined (`--ignore-paused`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// No: the newcomer would stand still in front of its program.
    Refused,
    /// Yes: it waits until somebody resumes.
    Joined,
}

/// A container that is about to be joined; its first process can't be mistaken for another any more.
#[must_use]
pub struct Joining {
    entry: Entry,
    state: State,
    /// Its launch.
    pub saved: Saved,
    pidfd: OwnedFd,
    root: OwnedFd,
}

/// How `exec` is to go about it.
pub struct Manner<'a> {
    /// Wait for the end, or leave.
    pub stay: Stay,
    /// Where the process id goes.
    pub pid_file: Option<&'a Path>,
    /// Who takes the terminal of a process that is left alone.
    pub console: Option<Receiver>,
    /// What the container's monitor shares with its own.
    pub joined: Option<Joined>,
}

/// Kinds of namespace by their name below /proc/PID/ns.
const KINDS: [(&str, i32); 7] = [
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("ipc", libc::CLONE_NEWIPC),
    ("mnt", libc::CLONE_NEWNS),
    ("net", libc::CLONE_NEWNET),
    ("time", 0x80), // CLONE_NEWTIME
    ("user", libc::CLONE_NEWUSER),
    ("uts", libc::CLONE_NEWUTS),
];

impl Joining {
    /// Opens a created or running container.
    pub fn open(store: &Store, id: &str, paused: Paused) -> Result<Self, ContainerError> {
        let mut entry = store.open(id)?;
        let state = entry.state()?.ok_or(ContainerError::Unknown)?;
        match state.status() {
            Status::Stopped => return Err(ContainerError::ExecStopped),
            Status::Paused if paused == Paused::Refused => return Err(ContainerError::ExecPaused),
            _ => {}
        }
        let saved = Saved::read(&entry)?;
        let pidfd = sys(
            process::pidfd_open(state.pid),
            "open the container's first process (pidfd_open)",
        )?;
        let path = format!("/proc/{}/root", state.pid);
        let mut options = File::options();
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let root = options.read(true).custom_flags(flags).open(&path);
        let root = at(root, "open", Path::new(&path))?.into();
        // The number was still this process's when its root was opened.
        if !state.is_alive() {
            return Err(ContainerError::ExecStopped);
        }
        // Others may pause, kill and delete it while we are at it: every step from here on fails then.
        entry.unlock();
        Ok(Self {
            entry,
            state,
            saved,
            pidfd,
            root,
        })
    }

    /// The root of its first process.
    pub fn root(&self) -> Result<OwnedFd, ContainerError> {
        let copy = self.root.try_clone();
        at(copy, "copy the descriptor of", Path::new("/"))
    }

    /// Notes that it was refused.
    pub fn refused(
        &self,
        host: &Host,
        args: &[String],
        clamps: &[Clamp],
    ) -> Result<(), ContainerError> {
        Line {
            result: "refused",
            clamps,
            ..Line::new("exec", &self.state.id, host, args)
        }
        .append(&self.entry)
    }

    /// The container's monitor, if it has one that answers.
    pub fn monitor(&self) -> Option<Joined> {
        verbs::join(self.entry.dir())
    }

    /// Runs the process of `plan` in it: its exit code, or 0 at once when it is left alone.
    pub fn exec(
        mut self,
        plan: &Plan,
        host: &Host,
        manner: Manner<'_>,
    ) -> Result<u8, ContainerError> {
        let beside = plan.monitor.as_ref();
        let kept = beside
            .and_then(|b| b.newcomer.as_ref())
            .is_some_and(|n| n.output.is_some());
        let (signals, (mut streams, relays)) = match manner.stay {
            Stay::Foreground => (Some(block_signals()?), streams(plan.process.stdio, kept)?),
            Stay::Detached => (None, ([None, None, None], Vec::new())),
        };
        // Before the namespaces of the container are entered, which its children would be in.
        let monitor = monitor(plan, host, manner.joined, &mut streams)?;
        let owner = PipeOwner::of(plan.process.uid, host.privilege);
        can_be_reopened(&streams, plan, owner);
        let prepared = prepare(plan, streams, None)?;
        let cgroup = Cgroup::open(&self.state.cgroup)?;
        let target = self.target()?;
        let created = join(prepared, target, &cgroup)?.ready()?;
        let created = self.verified(plan, host, &cgroup, created)?;
        // Its cgroups have a monitor that tells of them.
        let created = watched(monitor.as_ref(), created, LimitFiles::default, None)?;
        let (created, proxy) = shown(created, manner.console.as_ref())?;
        let running = begun(plan, created.start())?;
        let end = |running: &Running| {
            let _ = process::pidfd_signal(running.pidfd.as_fd(), libc::SIGKILL);
        };
        write_pid_file(manner.pid_file, running.pid).inspect_err(|_| end(&running))?;
        match signals {
            None => Ok(0),
            Some(signals) => wait(
                &running,
                &signals,
                (relays, proxy),
                Forwarding::new(StopTimeout::Never),
                None,
            )
            .map(|outcome| {
                // Its caller has all that it said, and so has the spool.
                monitor.as_ref().map(Monitor::drained);
                outcome.code()
            })
            .inspect_err(|_| end(&running)),
        }
    }

    /// Where it differs from the launcher.
    fn target(&mut self) -> Result<Target, ContainerError> {
        let link = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let pid = self.state.pid.to_string();
        let differs = |name: &str| link(&pid, name) != link("self", name);
        if !differs("mnt") {
            return Err(ContainerError::NoMountNamespace);
        }
        let all = KINDS.iter().filter(|(name, _)| differs(name));
        let namespaces = all.map(|(_, flag)| flag).fold(0, |a, b| a | b);
        if !self.state.is_alive() {
            return Err(ContainerError::ExecStopped);
        }
        let path = Path::new("(descriptor)");
        Ok(Target {
            pidfd: at(self.pidfd.try_clone(), "copy", path)?,
            root: self.root()?,
            namespaces,
            pid_namespace: differs("pid"),
        })
    }

    /// Compared and recorded before it executes; any difference ends it.
    fn verified(
        &self,
        plan: &Plan,
        host: &Host,
        cgroup: &Cgroup,
        created: Created,
    ) -> Result<Created, ContainerError> {
        let seen = observe_joined(plan, created.pid, self.state.pid, cgroup)
            .map_err(ContainerError::from)
            .and_then(|verification| self.recorded(plan, host, verification, created.pid));
        let seen = seen.and_then(|()| match self.state.is_alive() {
            true => Ok(()),
            false => Err(ContainerError::ExecStopped),
        });
        match seen {
            Ok(()) => Ok(created),
            Err(error) => {
                created.abandon();
                Err(error)
            }
        }
    }

    fn recorded(
        &self,
        plan: &Plan,
        host: &Host,
        verification: Verification,
        pid: i32,
    ) -> Result<(), ContainerError> {
        let good = verification.differences.is_empty();
        Line {
            result: if good { "verified" } else { "refused" },
            clamps: &plan.clamps,
            exceptions: &plan.waivers,
            verification: Some(&verification),
            pid: Some(pid),
            ..Line::new("exec", &self.state.id, host, &plan.process.program.args)
        }
        .append(&self.entry)?;
        match good {
            true => Ok(()),
            false => Err(ContainerError::Different(verification.differences)),
        }
    }
}

/// Its own monitor, made before there is a process, whose output goes to it.
fn monitor(
    plan: &Plan,
    host: &Host,
    joined: Option<Joined>,
    streams: &mut Streams,
) -> Result<Option<Monitor>, ContainerError> {
    let (Some(beside), Some(joined)) = (&plan.monitor, joined) else {
        return Ok(None);
    };
    let launching = Launching {
        plan: beside,
        name: &plan.name,
        called: None,
        image: None,
        owner: PipeOwner::of(plan.process.uid, host.privilege),
        delays_end: false,
        events: &Sender::nowhere(About::from(&joined.origin)),
        folder: None,
        plain: plan.seccomp.watch.as_ref().map(|watch| &watch.plain),
    };
    Ok(Some(Monitor::of_newcomer(&launching, joined, streams)?))
}

/// Its terminal, before it executes: handed to the engine, or shown on the caller's own.
fn shown(
    created: Created,
    console: Option<&Receiver>,
) -> Result<(Created, Option<Proxy>), ContainerError> {
    let proxy = match (console, created.take_terminal()) {
        (_, None) => Ok(None),
        (Some(console), Some(master)) => hand_over(console, &master).map(|()| None),
        (None, Some(master)) => Proxy::new(master).map(Some).map_err(Into::into),
    };
    match proxy {
        Ok(proxy) => Ok((created, proxy)),
        Err(error) => {
            created.abandon();
            Err(error)
        }
    }
}
