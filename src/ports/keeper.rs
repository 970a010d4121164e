//! Keeps a container's ports while it lives: holds the sockets, makes the forwarders, makes them anew when they end.
//!
//! A process of its own, so that ports outlive an engine's `create` and no socket is dropped with a forwarder. It
//! reads nothing from anybody; it ends with the container's first process. Called by `container` through [`start`].

use super::error::PortsError;
use super::host::Held;
use super::kept::{Direction, Kept, Whose};
use crate::plan::openings::OpeningsPlan;
use crate::sys::process::{self, Side, SingleThreaded};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The first pause before a forwarder that ended is made anew; it doubles up to the last one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// A forwarder that lived so long did not end because it could not begin.
const SETTLED: Duration = Duration::from_secs(10);
/// How long forwarders may take to end with the container.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A forwarder that is there, or when it will be again.
struct Running {
    side: Direction,
    child: Option<(i32, OwnedFd)>,
    since: Instant,
    pause: Duration,
}

/// The keeper of a container that the launcher waits for.
#[derive(Debug)]
pub struct Keeper {
    pid: i32,
    pidfd: OwnedFd,
}

impl Keeper {
    /// With its end everything has been told.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits until the ports are free again; the container has ended.
    pub fn finish(self) {
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }
}

/// Starts the forwarders of a container that waits in front of exec; returns when each stands in its jail.
pub fn start(
    plan: &OpeningsPlan,
    held: Held,
    whose: Whose<'_>,
) -> Result<Option<Keeper>, PortsError> {
    let failed = |tried| move |errno| PortsError::Forwarder { tried, errno };
    let proof = SingleThreaded::prove().ok_or(PortsError::Threads)?;
    let kept = Kept::open(plan, held, &whose, &proof)?;
    let sides = kept.sides();
    if sides.is_empty() {
        return Ok(None);
    }
    let (from, ready) = pipe2(OFlag::O_CLOEXEC).map_err(failed("make a pipe (pipe2)"))?;
    match process::clone_child(&proof, 0, None).map_err(failed("make a process (clone3)"))? {
        Side::Child => {
            drop(from);
            keep(kept, whose.pidfd, &proof, ready)
        }
        Side::Parent { pid, pidfd } => {
            drop(ready);
            let heard = sides.iter().try_for_each(|_| hear(&from));
            heard.map_err(failed("enter the jail"))?;
            Ok(Some(Keeper { pid, pidfd }))
        }
    }
}

fn hear(from: &OwnedFd) -> Result<(), Errno> {
    let mut word = [0u8; 4];
    loop {
        match process::read(from.as_raw_fd(), &mut word) {
            Ok(4) if word == [0; 4] => return Ok(()),
            Ok(4) => return Err(Errno::from_raw(i32::from_ne_bytes(word))),
            Err(Errno::EINTR) => {}
            Ok(_) => return Err(Errno::EPIPE),
            Err(errno) => return Err(errno),
        }
    }
}

/// The keeper's life.
fn keep(kept: Kept, pidfd: BorrowedFd<'_>, proof: &SingleThreaded, ready: OwnedFd) -> ! {
    let _ = nix::unistd::setsid();
    process::ignore_the_callers_signals();
    let _ = process::prctl_name(c"cofferdam-ports");
    let mut own: Vec<i32> = kept.descriptors();
    own.extend([pidfd.as_raw_fd(), ready.as_raw_fd()]);
    process::close_stdio();
    let _ = crate::sys::fs::close_all_but(3, &mut own);
    let mut running: Vec<Running> = kept.sides().into_iter().map(Running::new).collect();
    for one in &mut running {
        one.make(&kept, proof, &ready);
    }
    drop(ready);
    while !ended(&kept, pidfd, proof, &mut running) {}
    // Nobody is to ask for it any more.
    kept.leave();
    let patience = Instant::now() + LAST_WORDS;
    for (pid, fd) in running.iter_mut().filter_map(|r| r.child.take()) {
        has_ended_by(fd.as_fd(), patience);
        let _ = process::pidfd_signal(fd.as_fd(), libc::SIGKILL);
        let _ = waitpid(Pid::from_raw(pid), None);
    }
    process::exit_now(0)
}

/// A forwarder sees the container's end too, and tells its last counts.
fn has_ended_by(child: BorrowedFd<'_>, patience: Instant) {
    loop {
        let left = patience.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(child, PollFlags::POLLIN)];
        if poll(&mut fds, left) != Err(Errno::EINTR) {
            return;
        }
    }
}

/// Waits for the next thing to happen; whether it was the container's end.
fn ended(
    kept: &Kept,
    container: BorrowedFd<'_>,
    proof: &SingleThreaded,
    running: &mut [Running],
) -> bool {
    let now = Instant::now();
    let pause = running.iter().filter(|r| r.child.is_none());
    let pause = pause
        .map(|r| (r.since + r.pause).saturating_duration_since(now))
        .min();
    let patience = pause.map_or(PollTimeout::NONE, |p| {
        PollTimeout::try_from(p + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    });
    let mut fds = vec![PollFd::new(container, PollFlags::POLLIN)];
    let children = running.iter().filter_map(|r| r.child.as_ref());
    fds.extend(children.map(|(_, fd)| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
    if poll(&mut fds, patience).is_err() {
        return false;
    }
    let says = |f: &PollFd<'_>| f.revents().is_some_and(|r| !r.is_empty());
    if says(&fds[0]) {
        return true;
    }
    let gone: Vec<i32> = fds[1..]
        .iter()
        .filter(|f| says(f))
        .map(|f| f.as_fd().as_raw_fd())
        .collect();
    drop(fds);
    let now = Instant::now();
    for one in running.iter_mut() {
        if one
            .child
            .as_ref()
            .is_some_and(|(_, fd)| gone.contains(&fd.as_raw_fd()))
        {
            one.has_ended(now);
        }
        if one.child.is_none()
            && one.since + one.pause <= now
            && let Ok((_unheard, ready)) = pipe2(OFlag::O_CLOEXEC)
        {
            one.make(kept, proof, &ready);
        }
    }
    false
}

impl Running {
    fn new(side: Direction) -> Self {
        Self {
            side,
            child: None,
            since: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }

    fn has_ended(&mut self, now: Instant) {
        if let Some((pid, _)) = self.child.take() {
            let _ = waitpid(Pid::from_raw(pid), None);
        }
        self.pause = match now.duration_since(self.since) >= SETTLED {
            true => FIRST_PAUSE,
            false => (self.pause * 2).min(LAST_PAUSE),
        };
        self.since = now;
    }

    fn make(&mut self, kept: &Kept, proof: &SingleThreaded, ready: &OwnedFd) {
        self.since = Instant::now();
        match process::clone_child(proof, 0, None) {
            Ok(Side::Child) => {
                let Err(errno) = kept.forward(self.side, ready);
                let _ = process::write(ready.as_raw_fd(), &(errno as i32).to_ne_bytes());
                process::exit_now(1)
            }
            Ok(Side::Parent { pid, pidfd }) => self.child = Some((pid, pidfd)),
            Err(_) => {}
        }
    }
}
