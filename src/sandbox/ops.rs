//! Mounts as a plain list of small operations, walked by one loop on either side of the fork.
//!
//! An operation is complete: strings are NUL-terminated, options spelled out. Walking allocates nothing.

use crate::sys::fs::{Resolve, fchdir, fs_magic, open_in_root};
use crate::sys::mount::{self, MountAttr};
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{Gid, Uid, getegid, geteuid};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Index into the table of descriptors that both sides use.
pub type Slot = usize;

/// The root of the container.
pub const ROOT: Slot = 0;

/// Descriptors by slot; all places are made before the fork.
pub struct Slots(Vec<Option<OwnedFd>>);

impl Slots {
    /// Empty places.
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| None).collect())
    }

    /// What is there.
    pub fn get(&self, slot: Slot) -> Result<BorrowedFd<'_>, Errno> {
        match self.0.get(slot) {
            Some(Some(fd)) => Ok(fd.as_fd()),
            _ => Err(Errno::EBADF),
        }
    }

    /// Puts a descriptor in its place.
    pub fn put(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), Errno> {
        let place = self.0.get_mut(slot).ok_or(Errno::EBADF)?;
        *place = Some(fd);
        Ok(())
    }
}

/// By which user namespace the ids of a mount are translated.
#[derive(Debug)]
pub enum Mapped {
    /// None.
    Not,
    /// The container's.
    Container,
    /// One made for the mount.
    By(OwnedFd),
}

/// One operation.
#[derive(Debug)]
pub enum Op {
    /// A detached copy of a host path that leads through no symbolic link (the loader has resolved it).
    CloneHost {
        into: Slot,
        path: CString,
        recursive: bool,
    },
    /// A detached copy of the launcher's own file.
    CloneSelf { into: Slot },
    /// A detached copy of a file or folder of a mount that is attached to the stage
    /// (a detached mount can be copied since Linux 6.15 only).
    CloneBelow {
        into: Slot,
        from: Slot,
        path: CString,
    },
    /// Changes the mount at a place in the container's root.
    Change { target: CString, attr: MountAttr },
    /// A new file system.
    NewFs {
        into: Slot,
        fstype: CString,
        options: Vec<(CString, Option<CString>)>,
        attrs: u64,
    },
    /// Flags of a detached mount; with `idmap` a user namespace is filled in.
    Attr {
        slot: Slot,
        recursive: bool,
        attr: MountAttr,
        idmap: Mapped,
    },
    /// A folder.
    Dir { at: Slot, path: CString, mode: u32 },
    /// A folder or an empty file in the container's own root, where it is not there: the image's maker may have laid
    /// links, and none is followed.
    Missing {
        parent: CString,
        name: CString,
        dir: bool,
    },
    /// A file with contents.
    File {
        at: Slot,
        path: CString,
        mode: u32,
        contents: Vec<u8>,
        owner: Option<(u32, u32)>,
    },
    /// A device node.
    Node {
        at: Slot,
        path: CString,
        kind: SFlag,
        mode: u32,
        device: u64,
        owner: (u32, u32),
    },
    /// A symbolic link.
    Link {
        at: Slot,
        path: CString,
        to: CString,
    },
    /// Mode and owner of `path` as those of `like` (both below the slot), where `like` exists.
    Like {
        at: Slot,
        path: CString,
        like: CString,
    },
    /// Mode and owner of the mount's root as those of the folder that it will cover.
    Inherit {
        slot: Slot,
        target: CString,
        mode: bool,
        owner: bool,
    },
    /// Copies what the folder holds that the mount will cover.
    CopyUp { slot: Slot, target: CString },
    /// Attaches a detached mount at a place in the container's root, which must not lead through a link.
    Attach { slot: Slot, target: CString },
    /// Attaches a detached mount over the process's own root, to have somewhere to build.
    AttachStage { slot: Slot },
    /// Attaches a detached mount on a folder of another slot's mount.
    AttachIn { slot: Slot, at: Slot, path: CString },
    /// An overlay made while standing in the stage (relative layer names).
    Overlay {
        into: Slot,
        stage: Slot,
        options: Vec<(CString, Option<CString>)>,
        attrs: u64,
    },
    /// Covers a file or folder, if it is there, with an empty one.
    Mask { target: CString, empties: Slot },
    /// Makes a file or folder, if it is there, read-only.
    ReadOnly { target: CString, attr: MountAttr },
}

