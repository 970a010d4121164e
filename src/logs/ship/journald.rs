//! The journal of this host, in its native protocol: a datagram a record, or a sealed memory file when it is large.
//!
//! The journal accepts or refuses at once, so what was sent is what has arrived. Used by `chain`.

use super::super::{Kind, Origin, Record, Stream};
use super::sink::Sink;
use super::stamp::number;
use super::trouble::{Cause, Trouble};
use crate::policy::Target;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

/// How long the journal may be busy, in milliseconds.
const PATIENCE: u16 = 10_000;

/// A socket that is connected to the journal's.
pub struct Journald {
    socket: UnixDatagram,
    constant: Vec<u8>,
    entry: Vec<u8>,
    last: u64,
}

impl Journald {
    /// Connects.
    pub fn new(origin: &Origin, target: &Target, delivered: u64) -> Result<Self, Trouble> {
        let path = target.place().unwrap_or_default();
        let connect = || -> std::io::Result<UnixDatagram> {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = connect()
            .map_err(|error| Trouble::io(&format!("connect to the journal at {path}"), &error))?;
        let mut constant = Vec::new();
        let name = origin.name.as_deref().unwrap_or(&origin.id);
        field(&mut constant, "SYSLOG_IDENTIFIER", name.as_bytes());
        field(&mut constant, "CONTAINER_NAME", name.as_bytes());
        field(&mut constant, "CONTAINER_ID_FULL", origin.id.as_bytes());
        if let Some(image) = &origin.image {
            field(&mut constant, "IMAGE_NAME", image.as_bytes());
        }
        field(&mut constant, "COFFERDAM_BOOT", origin.boot.as_bytes());
        field(&mut constant, "COFFERDAM_LAUNCH", origin.launch.as_bytes());
        Ok(Self {
            socket,
            constant,
            entry: Vec::new(),
            last: delivered,
        })
    }

    fn datagram(&self) -> Result<(), Trouble> {
        let wrong = |error: &std::io::Error| Trouble::io("send to the journal", error);
        loop {
            let error = match self.socket.send(&self.entry) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EAGAIN) => {
                    let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut fds, PollTimeout::from(PATIENCE)) == Ok(0) {
                        let text = "the journal takes nothing";
                        return Err(Trouble::new(Cause::Away, text));
                    }
                }
                Some(Errno::EINTR) => {}
                Some(Errno::EMSGSIZE | Errno::ENOBUFS) => return self.large(),
                _ => return Err(wrong(&error)),
            }
        }
    }

    /// What is too large for a datagram: the journal reads it from a file that nobody can change any more.
    fn large(&self) -> Result<(), Trouble> {
        let make = || -> std::io::Result<File> {
            let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
            let mut file = File::from(memfd_create(c"journal-entry", flags)?);
            file.write_all(&self.entry)?;
            fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
            Ok(file)
        };
        let file = make().map_err(|error| {
            Trouble::local(
                "make a sealed memory file for the journal (memfd_create)",
                error,
            )
        })?;
        let sent = crate::sys::socket::send_fds(self.socket.as_fd(), b"", &[file.as_fd()]);
        sent.map(|_| ())
            .map_err(|errno| Trouble::io("hand a file to the journal (sendmsg)", &errno.into()))
    }
}

/// A field; a value with a line feed, or one that isn't text, goes with its length.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend((value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

impl Sink for Journald {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        let out = &mut self.entry;
        out.clear();
        let (priority, stream) = match (record.kind, record.stream) {
            (Kind::Gap, _) => ("4", "event"),
            (_, Stream::Stdout) => ("6", "stdout"),
            (_, Stream::Stderr) => ("3", "stderr"),
            (_, Stream::Event) => ("5", "event"),
        };
        field(out, "MESSAGE", record.bytes);
        field(out, "PRIORITY", priority.as_bytes());
        field(out, "COFFERDAM_STREAM", stream.as_bytes());
        out.extend_from_slice(b"COFFERDAM_SEQ=");
        number(out, record.seq);
        out.extend_from_slice(b"\nCOFFERDAM_TIME=");
        number(out, record.time_ns / 1000);
        out.push(b'\n');
        if record.pid > 0 {
            field(out, "COFFERDAM_EXEC_PID", record.pid.to_string().as_bytes());
        }
        match record.kind {
            Kind::Line => {}
            Kind::Partial => field(out, "CONTAINER_PARTIAL_MESSAGE", b"true"),
            Kind::Gap => field(out, "COFFERDAM_GAP", b"true"),
        }
        out.extend_from_slice(&self.constant);
        self.datagram()?;
        self.last = self.last.max(record.seq);
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.last
    }
}
