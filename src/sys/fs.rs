//! Path resolution that can't leave a root (openat2, Linux 5.6), and the few file calls nix lacks.

use super::check;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::ffi::CStr;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// How `openat2` resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Inside this root; symbolic links are followed within it, magic links never.
    InRoot,
    /// The same, and no symbolic link in any component.
    NoSymlinks,
    /// Inside this root and on this file system only.
    NoCrossing,
}

const NO_XDEV: u64 = 0x01;
const NO_MAGICLINKS: u64 = 0x02;
const NO_SYMLINKS: u64 = 0x04;
const IN_ROOT: u64 = 0x10;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens `path` with `root` as its root folder. EAGAIN (a rename raced with `..`) is tried 128 times.
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mode: u32,
    resolve: Resolve,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: u64::from(mode),
        resolve: IN_ROOT
            | NO_MAGICLINKS
            | match resolve {
                Resolve::InRoot => 0,
                Resolve::NoSymlinks => NO_SYMLINKS,
                Resolve::NoCrossing => NO_XDEV | NO_SYMLINKS,
            },
    };
    let mut tries = 0;
    loop {
        // SAFETY: `how` is a valid struct open_how of the size given; the path is NUL-terminated; both only read.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &how as *const OpenHow,
                size_of::<OpenHow>(),
            )
        };
        match check(fd) {
            // SAFETY: the kernel has just handed us this descriptor; nobody else has it.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
            Err(Errno::EAGAIN | Errno::EINTR) if tries < 128 => tries += 1,
            Err(errno) => return Err(errno),
        }
    }
}

/// A regular file's bytes, at most one more than `most`: who gets that many has been given a larger file. A FIFO or a
/// device in its place blocks nobody and is refused, whatever it would say without end.
pub fn read_regular(path: &std::path::Path, most: u64) -> std::io::Result<Vec<u8>> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file of procfs, sysfs or cgroupfs, whole. It tells no size, so std would begin with 32 bytes and grow; none is
/// larger than 64 MiB.
pub fn read_kernel_file(path: impl AsRef<std::path::Path>) -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::with_capacity(8192);
    std::fs::File::open(path)?
        .take(64 << 20)
        .read_to_end(&mut bytes)?;
    Ok(text_of(bytes))
}

/// What the kernel wrote, as text; names inside may be any bytes.
pub fn text_of(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes);
    text.unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Closes every descriptor from `first` on but these, which it sorts.
pub fn close_all_but(mut first: i32, keep: &mut [i32]) -> Result<(), Errno> {
    keep.sort_unstable();
    for fd in keep.iter() {
        if *fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, i32::MAX)
}

fn close_range(first: i32, last: i32) -> Result<(), Errno> {
    // SAFETY: plain integers. The caller is the child in front of exec: it uses none of what is closed again, and it
    // never drops an owner, since it ends in exec or _exit.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11).
pub fn cloexec_from(first: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: libc::c_long = 4;
    // SAFETY: plain integers; no descriptor is closed, so no owner is surprised.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first as libc::c_long,
            u32::MAX as libc::c_long,
            CLOSE_RANGE_CLOEXEC,
        )
    })
    .map(drop)
}

/// Takes close-on-exec away from a descriptor that the caller is to keep.
pub fn survive_exec(fd: i32) -> Result<(), Errno> {
    // SAFETY: plain integers; nothing is closed.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) as libc::c_long }).map(drop)
}

/// Duplicates `fd` to the number `to`, close-on-exec. Whatever had that number is closed.
pub fn dup_to(fd: BorrowedFd<'_>, to: i32) -> Result<(), Errno> {
    // SAFETY: `to` is chosen by the plan above every descriptor that anything owns, or is one of 0, 1, 2.
    check(unsafe { libc::dup3(fd.as_raw_fd(), to, libc::O_CLOEXEC) as libc::c_long }).map(drop)
}

/// Duplicates `fd` to the lowest free number from `least` on, close-on-exec.
pub fn dup_above(fd: BorrowedFd<'_>, least: i32) -> Result<OwnedFd, Errno> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    Ok(super::process::own(number))
}

/// Duplicates `fd` to 0, 1 or 2, open across exec.
pub fn dup_to_stdio(fd: BorrowedFd<'_>, to: i32) -> Result<(), Errno> {
    debug_assert!((0..3).contains(&to));
    // SAFETY: 0, 1 and 2 are the standard streams; the program gets the new ones.
    check(unsafe { libc::dup2(fd.as_raw_fd(), to) as libc::c_long }).map(drop)
}

/// fchdir(2).
pub fn fchdir(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: a plain integer.
    check(unsafe { libc::fchdir(fd.as_raw_fd()) as libc::c_long }).map(drop)
}

/// Brings the loopback interface of the current network namespace up.
pub fn loopback_up() -> Result<(), Errno> {
    // SAFETY: plain integers; the new descriptor is owned below.
    let fd = check(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) as libc::c_long
    })?;
    // SAFETY: the kernel has just handed us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: an all-zero ifreq is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which `request` is.
    check(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &mut request) as libc::c_long
    })
    .map(drop)
}

/// The file system type of `fd` (statfs f_type).
pub fn fs_magic(fd: BorrowedFd<'_>) -> Result<i64, Errno> {
    // SAFETY: an all-zero statfs is a valid value of that plain struct.
    let mut out: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `out` is writable and of the right type.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), &mut out) as libc::c_long })?;
    Ok(out.f_type as i64)
}

/// Whether a file, itself no link, has this extended attribute.
pub fn has_attribute(path: &std::path::Path, name: &CStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: NUL-terminated strings, only read; a null buffer of length 0 asks for the size alone.
    unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// Entries of an open folder as the kernel lists them (getdents64); 0 at the end.
pub fn list(dir: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `len` bytes to a buffer of that length.
    let length = check(unsafe {
        libc::syscall(
            libc::SYS_getdents64,
            dir.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })?;
    Ok(length as usize)
}

/// One of what [`list`] has written: inode, offset, length of the record, kind, name.
pub struct Entry;

impl Entry {
    /// The names, without a copy.
    pub fn all(mut records: &[u8]) -> impl Iterator<Item = &CStr> {
        const HEAD: usize = 19;
        std::iter::from_fn(move || {
            let length = records.get(16..18)?;
            let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
            let name = records.get(HEAD..length)?;
            records = &records[length..];
            CStr::from_bytes_until_nul(name).ok()
        })
    }
}

/// Where a symbolic link leads; what is longer than the buffer, its NUL included, is an error.
pub fn read_link<'a>(
    dir: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'a mut [u8],
) -> Result<&'a CStr, Errno> {
    let room = buffer.len().saturating_sub(1);
    // SAFETY: a NUL-terminated name that is only read; the kernel writes at most `room` bytes to a longer buffer.
    let length = check(unsafe {
        libc::readlinkat(
            dir.as_raw_fd(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            room,
        ) as libc::c_long
    })? as usize;
    if length >= room {
        return Err(Errno::ENAMETOOLONG);
    }
    buffer[length] = 0;
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::EINVAL)
}
