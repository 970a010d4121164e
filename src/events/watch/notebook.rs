//! The call in hand, in memory that outlives a watcher: one that follows it, should it be killed, answers the call.
//!
//! Behind it stands the program that watchers ask. Made by whoever starts watchers again, and only kept by it.

use crate::seccomp::Program;
use crate::sys::memory::{Shared, anonymous};
use crate::sys::notify::{self, Notification, SIZE};
use nix::errno::Errno;
use nix::sys::uio::pwrite;
use nix::unistd::{Whence, lseek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A notebook, as its watcher has it.
pub struct Notebook(Shared, usize);

impl Notebook {
    /// A new one, to be opened by each watcher.
    pub fn make(plain: &Program) -> Result<OwnedFd, Errno> {
        let bytes = plain.bytes();
        let notebook = anonymous(c"watcher", SIZE + bytes.len())?;
        match pwrite(&notebook, &bytes, SIZE as i64)? {
            n if n == bytes.len() => Ok(notebook),
            _ => Err(Errno::ENOSPC),
        }
    }

    /// Opens it: once a process.
    pub fn open(notebook: impl AsFd) -> Result<Self, Errno> {
        // Not fstat: what the C library makes of it is no call of a watcher.
        let size = lseek(notebook.as_fd(), 0, Whence::SeekEnd)? as usize;
        Ok(Self(Shared::map(notebook.as_fd(), size)?, size))
    }

    /// The program that was written into it.
    pub fn program(&mut self) -> Option<Program> {
        Program::from_bytes(self.0.bytes(SIZE.min(self.1)))
    }

    fn call(&mut self) -> Result<&mut [u8; SIZE], Errno> {
        let bytes = self.0.bytes(0).first_chunk_mut();
        bytes.ok_or(Errno::ENODATA)
    }

    /// What the one before had in hand, answered or not.
    pub(super) fn last(&mut self) -> Option<Notification> {
        let call = Notification::from_bytes(self.call().ok()?);
        (call != Notification::default()).then_some(call)
    }

    /// The next call; it is noted the moment that it is taken.
    pub fn next(&mut self, listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
        notify::receive_into(listener, self.call()?)
    }
}
