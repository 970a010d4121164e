//! The files of a spool's folder, by descriptor: names, sizes, opening without following links.
//!
//! Knows nothing of what is in them. Used by the reader, the writer and the check.

use super::{SpoolError, at};
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// A segment's file name.
pub(super) fn name_of(number: u64) -> String {
    format!("{number:012}.seg")
}

fn number_of(name: &[u8]) -> Option<u64> {
    let digits = name.strip_suffix(b".seg")?;
    let all = digits.len() == 12 && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
    text.parse().ok()
}

/// The numbers of the segments, in order.
pub fn segments(dir: &OwnedFd) -> Result<Vec<u64>, SpoolError> {
    let mut out: Vec<u64> = names(dir)?.iter().filter_map(|n| number_of(n)).collect();
    out.sort_unstable();
    Ok(out)
}

/// All names.
pub(super) fn names(dir: &OwnedFd) -> Result<Vec<Vec<u8>>, SpoolError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = Dir::openat(dir.as_fd(), ".", flags, Mode::empty());
    let mut opened = at(opened.map_err(Into::into), "list (openat)", "the folder")?;
    let mut out = Vec::new();
    for entry in opened.iter() {
        let entry = at(entry.map_err(Into::into), "list (getdents64)", "the folder")?;
        out.push(entry.file_name().to_bytes().to_vec());
    }
    Ok(out)
}

/// Bytes of all segments.
pub fn size(dir: &OwnedFd) -> Result<u64, SpoolError> {
    let all = segments(dir)?;
    Ok(all.into_iter().map(|n| size_of(dir, n)).sum())
}

pub(super) fn size_of(dir: &OwnedFd, number: u64) -> u64 {
    let stat = fstatat(dir, name_of(number).as_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
    stat.map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0))
}

/// Opens a file of the folder; `None` if there is none.
pub(super) fn open(dir: &OwnedFd, name: &str, flags: OFlag) -> Result<Option<File>, SpoolError> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match openat(dir, name, flags, Mode::from_bits_truncate(0o600)) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(nix::errno::Errno::ENOENT) => Ok(None),
        Err(errno) => at(Err(errno.into()), "open (openat)", name),
    }
}

/// Opens a segment for reading.
pub(super) fn open_segment(dir: &OwnedFd, number: u64) -> Result<Option<File>, SpoolError> {
    open(dir, &name_of(number), OFlag::O_RDONLY)
}

pub(super) fn remove(dir: &OwnedFd, number: u64) -> Result<(), SpoolError> {
    let name = name_of(number);
    match unlinkat(dir, name.as_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(errno) => at(Err(errno.into()), "remove (unlinkat)", &name),
    }
}

/// Sets a segment aside whose head can't be read.
pub(super) fn quarantine(dir: &OwnedFd, number: u64) -> Result<(), SpoolError> {
    let name = name_of(number);
    let bad = format!("{name}.bad");
    let moved = nix::fcntl::renameat(dir, name.as_str(), dir, bad.as_str());
    at(moved.map_err(Into::into), "rename (renameat)", &name)
}

/// Writes a file beside its place and renames it.
pub(super) fn write_whole(dir: &OwnedFd, name: &str, bytes: &[u8]) -> Result<File, SpoolError> {
    let beside = format!(".{name}.new");
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_TRUNC;
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let file = open(dir, &beside, flags)?;
    let file = at(file.ok_or_else(missing), "make (openat)", &beside)?;
    at(file.write_all_at(bytes, 0), "write (pwrite64)", &beside)?;
    let moved = nix::fcntl::renameat(dir, beside.as_str(), dir, name);
    at(moved.map_err(Into::into), "rename (renameat)", &beside)?;
    Ok(file)
}

/// Writes a small file of the folder in place.
pub fn overwrite(dir: &OwnedFd, name: &str, bytes: &[u8]) -> Result<(), SpoolError> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let file = open(dir, name, OFlag::O_WRONLY | OFlag::O_CREAT)?;
    let file = at(file.ok_or_else(missing), "open (openat)", name)?;
    at(file.write_all_at(bytes, 0), "write (pwrite64)", name)
}

/// Whether a file that is there could be written: asks the kernel by writing nothing.
pub fn can_write(dir: &OwnedFd, name: &str) -> Result<(), SpoolError> {
    match open(dir, name, OFlag::O_WRONLY)? {
        Some(file) => at(file.write_at(&[], 0).map(drop), "write (pwrite64)", name),
        None => Ok(()),
    }
}

/// A small file of the folder; `None` if there is none that can be read.
pub fn read_small(dir: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let file = open(dir, name, OFlag::O_RDONLY).ok()??;
    let mut text = Vec::new();
    file.take(64 << 10).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Removes a file of the folder, if it is there.
pub(super) fn forget(dir: &OwnedFd, name: &str) {
    let _ = unlinkat(dir, name, UnlinkatFlags::NoRemoveDir);
}

/// Bytes that the disk still has for us.
pub(super) fn left(dir: &OwnedFd) -> u64 {
    nix::sys::statvfs::fstatvfs(dir).map_or(0, |s| s.blocks_available() * s.fragment_size())
}
