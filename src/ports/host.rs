//! The sockets of the host, made when the launch begins: who can't have its port is told then, not when a client comes.
//!
//! Called by the command line before anything else of the container is made; whoever holds [`Held`] holds the ports.

use super::error::PortsError;
use crate::plan::openings::{DataPath, Listen, OpeningsPlan, Published};
use crate::request::openings::Protocol;
use crate::sys::net::{self, RawAddress};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// Connections that the kernel keeps until they are accepted; it cuts this to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// The sockets of the host that one container has.
#[derive(Debug, Default)]
pub struct Held {
    /// In the order of the plan, without those that this host has no family for.
    pub(super) published: Vec<(Published, OwnedFd)>,
    /// For descriptors 3 and up.
    pub(super) listen: Vec<OwnedFd>,
}

impl Held {
    /// Makes them all, or says which one can't be had.
    pub fn open(plan: &OpeningsPlan) -> Result<Self, PortsError> {
        let mut held = Self::default();
        let ours = |p: &&Published| p.path != DataPath::Network;
        for published in plan.published.iter().filter(ours) {
            match publish(published) {
                Ok(socket) => held.published.push((published.clone(), socket)),
                Err(PortsError::Host {
                    errno: Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL,
                    ..
                }) if published.optional => {}
                Err(error) => return Err(error),
            }
        }
        for listen in &plan.listen {
            held.listen.extend(activation(listen)?);
        }
        Ok(held)
    }

    /// What is published by these sockets.
    pub fn published(&self) -> impl Iterator<Item = &Published> {
        self.published.iter().map(|(p, _)| p)
    }

    /// Puts the listening sockets at descriptors 3 and up.
    pub fn place(&self) -> Result<(), Errno> {
        super::inherit::place(&self.listen)
    }

    /// How many listening sockets the program will find.
    pub fn listening(&self) -> usize {
        self.listen.len()
    }
}

fn publish(asked: &Published) -> Result<OwnedFd, PortsError> {
    let what = format!("{}:{}/{}", asked.at, asked.inside, asked.protocol);
    let kind = match asked.protocol {
        Protocol::Tcp => libc::SOCK_STREAM,
        Protocol::Udp => libc::SOCK_DGRAM,
    };
    let listens = asked.protocol == Protocol::Tcp && asked.path == DataPath::Forwarded;
    let socket = bound(asked.at, kind, ("--publish", &what), listens)?;
    if listens {
        let listening = net::listen(socket.as_fd(), BACKLOG);
        step(listening, ("--publish", &what), asked.at, "listen (listen)")?;
    }
    Ok(socket)
}

fn step<T>(
    done: Result<T, Errno>,
    (flag, what): (&'static str, &str),
    at: SocketAddr,
    tried: &'static str,
) -> Result<T, PortsError> {
    done.map_err(|errno| match errno {
        Errno::EADDRINUSE => PortsError::Taken {
            flag,
            what: what.into(),
            at: at.to_string(),
        },
        errno => PortsError::Host {
            flag,
            what: what.into(),
            tried,
            errno,
        },
    })
}

/// A socket at an address of the host. A port that is only kept for the service is not shared with anybody.
fn bound(
    at: SocketAddr,
    kind: i32,
    place: (&'static str, &str),
    reuse: bool,
) -> Result<OwnedFd, PortsError> {
    let domain = if at.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let made = net::socket(domain, kind | libc::SOCK_NONBLOCK, 0);
    let socket = step(made, place, at, "make a socket (socket)")?;
    let set = |level, name| net::set_option(socket.as_fd(), level, name, 1);
    if reuse {
        // Connections of an earlier run that are on their way out don't count.
        step(
            set(libc::SOL_SOCKET, libc::SO_REUSEADDR),
            place,
            at,
            "share the address (setsockopt)",
        )?;
    }
    if at.is_ipv6() {
        step(
            set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
            place,
            at,
            "keep to IPv6 (setsockopt)",
        )?;
    }
    let bound = net::bind(socket.as_fd(), &RawAddress::of(at));
    step(bound, place, at, "take the address (bind)")?;
    Ok(socket)
}

fn activation(listen: &Listen) -> Result<Vec<OwnedFd>, PortsError> {
    let what = listen.to_string();
    match listen {
        Listen::Tcp { address, port } => {
            let at = SocketAddr::new(*address, *port);
            let place = ("--listen", what.as_str());
            let socket = bound(at, libc::SOCK_STREAM, place, true)?;
            step(
                net::listen(socket.as_fd(), BACKLOG),
                place,
                at,
                "listen (listen)",
            )?;
            blocking(&socket)?;
            Ok(vec![socket])
        }
        Listen::Unix(path) => unix(path.as_path(), &what).map(|socket| vec![socket]),
        Listen::Inherit => super::inherit::sockets(),
    }
}

/// A service finds it as systemd would give it.
fn blocking(socket: &OwnedFd) -> Result<(), PortsError> {
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty());
    nix::fcntl::fcntl(socket, flags)
        .map(drop)
        .map_err(|errno| PortsError::Host {
            flag: "--listen",
            what: String::new(),
            tried: "make it wait (fcntl)",
            errno,
        })
}

fn unix(path: &std::path::Path, what: &str) -> Result<OwnedFd, PortsError> {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, socket};
    let failed = |tried| {
        let what = what.to_string();
        move |errno| match errno {
            Errno::EADDRINUSE => PortsError::Taken {
                flag: "--listen",
                at: what.clone(),
                what,
            },
            errno => PortsError::Host {
                flag: "--listen",
                what,
                tried,
                errno,
            },
        }
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None);
    let made = made.map_err(failed("make a socket (socket)"))?;
    let address = UnixAddr::new(path).map_err(failed("name the socket"))?;
    // Who may connect is the folder's to say; the socket itself is its owner's and his group's.
    let before = umask(Mode::from_bits_truncate(0o117));
    let bound = stale(path)
        .and_then(|()| nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&made), &address));
    umask(before);
    bound.map_err(failed("take the path (bind)"))?;
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    nix::sys::socket::listen(&made, backlog).map_err(failed("listen (listen)"))?;
    Ok(made)
}

/// A socket that nobody listens at any more makes room; anything else at its place stays.
fn stale(path: &std::path::Path) -> Result<(), Errno> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !meta.file_type().is_socket() {
        return Err(Errno::EEXIST);
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(why) if why.kind() == std::io::ErrorKind::ConnectionRefused => {
            nix::unistd::unlink(path)
        }
        _ => Err(Errno::EADDRINUSE),
    }
}
