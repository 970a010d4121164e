//! Paths of a container's root, looked up through descriptors that can't leave it.

use super::{Kind, Node, Occupant, Target, link};
use crate::paths::{GuestPath, HostPath};
use crate::policy::{Grant, MountSource, RootSource};
use crate::sys::fs::{Resolve, fs_magic, open_in_root};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A root that paths are looked up in, bind mounts of the grant included.
pub struct View<'a> {
    pub(super) root: Option<OwnedFd>,
    /// The root's path, once somebody has asked for it.
    root_path: OnceCell<String>,
    pub(super) grant: &'a Grant,
}
pub(super) fn node(fd: &OwnedFd) -> Result<Node, Errno> {
    let stat = fstat(fd)?;
    Ok(Node {
        kind: kind_of(stat.st_mode),
        magic: fs_magic(fd.as_fd())?,
        device: (
            nix::sys::stat::major(stat.st_dev) as u32,
            nix::sys::stat::minor(stat.st_dev) as u32,
        ),
    })
}

pub(super) fn kind_of(mode: u32) -> Kind {
    match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => Kind::Dir,
        SFlag::S_IFREG => Kind::File,
        _ => Kind::Special,
    }
}

pub(super) fn open_host(path: &HostPath) -> Result<OwnedFd, Errno> {
    open(
        path.as_path(),
        OFlag::O_PATH | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}

impl<'a> View<'a> {
    /// Opens the grant's root.
    pub fn open(grant: &'a Grant) -> Result<Self, (HostPath, Errno)> {
        let path = match &grant.root.source {
            RootSource::Embedded => None,
            RootSource::Host => Some(HostPath::trusted("/")),
            RootSource::Dir(dir) => Some(dir.clone()),
        };
        let root = match path {
            None => None,
            Some(path) => Some(open_host(&path).map_err(|errno| (path, errno))?),
        };
        Ok(Self::of(root, grant))
    }

    /// From a root that is open; `None` for the embedded one.
    pub(super) fn of(root: Option<OwnedFd>, grant: &'a Grant) -> Self {
        Self {
            root,
            root_path: OnceCell::new(),
            grant,
        }
    }

    fn root(&self) -> Result<(&OwnedFd, &str), Errno> {
        let root = self.root.as_ref().ok_or(Errno::ENOENT)?;
        let path = match self.root_path.get() {
            Some(path) => path,
            None => {
                let path = path_of(root)?;
                self.root_path.get_or_init(|| path)
            }
        };
        Ok((root, path))
    }

    /// Opens `path` (O_PATH) as the container will see it, through the last bind mount above it.
    pub fn lookup(&self, path: &GuestPath) -> Result<(OwnedFd, GuestPath), Errno> {
        let above = self
            .grant
            .mounts
            .iter()
            .rev()
            .find(|m| path.is_at_or_below(&m.target) && m.target != GuestPath::root());
        let within = |(base, of): (&OwnedFd, &str), rest: &GuestPath| {
            let text = CString::new(rest.relative()).map_err(|_| Errno::EINVAL)?;
            let fd = open_in_root(base.as_fd(), &text, libc::O_PATH, 0, Resolve::InRoot)?;
            let at = below(of, &path_of(&fd)?)?;
            Ok((fd, at))
        };
        match above {
            None => within(self.root()?, path),
            Some(mount) => match &mount.source {
                MountSource::Bind { path: source, .. } => {
                    let rest = &path.as_str()[mount.target.as_str().len()..];
                    let rest = GuestPath::parse(if rest.is_empty() { "/" } else { rest })
                        .map_err(|_| Errno::EINVAL)?;
                    let base = open_host(source)?;
                    if rest == GuestPath::root() {
                        return Ok((base, path.clone()));
                    }
                    let (fd, at) = within((&base, &path_of(&base)?), &rest)?;
                    Ok((fd, mount.target.join(at.as_str().trim_start_matches('/'))))
                }
                _ if *path == mount.target => Err(Errno::EISDIR),
                _ => Err(Errno::ENOENT),
            },
        }
    }
}

/// The path of an open file, as the kernel knows it.
fn path_of(fd: &OwnedFd) -> Result<String, Errno> {
    let path = nix::fcntl::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str())?;
    path.into_string().map_err(|_| Errno::EILSEQ)
}

/// What of the path `full` lies below the path `base`.
fn below(base: &str, full: &str) -> Result<GuestPath, Errno> {
    let rest = if base == "/" {
        Some(full)
    } else {
        full.strip_prefix(base)
    };
    match rest {
        Some("") => Ok(GuestPath::root()),
        Some(rest) => GuestPath::parse(rest).map_err(|_| Errno::EINVAL),
        None => Err(Errno::EXDEV),
    }
}

impl View<'_> {
    pub(super) fn target(&self, path: &GuestPath) -> Target {
        let Some(root) = &self.root else {
            return Target::Missing;
        };
        let Ok(text) = CString::new(path.relative()) else {
            return Target::Blocked("a NUL byte in the path".into());
        };
        let opened = self.root().and_then(|(root, base)| {
            let fd = open_in_root(root.as_fd(), &text, libc::O_PATH, 0, Resolve::InRoot)?;
            Ok((below(base, &path_of(&fd)?)?, node(&fd)?.kind))
        });
        match opened {
            Ok((at, kind)) => Target::Present { at, kind },
            Err(Errno::ENOENT) => match link::would_be(root, path) {
                Ok(at) if at == *path => Target::Missing,
                Ok(at) => Target::Dangling { at },
                Err(errno) => Target::Blocked(errno.desc().into()),
            },
            Err(errno) => Target::Blocked(errno.desc().into()),
        }
    }

    pub(super) fn occupant(&self, path: &GuestPath) -> Occupant {
        let (Some(root), Ok(text)) = (&self.root, CString::new(path.relative())) else {
            return Occupant::Nothing;
        };
        let opened = open_in_root(root.as_fd(), &text, libc::O_PATH, 0, Resolve::InRoot);
        let Ok(stat) = opened.and_then(fstat) else {
            return Occupant::Nothing;
        };
        let node = |kind, device| Occupant::Node {
            kind,
            major: nix::sys::stat::major(device) as u32,
            minor: nix::sys::stat::minor(device) as u32,
        };
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFCHR => node('c', stat.st_rdev),
            SFlag::S_IFBLK => node('b', stat.st_rdev),
            SFlag::S_IFIFO => node('p', 0),
            SFlag::S_IFREG if stat.st_size == 0 => Occupant::Empty,
            _ => Occupant::Other,
        }
    }
}
