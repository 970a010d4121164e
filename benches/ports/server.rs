//! The server that every contestant publishes: one thread, one epoll, a fixed answer; `/flood` is a large one.

use cofferdam::sys::net::{self, RawAddress};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!";
const FLOOD: usize = 1 << 30;

struct Client {
    socket: OwnedFd,
    flood: usize,
}

/// Serves at an address, or at descriptor 3.
pub fn serve(at: &str) {
    let listener = match at {
        "fd" => cofferdam::sys::process::own(3),
        at => {
            let socket = net::socket(libc::AF_INET, libc::SOCK_STREAM, 0).expect("a socket");
            let address = at.parse().expect("an address");
            net::bind(socket.as_fd(), &RawAddress::of(address)).expect("the address");
            net::listen(socket.as_fd(), 511).expect("listening");
            socket
        }
    };
    let poll = Epoll::new(EpollCreateFlags::empty()).expect("an epoll");
    let own = listener.as_raw_fd() as u64;
    poll.add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, own))
        .expect("watching");
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut events = [EpollEvent::empty(); 64];
    let block = vec![b'x'; 256 << 10];
    loop {
        let count = poll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for event in &events[..count] {
            if event.data() == own {
                let Ok((socket, _)) = net::accept(listener.as_fd()) else {
                    continue;
                };
                let token = socket.as_raw_fd() as u64;
                let watched = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
                if poll
                    .add(socket.as_fd(), EpollEvent::new(watched, token))
                    .is_ok()
                {
                    clients.insert(token, Client { socket, flood: 0 });
                }
            } else if let Some(client) = clients.get_mut(&event.data())
                && !client.go(&block)
            {
                clients.remove(&event.data());
            }
        }
    }
}

impl Client {
    /// Whether it is still there.
    fn go(&mut self, block: &[u8]) -> bool {
        loop {
            while self.flood > 0 {
                match net::send(self.socket.as_fd(), &block[..block.len().min(self.flood)]) {
                    Ok(n) => self.flood -= n,
                    Err(Errno::EAGAIN) => return true,
                    Err(_) => return false,
                }
            }
            let mut request = [0; 4096];
            match net::receive(self.socket.as_fd(), &mut request) {
                Ok(0) => return false,
                Ok(n) if request[..n].starts_with(b"GET /flood") => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {FLOOD}\r\n\r\n");
                    if net::send(self.socket.as_fd(), head.as_bytes()).is_err() {
                        return false;
                    }
                    self.flood = FLOOD;
                }
                Ok(_) if net::send(self.socket.as_fd(), ANSWER).is_err() => return false,
                Ok(_) => {}
                Err(Errno::EAGAIN) => return true,
                Err(_) => return false,
            }
        }
    }
}
