//! A byte stream to a collector, plain or TLS, with a bound on every wait.
//!
//! Sockets don't block; waiting is done here with poll(2). Before each write the peer is looked at, since the first
//! write after it has gone would succeed. Used by every protocol over TCP.

use super::trouble::{Cause, Trouble};
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long a connection may take.
pub const CONNECT: Duration = Duration::from_secs(3);
/// How long a write may make no headway, and how long a handshake may take.
pub const WRITE: Duration = Duration::from_secs(10);
/// How long a peer that has acknowledged everything may take to say goodbye.
pub const DRAIN: Duration = Duration::from_secs(2);
/// How long sent bytes may stay unacknowledged by the peer's kernel, in milliseconds.
const UNACKNOWLEDGED: u32 = 30_000;
/// Plaintext that TLS keeps at most.
const BUFFER: usize = 64 * 1024;

/// The stream.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Bytes handed to the kernel.
    handed: u64,
    /// The widest window that the peer has shown.
    widest: u32,
    /// From how many bytes on a wait for the peer ends.
    roused: usize,
}

/// Connects to the first of the addresses that answers.
pub fn connect(host: &str, addresses: &[SocketAddr]) -> Result<Wire, Trouble> {
    let mut last = Trouble::new(Cause::Away, format!("{host} has no address"));
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT) {
            Ok(socket) => return Wire::plain(socket),
            Err(error) => {
                last = Trouble::io(&format!("connect to {host} at {address} (connect)"), &error);
            }
        }
    }
    Err(last)
}

impl Wire {
    /// Over a connected socket.
    pub fn plain(socket: TcpStream) -> Result<Self, Trouble> {
        let prepare = || -> io::Result<()> {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            setsockopt(&socket, sockopt::KeepAlive, &true)?;
            setsockopt(&socket, sockopt::TcpKeepIdle, &30)?;
            setsockopt(&socket, sockopt::TcpKeepInterval, &10)?;
            setsockopt(&socket, sockopt::TcpKeepCount, &3)?;
            setsockopt(&socket, sockopt::TcpUserTimeout, &UNACKNOWLEDGED)?;
            Ok(())
        };
        prepare().map_err(|error| Trouble::io("prepare the socket (setsockopt)", &error))?;
        Ok(Self {
            socket,
            tls: None,
            handed: 0,
            widest: 0,
            roused: 1,
        })
    }

