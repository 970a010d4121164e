//! What comes in and goes out, socket by socket, and which way the bytes take. Pure.
//!
//! A socket of the host's that stands inside is a way out of the namespace, for it can be connected: so it is planned
//! only where landlock leaves the program no port to connect to.

use super::seccomp::guard::UnixSockets;
use super::{Line, PlanError};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::policy::{Grant, MountSource, Openings, Ports, Template};
use crate::request::openings::{Cidr, Mode, Protocol, Publish};
pub use crate::request::openings::{Connect, Link, Listen, ProxyHeader};
pub use crate::survey::network::{IFNAME, Network};
use crate::survey::{Kind, Source, Survey};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// All openings of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpeningsPlan {
    /// Sockets of the host that lead inside.
    pub published: Vec<Published>,
    /// Who may come in by them, and how often.
    pub admission: Admission,
    /// Listening sockets of the host that the program finds open, from descriptor 3 on.
    pub listen: Vec<Listen>,
    /// What these are called (LISTEN_FDNAMES).
    pub names: Vec<String>,
    /// Ports of other containers.
    pub links: Vec<Link>,
    /// Containers that may link to this one.
    pub peers: Vec<String>,
    /// External addresses.
    pub connects: Vec<Connect>,
    /// TCP ports that peers may reach.
    pub ports: Vec<u16>,
    /// Whether unix sockets can be made inside.
    #[serde(skip)]
    pub unix: UnixSockets,
    /// A network of the site's.
    pub network: Option<Network>,
}

/// One socket of the host that leads inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Where it is on the host.
    pub at: SocketAddr,
    /// The port inside.
    pub inside: u16,
    /// Which protocol.
    pub protocol: Protocol,
    /// Which way the bytes take.
    pub path: DataPath,
    /// Left out where the host has no such family: nobody asked for it by address.
    pub optional: bool,
}

/// Which way the bytes of a published port take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DataPath {
    /// The service's socket is the host's: they never pass through us.
    Native,
    /// Through the forwarder.
    Forwarded,
    /// As the plugins of the site's network map it.
    Network,
}

/// Who may come in, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Admission {
    /// From where; empty: from everywhere.
    pub from: Vec<Cidr>,
    /// Connections at once, by each socket.
    pub connections: Option<u32>,
    /// New connections a second, by each socket.
    pub rate: Option<u32>,
    /// What a connection begins with.
    pub proxy: Option<ProxyHeader>,
}

impl OpeningsPlan {
    /// Whether nothing comes in and nothing goes out by sockets that are ours to make.
    pub fn is_closed(&self) -> bool {
        *self
            == Self {
                ports: self.ports.clone(),
                network: self.network.clone(),
                ..Self::default()
            }
    }

    /// Where the service can be reached, a line each: by the sockets that are held, and by the network.
    pub fn reachable<'a>(&'a self, held: impl Iterator<Item = &'a Published>) -> Vec<String> {
        let mapped = self.published.iter();
        let mapped = mapped.filter(|p| p.path == DataPath::Network);
        held.chain(mapped).map(Published::words).collect()
    }

    /// Whether sockets of the host's stand inside.
    pub fn host_sockets(&self) -> bool {
        let native = |p: &Published| p.path == DataPath::Native;
        !self.listen.is_empty() || self.published.iter().any(native)
    }

    /// Ports of 127.0.0.1 inside that lead out.
    pub fn ways_out(&self) -> Vec<u16> {
        let links = self.links.iter().map(|l| l.local);
        links.chain(self.connects.iter().map(|c| c.local)).collect()
    }
}

pub(super) fn plan(grant: &Grant, host: &Host, survey: &Survey) -> Result<OpeningsPlan, PlanError> {
    let asked = &grant.openings;
    let network = network(host, survey)?;
    let safe = host_sockets_are_safe(grant, host);
    if !asked.listen.is_empty() {
        safe.as_ref().map_err(|why| refused("--listen", why))?;
    }
    let shared = shows_folders(grant, survey);
    let path = match network.as_ref().is_some_and(Network::maps_ports) {
        true if asked.mode == Mode::Auto && !through_us(asked) => DataPath::Network,
        _ => data_path(asked, &safe.and_then(|()| one_place_each(asked)), shared)?,
    };
    let inside = path == DataPath::Native && !asked.publish.is_empty() || !asked.listen.is_empty();
    Ok(OpeningsPlan {
        published: asked
            .publish
            .iter()
            .flat_map(|p| sockets(p, path))
            .collect(),
        admission: Admission {
            from: asked.from.clone(),
            connections: asked.connections,
            rate: asked.rate,
            proxy: asked.proxy,
        },
        listen: asked.listen.clone(),
        names: asked.listening(),
        links: asked.links.clone(),
        peers: asked.peers.clone(),
        connects: asked.connects.clone(),
        ports: match &grant.ports {
            Ports::Declared(ports) if inside || !asked.peers.is_empty() => ports.clone(),
            _ => Vec::new(),
        },
        unix: match inside && shared {
            true => UnixSockets::Closed,
            false => UnixSockets::Possible,
        },
        network,
    })
}

