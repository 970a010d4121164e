//! The launcher beside a running hook: its output, its deadline, its end.

use super::{HookError, HookProgram, sys};
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Reads what it prints until it has ended, so that it never waits for us; a child that it leaves behind and that
/// still has the pipe is not waited for.
pub(super) fn attend(
    hook: &HookProgram,
    (pid, pidfd): (i32, &OwnedFd),
    output: &OwnedFd,
    trouble: &OwnedFd,
    most: usize,
) -> Result<Vec<u8>, HookError> {
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
        open = open && listen(output, &mut last_words, most);
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
    listen(output, &mut last_words, most);
    let output = last_words;
    let last_words = String::from_utf8_lossy(&output).into_owned();
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
        WaitStatus::Exited(_, 0) => return Ok(output),
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

/// A few pieces at once; false at the end. Only the last words are kept.
fn listen(output: &OwnedFd, last_words: &mut Vec<u8>, most: usize) -> bool {
    let mut buffer = [0u8; 16384];
    for _ in 0..16 {
        match process::read(output.as_raw_fd(), &mut buffer) {
            Ok(0) => return false,
            Ok(n) => {
                last_words.extend_from_slice(&buffer[..n]);
                let surplus = last_words.len().saturating_sub(most);
                last_words.drain(..surplus);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return errno == Errno::EAGAIN,
        }
    }
    true
}
