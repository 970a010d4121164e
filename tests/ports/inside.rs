//! What a program does with its sockets, by system call: the orders that are unusual, and the attacks.

use crate::support::payload::errno_name;
use cofferdam::sys::net::{self, RawAddress};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const SOCKET: i32 = libc::SOL_SOCKET;

fn tcp() -> OwnedFd {
    net::socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap()
}

fn at(text: &str) -> RawAddress {
    RawAddress::of(text.parse().unwrap())
}

fn word<T>(done: Result<T, Errno>) -> String {
    done.map_or_else(|e| errno_name(e as i32), |_| "OK".into())
}

fn say(what: &str, done: Result<(), Errno>) {
    println!("{what}: {}", word(done));
}

/// The orders in which services bind.
pub fn binds() -> ! {
    println!("ready");
    let first = tcp();
    net::bind(first.as_fd(), &at("0.0.0.0:80")).unwrap();
    net::listen(first.as_fd(), 16).unwrap();
    say("twice", net::bind(tcp().as_fd(), &at("0.0.0.0:80")));
    drop(first);
    say("undeclared", net::bind(tcp().as_fd(), &at("0.0.0.0:81")));
    say("any port", net::bind(tcp().as_fd(), &at("0.0.0.0:0")));
    let unix = std::os::unix::net::UnixListener::bind("/dev/shm/none").map(drop);
    // Without a writable place it is the file system that refuses, which is the answer of the kernel itself.
    let unix = unix.or_else(|e| match e.raw_os_error() {
        Some(libc::EROFS | libc::ENOENT | libc::EACCES) => Ok(()),
        _ => Err(e),
    });
    println!(
        "unix: {}",
        unix.map_or_else(|e| e.to_string(), |()| "OK".into())
    );
    println!(
        "udp: {}",
        std::net::UdpSocket::bind("127.0.0.1:0").map_or_else(|e| e.to_string(), |_| "OK".into())
    );
    options();
    families();
    reuseport();
    by_epoll();
    let again = tcp();
    net::bind(again.as_fd(), &at("127.0.0.1:80")).unwrap();
    net::listen(again.as_fd(), 16).unwrap();
    println!("again ready");
    let listener = std::net::TcpListener::from(again);
    let (mut stream, _) = listener.accept().unwrap();
    let _ = stream.write_all(b"again");
    drop(stream);
    crate::support::payload::wait()
}

fn options() {
    let socket = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0).unwrap();
    let set = |level, name, value| net::set_option(socket.as_fd(), level, name, value).unwrap();
    set(SOCKET, libc::SO_REUSEADDR, 1);
    set(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 77);
    set(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    set(SOCKET, libc::SO_SNDBUF, 32_768);
    net::bind(socket.as_fd(), &at("0.0.0.0:80")).unwrap();
    let get = |level, name| net::option(socket.as_fd(), level, name).unwrap();
    let flags = nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    println!(
        "options: reuseaddr {} nonblock {} keepidle {} nodelay {} sndbuf {}",
        get(SOCKET, libc::SO_REUSEADDR),
        flags & libc::O_NONBLOCK != 0,
        get(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
        get(libc::IPPROTO_TCP, libc::TCP_NODELAY),
        get(SOCKET, libc::SO_SNDBUF),
    );
}

/// One socket a family, as nginx has them.
fn families() {
    let four = net::bind(tcp().as_fd(), &at("0.0.0.0:80"));
    let socket = net::socket(libc::AF_INET6, libc::SOCK_STREAM, 0).unwrap();
    let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
    net::set_option(socket.as_fd(), level, name, 1).unwrap();
    let six = net::bind(socket.as_fd(), &at("[::]:80"));
    let only = net::option(socket.as_fd(), level, name).unwrap();
    println!("families: {} {} v6only {only}", word(four), word(six));
}

fn reuseport() {
    let one = || {
        let socket = tcp();
        net::set_option(socket.as_fd(), SOCKET, libc::SO_REUSEPORT, 1)?;
        net::bind(socket.as_fd(), &at("0.0.0.0:80"))?;
        net::listen(socket.as_fd(), 16)?;
        Ok(socket)
    };
    let (a, b) = (one(), one());
    println!(
        "reuseport: {} {}",
        word(a.as_ref().map(drop).map_err(|e| *e)),
        word(b.as_ref().map(drop).map_err(|e| *e))
    );
}

fn by_epoll() {
    let socket = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0).unwrap();
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    epoll
        .add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 42))
        .unwrap();
    net::bind(socket.as_fd(), &at("0.0.0.0:80")).unwrap();
    net::listen(socket.as_fd(), 16).unwrap();
    println!("epoll ready");
    let mut events = [EpollEvent::empty(); 4];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE).unwrap();
        if events[..count].iter().any(|e| e.data() == 42)
            && let Ok((stream, _)) = net::accept(socket.as_fd())
        {
            let _ = std::net::TcpStream::from(stream).write_all(b"by epoll");
            return;
        }
    }
}

