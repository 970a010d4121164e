//! The fd-based mount API (Linux 5.2–5.12): open_tree, fsopen, fsconfig, fsmount, mount_setattr, move_mount, pivot_root.

use super::check;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// MOUNT_ATTR_* flags (linux/mount.h).
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// Set-uid bits and file capabilities ignored.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes ignored.
    pub const NODEV: u64 = 0x4;
    /// No execution.
    pub const NOEXEC: u64 = 0x8;
    /// Mask of the access-time field.
    pub const ATIME_MASK: u64 = 0x70;
    /// Never update access times.
    pub const NOATIME: u64 = 0x10;
    /// Always update access times.
    pub const STRICTATIME: u64 = 0x20;
    /// Ids translated by a user namespace (Linux 5.12).
    pub const IDMAP: u64 = 0x0010_0000;
    /// No access times of folders.
    pub const NODIRATIME: u64 = 0x80;
    /// Symbolic links not followed (Linux 5.14).
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// struct mount_attr.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct MountAttr {
    /// Attributes to set.
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0.
    pub propagation: u64,
    /// User namespace for IDMAP.
    pub userns_fd: u64,
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just handed us this descriptor; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// A detached copy of the mount at `dir`/`path` (OPEN_TREE_CLONE), with those below it if `recursive`.
pub fn open_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = libc::OPEN_TREE_CLONE as libc::c_long
        | libc::OPEN_TREE_CLOEXEC as libc::c_long
        | libc::AT_EMPTY_PATH as libc::c_long
        | libc::AT_SYMLINK_NOFOLLOW as libc::c_long;
    if recursive {
        flags |= 0x8000; // AT_RECURSIVE
    }
    // SAFETY: the path is NUL-terminated and outlives the call; the kernel only reads it.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) };
    check(fd).map(owned)
}

/// A new, unconfigured file system of this type.
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: NUL-terminated string, only read.
    let fd = unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), 1 as libc::c_long) };
    check(fd).map(owned)
}

/// Sets `key` to `value`, or as a flag when there is none.
pub fn fsconfig_set(fs: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> Result<(), Errno> {
    let (command, pointer) = match value {
        Some(text) => (1, text.as_ptr()),
        None => (0, std::ptr::null()),
    };
    // SAFETY: both strings are NUL-terminated and only read; a flag takes a null value.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            command as libc::c_long,
            key.as_ptr(),
            pointer,
            0 as libc::c_long,
        )
    })
    .map(drop)
}

/// Makes the superblock.
pub fn fsconfig_create(fs: BorrowedFd<'_>) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            6 as libc::c_long,
            none,
            none,
            0 as libc::c_long,
        )
    })
    .map(drop)
}

/// A detached mount of a configured file system.
pub fn fsmount(fs: BorrowedFd<'_>, attrs: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            fs.as_raw_fd(),
            1 as libc::c_long,
            attrs as libc::c_long,
        )
    };
    check(fd).map(owned)
}

/// Changes the attributes of the mount behind `fd`, and of those below it if `recursive`.
pub fn mount_setattr(fd: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH as libc::c_long | if recursive { 0x8000 } else { 0 };
    // SAFETY: `attr` is a valid struct mount_attr of the size given, only read.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attr as *const MountAttr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches the detached mount `from` on the file or folder behind `onto`.
pub fn move_mount(from: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Result<(), Errno> {
    const F_EMPTY_PATH: libc::c_long = 0x4;
    const T_EMPTY_PATH: libc::c_long = 0x40;
    // SAFETY: empty NUL-terminated paths, only read.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            from.as_raw_fd(),
            c"".as_ptr(),
            onto.as_raw_fd(),
            c"".as_ptr(),
            F_EMPTY_PATH | T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Makes the current folder the root; the old root is then mounted on top of it.
pub fn pivot_root_here() -> Result<(), Errno> {
    // SAFETY: NUL-terminated strings, only read.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }).map(drop)
}

/// Detaches what is mounted on the current folder.
pub fn umount_here() -> Result<(), Errno> {
    // SAFETY: NUL-terminated string, only read.
    check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) as libc::c_long }).map(drop)
}

/// The unique id of the mount behind `fd` (STATX_MNT_ID_UNIQUE since Linux 6.8, else the reusable one).
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    const MNT_ID: u32 = 0x1000;
    // SAFETY: an all-zero statx is a valid value of that plain struct.
    let mut out: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: `out` is writable and of the right type; the path is an empty NUL-terminated string.
    check(unsafe {
        libc::statx(
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            MNT_ID,
            &mut out,
        ) as libc::c_long
    })?;
    // The C library emulates a missing call, without this field.
    match out.stx_mask & MNT_ID {
        0 => Err(Errno::ENOSYS),
        _ => Ok(out.stx_mnt_id),
    }
}
