//! The launcher's side: one clone3, what only the outside can do, and the words exchanged with the child.
//!
//! On any failure the child is killed and reaped before the error is returned. Called by `container`.

use super::aside::{self, Made};
use super::child;
use super::error::{LaunchError, at};
use super::hook::Door;
use super::idmaps::{map_ids, write_proc};
use super::interfaces;
use super::ops::{Op, Slots};
use super::prepare::{Classes, Labels, Maps, Prepared};
use super::wire::{self, Report, Step};
use crate::cgroup::Cgroup;
use crate::plan::network::NetDevice;
use crate::sys::process::{self, Side, SingleThreaded};
use crate::sys::socket::{self, receive_fds, send_fds};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A child that is locked down and waits.
#[must_use]
pub struct Created {
    /// Process id, as the launcher sees it.
    pub pid: i32,
    /// Refers to it however pids are reused.
    pub pidfd: OwnedFd,
    socket: OwnedFd,
    labels: Labels,
    terminal: RefCell<Option<OwnedFd>>,
    listener: RefCell<Option<OwnedFd>>,
}

/// A child that is locking itself down: the launcher has time for something else.
#[must_use]
pub struct Launched {
    created: Created,
    /// Scheduling and I/O class, given once it is in its cgroups.
    classes: Classes,
    /// Namespaces of its own, and whether it has taken id 0 of a new user namespace.
    kinds: i32,
    become_root: bool,
    /// Where startContainer hooks read the state from.
    state: Option<OwnedFd>,
}

impl Launched {
    /// One that joined a container: nothing was made for it.
    pub(super) fn joined(created: Created, classes: Classes) -> Self {
        Self {
            created,
            classes,
            kinds: 0,
            become_root: false,
            state: None,
        }
    }

    /// Process id, as the launcher sees it.
    pub fn pid(&self) -> i32 {
        self.created.pid
    }

    /// Waits until the mounts stand and the host's root is still there (a plan with hooks in front of the pivot).
    pub fn built(&self) -> Result<(), LaunchError> {
        self.created.expect(Step::Built)
    }

    /// Lets it go on to its pivot.
    pub fn pivot(&self) -> Result<(), LaunchError> {
        self.created.tell(wire::PIVOT, &[])
    }

    /// What startContainer hooks will read; nothing without such hooks.
    pub fn leave_state(&self, state: &[u8]) -> Result<(), LaunchError> {
        let Some(file) = &self.state else {
            return Ok(());
        };
        let wrote = process::write(file.as_raw_fd(), state);
        match at(wrote, "write the state for hooks")? {
            n if n == state.len() => Ok(()),
            _ => at(Err(Errno::EIO), "write the state for hooks"),
        }
    }

    /// The way into it, for hooks.
    pub(super) fn door(&self) -> Result<Door, Errno> {
        let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
        let path = format!("/proc/{}/root", self.created.pid);
        let root = nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty())?;
        let pidfd = self.created.pidfd.try_clone();
        Ok(Door {
            pidfd: pidfd.map_err(|_| Errno::EMFILE)?,
            kinds: self.kinds,
            root,
            become_root: self.become_root,
        })
    }

    /// Kills it.
    pub fn abandon(self) {
        self.created.abandon();
    }

    /// Waits until it stands in front of exec.
    pub fn ready(self) -> Result<Created, LaunchError> {
        let Self {
            created, classes, ..
        } = self;
        let given = created.expect(Step::Ready).and_then(|()| {
            // Only now: the child has entered its cgroups, whose shares decide what it may have.
            let given = classes.give(created.pid);
            given.map_err(|(tried, errno)| LaunchError::Launcher {
                tried: tried.into(),
                errno,
            })
        });
        match given {
            Ok(()) => Ok(created),
            Err(error) => {
                created.abandon();
                Err(error)
            }
        }
    }
}

/// What `start` led to.
#[must_use]
pub enum Started {
    /// The program runs.
    Running(Running),
    /// The kernel would not execute it.
    Failed(LaunchError),
}

/// A running program.
#[must_use]
pub struct Running {
    /// Process id, as the launcher sees it.
    pub pid: i32,
    /// Refers to it however pids are reused.
    pub pidfd: OwnedFd,
}

