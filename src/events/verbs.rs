//! Events of the verbs that come after a launch: start, kill, pause, resume, update, exec. They are processes of their own, so
//! they tell the container's monitor over a socket in the state folder, which nobody else can enter.
//!
//! A verb that begins or ends something holds the monitor ([`hold`]): nothing that follows from what it tells is told
//! before it, and what it still has to tell when the container has ended finds somebody who listens.
//!
//! Best effort: a container without a monitor has no such socket, and no verb fails for want of one.

use super::{About, MOST, Sender, What, parse};
use crate::logs::{NEWCOMERS, Origin};
use crate::sys::process;
use crate::sys::socket::{MOST as FDS, receive_fds, send_fds};
use crate::worker::{Descriptors, Jail, Row, Said, Told, Worker, nothing, opens_nothing};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, send, socket, socketpair,
};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: WORKER,
    wanted: |plan| plan.denials.is_some() || plan.watch.logs.is_some(),
    needs: &["verbs"],
    takes: &HANDED,
    prepare: nothing,
    opens: opens_nothing,
    jail: |_| Jail::default(),
    run,
    last: Duration::from_secs(1),
};

/// What a program that `exec` starts gets, for its own monitor.
const HANDED: [&str; 3] = ["tell-events", "lines", NEWCOMERS];

/// Its name in the table.
pub const WORKER: &str = "verbs";

/// How long the monitor stays for whoever holds it. It is let go by the kernel when that one ends, whatever happens.
pub const HELD: Duration = Duration::from_secs(30);

/// How many may hold it at once; whoever is one more isn't waited for.
const HOLDERS: usize = 16;

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

fn connected(folder: &Path) -> Result<OwnedFd, Errno> {
    let socket = made()?;
    connect(socket.as_raw_fd(), &UnixAddr::new(&folder.join(NAME))?)?;
    Ok(socket)
}

/// Which launch it is the monitor knows.
fn about(id: &str) -> About {
    About {
        id: id.into(),
        name: None,
        launch: String::new(),
    }
}

/// Tells the monitor of the container whose folder this is, if there is one.
pub fn tell(folder: &Path, id: &str, what: What) {
    if let Ok(socket) = connected(folder) {
        Sender::socket(about(id), socket).send(what);
    }
}

/// How long a verb waits for a worker that does nothing.
const PATIENCE: u16 = 2000;

/// A monitor that stays until this is dropped, if there is one.
#[must_use]
pub struct Held {
    sender: Sender,
    _end: Option<OwnedFd>,
}

impl Held {
    /// Tells it something more.
    pub fn tell(&self, what: What) {
        self.sender.send(what);
    }
}

/// Tells the monitor of the container whose folder this is, waits until that is on its way, and holds it.
pub fn hold(folder: &Path, id: &str, what: What) -> Held {
    let nobody = || Held {
        sender: Sender::nowhere(about(id)),
        _end: None,
    };
    let Ok(socket) = connected(folder) else {
        return nobody();
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let Ok((end, theirs)) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags) else {
        return nobody();
    };
    let line = what.event(&about(id), &[]).line();
    let sent = send_fds(socket.as_fd(), &line, &[theirs.as_fd()]);
    drop(theirs);
    // A byte, or the end of a socket that nobody took: a monitor that ends meanwhile holds nobody up.
    let mut fds = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    while sent.is_ok() && poll(&mut fds, PATIENCE) == Err(Errno::EINTR) {}
    Held {
        sender: Sender::socket(about(id), socket),
        _end: Some(end),
    }
}

/// What a container's monitor shares with that of a program that joins.
pub struct Joined {
    /// Which launch it is.
    pub origin: Origin,
    /// The ways for events and output, as far as it has them.
    pub fds: Descriptors,
    /// The monitor stays until this is closed.
    pub held: OwnedFd,
}

#[derive(Serialize, Deserialize)]
struct Handed {
    origin: Origin,
    fds: Vec<String>,
}

/// Instead of an event: who sends it, with a socket, is to get a [`Joined`].
const JOIN: &[u8] = b"join";

