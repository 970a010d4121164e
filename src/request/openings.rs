//! The openings in a container's wall, as they are declared: what comes in, what goes out, and to whom.
//!
//! Words of the command line and of annotations become values here, strictly; what is allowed is policy's to say, and
//! how it is carried out the plan's. No I/O: names are resolved later, outside.

mod words;

pub use words::{cidr, connect, count, link, listen, mode, network, proxy, publish};

use crate::paths::HostPath;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Everything declared for one launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Openings {
    /// `--publish`.
    pub publish: Vec<Publish>,
    /// `--publish-mode`.
    pub mode: Mode,
    /// `--publish-from`: who may come in; empty: everybody.
    pub from: Vec<Cidr>,
    /// `--publish-limit`: connections at once, of one published port.
    pub connections: Option<u32>,
    /// `--publish-rate`: new connections a second, of one published port.
    pub rate: Option<u32>,
    /// `--publish-proxy`: each connection begins with a header that names its client.
    pub proxy: Option<ProxyHeader>,
    /// `--listen`.
    pub listen: Vec<Listen>,
    /// How many sockets `--listen inherit` stands for, and their names.
    pub inherited: Vec<String>,
    /// `--link`.
    pub links: Vec<Link>,
    /// `--permit-peer`: containers that may link to this one.
    pub peers: Vec<String>,
    /// `--connect`.
    pub connects: Vec<Connect>,
    /// `--network cni:NAME`.
    pub cni: Option<String>,
    /// The file, still empty, that will hold the name servers of that network.
    pub resolver: Option<HostPath>,
}

impl Openings {
    /// Names of the sockets that the program finds, in order (LISTEN_FDNAMES).
    pub fn listening(&self) -> Vec<String> {
        let names = |l: &Listen| match l {
            Listen::Tcp { port, .. } => vec![format!("tcp-{port}")],
            Listen::Unix(path) => {
                let name = path
                    .as_path()
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy();
                vec![name.replace(|c: char| !c.is_ascii_graphic() || c == ':', "_")]
            }
            Listen::Inherit => self.inherited.clone(),
        };
        self.listen.iter().flat_map(names).collect()
    }

    /// Whether nothing is declared; a file that waits for its name servers declares nothing.
    pub fn is_empty(&self) -> bool {
        let resolver = self.resolver.clone();
        *self
            == Self {
                resolver,
                ..Self::default()
            }
    }
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of the host that leads to one inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Publish {
    /// An address of the host; `None`: all of them, of both families.
    pub address: Option<IpAddr>,
    /// The port of the host.
    pub host: u16,
    /// The port inside.
    pub inside: u16,
    /// Which protocol.
    pub protocol: Protocol,
}

/// The annotation that asks for a network, as `--network` does.
pub const NETWORK: &str = "org.cofferdam.network";

/// How the bytes of a published port travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Native where that is safe and possible, else forwarded.
    #[default]
    Auto,
    /// The service's own socket is one of the host's.
    Native,
    /// Byte for byte through a process of ours.
    Forward,
}

/// Which PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyHeader {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cidr {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub bits: u8,
}

/// A listening socket that the program finds open (LISTEN_FDS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listen {
    /// `tcp://ADDR:PORT`.
    Tcp {
        /// An address of the host.
        address: IpAddr,
        /// A port of the host.
        port: u16,
    },
    /// `unix:PATH`, on the host.
    Unix(HostPath),
    /// `inherit`: those that the launcher itself was started with.
    Inherit,
}

/// A port of another container that appears inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other container.
    pub peer: String,
    /// Its port, as it is inside it.
    pub port: u16,
    /// What it is called here.
    pub name: String,
    /// The port of 127.0.0.1 inside, where it appears.
    pub local: u16,
    /// Seconds that a connection waits for a peer that is not there.
    pub wait: u32,
}

/// An external address that appears inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The port of 127.0.0.1 inside, where it appears.
    pub local: u16,
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(a)) => write!(f, "[{a}]:")?,
            Some(IpAddr::V4(a)) => write!(f, "{a}:")?,
            None => {}
        }
        write!(f, "{}:{}/{}", self.host, self.inside, self.protocol)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, port } => {
                write!(f, "tcp://{}", std::net::SocketAddr::new(*address, *port))
            }
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Inherit => f.write_str("inherit"),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer, port, name, ..
        } = self;
        write!(f, "{peer}:{port}={name}:{}", self.local)
    }
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}={}", self.host, self.port, self.local),
            false => write!(f, "{}:{}={}", self.host, self.port, self.local),
        }
    }
}

impl Cidr {
    /// Whether an address lies in it; an IPv4 address that came over IPv6 counts as what it is.
    pub fn holds(&self, address: IpAddr) -> bool {
        let bits = |shift: u32, a: u128, b: u128| a.checked_shr(shift) == b.checked_shr(shift);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                let shift = 32 - u32::from(self.bits);
                bits(shift, net.to_bits().into(), a.to_bits().into())
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => {
                bits(128 - u32::from(self.bits), net.to_bits(), a.to_bits())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
