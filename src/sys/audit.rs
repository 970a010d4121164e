//! The host's audit over netlink: whether it is on, and its records of landlock's refusals (Linux 6.15).
//!
//! Records come by a group that anybody with CAP_AUDIT_READ in the initial user namespace may join; who has joined keeps
//! hearing after he has given that up. An auditd beside it misses nothing. Called by the launcher, before it has a monitor.
#![allow(unsafe_code)]

use super::check;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `AUDIT_LANDLOCK_ACCESS`: a refusal (linux/audit.h).
pub const ACCESS: u16 = 1423;
/// `AUDIT_LANDLOCK_DOMAIN`: whose ruleset it was.
pub const DOMAIN: u16 = 1424;
/// Longest record (MAX_AUDIT_MESSAGE_LENGTH) and its header.
pub const LONGEST: usize = 8970 + HEADER;

const HEADER: usize = 16;
const GET: u16 = 1000;
const READLOG: u32 = 1;
const BUFFER: usize = 256 << 10;
/// Milliseconds.
const PATIENCE: u16 = 2000;

fn made() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkAudit;
    socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)
}

/// Whether the kernel makes records now.
pub fn is_on() -> Result<bool, Errno> {
    let socket = made()?;
    let mut ask = [0u8; HEADER];
    ask[..4].copy_from_slice(&(HEADER as u32).to_ne_bytes());
    ask[4..6].copy_from_slice(&GET.to_ne_bytes());
    ask[6] = 1; // NLM_F_REQUEST
    send(socket.as_raw_fd(), &ask, MsgFlags::empty())?;
    // A thread of the kernel's answers: struct audit_status, whose second number it is.
    poll(
        &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
        PATIENCE,
    )?;
    let mut answer = [0u8; 256];
    let got = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    let word = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap_or_default());
    match record(&answer[..got]) {
        Some((GET, _)) => Ok(word(HEADER + 4) > 0),
        // NLMSG_ERROR.
        _ => Err(Errno::from_raw(word(HEADER).wrapping_neg() as i32)),
    }
}

/// A socket that hears every record of landlock's, and no other.
pub fn refusals() -> Result<OwnedFd, Errno> {
    let socket = made()?;
    let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
    only_landlock(&socket)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, READLOG))?;
    Ok(socket)
}

/// A record's type and text.
pub fn record(message: &[u8]) -> Option<(u16, &[u8])> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    Some((kind, message.get(HEADER..)?))
}

/// Everything else that the host's audit tells is left out by the kernel (SO_ATTACH_FILTER).
fn only_landlock(socket: &OwnedFd) -> Result<(), Errno> {
    let code = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut program = [
        // Two bytes at a place are loaded as if they came from the network.
        code(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 4),
        code(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            2,
            0,
            u16::to_be(ACCESS).into(),
        ),
        code(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            1,
            0,
            u16::to_be(DOMAIN).into(),
        ),
        code(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        code(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let all = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel reads one structure and the instructions that it points to, both alive here.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const all).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        ) as libc::c_long
    })
    .map(drop)
}