/// Asks the monitor of the container whose folder this is to take a newcomer's events and output; `None`: there is no
/// monitor, or none that answers.
pub fn join(folder: &Path) -> Option<Joined> {
    let socket = connected(folder).ok()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (held, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).ok()?;
    send_fds(socket.as_fd(), JOIN, &[theirs.as_fd()]).ok()?;
    drop(theirs);
    let mut wait = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
    while poll(&mut wait, PATIENCE) == Err(Errno::EINTR) {}
    if wait[0].any() != Some(true) {
        return None;
    }
    let (mut text, mut numbers) = ([0u8; MOST], [-1; FDS]);
    let (n, count) = receive_fds(held.as_raw_fd(), &mut text, &mut numbers).ok()??;
    let handed: Handed = serde_json::from_slice(&text[..n]).ok()?;
    let mut fds = Descriptors::default();
    let all = numbers.iter().take(count).map(|fd| process::own(*fd));
    fds.extend(handed.fds, all.collect());
    Some(Joined {
        origin: handed.origin,
        fds,
        held,
    })
}

/// The answer to [`JOIN`].
fn hand(to: &OwnedFd, origin: &Origin, fds: &Descriptors) {
    let (names, numbers) = fds.parts();
    let handed = Handed {
        origin: origin.clone(),
        fds: names,
    };
    let text = serde_json::to_vec(&handed).unwrap_or_default();
    // A socket of its own that nothing was sent to: it takes this at once.
    let _ = send_fds(to.as_fd(), &text, &numbers);
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let verbs = worker.fds.must("verbs")?;
    let copy = |name| {
        worker
            .fds
            .get(name)
            .and_then(|fd| fd.try_clone_to_owned().ok())
    };
    let (socket, lines) = (copy("tell-events"), copy("lines"));
    let events = Sender::by(About::from(&worker.origin), socket, lines);
    worker.tell.say(&Said::Ready);
    let (mut holders, mut finishing) = (Vec::new(), false);
    loop {
        let mut fds = vec![
            PollFd::new(verbs.as_fd(), PollFlags::POLLIN),
            PollFd::new(worker.tell.fd(), PollFlags::POLLIN),
        ];
        let ends = holders
            .iter()
            .map(|fd: &OwnedFd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        fds.extend(ends);
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
        }
        let mut happened = fds.iter().map(|fd| fd.any() == Some(true)).skip(1);
        let asked = happened.next() == Some(true);
        let over: Vec<bool> = happened.collect();
        drop(fds);
        // Those who came first: whoever lets go has sent what he had before.
        hand_on(&verbs, &events, worker, &mut holders);
        let mut over = over.into_iter();
        holders.retain(|_| over.next() != Some(true));
        if asked {
            match worker.tell.asked() {
                Told::Nothing => {}
                Told::Finish => finishing = true,
                Told::Alone => return Ok(()),
            }
        }
        if finishing && holders.is_empty() {
            return Ok(());
        }
    }
}

/// Whatever is there, as events of this launch.
fn hand_on(verbs: &OwnedFd, events: &Sender, worker: &Worker, holders: &mut Vec<OwnedFd>) {
    let mut line = [0u8; MOST];
    let mut fds = [-1; FDS];
    while let Ok(Some((n, count))) = receive_fds(verbs.as_raw_fd(), &mut line, &mut fds) {
        let fds = fds.iter().take(count).map(|fd| process::own(*fd));
        let fds: Vec<OwnedFd> = fds.collect();
        if &line[..n] == JOIN {
            let newcomers = fds
                .into_iter()
                .inspect(|fd| hand(fd, &worker.origin, &worker.fds));
            let room = HOLDERS.saturating_sub(holders.len());
            holders.extend(newcomers.take(room));
            continue;
        }
        match parse(line[..n].trim_ascii_end()) {
            Ok(event) if event.id == events.about().id => {
                events.send_of(event.what, &event.controls);
            }
            _ => continue,
        }
        for holder in fds {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let _ = send(holder.as_raw_fd(), b"k", flags);
            if holders.len() < HOLDERS {
                holders.push(holder);
            }
        }
    }
}
