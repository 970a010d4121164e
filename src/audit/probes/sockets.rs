//! Sockets of other families, raw ones, and ports that were not declared.

use super::calls::{can_socket, io, socket, sys, with_socket};
use super::{Layer, Probe, Tried};
use crate::controls::ControlId::{
    S8_1_3, S8_1_4, S8_2_4, S8_4_2, S8_4_4, S8_4_6, S8_4_8, S8_5_4, S8_5_5,
};
use crate::sys::attempt::buffer;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};

const RAW: i32 = libc::SOCK_RAW;
const STREAM: i32 = libc::SOCK_STREAM;
const DGRAM: i32 = libc::SOCK_DGRAM;

const fn netlink(
    id: &'static str,
    what: &'static str,
    controls: &'static [crate::controls::ControlId],
    deed: fn(&super::Field) -> Tried,
) -> Probe {
    Probe::new(id, what, controls, (Layer::Filter, &["EAFNOSUPPORT"]), deed)
}

pub(super) const PROBES: &[Probe] = &[
    Probe::denied(
        "socket/raw-icmp",
        "open a raw ICMP socket",
        &[S8_4_6],
        |_| can_socket(libc::AF_INET, RAW, 1),
    ),
    Probe::denied(
        "socket/raw-icmp6",
        "open a raw ICMPv6 socket",
        &[S8_4_6],
        |_| can_socket(libc::AF_INET6, RAW, 58),
    ),
    Probe::denied(
        "socket/raw-header",
        "send packets with headers of its own (IPPROTO_RAW)",
        &[S8_4_6],
        |_| can_socket(libc::AF_INET, RAW, 255),
    ),
    Probe::denied("socket/raw-tcp", "open a raw TCP socket", &[S8_4_6], |_| {
        can_socket(libc::AF_INET, RAW, 6)
    }),
    Probe::denied("socket/ping", "open a ping socket", &[S8_4_6], |_| {
        can_socket(libc::AF_INET, DGRAM, 1)
    }),
    Probe::denied(
        "socket/packet",
        "read and write frames (AF_PACKET)",
        &[S8_4_6],
        |_| can_socket(libc::AF_PACKET, RAW, 0),
    ),
    Probe::denied(
        "socket/packet-datagram",
        "read and write packets (AF_PACKET, SOCK_DGRAM)",
        &[S8_4_6],
        |_| can_socket(libc::AF_PACKET, DGRAM, 0),
    ),
    Probe::denied(
        "socket/xdp",
        "bypass the network stack (AF_XDP)",
        &[S8_4_6],
        |_| can_socket(44, RAW, 0),
    ),
    netlink(
        "socket/netlink-route",
        "configure the network (NETLINK_ROUTE)",
        &[S8_4_4],
        |_| can_socket(libc::AF_NETLINK, RAW, 0),
    ),
    netlink(
        "socket/netlink-netfilter",
        "change the firewall (NETLINK_NETFILTER)",
        &[S8_4_4],
        |_| can_socket(libc::AF_NETLINK, RAW, 12),
    ),
    netlink(
        "socket/netlink-xfrm",
        "change IPsec (NETLINK_XFRM)",
        &[S8_4_4],
        |_| can_socket(libc::AF_NETLINK, RAW, 6),
    ),
    netlink(
        "socket/netlink-audit",
        "write into the host's audit log (NETLINK_AUDIT)",
        &[S8_4_2],
        |_| can_socket(libc::AF_NETLINK, RAW, 9),
    ),
    netlink(
        "socket/netlink-uevent",
        "watch the host's devices (NETLINK_KOBJECT_UEVENT)",
        &[S8_4_4],
        |_| can_socket(libc::AF_NETLINK, RAW, 15),
    ),
    netlink(
        "socket/netlink-diag",
        "list sockets (NETLINK_SOCK_DIAG)",
        &[S8_4_4],
        |_| can_socket(libc::AF_NETLINK, RAW, 4),
    ),
    Probe::denied(
        "socket/alg",
        "use the kernel's cipher sockets (AF_ALG, CVE-2026-31431)",
        &[S8_4_8],
        |_| can_socket(38, libc::SOCK_SEQPACKET, 0),
    ),
    Probe::denied(
        "socket/rxrpc",
        "open an RxRPC socket (CVE-2026-43500)",
        &[S8_4_8],
        |_| can_socket(33, DGRAM, 2),
    ),
    Probe::denied(
        "socket/vsock",
        "reach the hypervisor (AF_VSOCK)",
        &[S8_1_3],
        |_| can_socket(40, STREAM, 0),
    ),
    Probe::denied(
        "socket/key",
        "manage IPsec keys (AF_KEY)",
        &[S8_4_4],
        |_| can_socket(15, RAW, 2),
    ),
    Probe::denied(
        "socket/bluetooth",
        "open a Bluetooth socket",
        &[S8_4_6],
        |_| can_socket(31, RAW, 1),
    ),
    Probe::denied("socket/can", "open a CAN socket", &[S8_4_6], |_| {
        can_socket(29, RAW, 1)
    }),
    Probe::denied("socket/tipc", "open a TIPC socket", &[S8_4_8], |_| {
        can_socket(30, DGRAM, 0)
    }),
    Probe::denied("socket/nfc", "open an NFC socket", &[S8_4_8], |_| {
        can_socket(39, RAW, 0)
    }),
    Probe::denied(
        "socket/appletalk",
        "let an old protocol be loaded (AF_APPLETALK)",
        &[S8_4_8],
        |_| can_socket(5, DGRAM, 0),
    ),
    Probe::denied(
        "socket/mptcp",
        "open a multipath TCP socket",
        &[S8_4_6],
        |_| can_socket(libc::AF_INET, STREAM, 262),
    ),
    Probe::denied(
        "socket/udplite",
        "open a UDP-Lite socket",
        &[S8_4_6],
        |_| can_socket(libc::AF_INET, DGRAM, 136),
    ),
    Probe::denied("socket/sctp", "let SCTP be loaded", &[S8_4_8], |_| {
        can_socket(libc::AF_INET, STREAM, 132)
    }),
    Probe::denied("socket/dccp", "let DCCP be loaded", &[S8_4_8], |_| {
        can_socket(libc::AF_INET, 6, 33)
    }),
    Probe::denied(
        "socket/unix-raw",
        "open a unix socket of type raw",
        &[S8_4_6],
        |_| can_socket(libc::AF_UNIX, RAW, 0),
    ),
    Probe::denied(
        "socket/family-in-high-bits",
        "hide the family behind high bits",
        &[S8_4_8],
        |_| sys(libc::SYS_socket, [(1 << 32) | 38, 5, 0]),
    ),
    Probe::denied(
        "socket/pair-inet",
        "make a pair of internet sockets (socketpair)",
        &[S8_4_6],
        |_| sys(libc::SYS_socketpair, [2, 1, 0, buffer()]),
    ),
    Probe::new(
        "port/bind-undeclared",
        "bind a TCP port that was not declared",
        &[S8_2_4, S8_5_5],
        (Layer::Landlock, &["EACCES"]),
        |_| io(TcpListener::bind((Ipv4Addr::LOCALHOST, 9999))),
    ),
    Probe::new(
        "port/bind-any",
        "bind a TCP port of the kernel's choice",
        &[S8_2_4, S8_5_5],
        (Layer::Landlock, &["EACCES"]),
        |_| io(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))),
    ),
    Probe::new(
        "port/connect-undeclared",
        "connect to a TCP port that was not declared",
        &[S8_1_3, S8_5_4],
        (Layer::Landlock, &["EACCES"]),
        |_| io(TcpStream::connect((Ipv4Addr::LOCALHOST, 9))),
    ),
    Probe::new(
        "port/host-loopback-udp",
        "reach a service on the host's loopback (UDP)",
        &[S8_1_3],
        (Layer::Network, &["ECONNREFUSED"]),
        |f| host_udp(f.number("host-port") as u16),
    ),
    Probe::new(
        "port/metadata-service",
        "reach a cloud's metadata service, 169.254.169.254 (UDP)",
        &[S8_1_3, S8_1_4],
        (Layer::Network, &["ENETUNREACH"]),
        |_| udp(SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80)),
    ),
    Probe::new(
        "port/other-address",
        "reach another machine (UDP)",
        &[S8_1_3],
        (Layer::Network, &["ENETUNREACH"]),
        |_| udp(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 53)),
    ),
    Probe::denied(
        "port/raise-flags",
        "switch an interface (SIOCSIFFLAGS)",
        &[S8_4_4],
        |_| with_socket(|fd| sys(libc::SYS_ioctl, [fd, 0x8914, buffer()])),
    ),
    Probe::denied(
        "port/add-route",
        "add a route (SIOCADDRT)",
        &[S8_4_4],
        |_| with_socket(|fd| sys(libc::SYS_ioctl, [fd, 0x890b, buffer()])),
    ),
];

fn udp(to: SocketAddrV4) -> Tried {
    io(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|s| s.connect(to)))
}

/// The refusal of a datagram comes with the next one.
fn host_udp(port: u16) -> Tried {
    if let Err(errno) = socket(libc::AF_INET, DGRAM, 0) {
        return errno;
    }
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    io(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|s| {
        s.connect(to)?;
        s.send(b"here")?;
        s.send(b"here")
    }))
}
