//! One hook: a program beside the container, with the state on its standard input, a deadline, and an end.
//!
//! It gets its own arguments and environment and nothing of the launcher's: no descriptor, no variable, no terminal.
//! What it prints is read and forgotten but for its last words. Ordering and consequences are `container`'s.

mod attend;
mod process;

use super::launched::Launched;
use super::prepare::{PrepareError, c_string, strings};
use crate::plan::hooks::HookStep;
use crate::sys::process::{self as sys_process, ExecStrings, Side, SingleThreaded};
use attend::attend;
use nix::errno::Errno;
use nix::fcntl::OFlag;
pub(super) use process::Door;
use process::be_hook;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

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
    /// Where its errors go, if not with its output.
    errors: Option<OwnedFd>,
}

/// Bytes of output that an error shows.
const LAST_WORDS: usize = 512;

/// Runs a hook to its end.
pub fn run(hook: &HookProgram, state: &[u8], place: &Place<'_>) -> Result<(), HookError> {
    execute(hook, state, place, LAST_WORDS, None).map(drop)
}

/// Runs a program of the site's to its end, in the launcher's place; the last `most` bytes of its output.
pub fn ask(hook: &HookProgram, input: &[u8], most: usize) -> Result<Vec<u8>, HookError> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let nowhere = nix::fcntl::open("/dev/null", flags, nix::sys::stat::Mode::empty());
    let nowhere = sys(nowhere, "open /dev/null")?;
    execute(hook, input, &Place::Runtime, most, Some(nowhere))
}

fn execute(
    hook: &HookProgram,
    state: &[u8],
    place: &Place<'_>,
    most: usize,
    errors: Option<OwnedFd>,
) -> Result<Vec<u8>, HookError> {
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
        errors,
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
        sys_process::clone_child(&proof, 0, None),
        "make a process (clone3)",
    )?;
    let Side::Parent { pid, pidfd } = side else {
        be_hook(&ready, inside.as_ref(), &proof)
    };
    drop(ready);
    attend(hook, (pid, &pidfd), &output, &trouble, most)
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
