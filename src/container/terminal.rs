//! The outer side of a program's terminal: handed to an engine's console socket, or shown on the caller's own.

use super::error::ContainerError;
use super::receiver::Receiver;
use crate::sys::process;
use crate::sys::terminal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Why a terminal could not be named or shown.
#[derive(Debug, thiserror::Error)]
#[error("can't {tried}: {}", errno.desc())]
pub struct TerminalError {
    /// What was tried.
    pub tried: &'static str,
    /// What the kernel said.
    pub errno: Errno,
}

/// Sends a terminal's master to an engine's console socket: one message, with the name of the other end.
pub(super) fn hand_over(console: &Receiver, master: &OwnedFd) -> Result<(), ContainerError> {
    let number = terminal::number(master.as_fd()).map_err(|errno| TerminalError {
        tried: "name the program's terminal (ioctl)",
        errno,
    })?;
    Ok(console.send(format!("/dev/pts/{number}").as_bytes(), master)?)
}

/// The caller's terminal in raw mode, for as long as this lives.
struct Raw {
    before: Termios,
}

impl Raw {
    /// Output processing stays on: it is this terminal that turns a line feed into a new line.
    fn new() -> Result<Option<Self>, TerminalError> {
        let stdin = std::io::stdin();
        if !std::io::IsTerminal::is_terminal(&stdin) {
            return Ok(None);
        }
        let fail = |errno| TerminalError {
            tried: "set the terminal to raw mode (tcsetattr)",
            errno,
        };
        let before = tcgetattr(&stdin).map_err(fail)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        raw.output_flags
            .insert(before.output_flags & OutputFlags::OPOST);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).map_err(fail)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // From the background too, where it would stop us otherwise.
        process::ignore_signal(libc::SIGTTOU);
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Copies between the caller's streams and the program's terminal. Never waits: `poll` says when.
pub(super) struct Proxy {
    master: OwnedFd,
    input: Input,
    pending: Vec<u8>,
    /// Puts the caller's terminal back when dropped.
    _raw: Option<Raw>,
}

#[derive(PartialEq)]
enum Input {
    Open,
    Ended,
}

/// We copy what the program wrote: the caller's terminal adds its own carriage returns. An engine's client sets its
/// terminal raw and counts on those that the kernel adds here, so a terminal that is handed over stays as it is.
fn as_written(master: &OwnedFd) -> Result<(), Errno> {
    let mut modes = tcgetattr(master)?;
    modes.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(master, SetArg::TCSANOW, &modes)
}

/// What a terminal takes for the end of input (VEOF).
const END_OF_INPUT: u8 = 4;

impl Proxy {
    pub(super) fn new(master: OwnedFd) -> Result<Self, TerminalError> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|errno| TerminalError {
            tried: "watch the program's terminal (fcntl)",
            errno,
        })?;
        as_written(&master).map_err(|errno| TerminalError {
            tried: "set the modes of the program's terminal (tcsetattr)",
            errno,
        })?;
        let proxy = Self {
            master,
            input: Input::Open,
            pending: Vec::new(),
            _raw: Raw::new()?,
        };
        if matches!(terminal::size(proxy.master.as_fd()), Ok((0, 0))) {
            proxy.resize();
        }
        Ok(proxy)
    }

    /// As large as the caller's.
    pub(super) fn resize(&self) {
        let outer = [std::io::stdin().as_fd(), std::io::stdout().as_fd()]
            .into_iter()
            .find_map(|fd| terminal::size(fd).ok());
        if let Some(size) = outer {
            let _ = terminal::set_size(self.master.as_fd(), size);
        }
    }

    /// What to wait for: the program's terminal first, then the caller's input while it is wanted.
    pub(super) fn waits_for<'a>(&'a self, stdin: BorrowedFd<'a>) -> Vec<PollFd<'a>> {
        let mut events = PollFlags::POLLIN;
        if !self.pending.is_empty() {
            events |= PollFlags::POLLOUT;
        }
        let mut out = vec![PollFd::new(self.master.as_fd(), events)];
        if self.input == Input::Open && self.pending.is_empty() {
            out.push(PollFd::new(stdin, PollFlags::POLLIN));
        }
        out
    }

    /// What has become possible; false when the program's side is closed.
    pub(super) fn copy(&mut self, stdin_ready: bool) -> bool {
        if stdin_ready {
            self.read_input();
        }
        self.write_pending();
        self.drain()
    }

    fn read_input(&mut self) {
        let mut buffer = [0u8; 4096];
        match process::read(0, &mut buffer) {
            Ok(0) => {
                self.input = Input::Ended;
                self.pending.push(END_OF_INPUT);
            }
            Ok(n) => self.pending.extend_from_slice(&buffer[..n]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.input = Input::Ended,
        }
    }

    fn write_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match process::write(self.master.as_raw_fd(), &self.pending) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.pending.clear(),
        }
    }

    /// Everything that the program has written so far; false when its side is closed.
    pub(super) fn drain(&self) -> bool {
        let mut buffer = [0u8; 16384];
        // Not for ever: signals and the program's end want to be seen too.
        for _ in 0..16 {
            match process::read(self.master.as_raw_fd(), &mut buffer) {
                Ok(0) => return false,
                Ok(n) if super::streams::write_all(1, &buffer[..n]) => {}
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                // EIO: nobody has the other end open.
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }
}