/// Makes the child and gives it all that only the outside can.
pub fn launch(mut prepared: Prepared, cgroup: &Cgroup) -> Result<Launched, LaunchError> {
    at(
        crate::sys::fs::cloexec_from(3),
        "mark descriptors close-on-exec (close_range)",
    )?;
    prepared.child.doors = cgroup.v1_doors()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = at(
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags),
        "make a socket pair (socketpair)",
    )?;
    let proof = SingleThreaded::prove().ok_or(LaunchError::Threads)?;
    let kinds = prepared.kinds;
    let become_root = prepared.child.become_root;
    let (pid, pidfd) = match make(&prepared, &proof, cgroup.v2_fd())? {
        Side::Parent { pid, pidfd } => (pid, pidfd),
        Side::Child => {
            drop(ours);
            let socket = theirs.as_raw_fd();
            std::mem::forget(theirs);
            prepared.child.proof = Some(proof);
            child::run(prepared.child, socket)
        }
    };
    drop(theirs);
    let created = Created::new(pid, pidfd, ours, prepared.labels);
    let outside = Outside {
        user: prepared.user,
        ops: prepared.launcher_ops,
        slots: prepared.child.slots,
        received: prepared.child.received,
        oom_score_adj: prepared.oom_score_adj,
        devices: prepared.devices,
    };
    match outside.serve(&created) {
        Ok(()) => Ok(Launched {
            created,
            classes: prepared.classes,
            kinds,
            become_root,
            state: prepared.child.start_hooks.map(|h| h.state),
        }),
        Err(error) => {
            created.abandon();
            Err(error)
        }
    }
}

/// The child, made by the launcher itself or, where namespaces are joined, by a process aside.
fn make(
    prepared: &Prepared,
    proof: &SingleThreaded,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Side, LaunchError> {
    let flags = prepared.clone_flags;
    let tried = "make the child with its namespaces (clone3); are user namespaces allowed (user.max_user_namespaces)?";
    if !prepared.joining.is_needed() {
        return at(process::clone_child(proof, flags, cgroup), tried);
    }
    let (from, tell) = at(
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC),
        "make a pipe (pipe2)",
    )?;
    match at(process::clone_child(proof, 0, None), tried)? {
        Side::Child => {
            aside::step(proof, &prepared.joining, flags, cgroup, tell.as_raw_fd());
            Ok(Side::Child)
        }
        Side::Parent { pid, .. } => {
            drop(tell);
            match aside::hear(pid, &from) {
                Made::Child(pid) => {
                    let pidfd = at(process::pidfd_open(pid), "refer to the child (pidfd_open)")?;
                    Ok(Side::Parent { pid, pidfd })
                }
                Made::Failed(report) => Err(prepared.labels.sentence(report)),
                Made::Silent => Err(LaunchError::Silent("before there was a child".into())),
            }
        }
    }
}

/// What the launcher does for the child.
struct Outside {
    user: Option<Maps>,
    ops: Vec<Op>,
    slots: Slots,
    received: Vec<usize>,
    oom_score_adj: Option<i32>,
    devices: Vec<NetDevice>,
}

impl Outside {
    fn serve(mut self, created: &Created) -> Result<(), LaunchError> {
        let pid = created.pid;
        if let Some(score) = self.oom_score_adj {
            write_proc(pid, "oom_score_adj", &score.to_string())?;
        }
        let userns = match &self.user {
            None => None,
            Some(maps) => Some(map_ids(pid, maps)?),
        };
        interfaces::give(pid, &self.devices)
            .map_err(|(tried, errno)| LaunchError::Launcher { tried, errno })?;
        for (index, op) in self.ops.iter().enumerate() {
            op.run(&mut self.slots, userns.as_ref().map(OwnedFd::as_fd))
                .map_err(|errno| {
                    let label = created
                        .labels
                        .launcher_ops
                        .get(index)
                        .map_or("", String::as_str);
                    LaunchError::Launcher {
                        tried: format!("make the mount {label} ({})", op.call()),
                        errno,
                    }
                })?;
        }
        let fds: Result<Vec<BorrowedFd<'_>>, Errno> = self
            .received
            .iter()
            .map(|slot| self.slots.get(*slot))
            .collect();
        let fds = at(fds, "collect the mounts")?;
        for part in fds.chunks(socket::MOST) {
            created.tell(wire::MOUNTS, part)?;
        }
        created.tell(wire::GO, &[])
    }
}

