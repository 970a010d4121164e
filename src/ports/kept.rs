//! What forwarders and the binder are made of, again and again: the sockets, and where each of them has to stand.
//!
//! Everything here is a copy or is made anew for each process; the originals stay with `keeper`, which calls this.

use super::error::PortsError;
use super::folder::Place;
use super::host::Held;
use super::inside::Inside;
use super::native;
use super::peers::{Caller, Permits};
use super::tcp::{Door, Target};
use super::udp::Datagrams;
use super::worker::{self, Post};
use crate::events::Sender;
use crate::events::watch::Notebook;
use crate::plan::openings::{DataPath, OpeningsPlan, Published};
use crate::request::openings::Protocol;
use crate::seccomp::Program;
use crate::sys::fs::dup_above;
use crate::sys::process::{self, SingleThreaded};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Whose ports they are.
pub struct Whose<'a> {
    /// The container.
    pub name: &'a str,
    /// Its first process.
    pub pid: i32,
    /// The same, however pids are reused.
    pub pidfd: BorrowedFd<'a>,
    /// The folder of the peers.
    pub links: &'a std::path::Path,
    /// Where the kernel asks about its calls.
    pub asked: Option<Asked>,
    /// Where is told what the ports see.
    pub events: Sender,
}

/// Where the kernel asks about calls that are to be carried out from outside.
pub struct Asked {
    /// The filter's listener.
    pub listener: OwnedFd,
    /// What the filter says of all other calls.
    pub plain: Program,
    /// Whether refused calls are told, and not only answered.
    pub tells: bool,
    /// How often is told how many connections there are.
    pub every: Duration,
}

/// Everything that forwarders are made of, again and again.
pub(super) struct Kept {
    name: String,
    plan: OpeningsPlan,
    published: Vec<(Published, OwnedFd)>,
    inside: Inside,
    /// Listening sockets inside, for links and then for connections.
    out: Vec<OwnedFd>,
    /// Where connections lead.
    addresses: Vec<Vec<SocketAddr>>,
    /// This container's socket among the peers, and their folder.
    peers: Option<OwnedFd>,
    folder: Option<OwnedFd>,
    /// Sockets that were handed in.
    listening: Vec<OwnedFd>,
    native: Option<Native>,
    events: Sender,
    /// The first process.
    container: OwnedFd,
}

/// What the native path is made of.
pub(super) struct Native {
    listener: OwnedFd,
    notebook: OwnedFd,
    made: OwnedFd,
    tells: bool,
    every: Duration,
    pid: i32,
    pidfd: OwnedFd,
    proc: OwnedFd,
}

/// Which forwarder: each stands where it connects from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Inward,
    Outward,
    /// Not a forwarder: it carries calls out.
    Native,
}

