//! The outer side of a program's terminal: handed to an engine's console socket, or shown on the caller's own.

use crate::sys::process;
use crate::sys::socket::send_fds;
use crate::sys::terminal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why a terminal could not be handed over or shown.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// The console socket.
    #[error("can't {tried} the console socket {path}: {}{}", errno.desc(), hint(*errno))]
    Console {
        /// What was tried.
        tried: &'static str,
        /// Which.
        path: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The caller's terminal, or the program's.
    #[error("can't {tried}: {}", errno.desc())]
    Sys {
        /// What was tried.
        tried: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => " (the one who asks for the terminal has to listen there first)",
        Errno::ECONNREFUSED => " (is it a socket, and does somebody listen there?)",
        Errno::EPROTOTYPE => " (it has to be a stream socket)",
        Errno::EAGAIN => " (nobody accepts there)",
        _ => "",
    }
}

/// How long a full socket is tried again.
const FULL: Duration = Duration::from_secs(2);

/// Where an engine waits for the terminal's master; connected before anything else is done.
pub struct ConsoleSocket {
    socket: OwnedFd,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Connects to it.
    pub fn connect(path: &Path) -> Result<Self, TerminalError> {
        let fail = |tried, errno| TerminalError::Console {
            tried,
            path: path.display().to_string(),
            errno,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(|e| fail("make a socket for", e))?;
        // An address takes 107 bytes: a longer path goes by way of its folder.
        let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")));
        let short = match (&folder, path.file_name()) {
            (Ok(folder), Some(name)) if path.as_os_str().len() > 100 => {
                PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name)
            }
            _ => path.to_path_buf(),
        };
        let address = UnixAddr::new(&short).map_err(|e| fail("name", e))?;
        let begun = Instant::now();
        loop {
            match connect(socket.as_raw_fd(), &address) {
                Ok(()) => break,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if begun.elapsed() < FULL => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(errno) => return Err(fail("connect to", errno)),
            }
        }
        Ok(Self {
            socket,
            path: path.to_path_buf(),
        })
    }

    /// One message: the master, and the name of the other end.
    pub fn send(&self, master: &OwnedFd) -> Result<(), TerminalError> {
        let number = terminal::number(master.as_fd());
        let name = number.map(|n| format!("/dev/pts/{n}"));
        let sent =
            name.and_then(|name| send_fds(self.socket.as_fd(), name.as_bytes(), &[master.as_fd()]));
        sent.map_err(|errno| TerminalError::Console {
            tried: "send the terminal to",
            path: self.path.display().to_string(),
            errno,
        })
    }
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
        let fail = |errno| TerminalError::Sys {
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

/// What a terminal takes for the end of input (VEOF).
const END_OF_INPUT: u8 = 4;

impl Proxy {
    pub(super) fn new(master: OwnedFd) -> Result<Self, TerminalError> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|errno| {
            TerminalError::Sys {
                tried: "watch the program's terminal (fcntl)",
                errno,
            }
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
