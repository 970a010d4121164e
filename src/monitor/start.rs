//! The launcher's side: makes the monitor and what it is to hold, and talks to it until the launcher's part is over.
//!
//! Dropping it without a container ends the monitor.

use super::streams::{PipeOwner, folder, output};
use super::words::{Order, receive, send};
use crate::cgroup::LimitFiles;
use crate::events::verbs::Joined;
use crate::events::{self, Sender, limits};
use crate::logs::Origin;
use crate::plan::monitor::{Copying, MonitorPlan};
use crate::sandbox::Streams;
use crate::seccomp::Program;
use crate::sys::audit;
use crate::sys::fs::{close_all_but, dup_to, dup_to_stdio};
use crate::sys::process::{self, ExecStrings, Side, SingleThreaded};
use crate::worker::Descriptors;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

pub use super::words::Word;

/// Why there is no monitor.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// A system call of ours.
    #[error("can't {tried}: {}", .errno.desc())]
    Sys {
        /// What was tried.
        tried: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The spool's folder.
    #[error("can't {tried} the spool {path}: {why}")]
    Folder {
        /// What was tried.
        tried: &'static str,
        /// Which folder.
        path: String,
        /// What the kernel said.
        why: String,
    },
    /// A folder that others could write.
    #[error(
        "the spool {path} belongs to uid {owner} with mode {mode:o}: it must be the caller's own and writable for nobody else (chown, chmod 0700)"
    )]
    NotOurs {
        /// Which folder.
        path: String,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// It says that it can't.
    #[error("the monitor can't work: {0}")]
    Failed(String),
    /// It has ended, or says nothing.
    #[error("the monitor {0}, so nothing would be logged: nothing was run")]
    Gone(&'static str),
}

impl MonitorError {
    pub(super) fn sys(tried: &'static str, errno: Errno) -> Self {
        Self::Sys { tried, errno }
    }

    pub(super) fn folder(tried: &'static str, path: &Path, why: &std::io::Error) -> Self {
        Self::Folder {
            tried,
            path: path.display().to_string(),
            why: why.to_string(),
        }
    }
}

/// What the launcher knows of a launch that is to be watched.
pub struct Launching<'a> {
    /// What the monitor does.
    pub plan: &'a MonitorPlan,
    /// The container's name.
    pub name: &'a str,
    /// A name that people gave it.
    pub called: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// Whose the program's pipes are.
    pub owner: PipeOwner,
    /// Whether the container's end waits for the copy of its output: nobody of ours stays to do so.
    pub delays_end: bool,
    /// Where the launch tells events already.
    pub events: &'a Sender,
    /// Its folder, in which later verbs find the monitor.
    pub folder: Option<&'a Path>,
    /// What its filter would answer, if it is watched.
    pub plain: Option<&'a Program>,
}

impl Launching<'_> {
    fn origin(&self) -> Origin {
        let read = |path: &str| crate::sys::fs::read_kernel_file(path).unwrap_or_default();
        Origin {
            id: self.name.into(),
            name: self.called.clone(),
            image: self.image.clone(),
            host: read("/proc/sys/kernel/hostname").trim().into(),
            boot: read("/proc/sys/kernel/random/boot_id").trim().into(),
            launch: self.events.about().launch.clone(),
        }
    }
}

/// A monitor, as its launcher sees it.
#[must_use]
pub struct Monitor {
    pid: i32,
    socket: OwnedFd,
    sender: Sender,
    /// Words that came before they were asked for.
    heard: RefCell<Vec<Word>>,
}

/// How long the monitor may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(30);

impl Monitor {
    /// Makes the monitor; the program's output goes into `streams` from now on. The launcher must have one thread.
    pub fn start(launching: &Launching<'_>, streams: &mut Streams) -> Result<Self, MonitorError> {
        let mut fds = Descriptors::default();
        if let Some(logs) = &launching.plan.watch.logs {
            fds.insert("spool", folder(&logs.spool, launching.name)?);
            for (index, name) in [(1, "stdout"), (2, "stderr")] {
                redirect(launching.owner, (index, name), logs.copy, streams, &mut fds)?;
            }
        }
        Self::begin(launching, launching.origin(), fds)
    }