/// Names in the file system that masks are copied from.
pub const EMPTY_DIR: &CStr = c"dir";
/// The same, a file.
pub const EMPTY_FILE: &CStr = c"file";

const PROC_MAGIC: i64 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;

impl Op {
    /// The system calls it makes, for an error's sentence.
    pub fn call(&self) -> &'static str {
        match self {
            Op::CloneHost { .. } | Op::CloneSelf { .. } | Op::CloneBelow { .. } => "open_tree",
            Op::NewFs { .. } | Op::Overlay { .. } => "fsopen, fsconfig, fsmount",
            Op::Attr {
                idmap: Mapped::Container | Mapped::By(_),
                ..
            } => "mount_setattr MOUNT_ATTR_IDMAP",
            Op::Attr { .. } | Op::Change { .. } => "mount_setattr",
            Op::Dir { .. } => "mkdirat",
            Op::Missing { .. } => "openat2, mkdirat, openat",
            Op::File { .. } => "openat, write",
            Op::Node { .. } => "mknodat",
            Op::Link { .. } => "symlinkat",
            Op::CopyUp { .. } => "openat2, read, write",
            Op::Like { .. } | Op::Inherit { .. } => "fchmodat, fchownat",
            Op::Attach { .. } | Op::AttachStage { .. } | Op::AttachIn { .. } => {
                "openat2, move_mount"
            }
            Op::Mask { .. } | Op::ReadOnly { .. } => "openat2, open_tree, move_mount",
        }
    }

    /// Does it.
    pub fn run(&self, slots: &mut Slots, userns: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        match self {
            Op::CloneHost {
                into,
                path,
                recursive,
            } => {
                let slash = open_path(nix::fcntl::AT_FDCWD, c"/")?;
                let fd = open_in_root(slash.as_fd(), path, libc::O_PATH, 0, Resolve::NoSymlinks)?;
                slots.put(*into, mount::open_tree(fd.as_fd(), c"", *recursive)?)
            }
            Op::CloneBelow { into, from, path } => {
                let fd = open_path(slots.get(*from)?, path)?;
                slots.put(*into, mount::open_tree(fd.as_fd(), c"", false)?)
            }
            Op::CloneSelf { into } => {
                let fd = open_path(nix::fcntl::AT_FDCWD, c"/proc/self/exe")?;
                slots.put(*into, mount::open_tree(fd.as_fd(), c"", false)?)
            }
            Op::Change { target, attr } => {
                let at = open_in_root(
                    slots.get(ROOT)?,
                    target,
                    libc::O_PATH,
                    0,
                    Resolve::NoSymlinks,
                )?;
                mount::mount_setattr(at.as_fd(), false, attr)
            }
            Op::NewFs {
                into,
                fstype,
                options,
                attrs,
            } => slots.put(*into, new_fs(fstype, options, *attrs)?),
            Op::Attr {
                slot,
                recursive,
                attr,
                idmap,
            } => {
                let mut attr = *attr;
                let namespace = match idmap {
                    Mapped::Not => None,
                    Mapped::Container => Some(userns.ok_or(Errno::EBADF)?),
                    Mapped::By(namespace) => Some(namespace.as_fd()),
                };
                if let Some(namespace) = namespace {
                    attr.set |= mount::attr::IDMAP;
                    attr.userns_fd = namespace.as_raw_fd() as u64;
                }
                mount::mount_setattr(slots.get(*slot)?, *recursive, &attr)
            }
            Op::Attach { slot, target } => attach(slots, *slot, target),
            Op::AttachStage { slot } => {
                let root = open_path(nix::fcntl::AT_FDCWD, c"/")?;
                mount::move_mount(slots.get(*slot)?, root.as_fd())
            }
            Op::AttachIn { slot, at, path } => {
                let onto = open_path(slots.get(*at)?, path)?;
                mount::move_mount(slots.get(*slot)?, onto.as_fd())
            }
            Op::Overlay {
                into,
                stage,
                options,
                attrs,
            } => {
                fchdir(slots.get(*stage)?)?;
                slots.put(*into, new_fs(c"overlay", options, *attrs)?)
            }
            Op::Mask { target, empties } => mask(slots, target, *empties),
            Op::ReadOnly { target, attr } => read_only(slots, target, attr),
            other => other.fill(slots),
        }
    }

    /// The operations that make files in something of ours.
    fn fill(&self, slots: &Slots) -> Result<(), Errno> {
        match self {
            Op::Dir { at, path, mode } => {
                let at = slots.get(*at)?;
                match nix::sys::stat::mkdirat(at, path.as_c_str(), Mode::from_bits_truncate(*mode))
                {
                    Ok(()) | Err(Errno::EEXIST) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Op::Missing { parent, name, dir } => missing(slots.get(ROOT)?, parent, name, *dir),
            Op::File {
                at,
                path,
                mode,
                contents,
                owner,
            } => file(slots.get(*at)?, path, *mode, contents, *owner),
            Op::Node {
                at,
                path,
                kind,
                mode,
                device,
                owner,
            } => {
                let at = slots.get(*at)?;
                let bits = Mode::from_bits_truncate(*mode);
                // With an empty mask, as all of these are done: the mode is the plan's.
                nix::sys::stat::mknodat(at, path.as_c_str(), *kind, bits, *device)?;
                match *owner == (geteuid().as_raw(), getegid().as_raw()) {
                    true => Ok(()),
                    false => chown(at, path, owner.0, owner.1),
                }
            }
            Op::Link { at, path, to } => {
                nix::unistd::symlinkat(to.as_c_str(), slots.get(*at)?, path.as_c_str())
            }
            Op::Like { at, path, like } => {
                let at = slots.get(*at)?;
                match fstatat(at, like.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Ok(stat) => copy_owner_and_mode(at, path, &stat, true, true),
                    Err(_) => Ok(()),
                }
            }
            Op::CopyUp { slot, target } => {
                let covered = covered(slots, target)?;
                super::copy_up::fill(covered.as_fd(), slots.get(*slot)?)
            }
            Op::Inherit {
                slot,
                target,
                mode,
                owner,
            } => {
                let covered = covered(slots, target)?;
                let stat = nix::sys::stat::fstat(&covered)?;
                copy_owner_and_mode(slots.get(*slot)?, c".", &stat, *mode, *owner)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

/// The folder of the container's root that a mount will cover; no link leads to it.
fn covered(slots: &Slots, target: &CStr) -> Result<OwnedFd, Errno> {
    let (root, only) = (slots.get(ROOT)?, Resolve::NoSymlinks);
    open_in_root(root, target, libc::O_PATH, 0, only)
}

fn open_path(at: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    nix::fcntl::openat(at, path, flags, Mode::empty())
}

fn new_fs(
    fstype: &CStr,
    options: &[(CString, Option<CString>)],
    attrs: u64,
) -> Result<OwnedFd, Errno> {
    let fs = mount::fsopen(fstype)?;
    for (key, value) in options {
        mount::fsconfig_set(fs.as_fd(), key, value.as_deref())?;
    }
    mount::fsconfig_create(fs.as_fd())?;
    mount::fsmount(fs.as_fd(), attrs)
}

/// The target must lie where the plan saw it: any link that has appeared since is an error (CVE-2021-30465).
fn attach(slots: &Slots, slot: Slot, target: &CStr) -> Result<(), Errno> {
    let onto = open_in_root(
        slots.get(ROOT)?,
        target,
        libc::O_PATH,
        0,
        Resolve::NoSymlinks,
    )?;
    // On a procfs only its root may be covered, as where the host's own root is shown with its mounts.
    if fs_magic(onto.as_fd())? == PROC_MAGIC
        && nix::sys::stat::fstat(&onto)?.st_ino != PROC_ROOT_INODE
    {
        return Err(Errno::EXDEV);
    }
    mount::move_mount(slots.get(slot)?, onto.as_fd())
}

fn mask(slots: &Slots, target: &CStr, empties: Slot) -> Result<(), Errno> {
    let onto = match open_in_root(slots.get(ROOT)?, target, libc::O_PATH, 0, Resolve::InRoot) {
        Ok(fd) => fd,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let stat = nix::sys::stat::fstat(&onto)?;
    let is_dir = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    let from = open_path(
        slots.get(empties)?,
        if is_dir { EMPTY_DIR } else { EMPTY_FILE },
    )?;
    let copy = mount::open_tree(from.as_fd(), c"", false)?;
    mount::move_mount(copy.as_fd(), onto.as_fd())
}

fn read_only(slots: &Slots, target: &CStr, attr: &MountAttr) -> Result<(), Errno> {
    let at = match open_in_root(slots.get(ROOT)?, target, libc::O_PATH, 0, Resolve::InRoot) {
        Ok(fd) => fd,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let copy = mount::open_tree(at.as_fd(), c"", true)?;
    mount::mount_setattr(copy.as_fd(), true, attr)?;
    mount::move_mount(copy.as_fd(), at.as_fd())
}

fn missing(root: BorrowedFd<'_>, parent: &CStr, name: &CStr, dir: bool) -> Result<(), Errno> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let parent = open_in_root(root, parent, flags, 0, Resolve::NoSymlinks)?;
    let (kind, bits) = match dir {
        true => (OFlag::O_DIRECTORY, 0o755),
        false => (OFlag::O_CREAT | OFlag::O_EXCL, 0o644),
    };
    let mode = Mode::from_bits_truncate(bits);
    let made = match dir {
        true => nix::sys::stat::mkdirat(&parent, name, mode),
        false => Ok(()),
    };
    let flags = kind | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match made.and_then(|()| nix::fcntl::openat(&parent, name, flags, mode)) {
        // The mask of the caller must not take bits away.
        Ok(fd) => nix::sys::stat::fchmod(&fd, mode),
        // Somebody else has made it since the plan; what is attached there looks again.
        Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn file(
    at: BorrowedFd<'_>,
    path: &CStr,
    mode: u32,
    contents: &[u8],
    owner: Option<(u32, u32)>,
) -> Result<(), Errno> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = nix::fcntl::openat(at, path, flags, Mode::from_bits_truncate(0o600))?;
    let mut rest = contents;
    while !rest.is_empty() {
        let n = process::write(fd.as_raw_fd(), rest)?;
        rest = rest.get(n..).unwrap_or_default();
    }
    if let Some((uid, gid)) = owner {
        nix::unistd::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    nix::sys::stat::fchmod(&fd, Mode::from_bits_truncate(mode))
}

fn chown(at: BorrowedFd<'_>, path: &CStr, uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    nix::unistd::fchownat(at, path, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn copy_owner_and_mode(
    at: BorrowedFd<'_>,
    path: &CStr,
    stat: &nix::sys::stat::FileStat,
    mode: bool,
    owner: bool,
) -> Result<(), Errno> {
    if owner {
        match chown(at, path, stat.st_uid, stat.st_gid) {
            // An owner that the user namespace doesn't map can't be given: stays root's.
            Ok(()) | Err(Errno::EINVAL | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    if mode {
        let bits = Mode::from_bits_truncate(stat.st_mode & 0o1777);
        nix::sys::stat::fchmodat(at, path, bits, nix::sys::stat::FchmodatFlags::FollowSymlink)?;
    }
    Ok(())
}
