//! The floor of forwarding: one thread that receives and sends, and does nothing else. No limit, no list, no count, no
//! half-close, no back-pressure, no jail: what a forwarder costs on this kernel before it is one.

use cofferdam::sys::net::{self, RawAddress};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Relays from one address to another.
pub fn relay(from: &str, to: &str) {
    let (from, to): (SocketAddr, SocketAddr) = match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => (from, to),
        _ => panic!("two addresses"),
    };
    let listener = net::socket(libc::AF_INET, libc::SOCK_STREAM, 0).expect("a socket");
    net::bind(listener.as_fd(), &RawAddress::of(from)).expect("the address");
    net::listen(listener.as_fd(), 511).expect("listening");
    let poll = Epoll::new(EpollCreateFlags::empty()).expect("an epoll");
    let watch = |socket: &OwnedFd, flags| {
        let event = EpollEvent::new(flags, socket.as_raw_fd() as u64);
        poll.add(socket.as_fd(), event).expect("watching");
    };
    watch(&listener, EpollFlags::EPOLLIN);
    let own = listener.as_raw_fd() as u64;
    let mut sockets: HashMap<u64, OwnedFd> = HashMap::new();
    let mut others: HashMap<u64, u64> = HashMap::new();
    let mut events = [EpollEvent::empty(); 256];
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = poll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for event in &events[..count] {
            let number = event.data();
            if number == own {
                let Ok((client, _)) = net::accept(listener.as_fd()) else {
                    continue;
                };
                let server = net::socket(libc::AF_INET, libc::SOCK_STREAM, 0).expect("a socket");
                net::connect(server.as_fd(), &RawAddress::of(to)).expect("the server");
                let ends = [client, server];
                let [a, b] = [0, 1].map(|end| ends[end].as_raw_fd() as u64);
                others.extend([(a, b), (b, a)]);
                for end in ends {
                    let set = net::set_option(end.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
                    set.expect("an option");
                    watch(&end, EpollFlags::EPOLLIN);
                    sockets.insert(end.as_raw_fd() as u64, end);
                }
                continue;
            }
            let Some(other) = others.get(&number).copied() else {
                continue;
            };
            let (Some(from), Some(to)) = (sockets.get(&number), sockets.get(&other)) else {
                continue;
            };
            let got = net::receive(from.as_fd(), &mut buffer).unwrap_or(0);
            let mut sent = 0;
            while sent < got {
                // A client that reads slowly makes it wait, and all others with it.
                match net::send(to.as_fd(), &buffer[sent..got]) {
                    Ok(n) => sent += n,
                    Err(nix::errno::Errno::EAGAIN) => std::thread::yield_now(),
                    Err(_) => break,
                }
            }
            if got == 0 || sent < got {
                for end in [number, other] {
                    sockets.remove(&end);
                    others.remove(&end);
                }
            }
        }
    }
}