/// The network as the site has described it; its programs make interfaces, for which one has to be root.
fn network(host: &Host, survey: &Survey) -> Result<Option<Network>, PlanError> {
    let Some(found) = &survey.network else {
        return Ok(None);
    };
    let network = found.as_ref().map_err(|why| refused("--network", why))?;
    if host.privilege == Privilege::User {
        let why = format!(
            "{}: an ordinary user can attach no network; use --publish, --link and --connect, which need no right",
            network.name
        );
        return Err(refused("--network", &why));
    }
    Ok(Some(network.clone()))
}

fn refused(pointer: &str, why: &str) -> PlanError {
    PlanError::Value {
        pointer: pointer.into(),
        what: why.into(),
    }
}

/// Why a socket of the host's can't stand inside, if it can't.
fn host_sockets_are_safe(grant: &Grant, host: &Host) -> Result<(), String> {
    let out = !grant.openings.links.is_empty() || !grant.openings.connects.is_empty();
    let reasons = [
        (
            host.landlock_abi < 4,
            "this kernel's landlock can't deny connections (ABI 4, Linux 6.7), and a listening socket of the host's can be connected from inside (SS-011/8.1.3)",
        ),
        (
            grant.template == Template::Compat || grant.ports == Ports::Any,
            "connections are not denied under this exception, and a listening socket of the host's can be connected from inside (SS-011/8.1.3)",
        ),
        (
            grant.seccomp.listener.is_some(),
            "an agent answers the container's system calls already (listenerPath)",
        ),
        (
            out,
            "the program may connect to the ports of --link and --connect, and could do so through a socket of the host's (SS-011/8.1.3)",
        ),
    ];
    match reasons.iter().find(|(holds, _)| *holds) {
        Some((_, why)) => Err(format!("{why}: use --publish with --publish-mode forward")),
        None => Ok(()),
    }
}

/// A service's socket is in one place: a port inside that two of the host's lead to takes a forwarder.
fn one_place_each(asked: &Openings) -> Result<(), String> {
    let all = asked.publish.iter().enumerate();
    let mut tcp = all.filter(|(_, p)| p.protocol == Protocol::Tcp);
    let again = |(at, one): &(usize, &Publish)| {
        let before = &asked.publish[..*at];
        let same = |p: &Publish| p.inside == one.inside && p.protocol == Protocol::Tcp;
        before.iter().any(same)
    };
    match tcp.find(again) {
        Some((_, p)) => Err(format!(
            "port {} inside is published more than once, and the service's own socket is in one place: use --publish with --publish-mode forward",
            p.inside
        )),
        None => Ok(()),
    }
}

/// Whether a volume shows a folder: another container's unix socket may be in it.
fn shows_folders(grant: &Grant, survey: &Survey) -> bool {
    grant.mounts.iter().any(|mount| match &mount.source {
        MountSource::Bind { path, .. } => match survey.sources.get(path) {
            Some(Source::Present(node)) => node.kind != Kind::File,
            _ => true,
        },
        _ => false,
    })
}

/// Whether something is asked for that only the forwarder does.
fn through_us(asked: &Openings) -> bool {
    !asked.from.is_empty()
        || asked.connections.is_some()
        || asked.rate.is_some()
        || asked.proxy.is_some()
        || !asked.peers.is_empty()
}

fn data_path(
    asked: &Openings,
    safe: &Result<(), String>,
    shared: bool,
) -> Result<DataPath, PlanError> {
    let through_us = through_us(asked);
    match (asked.mode, safe) {
        (Mode::Native, Err(why)) => Err(refused("--publish-mode", why)),
        (Mode::Native, Ok(())) => Ok(DataPath::Native),
        // Without being asked nobody loses unix sockets for it.
        (Mode::Auto, Ok(())) if !through_us && !shared => Ok(DataPath::Native),
        (Mode::Forward | Mode::Auto, _) => Ok(DataPath::Forwarded),
    }
}

