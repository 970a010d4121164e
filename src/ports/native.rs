//! The native path: carries out `bind` and `listen` for the program, so that a declared port becomes a socket of the
//! host's and nothing else does.
//!
//! The program waits (seccomp user notification) while this process looks at copies: of the address, and of the
//! descriptor, which is the same open file. Everything is then done to the copy, never by letting the call go on, so
//! whatever another thread changes meanwhile, it is not what is carried out. `bind` to a published port: a socket is
//! made in the host's namespace with the options that the program's had, and put in its place. Landlock leaves the
//! program no port to bind or connect itself. Called by `kept`; jailed but for the right to look into the container.
//!
//! A binder that is killed over a call has a successor, which finds the call in the notebook and carries it out again:
//! so each step here can be repeated.

use super::established::Established;
use super::jail;
use super::options;
use crate::events::Sender;
use crate::events::watch::{Carrier, Notebook, Watcher};
use crate::plan::openings::{DataPath, Published};
use crate::seccomp::{Arch, syscalls};
use crate::sys::memory::{self, Shared};
use crate::sys::net::{self, RawAddress};
use crate::sys::notify::{self, Notification};
use crate::sys::{process, reach};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const SO_NETNS_COOKIE: i32 = 71;

/// All that it works with.
pub(super) struct Post {
    /// Where the kernel asks.
    pub(super) listener: OwnedFd,
    /// The container's first process.
    pub(super) pidfd: OwnedFd,
    pub(super) pid: i32,
    /// Published natively, each with the socket that has kept its port since the launch.
    pub(super) published: Vec<(Published, OwnedFd)>,
    /// Listening sockets that were handed in.
    pub(super) listening: Vec<OwnedFd>,
    /// Ports that may be bound inside.
    pub(super) declared: Vec<u16>,
    /// Folder of processes, to find to whom a thread belongs.
    pub(super) proc: OwnedFd,
}

/// What a binder that was killed leaves to the next one, and where it tells what it refuses.
pub(super) struct Watched {
    /// Where the kernel asks, once more.
    pub(super) listener: OwnedFd,
    /// The call in hand ([`Notebook`]).
    pub(super) notebook: OwnedFd,
    /// Sockets that were made ([`made`]).
    pub(super) made: OwnedFd,
    pub(super) events: Sender,
    /// Where it tells how many connections there are, and how often.
    pub(super) counts: (Sender, Duration),
}

/// Memory for [`Watched::made`].
pub(super) fn made() -> Result<OwnedFd, Errno> {
    memory::anonymous(c"made", (1 + MADE) * 8)
}

struct Worker {
    post: Post,
    /// The host's network namespace, as its sockets name it.
    host: u64,
    bind: Option<u32>,
    listen: Option<u32>,
    /// Identities (SO_COOKIE) of the sockets of the host's that were handed in.
    given: Vec<u64>,
    /// The same of those made here, the latest ones: how many there were, then a ring of them.
    made: Shared,
    established: Option<Established>,
}

/// More than a program has in front of their `listen` at once.
const MADE: usize = 1024;

/// What the program is answered.
enum Answer {
    /// The call's result: 0 for success.
    Errno(i32),
    /// The kernel carries it out.
    CarryOn,
}

impl From<Result<(), Errno>> for Answer {
    fn from(done: Result<(), Errno>) -> Self {
        Self::Errno(done.map_or_else(|errno| errno as i32, |()| 0))
    }
}

