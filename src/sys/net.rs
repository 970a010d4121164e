//! Socket options and calls that nix lacks or wraps in allocation: by number, on descriptors.
//!
//! Called by `ports`. Addresses are std's; what the kernel writes is read within the length that it says.

use super::check;
use nix::errno::Errno;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A socket option that is an int.
pub fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value: i32 = 0;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: both pointers are writable and of the sizes told.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &mut length,
        ) as libc::c_long
    })?;
    Ok(value)
}

/// Sets a socket option that is an int.
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    set_bytes(fd, level, name, &value.to_ne_bytes())
}

/// Sets a socket option from bytes.
pub fn set_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the slice is readable for its length.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        ) as libc::c_long
    })
    .map(drop)
}

/// A socket option as bytes: how many were written.
pub fn option_bytes(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &mut [u8],
) -> Result<usize, Errno> {
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the slice is writable for the length told.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut length,
        ) as libc::c_long
    })?;
    Ok((length as usize).min(value.len()))
}

/// The next close sends a reset: what is not yet delivered is thrown away.
pub fn reset_on_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let linger = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
    set_bytes(fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

/// A socket: domain, type (with SOCK_NONBLOCK and the like), protocol. Close-on-exec.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let fd = check(unsafe {
        libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) as libc::c_long
    })?;
    // SAFETY: the kernel has just handed us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Room for any address.
#[derive(Clone, Copy)]
pub struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    fn empty() -> Self {
        Self {
            // SAFETY: all zero is a valid sockaddr_storage.
            storage: unsafe { std::mem::zeroed() },
            length: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    /// What the kernel would take for this address.
    pub fn of(address: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(a) => {
                let four = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: a.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(a.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                // SAFETY: sockaddr_storage is large enough and aligned for every address.
                unsafe {
                    (&raw mut raw.storage)
                        .cast::<libc::sockaddr_in>()
                        .write(four)
                };
            }
            SocketAddr::V6(a) => {
                let six = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as u16,
                    sin6_port: a.port().to_be(),
                    sin6_flowinfo: a.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: a.ip().octets(),
                    },
                    sin6_scope_id: a.scope_id(),
                };
                raw.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                // SAFETY: as above.
                unsafe {
                    (&raw mut raw.storage)
                        .cast::<libc::sockaddr_in6>()
                        .write(six)
                };
            }
        }
        raw
    }

    /// From bytes that another process calls an address.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut raw = Self::empty();
        let length = bytes.len().min(size_of::<libc::sockaddr_storage>());
        raw.length = length as libc::socklen_t;
        // SAFETY: both ranges are valid for `length` bytes and don't overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                (&raw mut raw.storage).cast::<u8>(),
                length,
            );
        }
        raw
    }

    /// The address, if it is IPv4 or IPv6 and whole.
    pub fn internet(&self) -> Option<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET if self.length as usize >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: the family and the length say that it is one.
                let a = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(a.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(a.sin_port)).into())
            }
            // The kernel takes one without the scope as well (SIN6_LEN_RFC2133).
            libc::AF_INET6 if self.length >= 24 => {
                // SAFETY: the storage is larger than sockaddr_in6, and zero where nothing was written.
                let a = unsafe {
                    (&raw const self.storage)
                        .cast::<libc::sockaddr_in6>()
                        .read()
                };
                let ip = Ipv6Addr::from(a.sin6_addr.s6_addr);
                Some(
                    SocketAddrV6::new(
                        ip,
                        u16::from_be(a.sin6_port),
                        a.sin6_flowinfo,
                        a.sin6_scope_id,
                    )
                    .into(),
                )
            }
            _ => None,
        }
    }

    /// Its family (AF_*).
    pub fn family(&self) -> i32 {
        i32::from(self.storage.ss_family)
    }
}

/// bind(2).
pub fn bind(fd: BorrowedFd<'_>, address: &RawAddress) -> Result<(), Errno> {
    // SAFETY: the storage is readable for the length told.
    check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address.storage).cast(),
            address.length,
        ) as libc::c_long
    })
    .map(drop)
}

/// connect(2).
pub fn connect(fd: BorrowedFd<'_>, address: &RawAddress) -> Result<(), Errno> {
    // SAFETY: the storage is readable for the length told.
    check(unsafe {
        libc::connect(
            fd.as_raw_fd(),
            (&raw const address.storage).cast(),
            address.length,
        ) as libc::c_long
    })
    .map(drop)
}

/// listen(2).
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) as libc::c_long }).map(drop)
}

/// accept4(2), non-blocking: the connection and who made it.
pub fn accept(fd: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddr>), Errno> {
    let mut from = RawAddress::empty();
    // SAFETY: the storage is writable for the length told.
    let got = check(unsafe {
        libc::accept4(
            fd.as_raw_fd(),
            (&raw mut from.storage).cast(),
            &mut from.length,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        ) as libc::c_long
    })?;
    // SAFETY: the kernel has just handed us this descriptor.
    Ok((unsafe { OwnedFd::from_raw_fd(got as i32) }, from.internet()))
}

/// The address that a socket is bound to.
pub fn local(fd: BorrowedFd<'_>) -> Result<RawAddress, Errno> {
    let mut own = RawAddress::empty();
    // SAFETY: the storage is writable for the length told.
    check(unsafe {
        libc::getsockname(
            fd.as_raw_fd(),
            (&raw mut own.storage).cast(),
            &mut own.length,
        ) as libc::c_long
    })?;
    Ok(own)
}

/// recvfrom(2): how many bytes, and from whom.
pub fn receive_from(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(usize, Option<SocketAddr>), Errno> {
    let mut from = RawAddress::empty();
    // SAFETY: buffer and storage are writable for the lengths told.
    let n = check(unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
            (&raw mut from.storage).cast(),
            &mut from.length,
        ) as libc::c_long
    })?;
    Ok((n as usize, from.internet()))
}

/// sendto(2).
pub fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], to: &RawAddress) -> Result<usize, Errno> {
    // SAFETY: both are readable for the lengths told.
    check(unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
            (&raw const to.storage).cast(),
            to.length,
        ) as libc::c_long
    })
    .map(|n| n as usize)
}

/// recv(2).
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is writable for its length.
    check(unsafe {
        libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) as libc::c_long
    })
    .map(|n| n as usize)
}

/// send(2), without SIGPIPE.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is readable for its length.
    check(unsafe {
        libc::send(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
        ) as libc::c_long
    })
    .map(|n| n as usize)
}

/// splice(2) between a pipe and a socket, not waiting: how many bytes.
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> Result<usize, Errno> {
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    // SAFETY: null offsets; the rest are plain integers.
    check(unsafe {
        libc::splice(
            from.as_raw_fd(),
            std::ptr::null_mut(),
            to.as_raw_fd(),
            std::ptr::null_mut(),
            most,
            flags,
        ) as libc::c_long
    })
    .map(|n| n as usize)
}

/// epoll_ctl(2), EPOLL_CTL_ADD with bits and data as another process has them.
pub fn watch(
    epoll: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    events: u32,
    data: u64,
) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the event is valid and only read.
    check(unsafe {
        libc::epoll_ctl(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            socket.as_raw_fd(),
            &raw mut event,
        ) as libc::c_long
    })
    .map(drop)
}

/// shutdown(2) of the sending side.
pub fn end_sending(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) as libc::c_long }).map(drop)
}