/// One socket for an address, two where none was named.
fn sockets(asked: &Publish, path: DataPath) -> Vec<Published> {
    let path = match asked.protocol {
        Protocol::Udp if path == DataPath::Native => DataPath::Forwarded,
        _ => path,
    };
    let one = |address: IpAddr, optional| Published {
        at: SocketAddr::new(address, asked.host),
        inside: asked.inside,
        protocol: asked.protocol,
        path,
        optional,
    };
    match asked.address {
        Some(address) => vec![one(address, false)],
        // One mapping is for both families.
        None if path == DataPath::Network => vec![one(Ipv4Addr::UNSPECIFIED.into(), false)],
        None => vec![
            one(Ipv4Addr::UNSPECIFIED.into(), false),
            one(Ipv6Addr::UNSPECIFIED.into(), true),
        ],
    }
}

impl Admission {
    fn words(&self) -> String {
        let mut all = Vec::new();
        if !self.from.is_empty() {
            let from: Vec<String> = self.from.iter().map(ToString::to_string).collect();
            all.push(format!("from {} only", from.join(" ")));
        }
        all.extend(self.connections.map(|n| format!("at most {n} at once")));
        all.extend(self.rate.map(|n| format!("{n} new a second")));
        all.extend(self.proxy.map(|p| format!("PROXY header {p:?}")));
        match all.is_empty() {
            true => String::new(),
            false => format!("; {}", all.join(", ")),
        }
    }
}

impl Published {
    /// "TCP 0.0.0.0:8080 to 80 inside, forwarded".
    pub fn words(&self) -> String {
        let path = match self.path {
            // One for IPv4 alone leaves this port refused, and nobody is told by the service.
            DataPath::Native if self.at.is_ipv6() => {
                "by the service's own socket, if it has one for IPv6"
            }
            DataPath::Native => "by the service's own socket",
            DataPath::Forwarded => "forwarded",
            DataPath::Network => "by the plugins of the network",
        };
        let protocol = self.protocol.to_string().to_uppercase();
        format!("{protocol} {} to {} inside, {path}", self.at, self.inside)
    }
}

impl OpeningsPlan {
    pub(super) fn lines(&self) -> Vec<Line> {
        const PORTS: &[ControlId] = &[ControlId::S8_2_4, ControlId::S8_5_4, ControlId::S8_5_5];
        const PEERS: &[ControlId] = &[ControlId::S8_1_3, ControlId::S8_5_4];
        const NETWORK: &[ControlId] = &[ControlId::S8_1_3, ControlId::S8_4_4];
        let admission = self.admission.words();
        let published = self.published.iter();
        let mut out: Vec<Line> = published
            .map(|p| Line::new("publish", format!("{}{admission}", p.words()), PORTS))
            .collect();
        for (at, listen) in self.listen.iter().enumerate() {
            let text = format!(
                "{listen} is open from descriptor {}; nothing can be connected",
                at + 3
            );
            out.push(Line::new("listen", text, PORTS));
        }
        for link in &self.links {
            let wait = match link.wait {
                0 => String::new(),
                wait => format!(", waited for up to {wait} s"),
            };
            let text = format!(
                "127.0.0.1:{} is port {} of {}{wait}",
                link.local, link.port, link.peer
            );
            out.push(Line::new("link", text, PEERS));
        }
        for connect in &self.connects {
            let text = format!(
                "127.0.0.1:{} is {}:{} (exception)",
                connect.local, connect.host, connect.port
            );
            out.push(Line::new("connect", text, PEERS));
        }
        if let Some(network) = &self.network {
            let text = format!(
                "attached to {} as {IFNAME} by {} ({}), detached at the end (exception)",
                network.name,
                network.kinds(),
                network.file
            );
            out.push(Line::new("attach", text, NETWORK));
        }
        if self.host_sockets() {
            let unix = match self.unix {
                UnixSockets::Closed => {
                    ", no unix socket, for a volume could lead to another container"
                }
                UnixSockets::Possible => "",
            };
            let text = format!(
                "sockets of the host's are inside: bind and listen are carried out from outside, no connection, no fast open{unix}"
            );
            out.push(Line::new("", text, &[ControlId::S8_1_3, ControlId::S8_2_4]));
        }
        if !self.peers.is_empty() {
            let text = format!("{} may link to this container", self.peers.join(" "));
            out.push(Line::new("peers", text, PEERS));
        }
        out
    }
}