/// Serves until the container ends.
pub(super) fn serve(
    post: Post,
    watched: Watched,
    ready: &OwnedFd,
) -> Result<std::convert::Infallible, Errno> {
    let own = post
        .published
        .iter()
        .map(|(_, s)| s)
        .chain(&post.listening)
        .next();
    let host = match own {
        Some(socket) => cookie(socket)?,
        None => cookie(&net::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?)?,
    };
    let call = |name| syscalls::number(Arch::NATIVE, name);
    let given = post
        .listening
        .iter()
        .filter_map(|s| self::number(s, libc::SO_COOKIE).ok());
    let worker = Worker {
        given: given.collect(),
        made: Shared::map(watched.made.as_fd(), (1 + MADE) * 8)?,
        host,
        bind: call("bind"),
        listen: call("listen"),
        established: established(&post, watched.counts),
        post,
    };
    let mut notebook = Notebook::open(&watched.notebook)?;
    let plain = notebook.program().ok_or(Errno::ENODATA)?;
    let proc = worker.post.proc.as_raw_fd();
    let mut keep = worker.descriptors(ready);
    keep.push(watched.listener.as_raw_fd());
    keep.extend(watched.events.numbers());
    keep.extend(worker.established.iter().flat_map(Established::numbers));
    jail::enter_binder(&keep, proc, worker.needs_low_ports())?;
    let _ = process::write(ready.as_raw_fd(), &[0; 4]);
    let _ = nix::unistd::close(ready.as_raw_fd());
    // Their numbers are closed, and may be somebody else's by the end.
    std::mem::forget((watched.notebook, watched.made));
    let watcher = Watcher {
        listener: watched.listener,
        plain,
        carrier: Some(Box::new(worker)),
        notebook,
        events: watched.events,
    };
    watcher.serve();
    process::exit_now(0)
}

/// Of every port that is the host's and the program's at once.
fn established(post: &Post, (events, every): (Sender, Duration)) -> Option<Established> {
    let handed = post.listening.iter();
    let handed = handed.filter_map(|s| net::local(s.as_fd()).ok()?.internet());
    let published = post.published.iter().map(|(p, _)| p.at);
    let places: Vec<SocketAddr> = published.chain(handed).collect();
    Established::of(&places, events, every)
}

fn cookie(socket: &OwnedFd) -> Result<u64, Errno> {
    number(socket, SO_NETNS_COOKIE)
}

