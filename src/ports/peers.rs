//! Links between containers: a question and a connected socket, over a unix socket in a folder that only the
//! launchers' own user can enter.
//!
//! Each container that permits peers has a socket of its name there, answered by its own forwarder: "CALLER PORT" is
//! asked, and a socket that is connected to that port inside is the answer. So a caller's forwarder needs no right in
//! the other's namespace, and either side can be restarted. Called by `tcp` (asking) and `worker` (answering).

use super::events::Why;
use super::tcp::connecting;
use crate::sys::net;
use crate::sys::process::own;
use crate::sys::socket::{MOST, receive_fds, send_fds};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const HERE: u8 = b'+';
const REFUSED: u8 = b'-';
const SILENT: u8 = b'0';

/// The asking side of one link.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The container that asks.
    pub(super) own: String,
    /// The one that is asked.
    pub(super) peer: String,
    /// Its port.
    pub(super) port: u16,
    /// Seconds that it may take to appear.
    pub(super) wait: u32,
}

/// What came back.
pub(super) enum Answer {
    /// Nothing yet.
    None,
    /// A socket, connected or about to be.
    Socket(OwnedFd),
    /// It does not permit it.
    Refused,
    /// Nobody serves that port there.
    Silent,
    /// It has ended.
    Gone,
}

/// Asks a peer; this process's working directory is the folder of the peers.
pub(super) fn ask(caller: &Caller) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let at = UnixAddr::new(caller.peer.as_str())?;
    nix::sys::socket::connect(socket.as_raw_fd(), &at)?;
    let question = format!("{} {}", caller.own, caller.port);
    net::send(socket.as_fd(), question.as_bytes())?;
    Ok(socket)
}

/// What a peer has said.
pub(super) fn hear(socket: &OwnedFd) -> Answer {
    let mut word = [0u8; 1];
    let mut fds = [-1; MOST];
    match receive_fds(socket.as_raw_fd(), &mut word, &mut fds) {
        Err(Errno::EAGAIN | Errno::EINTR) => Answer::None,
        Err(_) | Ok(None) => Answer::Gone,
        Ok(Some((_, count))) => {
            let mut received = fds.iter().take(count).map(|fd| own(*fd));
            match (word[0], received.next()) {
                (HERE, Some(socket)) => Answer::Socket(socket),
                (REFUSED, _) => Answer::Refused,
                (SILENT, _) => Answer::Silent,
                _ => Answer::Gone,
            }
        }
    }
}

/// What was answered to a container of that name, which asked for that port.
pub(super) struct Answered {
    pub(super) caller: String,
    pub(super) port: u16,
    /// Why it got nothing.
    pub(super) refused: Option<Why>,
}

/// Who may ask, and for what.
pub(super) struct Permits {
    pub(super) peers: Vec<String>,
    pub(super) ports: Vec<u16>,
}

impl Permits {
    /// Answers one question; `None` if there is none yet, or none that makes sense.
    pub(super) fn answer(&self, socket: &OwnedFd) -> Option<Answered> {
        let mut question = [0u8; 300];
        let n = net::receive(socket.as_fd(), &mut question).ok()?;
        let text = std::str::from_utf8(&question[..n]).ok()?;
        let (caller, port) = parse(text)?;
        let permitted = self.peers.contains(&caller) && self.ports.contains(&port);
        let say = |word, fds: &[_]| {
            // Whoever asked has gone if it can't be told.
            let _ = send_fds(socket.as_fd(), &[word], fds);
        };
        let refused = match permitted.then(|| inside(port)) {
            None => {
                say(REFUSED, &[]);
                Some(Why::Stranger)
            }
            Some(Ok(far)) => {
                say(HERE, &[far.as_fd()]);
                None
            }
            Some(Err(errno)) => {
                say(SILENT, &[]);
                Some(Why::not_served(errno))
            }
        };
        Some(Answered {
            caller,
            port,
            refused,
        })
    }
}

/// "CALLER PORT".
pub fn parse(text: &str) -> Option<(String, u16)> {
    let (caller, port) = text.split_once(' ')?;
    let number = port.parse::<u16>().ok()?;
    let plain = number > 0 && number.to_string() == port;
    (plain && crate::request::is_name(caller)).then(|| (caller.to_string(), number))
}

fn inside(port: u16) -> Result<OwnedFd, Errno> {
    let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut last = Errno::ECONNREFUSED;
    for address in own {
        match connecting(SocketAddr::new(address, port)) {
            Ok(socket) => return Ok(socket),
            Err(errno) => last = errno,
        }
    }
    Err(last)
}
