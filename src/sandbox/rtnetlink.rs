//! The little of rtnetlink(7) that moves an interface: find, read addresses, move, add addresses, bring up.
//!
//! Numbers are in the host's byte order; attributes are padded to four bytes. What the kernel sends is read with
//! checked lengths.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::os::fd::{AsRawFd, OwnedFd};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 0x01;
const ACK: u16 = 0x04;
const DUMP: u16 = 0x300;
const CREATE_NEW: u16 = 0x600;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_LABEL: u16 = 3;
const IFA_CACHEINFO: u16 = 6;
const IFA_F_PERMANENT: u8 = 0x80;
const IFF_UP: u32 = 1;

/// An address as the kernel told it: the fixed part and the attributes, ready to be told again.
pub(super) struct Address {
    prefix: [u8; 4],
    attributes: Vec<u8>,
}

/// A socket to the network namespace that it was made in.
pub(super) struct Route {
    socket: OwnedFd,
    sequence: u32,
}

impl Route {
    /// In the caller's namespace.
    pub(super) fn open() -> Result<Self, Errno> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// The index of an interface.
    pub(super) fn index(&mut self, name: &str) -> Result<i32, Errno> {
        let mut body = link(0, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &c_name(name));
        let answers = self.ask(RTM_GETLINK, ACK, &body)?;
        let answer = answers.iter().find(|a| a.kind == RTM_NEWLINK);
        let index = answer.and_then(|a| a.body.get(4..8)?.try_into().ok());
        index.map(i32::from_ne_bytes).ok_or(Errno::ENODEV)
    }

    /// Permanent addresses of global scope.
    pub(super) fn addresses(&mut self, index: i32) -> Result<Vec<Address>, Errno> {
        let answers = self.ask(RTM_GETADDR, DUMP, &[0; 8])?;
        let address = |answer: Answer| {
            let fixed: [u8; 8] = answer.body.get(..8)?.try_into().ok()?;
            let [family, length, flags, scope, owner @ ..] = fixed;
            let ours = i32::from_ne_bytes(owner) == index;
            let kept = answer.kind == RTM_NEWADDR && flags & IFA_F_PERMANENT != 0 && scope == 0;
            (ours && kept).then(|| Address {
                prefix: [family, length, flags, scope],
                attributes: without(&answer.body[8..], &[IFA_LABEL, IFA_CACHEINFO]),
            })
        };
        Ok(answers.into_iter().filter_map(address).collect())
    }

    /// Gives an interface to another namespace, where it gets a name; the kernel does both or neither.
    pub(super) fn give(&mut self, index: i32, to: &OwnedFd, name: &str) -> Result<(), Errno> {
        let mut body = link(index, 0, 0);
        attribute(&mut body, IFLA_NET_NS_FD, &to.as_raw_fd().to_ne_bytes());
        attribute(&mut body, IFLA_IFNAME, &c_name(name));
        self.ask(RTM_NEWLINK, ACK, &body).map(drop)
    }

    /// Adds an address.
    pub(super) fn add(&mut self, index: i32, address: &Address) -> Result<(), Errno> {
        let mut body = address.prefix.to_vec();
        body.extend(index.to_ne_bytes());
        body.extend(&address.attributes);
        self.ask(RTM_NEWADDR, ACK | CREATE_NEW, &body).map(drop)
    }

    /// Brings an interface up.
    pub(super) fn up(&mut self, index: i32) -> Result<(), Errno> {
        self.ask(RTM_NEWLINK, ACK, &link(index, IFF_UP, IFF_UP))
            .map(drop)
    }

    /// One request and its answers, up to the acknowledgement or the end of the dump.
    fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Answer>, Errno> {
        self.sequence += 1;
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((REQUEST | flags).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        let socket = self.socket.as_raw_fd();
        send(socket, &message, MsgFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; 65536];
        loop {
            let length = match recv(socket, &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            if self.collect(&buffer[..length], &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Whether that was the end.
    fn collect(&self, mut rest: &[u8], answers: &mut Vec<Answer>) -> Result<bool, Errno> {
        while let Some((header, _)) = rest.split_first_chunk::<16>() {
            let number = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
            let length = u32::from_ne_bytes(number(0)) as usize;
            let kind = u16::from_ne_bytes([header[4], header[5]]);
            let body = rest.get(16..length).ok_or(Errno::EPROTO)?;
            if u32::from_ne_bytes(number(8)) == self.sequence {
                match kind {
                    NLMSG_DONE => return Ok(true),
                    NLMSG_ERROR => {
                        let code = body.first_chunk::<4>().ok_or(Errno::EPROTO)?;
                        return match i32::from_ne_bytes(*code) {
                            0 => Ok(true),
                            code => Err(Errno::from_raw(-code)),
                        };
                    }
                    _ => answers.push(Answer {
                        kind,
                        body: body.to_vec(),
                    }),
                }
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }
}

struct Answer {
    kind: u16,
    body: Vec<u8>,
}

/// struct ifinfomsg.
fn link(index: i32, flags: u32, change: u32) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(index.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(change.to_ne_bytes());
    out
}

fn c_name(name: &str) -> Vec<u8> {
    let mut out = name.as_bytes().to_vec();
    out.push(0);
    out
}

fn attribute(into: &mut Vec<u8>, kind: u16, value: &[u8]) {
    into.extend((4 + value.len() as u16).to_ne_bytes());
    into.extend(kind.to_ne_bytes());
    into.extend(value);
    into.resize(into.len().next_multiple_of(4), 0);
}

/// Attributes but these: the label names the old interface, and the times are the kernel's to tell.
fn without(mut rest: &[u8], kinds: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(head) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]);
        let Some(value) = rest.get(4..length) else {
            break;
        };
        if !kinds.contains(&kind) {
            attribute(&mut out, kind, value);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_left_out() {
        let mut all = Vec::new();
        attribute(&mut all, IFA_LABEL, b"eth0\0");
        attribute(&mut all, 1, &[10, 0, 0, 1]);
        assert_eq!(all.len(), 12 + 8);
        let left = without(&all, &[IFA_LABEL]);
        assert_eq!(left, all[12..]);
        // A length that lies ends the walk.
        assert!(without(&[3, 0, 1, 0], &[]).is_empty());
        assert!(without(&[255, 255, 1, 0], &[]).is_empty());
    }
}
