//! Descriptors over a unix socket (SCM_RIGHTS), into and out of fixed arrays: the child may not allocate; and what the
//! kernel knows about a TCP connection.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// The kernel's own limit of descriptors in one message (SCM_MAX_FD).
pub const MOST: usize = 253;

const SPACE: usize = 16 + MOST * 4 + 8;

#[repr(C, align(8))]
struct Control([u8; SPACE]);

/// Sends some bytes and up to [`MOST`] descriptors, as one message; how many bytes (a stream may take fewer).
pub fn send_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    if fds.len() > MOST {
        return Err(Errno::EINVAL);
    }
    let mut control = Control([0; SPACE]);
    // SAFETY: msghdr points at live buffers of the lengths given; CMSG_* stay inside `control`, whose size was
    // checked against the number of descriptors above; the kernel only reads.
    unsafe {
        let mut part = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        if !fds.is_empty() {
            let space = (fds.len() * 4) as u32;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(space) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(space) as _;
            let to = libc::CMSG_DATA(header).cast::<RawFd>();
            for (index, fd) in fds.iter().enumerate() {
                to.add(index).write_unaligned(fd.as_raw_fd());
            }
        }
        check(libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) as libc::c_long)
            .map(|n| n as usize)
    }
}

/// Receives a message and its descriptors (close-on-exec): how many bytes and descriptors; `Ok(None)` when the other
/// side is gone.
pub fn receive_fds(
    socket: RawFd,
    bytes: &mut [u8],
    fds: &mut [RawFd; MOST],
) -> Result<Option<(usize, usize)>, Errno> {
    let mut control = Control([0; SPACE]);
    // SAFETY: msghdr points at live, writable buffers of the lengths given; descriptors are read from the control
    // message only within the length that the kernel wrote.
    unsafe {
        let mut part = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = SPACE as _;
        let got =
            check(libc::recvmsg(socket, &mut message, libc::MSG_CMSG_CLOEXEC) as libc::c_long)?;
        if got == 0 {
            return Ok(None);
        }
        let mut count = 0;
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
        {
            let from = libc::CMSG_DATA(header).cast::<RawFd>();
            count = ((*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / 4;
            for (index, slot) in fds.iter_mut().enumerate().take(count) {
                *slot = from.add(index).read_unaligned();
            }
        }
        Ok(Some((got as usize, count)))
    }
}

/// How long the next message is, which stays where it is with its descriptors; waits for one. 0: the other side is gone.
pub fn next_length(socket: RawFd) -> Result<usize, Errno> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC;
    // SAFETY: no byte is to be written, so the pointer is not used.
    check(unsafe { libc::recv(socket, std::ptr::null_mut(), 0, flags) as libc::c_long })
        .map(|n| n as usize)
}

/// Of a TCP connection (tcp(7), TCP_INFO): bytes that the peer's kernel has acknowledged, and bytes that it would still
/// take; `None` before Linux 5.4, which doesn't tell the latter.
pub fn tcp_progress(socket: BorrowedFd<'_>) -> Result<Option<(u64, u32)>, Errno> {
    // Offsets of tcpi_bytes_acked and tcpi_snd_wnd in struct tcp_info, which only grows at its end.
    const ACKED: usize = 120;
    const WINDOW: usize = 228;
    let mut info = [0u8; WINDOW + 4];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a live buffer of that size.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    } as libc::c_long)?;
    if (length as usize) < info.len() {
        return Ok(None);
    }
    let mut acked = [0; 8];
    acked.copy_from_slice(&info[ACKED..ACKED + 8]);
    let mut window = [0; 4];
    window.copy_from_slice(&info[WINDOW..]);
    Ok(Some((
        u64::from_ne_bytes(acked),
        u32::from_ne_bytes(window),
    )))
}