    /// Puts TLS on it and completes the handshake: after this the peer is who it should be.
    pub fn secure(mut self, mut connection: ClientConnection) -> Result<Self, Trouble> {
        connection.set_buffer_limit(Some(BUFFER));
        let mut tls = Box::new(connection);
        let until = Instant::now() + WRITE;
        while tls.is_handshaking() {
            if tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => {
                        return Err(Trouble::io("complete the TLS handshake", &error));
                    }
                    Ok(count) => {
                        self.handed += count as u64;
                        continue;
                    }
                    Err(_) => {}
                }
            }
            let events = match tls.wants_write() {
                true => PollFlags::POLLIN | PollFlags::POLLOUT,
                false => PollFlags::POLLIN,
            };
            if !wait(self.socket.as_fd(), events, until)? {
                let text = "the TLS handshake took too long; is this a TLS port?";
                return Err(Trouble::new(Cause::Away, text));
            }
            match read_tls(&mut tls, &mut self.socket) {
                Ok(Taken::Nothing | Taken::Some) => {}
                Ok(Taken::End) => {
                    let text = "the collector closed the connection during the TLS handshake; is this a TLS port?";
                    return Err(Trouble::new(Cause::Away, text));
                }
                Err(trouble) => {
                    // The alert that says why we go.
                    let _ = tls.write_tls(&mut self.socket);
                    return Err(trouble);
                }
            }
        }
        self.tls = Some(tls);
        self.push(until)?;
        Ok(self)
    }

    /// Whether the peer has gone, as far as can be seen without waiting. For TLS this takes in what it said.
    pub fn check_peer(&mut self) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else {
            let mut byte = [0];
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            return match recv(self.socket.as_raw_fd(), &mut byte, flags) {
                Ok(0) => Err(Trouble::closed()),
                Ok(_) | Err(nix::Error::EAGAIN) => Ok(()),
                Err(errno) => Err(Trouble::io("look at the connection (recv)", &errno.into())),
            };
        };
        match read_tls(tls, &mut self.socket)? {
            Taken::End => Err(Trouble::closed()),
            Taken::Nothing | Taken::Some => Ok(()),
        }
    }

    /// About so many of the bytes handed over have not been read by the peer: those that its kernel has not
    /// acknowledged, and those that wait there, which show as a window narrower than it was. More may wait: that kernel
    /// gives a busy peer more room, up to tens of megabytes, without a narrower window.
    fn unread(&mut self) -> u64 {
        let Ok(Some((acknowledged, window))) = sys::socket::tcp_progress(self.socket.as_fd())
        else {
            return 0;
        };
        self.widest = self.widest.max(window);
        self.handed.saturating_sub(acknowledged) + u64::from(self.widest - window)
    }

    /// Sends all of it, or fails when the peer is gone or takes nothing for [`WRITE`].
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        self.check_peer()?;
        while !bytes.is_empty() {
            let until = Instant::now() + WRITE;
            let written = match &mut self.tls {
                Some(tls) => tls.writer().write(bytes),
                None => (&self.socket).write(bytes),
            };
            match written {
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.handed += if self.tls.is_some() { 0 } else { count as u64 };
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable(until)?,
                Err(error) => return Err(Trouble::io("send to the collector", &error)),
            }
            self.push(until)?;
        }
        Ok(())
    }

    /// Hands TLS's own bytes to the kernel.
    fn push(&mut self, until: Instant) -> Result<(), Trouble> {
        while self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
            let Some(tls) = &mut self.tls else { break };
            match tls.write_tls(&mut self.socket) {
                Ok(count) => self.handed += count as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable(until)?,
                Err(error) => return Err(Trouble::io("send to the collector", &error)),
            }
        }
        Ok(())
    }

    /// Takes note of how wide the peer's window is, for `finish`.
    pub fn look(&mut self) {
        self.unread();
    }

    fn writable(&self, until: Instant) -> Result<(), Trouble> {
        if wait(self.socket.as_fd(), PollFlags::POLLOUT, until)? {
            return Ok(());
        }
        let text = format!("the collector has taken nothing for {} s", WRITE.as_secs());
        Err(Trouble::new(Cause::Away, text))
    }

    /// Has waits end only when about so many bytes have come, never more, or the connection's end: whoever waits looks for
    /// fewer now and then. The kernel hears of powers of two alone.
    pub fn rouse(&mut self, bytes: usize) -> Result<(), Trouble> {
        let bytes = 1 << bytes.max(1).ilog2();
        if bytes != self.roused {
            let value = i32::try_from(bytes).unwrap_or(i32::MAX);
            self.set(libc::SOL_SOCKET, libc::SO_RCVLOWAT, value)
                .map_err(|errno| Trouble::io("prepare the socket (setsockopt)", &errno.into()))?;
            self.roused = bytes;
        }
        Ok(())
    }

    /// Acknowledges at once what has come: a peer may hold back the rest until then (tcp(7), TCP_QUICKACK).
    pub fn hurry(&self) {
        let _ = self.set(libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1);
    }

    fn set(&self, level: i32, option: i32, value: i32) -> Result<(), nix::Error> {
        sys::net::set_option(self.socket.as_fd(), level, option, value)
    }

    /// Appends what the peer has said, at most `most` bytes in all, without waiting; whether it was anything.
    pub fn receive(&mut self, into: &mut Vec<u8>, most: usize) -> Result<bool, Trouble> {
        let before = into.len();
        let mut chunk = [0; 8192];
        loop {
            let room = chunk.len().min(most.saturating_sub(into.len()));
            if room == 0 {
                return Ok(into.len() > before);
            }
            if let Some(tls) = &mut self.tls {
                read_tls(tls, &mut self.socket)?;
            }
            let got = match &mut self.tls {
                Some(tls) => tls.reader().read(&mut chunk[..room]),
                None => (&self.socket).read(&mut chunk[..room]),
            };
            match got {
                // What came with the end is taken first; the end is still there at the next look.
                Ok(0) if into.len() > before => return Ok(true),
                Ok(0) => return Err(Trouble::closed()),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return match into.len() > before {
                        true => Ok(true),
                        false => Err(Trouble::closed()),
                    };
                }
                Ok(count) => {
                    into.extend_from_slice(&chunk[..count]);
                    // There was no more; what comes now wakes the next wait.
                    if count < room && self.tls.is_none() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(into.len() > before);
                }
                Err(error) => return Err(Trouble::io("read from the collector", &error)),
            }
        }
    }

    /// Waits until the peer says something; whether it did before `until`.
    pub fn wait(&self, until: Instant) -> Result<bool, Trouble> {
        wait(self.socket.as_fd(), PollFlags::POLLIN, until)
    }

    /// The socket, for poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Says goodbye and reads until the peer has too: only then it has read everything, or has ended itself with nothing
    /// waiting in its kernel. A client that just closes has its unread session tickets answered with a reset, which
    /// throws away what the peer had not read yet. One that never says goodbye is believed to have read what TCP shows.
    pub fn finish(mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        if self.push(until).is_err() || self.socket.shutdown(Shutdown::Write).is_err() {
            return false;
        }
        let mut rest = [0; 4096];
        loop {
            match (&self.socket).read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.wait(until) {
                    Ok(true) => {}
                    Ok(false) => return self.unread() == 0,
                    Err(_) => return false,
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

/// What one look at the socket brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Some,
    End,
}

/// Takes in what TLS has got, without waiting.
fn read_tls(tls: &mut ClientConnection, socket: &mut TcpStream) -> Result<Taken, Trouble> {
    if !tls.wants_read() {
        return Ok(Taken::Nothing);
    }
    match tls.read_tls(socket) {
        Ok(0) => return Ok(Taken::End),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return Ok(Taken::Nothing);
        }
        Err(error) => return Err(Trouble::io("read from the collector", &error)),
    }
    match tls.process_new_packets() {
        Ok(state) if state.peer_has_closed() => Ok(Taken::End),
        Ok(_) => Ok(Taken::Some),
        Err(error) => Err(super::tls::trouble(&error)),
    }
}

fn wait(fd: BorrowedFd<'_>, events: PollFlags, until: Instant) -> Result<bool, Trouble> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, events)], left) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(Trouble::io("wait for the collector (poll)", &errno.into())),
        }
    }
}
