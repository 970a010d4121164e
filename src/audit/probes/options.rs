//! Socket options and ioctls that open more of the kernel than a service needs, and those of terminals.

use super::calls::{option, sys, with_socket};
use super::{Layer, Probe, Tried};
use crate::controls::ControlId::{S8_1_4, S8_1_5, S8_4_1, S8_4_4, S8_4_6, S8_4_8};
use crate::sys::attempt::{buffer, words};

const ON: &[u8] = &[1, 0, 0, 0];

pub(super) const PROBES: &[Probe] = &[
    Probe::denied(
        "option/tcp-ulp",
        "load a protocol into TCP (TCP_ULP, CVE-2026-46300)",
        &[S8_4_8],
        |_| option(6, 31, b"espintcp"),
    ),
    Probe::denied(
        "option/tcp-repair",
        "rewrite a connection (TCP_REPAIR)",
        &[S8_4_4],
        |_| option(6, 19, ON),
    ),
    Probe::denied(
        "option/udp-encap",
        "make UDP carry IPsec (UDP_ENCAP)",
        &[S8_4_8],
        |_| option(17, 100, ON),
    ),
    Probe::denied(
        "option/bind-to-device",
        "choose an interface (SO_BINDTODEVICE)",
        &[S8_4_4],
        |_| option(1, 25, b"lo\0"),
    ),
    Probe::denied(
        "option/attach-filter",
        "load a filter program (SO_ATTACH_FILTER)",
        &[S8_4_8],
        |_| attach(26),
    ),
    Probe::denied(
        "option/attach-reuseport",
        "load a filter program (SO_ATTACH_REUSEPORT_CBPF)",
        &[S8_4_8],
        |_| attach(51),
    ),
    Probe::denied(
        "option/attach-bpf",
        "attach a BPF program (SO_ATTACH_BPF)",
        &[S8_4_8],
        |_| option(1, 50, ON),
    ),
    Probe::denied(
        "option/zerocopy",
        "pin pages for sending (SO_ZEROCOPY)",
        &[S8_4_8],
        |_| option(1, 60, ON),
    ),
    Probe::denied(
        "option/mark",
        "mark packets for the firewall (SO_MARK)",
        &[S8_4_4],
        |_| option(1, 36, ON),
    ),
    Probe::new(
        "option/buffer-force",
        "grow buffers beyond the limit (SO_SNDBUFFORCE, which asks for CAP_NET_ADMIN)",
        &[S8_1_4, S8_1_5],
        (Layer::Kernel, &["EPERM"]),
        |_| option(1, 32, ON),
    ),
    Probe::denied(
        "option/transparent",
        "speak for other addresses (IP_TRANSPARENT)",
        &[S8_4_6],
        |_| option(0, 19, ON),
    ),
    Probe::denied(
        "option/header-included",
        "write IP headers (IP_HDRINCL)",
        &[S8_4_6],
        |_| option(0, 3, ON),
    ),
    Probe::denied(
        "terminal/push-input",
        "type into a terminal (TIOCSTI)",
        &[S8_4_1],
        |_| ioctl(0x5412),
    ),
    Probe::denied(
        "terminal/push-input-high-bits",
        "the same, hidden behind high bits",
        &[S8_4_1],
        |_| ioctl((1 << 32) | 0x5412),
    ),
    Probe::denied(
        "terminal/linux-console",
        "paste on the console (TIOCLINUX)",
        &[S8_4_1],
        |_| ioctl(0x541c),
    ),
    Probe::denied(
        "terminal/controlling",
        "take a controlling terminal (TIOCSCTTY)",
        &[S8_4_1],
        |_| ioctl(0x540e),
    ),
    Probe::denied(
        "terminal/peer",
        "open the other end of a terminal (TIOCGPTPEER)",
        &[S8_4_1],
        |_| ioctl(0x5441),
    ),
    Probe::denied(
        "terminal/discipline",
        "load a line discipline (TIOCSETD)",
        &[S8_4_8],
        |_| ioctl(0x5423),
    ),
];

fn ioctl(request: u64) -> Tried {
    sys(libc::SYS_ioctl, [0, request, buffer()])
}

/// A classic filter of one instruction: accept.
fn attach(name: u64) -> Tried {
    let code = words(&[0x0000_0000_0000_0006 | (0xffff << 32)]);
    let program = words(&[1, code]);
    with_socket(|fd| sys(libc::SYS_setsockopt, [fd, 1, name, program, 16]))
}