    /// Makes one for a program that joins: what it is refused and says goes where the container's goes, and its output to
    /// the caller then.
    pub fn of_newcomer(
        launching: &Launching<'_>,
        joined: Joined,
        streams: &mut Streams,
    ) -> Result<Self, MonitorError> {
        let mut fds = joined.fds;
        // The container's monitor stays as long as this one.
        fds.insert("held", joined.held);
        let newcomer = launching.plan.newcomer.as_ref();
        if newcomer.is_some_and(|n| n.output.is_some()) {
            for (index, name) in [(1, "stdout"), (2, "stderr")] {
                redirect(
                    launching.owner,
                    (index, name),
                    Copying::Tee,
                    streams,
                    &mut fds,
                )?;
            }
        }
        Self::begin(launching, joined.origin, fds)
    }

    /// Makes one for output whose pipes somebody else has made: standard output and error to be read.
    pub fn of_streams(
        launching: &Launching<'_>,
        streams: &[OwnedFd; 2],
    ) -> Result<Self, MonitorError> {
        let mut fds = Descriptors::default();
        if let Some(logs) = &launching.plan.watch.logs {
            fds.insert("spool", folder(&logs.spool, launching.name)?);
        }
        fds.insert("stdout", duplicate(&streams[0])?);
        fds.insert("stderr", duplicate(&streams[1])?);
        Self::begin(launching, launching.origin(), fds)
    }

    fn begin(
        launching: &Launching<'_>,
        origin: Origin,
        mut fds: Descriptors,
    ) -> Result<Self, MonitorError> {
        let at = |tried| move |errno| MonitorError::sys(tried, errno);
        let mut sender = launching.events.again();
        if let Some(lines) = launching.events.lines() {
            fds.insert("lines", duplicate(lines)?);
        }
        // Best effort: a folder whose path is too long for a socket has none.
        if let Some(Ok(verbs)) = launching.folder.map(events::verbs::listen) {
            fds.insert("verbs", verbs);
        }
        if let Some(plain) = launching.plain {
            let book = events::watch::Notebook::make(plain);
            fds.insert(
                "notebook",
                book.map_err(at("make a file in memory (memfd_create)"))?,
            );
        }
        if launching.plan.tells_accesses
            && let (Ok(true), Ok(audit)) = (audit::is_on(), audit::refusals())
        {
            fds.insert(events::accesses::AUDIT, audit);
        }
        if launching.plan.watch.logs.is_some() {
            let (tell, from) = events::pair().map_err(at("make a socket pair for events"))?;
            sender = sender.and_socket(duplicate(&tell)?);
            fds.insert("events", from);
            fds.insert("tell-events", tell);
        }
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(at("make a socket pair for the monitor (socketpair)"))?;
        let pid = execute(&theirs)?;
        drop(theirs);
        let plan = Box::new(launching.plan.clone());
        let order = Order::Start {
            plan,
            origin,
            delays_end: launching.delays_end,
        };
        send(&ours, order, &fds).map_err(at("send the monitor its plan (sendmsg)"))?;
        Ok(Self {
            pid,
            socket: ours,
            sender,
            heard: RefCell::default(),
        })
    }

    /// Where events about this launch go.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Hands the container over, waiting in front of its program.
    pub fn launched(
        &self,
        (pid, container): (i32, BorrowedFd<'_>),
        listener: Option<OwnedFd>,
        limits_met: LimitFiles,
        ports: Option<BorrowedFd<'_>>,
    ) -> Result<(), MonitorError> {
        let at = |tried| move |errno| MonitorError::sys(tried, errno);
        let mut fds = Descriptors::default();
        fds.insert("container", duplicate(container)?);
        if let Some(listener) = listener {
            fds.insert("listener", listener);
        }
        if let Some(ports) = ports {
            fds.insert("ports", duplicate(ports)?);
        }
        let limits = [
            (limits::OOM, limits_met.oom),
            (limits::KILLS, limits_met.kills),
            (limits::MEMORY, limits_met.memory),
            (
                match limits_met.pids_tell {
                    true => limits::PIDS,
                    false => limits::SILENT_PIDS,
                },
                limits_met.pids,
            ),
        ];
        for (name, file) in limits {
            if let Some(file) = file {
                fds.insert(name, file);
            }
        }
        match send(&self.socket, Order::Launched(pid), &fds) {
            // It has ended; why is what it said last.
            Err(Errno::EPIPE) => Err(self
                .ready()
                .err()
                .unwrap_or(MonitorError::Gone("has ended"))),
            sent => sent.map_err(at("hand the container over to the monitor (sendmsg)")),
        }
    }

    /// Waits until the program may run.
    pub fn ready(&self) -> Result<(), MonitorError> {
        loop {
            match self.next(PATIENCE)? {
                Word::Ready => return Ok(()),
                Word::Failed(why) => return Err(MonitorError::Failed(why)),
                other => self.heard.borrow_mut().push(other),
            }
        }
    }

    /// Waits until all that an ended program said is where it belongs; how its life was ended, if the monitor did.
    pub fn drained(&self) -> bool {
        let mut ended_by_us = false;
        loop {
            let old = self.heard.borrow_mut().pop();
            match old.map_or_else(|| self.next(PATIENCE), Ok) {
                Ok(Word::Lifetime) => ended_by_us = true,
                Ok(Word::Drained) | Err(_) => return ended_by_us,
                Ok(Word::Ready | Word::Failed(_)) => {}
            }
        }
    }

    /// Waits for the end of all output, however long that takes, and for the monitor's own.
    pub fn outlive(self) {
        loop {
            match self.next(PATIENCE) {
                Ok(Word::Drained) => break,
                Ok(_) | Err(MonitorError::Gone("says nothing")) => {}
                Err(_) => break,
            }
        }
        let Self { pid, socket, .. } = &self;
        let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let _ = waitpid(Pid::from_raw(*pid), None);
    }

    fn next(&self, patience: Duration) -> Result<Word, MonitorError> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left) {
                Ok(0) => return Err(MonitorError::Gone("says nothing")),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(MonitorError::sys("wait for the monitor (poll)", errno)),
            }
        }
        let hear = || receive(&self.socket, &mut Descriptors::default());
        let heard = match hear() {
            // It has ended before it had heard everything: what it said stands behind that.
            Err(Errno::ECONNRESET) => hear(),
            heard => heard,
        };
        match heard {
            Ok(Some(word)) => Ok(word),
            Ok(None) => Err(MonitorError::Gone("has ended")),
            Err(errno) => Err(MonitorError::sys("hear from the monitor (recvmsg)", errno)),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may go on; if it has ended already, it is collected here.
        let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
    }
}

