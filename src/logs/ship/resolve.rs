//! The addresses of a collector, looked up anew for each attempt: /etc/hosts, then the servers of /etc/resolv.conf.
//!
//! Done here and not by the C library, which in a static program would load modules of the host's at run time: code in
//! a jailed process that nobody counted on. A jail lets the files in that were there when it was closed; one that takes
//! the place of such a file is hidden. Whoever finds that has to begin again, in a jail with the new one.

use super::dns::{self, Kind, Servers};
use super::trouble::{Cause, Trouble};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const HOSTS: &str = "/etc/hosts";
const SERVERS: &str = "/etc/resolv.conf";
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer over UDP that is asked for.
const LONGEST: usize = 512;

/// Knows where to look.
#[derive(Debug, Default)]
pub struct Resolver {
    hosts: File,
    servers: File,
}

/// One of the files, as last read.
#[derive(Debug, Default)]
struct File {
    text: String,
    /// It could be read, or wasn't there.
    known: bool,
    /// It could be read before and can't now.
    hidden: bool,
}

impl File {
    fn read(&mut self, path: &str) {
        match fs::read_to_string(path) {
            Ok(now) => {
                *self = Self {
                    text: now,
                    known: true,
                    hidden: false,
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => self.known = true,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => self.hidden = self.known,
            Err(_) => {}
        }
    }
}

impl Resolver {
    /// With the files as they are now.
    #[must_use]
    pub fn new() -> Self {
        let mut resolver = Self::default();
        resolver.read();
        resolver
    }

    fn read(&mut self) {
        self.hosts.read(HOSTS);
        self.servers.read(SERVERS);
    }

    /// That one of the files was replaced and can't be read from here.
    pub(super) fn hidden(&self) -> Option<Trouble> {
        let files = [(HOSTS, &self.hosts), (SERVERS, &self.servers)];
        let (path, _) = files.into_iter().find(|(_, file)| file.hidden)?;
        let text = format!("{path} was replaced, and a jail hides the new one: begin again");
        Some(Trouble::new(Cause::Local, text))
    }

    /// All addresses of a host, IPv4 first as they are the ones that are filtered less often.
    pub fn addresses(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let with_port = |all: Vec<IpAddr>| all.into_iter().map(|ip| (ip, port).into()).collect();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(with_port(vec![address]));
        }
        self.read();
        let listed = dns::hosts(&self.hosts.text, host);
        if !listed.is_empty() {
            return Ok(with_port(listed));
        }
        let servers = dns::servers(&self.servers.text);
        let mut last = None;
        for name in names(host, &servers) {
            match ask_all(&servers, &name) {
                Ok(found) if !found.is_empty() => return Ok(with_port(found)),
                Ok(_) => {}
                Err(trouble) => last = Some(trouble),
            }
        }
        Err(last.unwrap_or_else(|| {
            let text =
                format!("the name {host} is not known to {HOSTS} or the servers of {SERVERS}");
            Trouble::new(Cause::Away, text)
        }))
    }
}

/// The name with each search domain if it has no dot, and as it is.
fn names(host: &str, servers: &Servers) -> Vec<String> {
    let mut names = Vec::new();
    if !host.contains('.') {
        names.extend(
            servers
                .search
                .iter()
                .map(|domain| format!("{host}.{domain}")),
        );
    }
    names.push(host.to_string());
    names
}

fn ask_all(servers: &Servers, name: &str) -> Result<Vec<IpAddr>, Trouble> {
    let mut last = None;
    for server in &servers.addresses {
        let both = || -> Result<Vec<IpAddr>, Trouble> {
            let mut all = ask((*server, 53).into(), name, Kind::A)?;
            // Where only one kind is known, the other's failure is nothing.
            all.extend(ask((*server, 53).into(), name, Kind::Aaaa).unwrap_or_default());
            Ok(all)
        };
        match both() {
            Ok(all) => return Ok(all),
            Err(trouble) => last = Some(trouble),
        }
    }
    Err(last.unwrap_or_else(|| Trouble::new(Cause::Away, "there is no name server")))
}

/// Asks one server from a port of the kernel's choice, with a number that can't be guessed.
fn ask(server: SocketAddr, name: &str, kind: Kind) -> Result<Vec<IpAddr>, Trouble> {
    let wrong = |error| Trouble::io(&format!("ask {server} for {name}"), &error);
    let id = (super::backoff::random() & 0xffff) as u16;
    let question = dns::question(id, name, kind)
        .ok_or_else(|| Trouble::local("look up", format!("{name:?} is no name")))?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).map_err(wrong)?;
    // Only this server's datagrams reach a connected socket.
    socket.connect(server).map_err(wrong)?;
    socket.send(&question).map_err(wrong)?;
    let until = Instant::now() + PATIENCE;
    let mut bytes = [0; LONGEST];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let text = format!("the name server {server} does not answer for {name}");
            return Err(Trouble::new(Cause::Away, text));
        }
        socket.set_read_timeout(Some(left)).map_err(wrong)?;
        match socket.recv(&mut bytes) {
            Ok(length) => {
                if let Some(found) = dns::answer(&question, &bytes[..length]) {
                    return Ok(found);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(wrong(error)),
        }
    }
}
