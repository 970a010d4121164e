//! tmpcopyup: what a folder of the image holds, copied into the memory that is about to cover it.
//!
//! The child's rules hold: no allocation, no panic. The image is hostile: no link is followed, no other mount is
//! entered, nothing but files, folders and links is made, set-id bits stay behind; the size of the memory and the
//! cgroup that the child is in bound the rest. Called by the mount operations.

use crate::sys::fs::{Entry, Resolve, list, open_in_root, read_link};
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Folders in folders: each level keeps descriptors and stack.
const DEEPEST: u32 = 32;

/// Everything below `from` into `to`, both folders.
pub(super) fn fill(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let from = open_below(from, c".", libc::O_DIRECTORY)?;
    folder(from.as_fd(), to, DEEPEST)
}

fn folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>, deepest: u32) -> Result<(), Errno> {
    let mut buffer = [0u8; 4096];
    loop {
        let length = list(from, &mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        for name in Entry::all(&buffer[..length]) {
            if name == c"." || name == c".." {
                continue;
            }
            match one(from, to, name, deepest) {
                // Another mount, which the memory will hide; or gone since it was listed.
                Ok(()) | Err(Errno::EXDEV | Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, deepest: u32) -> Result<(), Errno> {
    let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFDIR => {
            let below = deepest.checked_sub(1).ok_or(Errno::ENAMETOOLONG)?;
            let source = open_below(from, name, libc::O_DIRECTORY)?;
            match mkdirat(to, name, Mode::S_IRWXU) {
                // A mount point of a later step.
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
            let made = open_below(to, name, libc::O_DIRECTORY)?;
            folder(source.as_fd(), made.as_fd(), below)?;
            like(&made, &stat, 0o3777)
        }
        SFlag::S_IFREG => {
            let source = open_below(from, name, libc::O_NONBLOCK)?;
            let stat = fstat(&source)?;
            if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
                return Ok(());
            }
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            let made = match openat(to, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Err(Errno::EEXIST) => return Ok(()),
                other => other?,
            };
            contents(&source, &made)?;
            like(&made, &stat, 0o1777)
        }
        SFlag::S_IFLNK => {
            let mut target = [0u8; 4097];
            let target = read_link(from, name, &mut target)?;
            match symlinkat(target, to, name) {
                Err(Errno::EEXIST) => return Ok(()),
                other => other?,
            }
            owned(to, name, &stat)
        }
        // Nodes, pipes and sockets are the host's or another process's.
        _ => Ok(()),
    }
}

fn open_below(at: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    let flags = flags | libc::O_RDONLY | libc::O_NOFOLLOW;
    open_in_root(at, name, flags, 0, Resolve::NoCrossing)
}

fn contents(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let mut buffer = [0u8; 16384];
    loop {
        let mut rest = match process::read(from.as_raw_fd(), &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => &buffer[..length],
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        };
        while !rest.is_empty() {
            let length = process::write(to.as_raw_fd(), rest)?;
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// Owner, mode and times, the last after everything that changes them.
fn like(made: &OwnedFd, stat: &FileStat, bits: u32) -> Result<(), Errno> {
    owned(made.as_fd(), c"", stat)?;
    fchmod(made, Mode::from_bits_truncate(stat.st_mode & bits))?;
    let time = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
    futimens(made, &time, &time)
}

fn owned(at: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH;
    match fchownat(at, name, Some(uid), Some(gid), flags) {
        // An owner that the user namespace doesn't map can't be given: stays root's.
        Ok(()) | Err(Errno::EINVAL | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}
