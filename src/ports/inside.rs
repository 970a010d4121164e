//! The container's network namespace from outside: going in for good, and having sockets made there.
//!
//! An ordinary user gets in by way of the container's user namespace, from which nobody comes back: so whoever only
//! needs a socket sends a process in, which hands it out and ends.

use crate::sys::net::{self, RawAddress};
use crate::sys::process::{self, Side, SingleThreaded};
use crate::sys::socket::{MOST, receive_fds, send_fds};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, fstat};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Connections that wait for the forwarder.
const BACKLOG: i32 = 1024;

/// A container's namespaces, opened while its first process can't be mistaken for another.
#[derive(Debug)]
pub(super) struct Inside {
    /// `None`: it is the launcher's own.
    user: Option<OwnedFd>,
    net: OwnedFd,
}

impl Inside {
    pub(super) fn of(pid: i32) -> Result<Self, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let at = |path: &str| open(path, flags, Mode::empty());
        let (theirs, ours) = (
            at(&format!("/proc/{pid}/ns/user"))?,
            at("/proc/self/ns/user")?,
        );
        let same = fstat(&theirs)?.st_ino == fstat(&ours)?.st_ino;
        Ok(Self {
            user: (!same).then_some(theirs),
            net: at(&format!("/proc/{pid}/ns/net"))?,
        })
    }

    pub(super) fn descriptors(&self) -> Vec<i32> {
        let user = self.user.iter().map(|fd| fd.as_raw_fd());
        user.chain([self.net.as_raw_fd()]).collect()
    }

    /// Goes in. Root's rights reach into every namespace; others have theirs only behind the user namespace.
    pub(super) fn enter(&self) -> Result<(), Errno> {
        let in_net = || process::setns(self.net.as_fd(), libc::CLONE_NEWNET);
        match (in_net(), &self.user) {
            (Err(Errno::EPERM), Some(user)) => {
                process::setns(user.as_fd(), libc::CLONE_NEWUSER)?;
                in_net()
            }
            (done, _) => done,
        }
    }

    /// Goes into the user namespace alone, if it is another one.
    pub(super) fn enter_user(&self) -> Result<(), Errno> {
        let enter = |user: &OwnedFd| process::setns(user.as_fd(), libc::CLONE_NEWUSER);
        self.user.as_ref().map_or(Ok(()), enter)
    }

    /// Listening sockets at ports of 127.0.0.1 inside, in their order.
    pub(super) fn listening(
        &self,
        proof: &SingleThreaded,
        ports: &[u16],
    ) -> Result<Vec<OwnedFd>, Errno> {
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        match process::clone_child(proof, 0, None)? {
            Side::Child => {
                let done = self.make(ports, &theirs);
                process::exit_now(done.map_or_else(|errno| errno as i32, |()| 0))
            }
            Side::Parent { pid, .. } => {
                drop(theirs);
                let mut fds = [-1; MOST];
                let heard = receive_fds(ours.as_raw_fd(), &mut [0], &mut fds);
                let status = waitpid(Pid::from_raw(pid), None)?;
                let count = heard?.map_or(0, |(_, count)| count);
                let sockets: Vec<OwnedFd> =
                    fds.iter().take(count).map(|fd| process::own(*fd)).collect();
                match status {
                    _ if sockets.len() == ports.len() => Ok(sockets),
                    nix::sys::wait::WaitStatus::Exited(_, code) if code > 0 => {
                        Err(Errno::from_raw(code))
                    }
                    _ => Err(Errno::EIO),
                }
            }
        }
    }

    fn make(&self, ports: &[u16], to: &OwnedFd) -> Result<(), Errno> {
        self.enter()?;
        let one = |port: &u16| -> Result<OwnedFd, Errno> {
            let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
            let socket = net::socket(libc::AF_INET, kind, 0)?;
            let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port);
            net::bind(socket.as_fd(), &RawAddress::of(at))?;
            net::listen(socket.as_fd(), BACKLOG)?;
            Ok(socket)
        };
        let sockets: Vec<OwnedFd> = ports.iter().map(one).collect::<Result<_, _>>()?;
        let all: Vec<_> = sockets.iter().map(|s| s.as_fd()).collect();
        send_fds(to.as_fd(), &[0], &all).map(drop)
    }
}
