//! Events of the verbs that come after a launch: start, kill, pause, resume, update, exec. They are processes of their own, so
//! they tell the container's monitor over a socket in the state folder, which nobody else can enter.
//!
//! Best effort: a container without a monitor has no such socket, and no verb fails for want of one.

use super::{About, MOST, Sender, What, parse};
use crate::worker::{Jail, Row, Said, Told, Worker, nothing};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, recv, socket,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: "verbs",
    wanted: |plan| plan.denials.is_some() || plan.watch.logs.is_some(),
    needs: &["verbs"],
    takes: &["tell-events", "lines"],
    prepare: nothing,
    jail: |_| Jail::default(),
    run,
    last: Duration::from_secs(1),
};

const NAME: &str = "events";

fn made() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Datagram, flags, None)
}

/// The monitor's end, in a container's folder.
pub fn listen(folder: &Path) -> Result<OwnedFd, Errno> {
    let socket = made()?;
    bind(socket.as_raw_fd(), &UnixAddr::new(&folder.join(NAME))?)?;
    Ok(socket)
}

/// Tells the monitor of the container whose folder this is, if there is one.
pub fn tell(folder: &Path, id: &str, what: What) {
    let to = || {
        let socket = made()?;
        connect(socket.as_raw_fd(), &UnixAddr::new(&folder.join(NAME))?)?;
        Ok::<_, Errno>(socket)
    };
    if let Ok(socket) = to() {
        let about = About {
            id: id.into(),
            name: None,
            launch: String::new(),
        };
        Sender::socket(about, socket).send(what);
    }
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let verbs = worker.fds.must("verbs")?;
    let mut events = Sender::nowhere(About::from(&worker.origin));
    if let Some(fd) = worker.fds.take("tell-events") {
        events = events.and_socket(fd);
    }
    if let Some(fd) = worker.fds.take("lines") {
        events = events.and_lines(fd.into());
    }
    worker.tell.say(&Said::Ready);
    loop {
        let mut fds = [
            PollFd::new(verbs.as_fd(), PollFlags::POLLIN),
            PollFd::new(worker.tell.fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
        }
        let asked = fds[1].any() == Some(true);
        hand_on(&verbs, &events);
        if asked && worker.tell.asked() != Told::Nothing {
            return Ok(());
        }
    }
}

/// Whatever is there, as events of this launch.
fn hand_on(verbs: &OwnedFd, events: &Sender) {
    let mut line = [0u8; MOST];
    while let Ok(n) = recv(verbs.as_raw_fd(), &mut line, MsgFlags::MSG_DONTWAIT) {
        match parse(&line[..n]) {
            Ok(event) if event.id == events.about().id => {
                events.send_of(event.what, &event.controls);
            }
            _ => {}
        }
    }
}
