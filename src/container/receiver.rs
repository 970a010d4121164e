//! Somebody outside who takes a descriptor over a unix socket: an engine a terminal, an agent a seccomp listener.

use crate::sys::process;
use crate::sys::socket::send_fds;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why nobody has it.
#[derive(Debug, thiserror::Error)]
#[error("can't {tried} the {who} {path}: {}{}", errno.desc(), hint(*errno))]
pub struct ReceiverError {
    tried: &'static str,
    who: &'static str,
    path: String,
    errno: Errno,
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => " (somebody has to listen there first)",
        Errno::ECONNREFUSED => " (is it a socket, and does somebody listen there?)",
        Errno::EPROTOTYPE => " (it has to be a stream socket)",
        Errno::EAGAIN => " (nobody accepts there)",
        _ => "",
    }
}

/// How long a full socket is tried again, and a message may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection; made before there is anything that could be left behind.
pub struct Receiver {
    socket: OwnedFd,
    who: &'static str,
    path: PathBuf,
}

impl Receiver {
    /// An engine that waits for a terminal.
    pub fn console(path: &Path) -> Result<Self, ReceiverError> {
        Self::connect("console socket", path)
    }

    /// An agent that waits for a seccomp listener.
    pub fn agent(path: &Path) -> Result<Self, ReceiverError> {
        Self::connect("seccomp agent's socket", path)
    }

    fn connect(who: &'static str, path: &Path) -> Result<Self, ReceiverError> {
        let fail = |tried, errno| ReceiverError {
            tried,
            who,
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
                Err(Errno::EAGAIN) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(errno) => return Err(fail("connect to", errno)),
            }
        }
        // From here on a reader may be slow, but not for ever.
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::empty()))
            .and_then(|_| {
                let patience = TimeVal::seconds(PATIENCE.as_secs() as i64);
                setsockopt(&socket, sockopt::SendTimeout, &patience)
            })
            .map_err(|e| fail("prepare", e))?;
        Ok(Self {
            socket,
            who,
            path: path.to_path_buf(),
        })
    }

    /// The bytes, and with the first of them the descriptor.
    pub fn send(&self, bytes: &[u8], fd: &OwnedFd) -> Result<(), ReceiverError> {
        let send = || {
            let mut sent = send_fds(self.socket.as_fd(), bytes, &[fd.as_fd()])?;
            while sent < bytes.len() {
                sent += process::write(self.socket.as_raw_fd(), &bytes[sent..])?;
            }
            Ok(())
        };
        send().map_err(|errno| ReceiverError {
            tried: "send a descriptor to",
            who: self.who,
            path: self.path.display().to_string(),
            errno,
        })
    }
}
