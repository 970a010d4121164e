//! One hook: a program beside the container, with the state on its standard input, a deadline, and an end.
//!
//! It gets its own arguments and environment and nothing of the launcher's: no descriptor, no variable, no terminal.
//! What it prints is read and forgotten but for its last words. Ordering and consequences are `container`'s.

use super::parent::Launched;
use super::prepare::{PrepareError, c_string, strings};
use crate::plan::hooks::HookStep;
use crate::sys::fs::{cloexec_from, dup_to_stdio, fchdir};
use crate::sys::process::{self, ExecStrings, Side, SingleThreaded, prctl};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A hook as it is kept for `start` and `delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookProgram {
    /// The program's path.
    pub path: String,
    /// The file behind it, if it is a link to a running program.
    pub file: Option<String>,
    /// argv.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<u64>,
}

impl From<&HookStep> for HookProgram {
    fn from(step: &HookStep) -> Self {
        Self {
            path: step.path.clone(),
            file: step.file.clone(),
            args: step.args.clone(),
            env: step.env.clone(),
            timeout: step.timeout,
        }
    }
}

/// In whose namespaces a hook runs.
pub enum Place<'a> {
    /// The launcher's.
    Runtime,
    /// The container's, while the host's root is still its root.
    Container(&'a Launched),
}

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It could not be executed.
    #[error("couldn't {tried}: {}", errno.desc())]
    Sys {
        /// What was tried.
        tried: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// Its words can't be given to the kernel.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The link leads to another program by now.
    #[error("it leads to {found:?} now, and not to {judged:?}, which was judged")]
    Replaced {
        /// Where it leads.
        found: String,
        /// Where it led.
        judged: String,
    },
    /// It ran and failed.
    #[error("{how}{}", said(last_words))]
    Ended {
        /// "ended with exit code 3", "was killed by SIGSEGV".
        how: String,
        /// The end of what it printed.
        last_words: String,
    },
    /// It ran for too long and was killed, with its process group.
    #[error("still ran after {seconds} s, so it was killed{}", said(last_words))]
    TimedOut {
        /// Its limit.
        seconds: u64,
        /// The end of what it printed.
        last_words: String,
    },
}

fn said(last_words: &str) -> String {
    match last_words.trim() {
        "" => String::new(),
        words => format!(": {}", words.escape_debug()),
    }
}

fn sys<T>(result: Result<T, Errno>, tried: &str) -> Result<T, HookError> {
    result.map_err(|errno| HookError::Sys {
        tried: tried.into(),
        errno,
    })
}

/// What a hook's process works from; everything is made before the fork.
struct Ready {
    path: CString,
    /// Executed in the path's place, where the path is a link to a running program.
    file: Option<OwnedFd>,
    argv: ExecStrings,
    envp: ExecStrings,
    input: OwnedFd,
    output: OwnedFd,
    trouble: OwnedFd,
}

/// Runs a hook to its end.
pub fn run(hook: &HookProgram, state: &[u8], place: &Place<'_>) -> Result<(), HookError> {
    let pipe = || sys(nix::unistd::pipe2(OFlag::O_CLOEXEC), "make a pipe (pipe2)");
    let (output, into_output) = pipe()?;
    let (trouble, into_trouble) = pipe()?;
    let args = match hook.args.as_slice() {
        [] => std::slice::from_ref(&hook.path),
        args => args,
    };
    let ready = Ready {
        path: c_string(&hook.path, "a hook's path")?,
        file: judged(hook)?,
        argv: strings(args, "a hook's args")?,
        envp: strings(&hook.env, "a hook's env")?,
        input: input(state)?,
        output: into_output,
        trouble: into_trouble,
    };
    let inside = match place {
        Place::Runtime => None,
        Place::Container(launched) => {
            Some(sys(launched.door(), "open the container's namespaces")?)
        }
    };
    let proof = SingleThreaded::prove().ok_or(HookError::Sys {
        tried: "fork for a hook: the launcher has more than one thread".into(),
        errno: Errno::EAGAIN,
    })?;
    let side = sys(
        process::clone_child(&proof, 0, None),
        "make a process (clone3)",
    )?;
    let Side::Parent { pid, pidfd } = side else {
        be_hook(&ready, inside.as_ref(), &proof)
    };
    drop(ready);
    attend(hook, pid, &pidfd, &output, &trouble)
}

/// `/proc/PID/exe` may belong to another program by now.
fn judged(hook: &HookProgram) -> Result<Option<OwnedFd>, HookError> {
    let Some(judged) = &hook.file else {
        return Ok(None);
    };
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::open(hook.path.as_str(), flags, nix::sys::stat::Mode::empty());
    let file = sys(opened, &format!("open {}", hook.path))?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let found = sys(nix::fcntl::readlink(link.as_str()), "read where it leads")?;
    match found.to_string_lossy() {
        found if found == judged.as_str() => Ok(Some(file)),
        found => Err(HookError::Replaced {
            found: found.into_owned(),
            judged: judged.clone(),
        }),
    }
}

/// A file in memory: a pipe would block us when the hook does not read.
fn input(state: &[u8]) -> Result<OwnedFd, HookError> {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let made = nix::sys::memfd::memfd_create(c"state", flags);
    let mut file = File::from(sys(made, "make the state's file (memfd_create)")?);
    let io = |e: std::io::Error| HookError::Sys {
        tried: "write the state for the hook".into(),
        errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
    };
    file.write_all(state).map_err(io)?;
    let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(io)?;
    Ok(read_only.into())
}

/// The namespaces and the root of a child that waits in front of its pivot.
pub(super) struct Door {
    pub(super) pidfd: OwnedFd,
    pub(super) kinds: i32,
    pub(super) root: OwnedFd,
    pub(super) become_root: bool,
}

/// The hook's own process: never returns.
fn be_hook(ready: &Ready, door: Option<&Door>, proof: &SingleThreaded) -> ! {
    let errno = match become_hook(ready, door, proof) {
        Ok(never) => match never {},
        Err(errno) => errno,
    };
    let _ = process::write(ready.trouble.as_raw_fd(), &(errno as i32).to_le_bytes());
    process::exit_now(127)
}

fn become_hook(
    ready: &Ready,
    door: Option<&Door>,
    proof: &SingleThreaded,
) -> Result<std::convert::Infallible, Errno> {
    // A group of its own, so that its children can be ended with it; and it ends with us.
    nix::unistd::setsid()?;
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
    dup_to_stdio(ready.input.as_fd(), 0)?;
    dup_to_stdio(ready.output.as_fd(), 1)?;
    dup_to_stdio(ready.output.as_fd(), 2)?;
    cloexec_from(3)?;
    if let Some(door) = door {
        enter(door)?;
        // Only children are in the pid namespace that was joined.
        if let Side::Parent { pid, .. } = process::clone_child(proof, 0, None)? {
            process::exit_now(end_of(pid));
        }
        prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
    } else {
        nix::unistd::chdir(c"/")?;
    }
    process::reset_signals(proof.ignored)?;
    Err(match &ready.file {
        Some(file) => process::exec_fd(file.as_raw_fd(), &ready.argv, &ready.envp),
        None => process::exec_path(&ready.path, &ready.argv, &ready.envp),
    })
}

/// Into the container while it is being built: nothing of the image runs there yet, and what it will run can't see us.
fn enter(door: &Door) -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)?;
    process::setns(door.pidfd.as_fd(), door.kinds)?;
    fchdir(door.root.as_fd())?;
    nix::unistd::chroot(c".")?;
    if door.become_root {
        let _ = process::set_groups(&[]);
        process::set_gid(0)?;
        process::set_uid(0)?;
    }
    Ok(())
}

fn end_of(pid: i32) -> i32 {
    match waitpid(Pid::from_raw(pid), None) {
        Ok(WaitStatus::Exited(_, code)) => code,
        Ok(WaitStatus::Signaled(_, signal, _)) => 128 + signal as i32,
        _ => 127,
    }
}

/// Bytes of output that an error shows.
const LAST_WORDS: usize = 512;

/// Reads what it prints until it has ended, so that it never waits for us; a child that it leaves behind and that
/// still has the pipe is not waited for.
fn attend(
    hook: &HookProgram,
    pid: i32,
    pidfd: &OwnedFd,
    output: &OwnedFd,
    trouble: &OwnedFd,
) -> Result<(), HookError> {
    for pipe in [output, trouble] {
        sys(
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)),
            "read from a hook (fcntl)",
        )?;
    }
    let until = hook
        .timeout
        .map(|s| Instant::now() + Duration::from_secs(s));
    let mut last_words = Vec::new();
    let mut open = true;
    let in_time = loop {
        let patience = match until.map(|u| u.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => break false,
            Some(left) => {
                PollTimeout::try_from(left.min(Duration::from_secs(60)) + Duration::from_millis(1))
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if open {
            fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                end_group(pid, pidfd);
                return sys(Err(errno), "wait for a hook (poll)");
            }
        }
        let ended = fds[0].revents().is_some_and(|r| !r.is_empty());
        open = open && listen(output, &mut last_words, 16);
        if ended {
            break true;
        }
    };
    if !in_time {
        end_group(pid, pidfd);
    }
    let status = sys(
        waitpid(Pid::from_raw(pid), None),
        "collect a hook's end (waitpid)",
    )?;
    listen(output, &mut last_words, 16);
    let last_words = String::from_utf8_lossy(&last_words).into_owned();
    if let (false, Some(seconds)) = (in_time, hook.timeout) {
        return Err(HookError::TimedOut {
            seconds,
            last_words,
        });
    }
    let mut errno = [0u8; 4];
    if let Ok(4) = process::read(trouble.as_raw_fd(), &mut errno) {
        return Err(HookError::Sys {
            tried: "execute it".into(),
            errno: Errno::from_raw(i32::from_le_bytes(errno)),
        });
    }
    let how = match status {
        WaitStatus::Exited(_, 0) => return Ok(()),
        WaitStatus::Exited(_, code) => format!("ended with exit code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        other => format!("ended as {other:?}"),
    };
    Err(HookError::Ended { how, last_words })
}

fn end_group(pid: i32, pidfd: &OwnedFd) {
    let _ = process::kill(-pid, libc::SIGKILL);
    let _ = process::pidfd_signal(pidfd.as_fd(), libc::SIGKILL);
}

/// Up to so many pieces; false at the end. Only the last words are kept.
fn listen(output: &OwnedFd, last_words: &mut Vec<u8>, pieces: usize) -> bool {
    let mut buffer = [0u8; 16384];
    for _ in 0..pieces {
        match process::read(output.as_raw_fd(), &mut buffer) {
            Ok(0) => return false,
            Ok(n) => {
                last_words.extend_from_slice(&buffer[..n]);
                let surplus = last_words.len().saturating_sub(LAST_WORDS);
                last_words.drain(..surplus);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return errno == Errno::EAGAIN,
        }
    }
    true
}
