//! The words of flags and annotations, read strictly: one spelling for each value, and a sentence for what is none.

use super::{Cidr, Connect, Link, Listen, Mode, Protocol, ProxyHeader, Publish};
use crate::paths::HostPath;
use crate::request::{NotUnderstood, is_name, no};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