fn asked_for(whose: &Whose<'_>) -> Result<Option<Native>, Errno> {
    use nix::fcntl::open;
    let Some(asked) = &whose.asked else {
        return Ok(None);
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(Some(Native {
        listener: copy(&asked.listener)?,
        notebook: Notebook::make(&asked.plain)?,
        made: native::made()?,
        tells: asked.tells,
        every: asked.every,
        pid: whose.pid,
        pidfd: dup(whose.pidfd)?,
        proc: open("/proc", flags, nix::sys::stat::Mode::empty())?,
    }))
}

impl Kept {
    /// The host's sockets, and what is made inside of a container that waits in front of exec.
    pub(super) fn open(
        plan: &OpeningsPlan,
        held: Held,
        whose: &Whose<'_>,
        proof: &SingleThreaded,
    ) -> Result<Self, PortsError> {
        let failed = |tried| move |errno| PortsError::Forwarder { tried, errno };
        let inside =
            Inside::of(whose.pid).map_err(failed("open the container's namespaces (open)"))?;
        let out = inside.listening(proof, &plan.ways_out());
        let out = out.map_err(failed(
            "listen inside for links and connections (setns, bind, listen)",
        ))?;
        let addresses = plan.connects.iter().map(super::resolve::addresses);
        let addresses = addresses.collect::<Result<_, _>>()?;
        let (peers, folder) = match plan.links.is_empty() && plan.peers.is_empty() {
            true => (None, None),
            // Only now is the name certainly ours.
            false => Place::open(whose.links, whose.name, !plan.peers.is_empty())?.into_parts(),
        };
        Ok(Self {
            name: whose.name.into(),
            plan: plan.clone(),
            published: held.published,
            inside,
            out,
            addresses,
            peers,
            folder,
            listening: held.listen,
            native: asked_for(whose).map_err(failed("see to bind and listen (open)"))?,
            events: whose.events.again(),
            container: dup(whose.pidfd).map_err(failed("keep the container's pidfd (dup)"))?,
        })
    }

    pub(super) fn sides(&self) -> Vec<Direction> {
        let inward = self.peers.is_some() || self.published.iter().any(is_forwarded);
        let inward = inward.then_some(Direction::Inward);
        let outward = (!self.out.is_empty()).then_some(Direction::Outward);
        let native = self.native.is_some().then_some(Direction::Native);
        [inward, outward, native].into_iter().flatten().collect()
    }

    pub(super) fn descriptors(&self) -> Vec<i32> {
        let published = self.published.iter().map(|(_, fd)| fd.as_raw_fd());
        let out = self.out.iter().chain(&self.peers).chain(&self.folder);
        let native = self.native.iter();
        let native = native.flat_map(|n| [&n.listener, &n.notebook, &n.made, &n.pidfd, &n.proc]);
        let all = out.chain(&self.listening).chain(native);
        published
            .chain(all.map(|fd| fd.as_raw_fd()))
            .chain(self.inside.descriptors())
            .chain(self.events.numbers())
            .chain([self.container.as_raw_fd()])
            .collect()
    }

    /// In the new process: where it has to stand, then its work.
    pub(super) fn forward(
        &self,
        side: Direction,
        ready: &OwnedFd,
    ) -> Result<std::convert::Infallible, Errno> {
        process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
        let post = match side {
            Direction::Inward => {
                self.inside.enter()?;
                // Ids of another user namespace clear it.
                process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
                self.inward()?
            }
            Direction::Outward => {
                if let Some(folder) = &self.folder {
                    crate::sys::fs::fchdir(folder.as_fd())?;
                }
                self.outward()?
            }
            Direction::Native => return self.bind(ready),
        };
        worker::serve(post, ready)
    }

    /// It stays in the host's network; the right to look into a process is one in the container's user namespace, but
    /// where ports of the host below 1024 need a right that only the host's has.
    fn bind(&self, ready: &OwnedFd) -> Result<std::convert::Infallible, Errno> {
        let _ = process::raise_nofile();
        let native = self.native.as_ref().ok_or(Errno::EINVAL)?;
        let is_native = |(p, _): &&(Published, OwnedFd)| p.path == DataPath::Native;
        let published = self.published.iter().filter(is_native);
        let published: Vec<_> = published
            .map(|(p, fd)| Ok((p.clone(), high(fd)?)))
            .collect::<Result<_, Errno>>()?;
        if published.iter().all(|(p, _)| p.at.port() >= 1024) {
            self.inside.enter_user()?;
            process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0)?;
        }
        let post = native::Post {
            listener: high(&native.listener)?,
            pidfd: high(&native.pidfd)?,
            pid: native.pid,
            published,
            listening: self.listening.iter().map(high).collect::<Result<_, _>>()?,
            declared: self.plan.ports.clone(),
            proc: high(&native.proc)?,
        };
        let watched = native::Watched {
            listener: high(&native.listener)?,
            notebook: copy(&native.notebook)?,
            made: copy(&native.made)?,
            events: match native.tells {
                true => self.events.from_number(HIGH),
                false => Sender::nowhere(self.events.about().clone()),
            },
            counts: (self.events.from_number(HIGH), native.every),
        };
        native::serve(post, watched, ready)
    }

    fn inward(&self) -> Result<Post, Errno> {
        let rules = &self.plan.admission;
        let mut post = Post {
            doors: Vec::new(),
            datagrams: Vec::new(),
            peers: None,
            ports: self.plan.ports.clone(),
            events: self.events.again(),
            container: copy(&self.container)?,
        };
        for (published, socket) in self.published.iter().filter(|p| is_forwarded(p)) {
            let socket = copy(socket)?;
            let gate = worker::gate(rules);
            match published.protocol {
                Protocol::Tcp => {
                    post.ports.push(published.inside);
                    post.doors.push(Door {
                        listener: socket,
                        port: published.at.port(),
                        target: Target::Inside(published.inside),
                        gate,
                        proxy: rules.proxy,
                        paused: false,
                    });
                }
                Protocol::Udp => {
                    let most = rules.connections;
                    let port = (published.at.port(), published.inside);
                    post.datagrams
                        .push(Datagrams::new(socket, port, gate, most));
                }
            }
        }
        if let Some(socket) = &self.peers {
            let permits = Permits {
                peers: self.plan.peers.clone(),
                ports: self.plan.ports.clone(),
            };
            post.peers = Some((copy(socket)?, permits));
        }
        Ok(post)
    }

    fn outward(&self) -> Result<Post, Errno> {
        let links = self.plan.links.iter().map(|link| {
            let caller = Caller {
                own: self.name.clone(),
                peer: link.peer.clone(),
                port: link.port,
                wait: link.wait,
            };
            Target::Peer(caller)
        });
        let connects = self.plan.connects.iter().zip(&self.addresses);
        let connects = connects.map(|(_, at)| Target::Outside(at.clone()));
        let all = links.chain(connects).zip(&self.out);
        let all = all.zip(self.plan.ways_out());
        let doors = all.map(|((target, socket), port)| {
            Ok(Door {
                listener: copy(socket)?,
                port,
                target,
                gate: worker::gate(&Default::default()),
                proxy: None,
                paused: false,
            })
        });
        Ok(Post {
            doors: doors.collect::<Result<_, Errno>>()?,
            datagrams: Vec::new(),
            peers: None,
            ports: self.plan.connects.iter().map(|c| c.port).collect(),
            events: self.events.again(),
            container: copy(&self.container)?,
        })
    }

    /// The container has ended: nobody is to ask for it any more.
    pub(super) fn leave(&self) {
        if let (Some(folder), true) = (&self.folder, self.peers.is_some()) {
            super::folder::leave(folder, &self.name);
        }
    }
}

fn is_forwarded((published, _): &(Published, OwnedFd)) -> bool {
    published.path == DataPath::Forwarded
}

/// Above what programs use, as far as the usual limit goes.
pub(super) const HIGH: i32 = 900;

/// A copy out of the way of numbers that programs have: the binder may need the very same one for a moment.
fn high(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    dup_above(fd.as_fd(), HIGH)
}

fn copy(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    dup(fd.as_fd())
}

fn dup(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    fd.try_clone_to_owned().map_err(|_| Errno::EMFILE)
}