/// Tries to make a way out of sockets of the host's.
pub fn trap(mode: &str) -> ! {
    let listener = match mode {
        "native" => {
            let socket = tcp();
            net::bind(socket.as_fd(), &at("0.0.0.0:80")).unwrap();
            net::listen(socket.as_fd(), 16).unwrap();
            socket
        }
        // LISTEN_FDS.
        _ => cofferdam::sys::process::own(3),
    };
    println!("ready");
    say(
        "connect own",
        net::connect(tcp().as_fd(), &at("127.0.0.1:9")),
    );
    let accepted = || loop {
        if let Ok((socket, _)) = net::accept(listener.as_fd()) {
            // Blocking from here on.
            let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty());
            nix::fcntl::fcntl(&socket, flags).unwrap();
            return socket;
        }
    };
    let taken_apart = accepted();
    disconnect(&taken_apart);
    say(
        "connect accepted",
        net::connect(taken_apart.as_fd(), &at("127.0.0.1:9")),
    );
    say("fast open accepted", fast_open(&taken_apart));
    say("fast open message", fast_open_message(&taken_apart));
    say(
        "bind accepted",
        net::bind(taken_apart.as_fd(), &at("0.0.0.0:80")),
    );
    say("listen accepted", net::listen(taken_apart.as_fd(), 16));
    // SAFETY: plain integers.
    unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
    say(
        "connect listener",
        net::connect(listener.as_fd(), &at("127.0.0.1:9")),
    );
    say("fast open listener", fast_open(&listener));
    let udp = net::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
    say(
        "udp",
        net::send_to(udp.as_fd(), b"x", &at("192.0.2.1:9")).map(drop),
    );
    println!("over");
    crate::support::payload::wait()
}

/// connect(AF_UNSPEC): the connection is given up, the socket is as new.
fn disconnect(socket: &OwnedFd) {
    let _ = net::connect(socket.as_fd(), &RawAddress::from_bytes(&[0; 16]));
}

const MSG_FASTOPEN: i32 = 0x2000_0000;

fn fast_open(socket: &OwnedFd) -> Result<(), Errno> {
    let mut address = [0u8; 16];
    address[0] = libc::AF_INET as u8;
    address[3] = 9;
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    // SAFETY: both buffers are readable for the lengths told.
    Errno::result(unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            b"x".as_ptr().cast(),
            1,
            MSG_FASTOPEN,
            address.as_ptr().cast(),
            16,
        )
    })
    .map(drop)
}

fn fast_open_message(socket: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: an all-zero msghdr is valid: no address, no data.
    let message: libc::msghdr = unsafe { std::mem::zeroed() };
    // SAFETY: the message is valid and only read.
    Errno::result(unsafe { libc::sendmsg(socket.as_raw_fd(), &message, MSG_FASTOPEN) }).map(drop)
}

/// Tries to reach everything that a published port does not lead to. `name`: of the host's abstract socket.
pub fn reach(name: &str) -> ! {
    let listener = tcp();
    net::bind(listener.as_fd(), &at("0.0.0.0:80")).unwrap();
    net::listen(listener.as_fd(), 16).unwrap();
    println!("ready");
    for (what, address) in [
        ("loopback", "127.0.0.1:9"),
        ("metadata", "169.254.169.254:80"),
        ("gateway", "10.99.0.1:9"),
        ("neighbour", "10.99.0.2:9"),
    ] {
        say(what, net::connect(tcp().as_fd(), &at(address)));
        let udp = net::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let sent = net::send_to(udp.as_fd(), b"x", &at(address)).map(drop);
        // Its own loopback takes anything; it is the host's that must not hear of it.
        say(&format!("udp {what}"), sent);
    }
    say("undeclared", net::bind(tcp().as_fd(), &at("0.0.0.0:81")));
    let raw = |domain, protocol| net::socket(domain, libc::SOCK_RAW, protocol).map(drop);
    say("raw", raw(libc::AF_INET, libc::IPPROTO_ICMP));
    say("packet", raw(libc::AF_PACKET, 0));
    say("abstract", to_abstract(name));
    handed_over(&listener);
    println!("over");
    crate::support::payload::wait()
}

fn to_abstract(name: &str) -> Result<(), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    let none = SockFlag::empty();
    let unix = socket(AddressFamily::Unix, SockType::Stream, none, None)?;
    connect(unix.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)
}

/// The listener by SCM_RIGHTS: what comes out is the same socket, with the same bounds.
fn handed_over(listener: &OwnedFd) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    let none = SockFlag::empty();
    let (to, from) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, none).unwrap();
    let sent = cofferdam::sys::socket::send_fds(to.as_fd(), &[0], &[listener.as_fd()]);
    println!("handed over: {}", word(sent));
    let mut fds = [-1; cofferdam::sys::socket::MOST];
    let heard = cofferdam::sys::socket::receive_fds(from.as_raw_fd(), &mut [0], &mut fds);
    let Ok(Some((_, 1))) = heard else {
        return println!("listener received: {heard:?}");
    };
    let copy = cofferdam::sys::process::own(fds[0]);
    say("listen copy", net::listen(copy.as_fd(), 16));
    // SAFETY: plain integers.
    unsafe { libc::shutdown(copy.as_raw_fd(), libc::SHUT_RDWR) };
    disconnect(&copy);
    say(
        "connect copy",
        net::connect(copy.as_fd(), &at("127.0.0.1:9")),
    );
    say("fast open copy", fast_open(&copy));
}
