//! The openings in a container's wall, as they are declared: what comes in, what goes out, and to whom.
//!
//! Words of the command line and of annotations become values here, strictly; what is allowed is policy's to say, and
//! how it is carried out the plan's. No I/O: names are resolved later, outside.

use super::{NotUnderstood, is_name, no};
use crate::paths::HostPath;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

fn number(text: &str) -> Option<u16> {
    let port = text.parse::<u16>().ok().filter(|p| p.to_string() == text)?;
    (port > 0).then_some(port)
}

/// A port, or the sentence that says why it is none.
fn port(text: &str, whole: &str) -> Result<u16, NotUnderstood> {
    match number(text) {
        Some(port) => Ok(port),
        None if text == "0" => no(
            whole,
            "port 0 is any port: name the one that clients will use",
        ),
        None if text.contains('-') => no(
            whole,
            "a range of ports is not taken: declare each port by itself",
        ),
        None => no(whole, format!("{text:?} is not a port from 1 to 65535")),
    }
}

/// `[ADDR]:` in front of a rest: IPv6 in brackets, IPv4 plain.
fn address(text: &str, whole: &str) -> Result<IpAddr, NotUnderstood> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let parsed = match bare {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
        None => text.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
    };
    match parsed {
        Some(address) => Ok(address),
        None => no(
            whole,
            format!("{text:?} is not an address: write 127.0.0.1 or [::1]"),
        ),
    }
}

/// `[ADDR:]HOST:CONTAINER[/tcp|udp]`.
pub fn publish(text: &str) -> Result<Publish, NotUnderstood> {
    let (ports, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((ports, "tcp")) => (ports, Protocol::Tcp),
        Some((ports, "udp")) => (ports, Protocol::Udp),
        Some(_) => {
            return no(
                text,
                "expected [ADDR:]HOST:CONTAINER, with /tcp or /udp behind it",
            );
        }
    };
    let Some((front, inside)) = ports.rsplit_once(':') else {
        return no(text, "expected [ADDR:]HOST:CONTAINER, for example 8080:80");
    };
    let (at, host) = match front.rsplit_once(':') {
        None => (None, front),
        Some((at, host)) => (Some(address(at, text)?), host),
    };
    Ok(Publish {
        address: at,
        host: port(host, text)?,
        inside: port(inside, text)?,
        protocol,
    })
}

/// `auto`, `native` or `forward`.
pub fn mode(text: &str) -> Result<Mode, NotUnderstood> {
    match text {
        "auto" => Ok(Mode::Auto),
        "native" => Ok(Mode::Native),
        "forward" => Ok(Mode::Forward),
        _ => no(text, "the modes are auto, native and forward"),
    }
}

/// `v1` or `v2`.
pub fn proxy(text: &str) -> Result<ProxyHeader, NotUnderstood> {
    match text {
        "v1" => Ok(ProxyHeader::V1),
        "v2" => Ok(ProxyHeader::V2),
        _ => no(text, "the PROXY protocol has v1 and v2"),
    }
}