/// An option of 64 bits.
fn number(socket: &OwnedFd, name: i32) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    net::option_bytes(socket.as_fd(), libc::SOL_SOCKET, name, &mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

impl Carrier for Worker {
    fn carries(&self, number: u32) -> bool {
        Some(number) == self.bind || Some(number) == self.listen
    }

    fn carry(&self, asked: &Notification, again: bool) -> Option<u16> {
        let listener = self.post.listener.as_fd();
        if again && !reach::still_waits(listener, asked.id) {
            return None;
        }
        let answer = match u32::try_from(asked.number).ok() == self.bind {
            true => self.bind(asked, again),
            false => self.listen(asked),
        };
        // Whoever does not wait any more needs no answer.
        let _ = match answer {
            Answer::Errno(errno) => notify::refuse(listener, asked.id, errno as u16),
            Answer::CarryOn => reach::carry_on(listener, asked.id),
        };
        // Everything else is the program's own affair.
        matches!(answer, Answer::Errno(libc::EACCES)).then_some(libc::EACCES as u16)
    }

    fn due(&mut self, now: Instant) -> Option<Duration> {
        self.established.as_mut().map(|e| e.due(now))
    }
}

impl Worker {
    fn descriptors(&self, ready: &OwnedFd) -> Vec<i32> {
        let kept = self
            .post
            .published
            .iter()
            .map(|(_, s)| s)
            .chain(&self.post.listening);
        let own = [
            &self.post.listener,
            &self.post.pidfd,
            &self.post.proc,
            ready,
        ];
        kept.chain(own).map(AsRawFd::as_raw_fd).collect()
    }

    fn needs_low_ports(&self) -> bool {
        self.post.published.iter().any(|(p, _)| p.at.port() < 1024)
    }

    /// The program's descriptor: the same open file.
    fn copy(&self, asked: &Notification) -> Result<OwnedFd, Errno> {
        let number = asked.args[0] as i32;
        let owner = self.owner(asked.pid as i32)?;
        let copy = match owner == self.post.pid {
            true => reach::descriptor(self.post.pidfd.as_fd(), number),
            false => reach::descriptor(process::pidfd_open(owner)?.as_fd(), number),
        }?;
        // Only now is it certain that the thread's number had not been given to another one.
        match reach::still_waits(self.post.listener.as_fd(), asked.id) {
            true => Ok(copy),
            false => Err(Errno::ESRCH),
        }
    }

    /// The process that a thread belongs to.
    fn owner(&self, thread: i32) -> Result<i32, Errno> {
        if thread == self.post.pid {
            return Ok(thread);
        }
        let status = self.read(&format!("{thread}/status"))?;
        let line = status.lines().find_map(|l| l.strip_prefix("Tgid:"));
        line.and_then(|t| t.trim().parse().ok()).ok_or(Errno::ESRCH)
    }

    fn read(&self, path: &str) -> Result<String, Errno> {
        use nix::fcntl::{OFlag, openat};
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = openat(&self.post.proc, path, flags, nix::sys::stat::Mode::empty())?;
        let mut bytes = vec![0; 4096];
        let n = process::read(file.as_raw_fd(), &mut bytes)?;
        bytes.truncate(n);
        Ok(crate::sys::fs::text_of(bytes))
    }

    fn bind(&self, asked: &Notification, again: bool) -> Answer {
        self.try_bind(asked, again)
            .unwrap_or_else(|errno| Answer::Errno(errno as i32))
    }

    fn try_bind(&self, asked: &Notification, again: bool) -> Result<Answer, Errno> {
        let length = asked.args[2] as u32 as usize;
        let mut bytes = [0u8; 128];
        let bytes = bytes.get_mut(..length).ok_or(Errno::EINVAL)?;
        let socket = self.copy(asked)?;
        let domain = net::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        if domain == libc::AF_UNIX {
            // A path is looked up where the program stands. If its descriptor is another one by now: landlock lets no
            // TCP socket be bound, and there are no others of the host's.
            return Ok(Answer::CarryOn);
        }
        if domain != libc::AF_INET && domain != libc::AF_INET6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        reach::memory(asked.pid as i32, asked.args[1], bytes)?;
        if !reach::still_waits(self.post.listener.as_fd(), asked.id) {
            return Err(Errno::ESRCH);
        }
        if cookie(&socket)? == self.host {
            let replaced = again && self.has_made(self::number(&socket, libc::SO_COOKIE)?);
            return match replaced {
                true => Ok(Answer::Errno(0)),
                false => Err(Errno::EINVAL), // as of a socket that is bound
            };
        }
        let address = RawAddress::from_bytes(bytes);
        let at = address.internet().ok_or(Errno::EAFNOSUPPORT)?;
        let kind = net::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE)?;
        if kind != libc::SOCK_STREAM {
            return Ok(inside(&socket, at, again).into());
        }
        let bound = net::local(socket.as_fd())?
            .internet()
            .is_some_and(|a| a.port() != 0);
        match self.outside(&socket, domain, at)? {
            Some(place) if !bound => Ok(self.publish(asked, &socket, domain, place).into()),
            _ if self.post.declared.contains(&at.port()) => Ok(inside(&socket, at, again).into()),
            // As landlock would.
            _ => Err(Errno::EACCES),
        }
    }

    /// Where on the host a socket belongs that is to be bound here; `None`: it stays inside.
    fn outside(
        &self,
        socket: &OwnedFd,
        domain: i32,
        at: SocketAddr,
    ) -> Result<Option<Place>, Errno> {
        let native = |p: &Published| p.path == DataPath::Native && p.inside == at.port();
        let all: Vec<SocketAddr> = self
            .post
            .published
            .iter()
            .filter(|(p, _)| native(p))
            .map(|(p, _)| p.at)
            .collect();
        let four = all.iter().find(|a| a.is_ipv4()).copied();
        let six = all.iter().find(|a| a.is_ipv6()).copied();
        if domain == libc::AF_INET {
            return Ok(four.map(|at| Place { at, only: None }));
        }
        let only = net::option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)? != 0;
        let both = at.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !only;
        let mapped = |a: SocketAddr| match a.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), a.port()),
            IpAddr::V6(_) => a,
        };
        Ok(match (four, six) {
            (Some(_), Some(at)) if both => Some(Place { at, only: Some(0) }),
            (Some(four), None) if both => Some(Place {
                at: mapped(four),
                only: Some(0),
            }),
            (_, Some(at)) => Some(Place { at, only: Some(1) }),
            (Some(_), None) | (None, None) => None,
        })
    }

    /// Makes the host's socket and puts it in the place of the program's.
    fn publish(
        &self,
        asked: &Notification,
        theirs: &OwnedFd,
        domain: i32,
        place: Place,
    ) -> Result<(), Errno> {
        let ours = net::socket(domain, libc::SOCK_STREAM, 0)?;
        options::copy(theirs, &ours, domain);
        if let Some(only) = place.only {
            net::set_option(ours.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)?;
        }
        let share =
            |s: &OwnedFd| net::set_option(s.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
        share(&ours)?;
        // From now on the socket that kept the port lets this one have it; it does not listen itself.
        for (_, kept) in self
            .post
            .published
            .iter()
            .filter(|(p, _)| p.at.port() == place.at.port())
        {
            share(kept)?;
        }
        net::bind(ours.as_fd(), &RawAddress::of(place.at))?;
        let number = asked.args[0] as i32;
        let cloexec = self.is_cloexec(asked.pid, number);
        self.note(self::number(&ours, libc::SO_COOKIE)?);
        self.watch_too(asked, &ours);
        reach::replace(
            self.post.listener.as_fd(),
            asked.id,
            ours.as_fd(),
            number,
            cloexec,
        )
    }

    /// Notes a socket's identity where the next binder finds it.
    fn note(&self, identity: u64) {
        let count = self.made.number(0).fetch_add(1, SeqCst) as usize;
        self.made.number(1 + count % MADE).store(identity, SeqCst);
    }

    fn has_made(&self, identity: u64) -> bool {
        (1..=MADE).any(|at| self.made.number(at).load(SeqCst) == identity)
    }

    fn is_cloexec(&self, thread: u32, number: i32) -> bool {
        let info = self
            .read(&format!("{thread}/fdinfo/{number}"))
            .unwrap_or_default();
        let flags = info.lines().find_map(|l| l.strip_prefix("flags:"));
        let flags = flags.and_then(|f| i32::from_str_radix(f.trim(), 8).ok());
        flags.is_some_and(|f| f & libc::O_CLOEXEC != 0)
    }

    /// An epoll that watches the program's socket watches the one that takes its place.
    fn watch_too(&self, asked: &Notification, ours: &OwnedFd) {
        let number = asked.args[0] as i32;
        for watched in options::epolls(|path| self.read(path), asked.pid, number) {
            let epoll = self.copy_of(asked, watched.epoll);
            // The kernel knows what is watched by the number too: ours must have the same.
            let _ = epoll.and_then(|epoll| options::add(epoll, ours, number, &watched));
        }
    }

    fn copy_of(&self, asked: &Notification, number: i32) -> Result<OwnedFd, Errno> {
        let owner = self.owner(asked.pid as i32)?;
        reach::descriptor(process::pidfd_open(owner)?.as_fd(), number)
    }

    fn listen(&self, asked: &Notification) -> Answer {
        self.try_listen(asked).into()
    }

    fn try_listen(&self, asked: &Notification) -> Result<(), Errno> {
        let socket = self.copy(asked)?;
        let domain = net::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        let internet = domain == libc::AF_INET || domain == libc::AF_INET6;
        if internet && cookie(&socket)? == self.host && !self.is_declared(&socket) {
            // What was accepted, taken apart and made to listen would have any port of the host.
            return Err(Errno::EACCES);
        }
        net::listen(socket.as_fd(), asked.args[1] as i32)
    }

    /// Whether a socket of the host's is one of ours. Its port would prove nothing: what was accepted and taken apart
    /// still shows the old one, and gets any other when it listens.
    fn is_declared(&self, socket: &OwnedFd) -> bool {
        let listens = net::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN) == Ok(1);
        let identity = number(socket, libc::SO_COOKIE);
        listens || identity.is_ok_and(|i| self.given.contains(&i) || self.has_made(i))
    }
}

/// Binds a socket of the container's own namespace.
fn inside(socket: &OwnedFd, at: SocketAddr, again: bool) -> Result<(), Errno> {
    match net::bind(socket.as_fd(), &RawAddress::of(at)) {
        // It may be the one before who has done it.
        Err(Errno::EINVAL) if again => match net::local(socket.as_fd())?.internet() {
            Some(is) if is == at || (at.port() == 0 && is.ip() == at.ip()) => Ok(()),
            _ => Err(Errno::EINVAL),
        },
        done => done,
    }
}

/// An address of the host, and whether an IPv6 socket there is for IPv6 only.
struct Place {
    at: SocketAddr,
    only: Option<i32>,
}
