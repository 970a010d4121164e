//! PROXY protocol headers (haproxy.org, proxy-protocol.txt): who the client of a forwarded connection is. Pure.

use crate::plan::openings::ProxyHeader;
use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The header of a connection from `from` to `to`.
pub fn header(version: ProxyHeader, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (from, to) = alike(from, to);
    match version {
        ProxyHeader::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            format!(
                "PROXY {family} {} {} {} {}\r\n",
                from.ip(),
                to.ip(),
                from.port(),
                to.port()
            )
            .into_bytes()
        }
        ProxyHeader::V2 => {
            let mut out = SIGNATURE.to_vec();
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(a) => a.octets().to_vec(),
                IpAddr::V6(a) => a.octets().to_vec(),
            };
            let mut body = octets(from.ip());
            body.extend(octets(to.ip()));
            body.extend(from.port().to_be_bytes());
            body.extend(to.port().to_be_bytes());
            // Version 2, PROXY; a stream of either family.
            out.extend([0x21, if from.is_ipv4() { 0x11 } else { 0x21 }]);
            out.extend((body.len() as u16).to_be_bytes());
            out.extend(body);
            out
        }
    }
}

/// Both IPv4 if both can be, else both IPv6.
fn alike(from: SocketAddr, to: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
    let (from, to) = (plain(from), plain(to));
    if from.is_ipv4() == to.is_ipv4() {
        return (from, to);
    }
    let six = |a: SocketAddr| match a.ip() {
        IpAddr::V4(four) => SocketAddr::new(four.to_ipv6_mapped().into(), a.port()),
        IpAddr::V6(_) => a,
    };
    (six(from), six(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_examples_of_the_specification() {
        let v1 = header(
            ProxyHeader::V1,
            at("192.168.0.1:56324"),
            at("192.168.0.11:443"),
        );
        assert_eq!(v1, b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
        let v1 = header(ProxyHeader::V1, at("[::1]:1"), at("[::2]:2"));
        assert_eq!(v1, b"PROXY TCP6 ::1 ::2 1 2\r\n");
        let v2 = header(ProxyHeader::V2, at("127.0.0.1:1"), at("127.0.0.2:258"));
        assert_eq!(&v2[..12], SIGNATURE);
        assert_eq!(
            v2[12..],
            [0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 2, 0, 1, 1, 2]
        );
    }

    #[test]
    fn addresses_of_two_families_become_one() {
        let v1 = header(ProxyHeader::V1, at("[::ffff:10.0.0.1]:1"), at("10.0.0.2:2"));
        assert_eq!(v1, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n");
        let v2 = header(ProxyHeader::V2, at("[fe80::1]:1"), at("10.0.0.2:2"));
        assert_eq!((v2.len(), v2[13]), (16 + 36, 0x21));
    }
}