/// `ADDR/BITS`, or one address.
pub fn cidr(text: &str) -> Result<Cidr, NotUnderstood> {
    let (front, bits) = match text.split_once('/') {
        Some((front, bits)) => (front, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = front.parse::<IpAddr>() else {
        return no(text, "expected an address range such as 10.0.0.0/8 or ::1");
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) => match bits.parse::<u8>().ok().filter(|n| n.to_string() == bits) {
            Some(n) if n <= most => n,
            _ => {
                return no(
                    text,
                    format!("a prefix length from 0 to {most} belongs behind the /"),
                );
            }
        },
    };
    let range = Cidr { address, bits };
    let (width, low) = match address {
        IpAddr::V4(a) => (32, u128::from(a.to_bits())),
        IpAddr::V6(a) => (128, a.to_bits()),
    };
    let behind = 1u128.checked_shl(width - u32::from(bits));
    if low & behind.map_or(u128::MAX, |bit| bit - 1) != 0 {
        return no(
            text,
            "the address has bits set behind its prefix: write the range's first address",
        );
    }
    Ok(range)
}

/// `tcp://ADDR:PORT`, `unix:PATH` or `inherit`.
pub fn listen(text: &str) -> Result<Listen, NotUnderstood> {
    let expected = "expected tcp://ADDR:PORT, unix:PATH or inherit";
    if text == "inherit" {
        return Ok(Listen::Inherit);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return match HostPath::parse(path) {
            Ok(path) if path.as_path().as_os_str().len() < 108 => Ok(Listen::Unix(path)),
            Ok(_) => no(text, "a unix socket's path has at most 107 bytes"),
            Err(why) => no(text, format!("{expected}: {why}")),
        };
    }
    let Some(rest) = text.strip_prefix("tcp://") else {
        return no(text, expected);
    };
    let Some((at, number)) = rest.rsplit_once(':') else {
        return no(text, expected);
    };
    Ok(Listen::Tcp {
        address: address(at, text)?,
        port: port(number, text)?,
    })
}

/// `PEER:PORT[=[NAME:]PORT][,wait=SECONDS]`.
pub fn link(text: &str) -> Result<Link, NotUnderstood> {
    let expected =
        "expected PEER:PORT=NAME:PORT, with ,wait=SECONDS behind it if it may come later";
    let (ends, wait) = match text.split_once(',') {
        None => (text, 0),
        Some((ends, option)) => match option.strip_prefix("wait=").map(str::parse::<u32>) {
            Some(Ok(wait)) if wait <= 86_400 => (ends, wait),
            _ => return no(text, format!("{expected}; at most 86400 seconds")),
        },
    };
    let (far, near) = ends.split_once('=').unwrap_or((ends, ""));
    let Some((peer, far_port)) = far.split_once(':') else {
        return no(text, expected);
    };
    let far_port = port(far_port, text)?;
    let (name, local) = match near.split_once(':') {
        Some((name, local)) => (name, port(local, text)?),
        None if near.is_empty() && !ends.contains('=') => (peer, far_port),
        None => (peer, port(near, text)?),
    };
    if !is_name(peer) || !is_name(name) {
        return no(
            text,
            format!("{expected}; names have the characters A-Z a-z 0-9 _ + . -"),
        );
    }
    Ok(Link {
        peer: peer.into(),
        port: far_port,
        name: name.into(),
        local,
        wait,
    })
}

/// `HOST:PORT=LOCALPORT`.
pub fn connect(text: &str) -> Result<Connect, NotUnderstood> {
    let expected = "expected HOST:PORT=LOCALPORT, for example mail.example.com:25=2525";
    let Some((far, local)) = text.split_once('=') else {
        return no(text, expected);
    };
    let Some((host, far_port)) = far.rsplit_once(':') else {
        return no(text, expected);
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let good = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => (1..=253).contains(&host.len()) && host.bytes().all(plain),
    };
    if !good {
        return no(text, format!("{expected}; {host:?} is not a host"));
    }
    Ok(Connect {
        host: bracketed.unwrap_or(host).to_ascii_lowercase(),
        port: port(far_port, text)?,
        local: port(local, text)?,
    })
}

/// `cni:NAME`.
pub fn network(text: &str) -> Result<String, NotUnderstood> {
    match text.strip_prefix("cni:") {
        Some(name) if is_name(name) => Ok(name.into()),
        _ => no(
            text,
            "expected cni:NAME, the name of one of the site's CNI networks (the host's network is never given, SS-011/8.1.3)",
        ),
    }
}

/// A count above zero.
pub fn count(text: &str) -> Result<u32, NotUnderstood> {
    match text.parse::<u32>() {
        Ok(n) if (1..=1_000_000).contains(&n) && n.to_string() == text => Ok(n),
        _ => no(text, "expected a number from 1 to 1000000"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_ports_in_all_their_forms() {
        let all = |p: Publish| (p.address, p.host, p.inside, p.protocol);
        let any = None;
        assert_eq!(
            all(publish("8080:80").unwrap()),
            (any, 8080, 80, Protocol::Tcp)
        );
        assert_eq!(
            all(publish("53:53/udp").unwrap()),
            (any, 53, 53, Protocol::Udp)
        );
        let v6 = publish("[::1]:8080:80/tcp").unwrap();
        assert_eq!(v6.address, Some("::1".parse().unwrap()));
        assert_eq!(v6.to_string(), "[::1]:8080:80/tcp");
        for bad in [
            "",
            "80",
            "8080:",
            ":80",
            "0:80",
            "80:0",
            "8080-8090:80",
            "80:8080-8090",
            "65536:1",
            "1:65536",
            "8080:80/sctp",
            "8080:80/",
            "::1:8080:80",
            "host:8080:80",
            "[::1:8080:80",
            "1.2.3:8080:80",
            "+8080:80",
            "08080:80",
            "8080:80:",
            "[127.0.0.1]:8080:80",
            " 8080:80",
        ] {
            assert!(publish(bad).is_err(), "{bad:?}");
        }
        assert!(publish("0:80").unwrap_err().to_string().contains("port 0"));
        assert!(publish("1-2:80").unwrap_err().to_string().contains("range"));
    }

    #[test]
    fn ranges_of_addresses_hold_what_lies_in_them() {
        let holds = |range: &str, at: &str| cidr(range).unwrap().holds(at.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "fe80::1") && holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("fe80::/10", "febf::1") && !holds("fe80::/10", "fec0::1"));
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::/129",
            "10/8",
            "a/8",
            "10.0.0.0/08",
            "10.0.0.0/",
        ] {
            assert!(cidr(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_connects_and_listening_sockets() {
        let l = link("db:5432=store:5433,wait=30").unwrap();
        assert_eq!(
            (l.port, l.local, l.wait, l.name.as_str()),
            (5432, 5433, 30, "store")
        );
        assert_eq!(link("db:5432").unwrap().to_string(), "db:5432=db:5432");
        for bad in [
            "db",
            "db:0",
            "db:5432=",
            "db:1=../x:2",
            "db:1=x:2,wait=",
            "db:1=x:2,wait=-1",
            "../db:1",
            "db:1,now",
        ] {
            assert!(link(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            connect("[::1]:25=2525").unwrap().to_string(),
            "[::1]:25=2525"
        );
        for bad in [
            "mail:25",
            "mail=25",
            ":25=2525",
            "ma il:25=1",
            "mail:25=0",
            "::1:25=1",
            "a/b:1=2",
        ] {
            assert!(connect(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            listen("tcp://[::]:80").unwrap().to_string(),
            "tcp://[::]:80"
        );
        for bad in [
            "tcp://80",
            "tcp://:80",
            "tcp://0.0.0.0:0",
            "unix:x",
            "unix:",
            "udp://0.0.0.0:1",
            "80",
        ] {
            assert!(listen(bad).is_err(), "{bad:?}");
        }
        assert!(network("host").is_err() && network("cni:../x").is_err());
    }

    proptest! {
        #[test]
        fn what_is_understood_prints_as_something_that_means_the_same(text in "[0-9:/\\[\\].a-z=,-]{0,24}") {
            if let Ok(p) = publish(&text) { prop_assert_eq!(publish(&p.to_string()), Ok(p)); }
            if let Ok(c) = cidr(&text) { prop_assert_eq!(cidr(&c.to_string()), Ok(c)); }
            if let Ok(c) = connect(&text) { prop_assert_eq!(connect(&c.to_string()), Ok(c)); }
            if let Ok(l) = link(&text) { prop_assert_eq!(link(&format!("{l},wait={}", l.wait)), Ok(l)); }
        }
    }
}
