//! Memory that outlives a process: a memfd, mapped shared. What one worker left in it, its successor finds.

use super::check;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;

/// An anonymous file of this size, closed on exec.
pub fn anonymous(name: &CStr, size: usize) -> Result<OwnedFd, Errno> {
    // SAFETY: NUL-terminated string, only read; plain flags.
    let fd =
        check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) as libc::c_long })?;
    // SAFETY: the kernel has just handed us this descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let size = libc::off_t::try_from(size).map_err(|_| Errno::EINVAL)?;
    // SAFETY: plain integers.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), size) as libc::c_long })?;
    Ok(fd)
}

/// A shared mapping, for as long as the process lives.
pub struct Shared {
    start: *mut u8,
    size: usize,
}

// SAFETY: a mapping is the process's and no thread's; whoever has the value has the only way to its bytes.
unsafe impl Send for Shared {}

impl Shared {
    /// Maps a file that has at least this size; one mapping a process.
    pub fn map(fd: BorrowedFd<'_>, size: usize) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice; nothing that is there is replaced.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Self {
            start: start.cast(),
            size,
        })
    }

    /// The bytes from `from` on.
    pub fn bytes(&mut self, from: usize) -> &mut [u8] {
        let from = from.min(self.size);
        // SAFETY: the range lies inside the mapping, which is never unmapped; other processes that map it write only
        // before this one starts or after it has ended; the exclusive borrow keeps this process to one slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), self.size - from) }
    }

    /// The number at a multiple of 8.
    pub fn number(&self, index: usize) -> &AtomicU64 {
        assert!((index + 1) * 8 <= self.size);
        // SAFETY: inside the mapping and aligned, since mappings begin at a page; atomic, so shared writes are sound.
        unsafe { &*self.start.add(index * 8).cast::<AtomicU64>() }
    }
}