impl Created {
    pub(super) fn new(pid: i32, pidfd: OwnedFd, socket: OwnedFd, labels: Labels) -> Self {
        Self {
            pid,
            pidfd,
            socket,
            labels,
            terminal: RefCell::new(None),
            listener: RefCell::new(None),
        }
    }

    pub(super) fn tell(&self, word: u8, fds: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        match send_fds(self.socket.as_fd(), &[word], fds) {
            // The child has gone: its last report says why.
            Err(Errno::EPIPE | Errno::ECONNRESET) => self.expect(Step::Ready),
            other => at(other, "talk to the child (sendmsg)").map(drop),
        }
    }

    fn expect(&self, wanted: Step) -> Result<(), LaunchError> {
        loop {
            match self.hear()? {
                Some(report) if report.step == wanted && report.errno == 0 => return Ok(()),
                Some(report) if report.is_gift() => {}
                Some(report) => return Err(self.labels.sentence(report)),
                None => return Err(LaunchError::Silent(self.ending())),
            }
        }
    }

    /// The master of the program's terminal, once.
    pub fn take_terminal(&self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The listener of its system calls, once.
    pub fn take_listener(&self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// The next report; `None` when the child's end is closed.
    fn hear(&self) -> Result<Option<Report>, LaunchError> {
        let mut bytes = [0u8; 8];
        let mut fds = [-1; socket::MOST];
        loop {
            match receive_fds(self.socket.as_raw_fd(), &mut bytes, &mut fds) {
                Ok(None) | Err(Errno::ECONNRESET) => return Ok(None),
                Ok(Some((n, count))) => {
                    let report = Report::parse(&bytes[..n]);
                    for fd in fds.iter().take(count) {
                        // The kernel has just made this descriptor for us alone.
                        let fd = process::own(*fd);
                        match report.map(|r| r.step) {
                            Some(Step::Terminal) => self.terminal.replace(Some(fd)),
                            Some(Step::Listener) => self.listener.replace(Some(fd)),
                            _ => None,
                        };
                    }
                    return Ok(report);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return at(Err(errno), "hear from the child (read)"),
            }
        }
    }

    fn ending(&self) -> String {
        match waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
            Ok(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
            _ => "still there".into(),
        }
    }

    /// Kills it in front of exec: nothing of the image has run.
    pub fn abandon(self) {
        let _ = process::pidfd_signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }

    /// Lets it execute, and waits until it has.
    pub fn start(self) -> Started {
        if let Err(error) = self.tell(wire::EXEC, &[]) {
            self.abandon();
            return Started::Failed(error);
        }
        match self.hear() {
            // Exec has closed the child's end.
            Ok(None) => Started::Running(Running {
                pid: self.pid,
                pidfd: self.pidfd,
            }),
            Ok(Some(report)) => {
                let error = self.labels.sentence(report);
                self.abandon();
                Started::Failed(error)
            }
            Err(error) => {
                self.abandon();
                Started::Failed(error)
            }
        }
    }

    /// Leaves it waiting at its gate; the launcher may end.
    pub fn hold(self) -> Result<i32, LaunchError> {
        let held = self
            .tell(wire::HOLD, &[])
            .and_then(|()| self.expect(Step::Held));
        match held {
            Ok(()) => Ok(self.pid),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }
}

/// The sentence for a report that came through the gate, after `start`.
pub fn exec_failure(bytes: &[u8]) -> Option<LaunchError> {
    Report::parse(bytes).map(|report| Labels::default().sentence(report))
}

impl Labels {
    fn sentence(&self, report: Report) -> LaunchError {
        let index = usize::from(report.index);
        let of = |list: &Vec<String>| list.get(index).cloned().unwrap_or_default();
        let detail = match report.step {
            Step::Enter => of(&self.joins),
            Step::Mount => of(&self.child_ops),
            Step::Limit => of(&self.limits),
            Step::Landlock => of(&self.rules),
            Step::Sysctl => of(&self.sysctl),
            Step::StartHook if report.errno() == Errno::ECANCELED => {
                let (number, code) = (report.index >> 8, report.index & 0xff);
                return LaunchError::StartHook { number, code };
            }
            Step::StartHook => format!("number {}", report.index >> 8),
            _ => String::new(),
        };
        let tried = if detail.is_empty() {
            report.step.tried().to_string()
        } else {
            format!("{}: {detail}", report.step.tried())
        };
        LaunchError::Child {
            tried,
            errno: report.errno(),
        }
    }
}