/// Puts a pipe in the place of one of the program's streams.
fn redirect(
    owner: PipeOwner,
    (index, name): (usize, &str),
    copy: Copying,
    streams: &mut Streams,
    fds: &mut Descriptors,
) -> Result<(), MonitorError> {
    let (from, into) = output(owner)?;
    fds.insert(name, from);
    if copy == Copying::Tee {
        let to = match streams[index].take() {
            Some(to) => to,
            None => own_stream(index)?,
        };
        fds.insert(format!("to-{name}"), to);
    }
    streams[index] = Some(into);
    Ok(())
}

fn duplicate(fd: impl AsFd) -> Result<OwnedFd, MonitorError> {
    let copy = fd.as_fd().try_clone_to_owned();
    copy.map_err(|_| MonitorError::sys("duplicate a descriptor (fcntl)", Errno::last()))
}

/// A duplicate of our own standard output or error.
fn own_stream(index: usize) -> Result<OwnedFd, MonitorError> {
    match index {
        1 => duplicate(std::io::stdout()),
        _ => duplicate(std::io::stderr()),
    }
}

/// Executes the launcher's own file again, with nothing but the socket, as descriptor 3.
fn execute(socket: &OwnedFd) -> Result<i32, MonitorError> {
    let at = |tried| move |errno| MonitorError::sys(tried, errno);
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let own = nix::fcntl::open("/proc/self/exe", flags, nix::sys::stat::Mode::empty())
        .map_err(at("open the launcher's own file (open)"))?;
    let null = nix::fcntl::open(
        "/dev/null",
        OFlag::O_RDWR | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )
    .map_err(at("open /dev/null"))?;
    let argv = ExecStrings::new(vec![super::process::ARGV0.into()]);
    let envp = ExecStrings::new(Vec::new());
    let proof = SingleThreaded::prove().ok_or(MonitorError::Gone(
        "can't be made by a launcher with threads",
    ))?;
    match process::clone_child(&proof, 0, None).map_err(at("make the monitor (clone3)"))? {
        Side::Parent { pid, .. } => Ok(pid),
        Side::Child => {
            let _ = nix::unistd::setsid();
            let done = (0..3)
                .try_for_each(|number| dup_to_stdio(null.as_fd(), number))
                .and_then(|()| {
                    // Above everything first: the socket may itself have the number 3, or the file.
                    let high = 1000.max(socket.as_raw_fd() + 1).max(own.as_raw_fd() + 1);
                    dup_to(own.as_fd(), high)?;
                    dup_to(socket.as_fd(), 3)?;
                    crate::sys::fs::survive_exec(3)?;
                    close_all_but(4, &mut [high])?;
                    process::reset_signals(proof.ignored)?;
                    Err(process::exec_fd(high, &argv, &envp))
                });
            let _: Result<(), Errno> = done;
            process::exit_now(126)
        }
    }
}
