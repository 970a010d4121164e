//! One cgroup directory as a descriptor: make, read, write, list, remove. No path is looked up twice.
//!
//! The mount is opened once and checked to be a cgroup file system; everything below is resolved from that descriptor
//! without symbolic links and without leaving it. Used by the rest of `cgroup` only.

use super::error::CgroupError;
use crate::paths::HostPath;
use crate::plan::limits::CgroupVersion;
use crate::sys::fs::text_of;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, read, unlinkat, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How deep a tree of cgroups inside a container is followed.
const DEEPEST: usize = 16;

/// The root of a mounted hierarchy.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// An open cgroup.
#[derive(Debug)]
pub(super) struct OpenDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Root {
    pub(super) fn open(mount: &HostPath, version: CgroupVersion) -> Result<Self, CgroupError> {
        let mount = mount.as_path();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = open(mount, flags, Mode::empty())
            .map_err(|e| CgroupError::new("opened (open)", mount, e))?;
        let (magic, expected) = match version {
            CgroupVersion::V1 => (CGROUP_SUPER_MAGIC, "v1"),
            CgroupVersion::V2 => (CGROUP2_SUPER_MAGIC, "v2"),
        };
        let found = fstatfs(&fd)
            .map_err(|e| CgroupError::new("asked for the type of (fstatfs)", mount, e))?
            .filesystem_type();
        if found != magic {
            return Err(CgroupError::NotCgroup {
                path: mount.display().to_string(),
                expected,
                found: found.0 as i64,
            });
        }
        Ok(Self(fd))
    }

    /// The cgroup at `path` (relative; empty: the root itself).
    pub(super) fn dir(&self, mount: &Path, path: &str) -> Result<OpenDir, CgroupError> {
        let full = mount.join(path);
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS
                    | ResolveFlag::RESOLVE_NO_XDEV,
            );
        let below = if path.is_empty() { "." } else { path };
        match openat2(&self.0, below, how) {
            Ok(fd) => Ok(OpenDir { fd, path: full }),
            Err(e) => Err(CgroupError::new("opened the cgroup (openat2)", &full, e)),
        }
    }

    /// mkdir 0755.
    pub(super) fn make(&self, path: &str) -> nix::Result<()> {
        mkdirat(&self.0, path, Mode::from_bits_truncate(0o755))
    }

    /// rmdir; it works only on an empty cgroup.
    pub(super) fn remove(&self, path: &str) -> nix::Result<()> {
        unlinkat(&self.0, path, UnlinkatFlags::RemoveDir)
    }
}

fn whole(fd: &OwnedFd, text: &str) -> nix::Result<()> {
    match write(fd, text.as_bytes())? {
        n if n == text.len() => Ok(()),
        _ => Err(Errno::EIO),
    }
}

impl OpenDir {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The kernel's number for this cgroup: another cgroup of the same name later has another one.
    pub(super) fn inode(&self) -> nix::Result<u64> {
        Ok(fstat(&self.fd)?.st_ino)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of this cgroup for writing.
    pub(super) fn writer(&self, file: &str) -> nix::Result<OwnedFd> {
        openat(
            &self.fd,
            file,
            OFlag::O_WRONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
    }

    /// One write(2) of the whole text: the kernel takes a limit in one piece or not at all.
    pub(super) fn write(&self, file: &str, text: &str) -> nix::Result<()> {
        whole(&self.writer(file)?, text)
    }

    /// The same with a sentence.
    pub(super) fn set(&self, file: &str, text: &str) -> Result<(), CgroupError> {
        self.write(file, text)
            .map_err(|e| CgroupError::new(format!("wrote {text:?} into"), &self.path.join(file), e))
    }

    /// Text after text into one file.
    pub(super) fn set_each<'t>(
        &self,
        file: &str,
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<(), CgroupError> {
        let said = |what: String, e| CgroupError::new(what, &self.path.join(file), e);
        let fd = self
            .writer(file)
            .map_err(|e| said("opened (openat)".into(), e))?;
        for text in texts {
            whole(&fd, text).map_err(|e| said(format!("wrote {text:?} into"), e))?;
        }
        Ok(())
    }

    /// The whole file, at most 1 MiB.
    pub(super) fn read(&self, file: &str) -> nix::Result<String> {
        let fd = openat(
            &self.fd,
            file,
            OFlag::O_RDONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let mut text = Vec::new();
        let mut part = [0u8; 4096];
        while text.len() < 1 << 20 {
            match read(&fd, &mut part)? {
                0 => break,
                n => text.extend_from_slice(&part[..n]),
            }
        }
        Ok(text_of(text))
    }

    /// Processes in this cgroup itself. ENODEV: it has been removed meanwhile, so it has none.
    pub(super) fn procs(&self) -> nix::Result<Vec<i32>> {
        match self.read("cgroup.procs") {
            Ok(text) => Ok(text.lines().filter_map(|l| l.trim().parse().ok()).collect()),
            Err(Errno::ENODEV | Errno::ENOENT) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// Processes in this cgroup and all below it.
    pub(super) fn all_procs(&self) -> nix::Result<Vec<i32>> {
        let mut all = self.procs()?;
        self.each_below(0, &mut |dir, _, _| {
            all.extend(dir.procs()?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Removes the cgroups below this one, deepest first (a container that had a writable cgroup mount may leave some).
    pub(super) fn prune(&self) -> nix::Result<()> {
        self.each_below(0, &mut |_, parent, name| {
            unlinkat(parent, name, UnlinkatFlags::RemoveDir)
        })
    }

    /// Calls `visit` for each cgroup below, children before parents, with its parent and name.
    fn each_below(
        &self,
        depth: usize,
        visit: &mut dyn FnMut(&OpenDir, BorrowedFd, &str) -> nix::Result<()>,
    ) -> nix::Result<()> {
        if depth == DEEPEST {
            return Err(Errno::ELOOP);
        }
        for name in self.children()? {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let child = match openat(&self.fd, name.as_str(), flags, Mode::empty()) {
                Ok(fd) => OpenDir {
                    fd,
                    path: self.path.join(&name),
                },
                Err(Errno::ENOENT) => continue,
                Err(e) => return Err(e),
            };
            child.each_below(depth + 1, visit)?;
            visit(&child, self.fd.as_fd(), &name)?;
        }
        Ok(())
    }

    fn children(&self) -> nix::Result<Vec<String>> {
        // A cgroup's link count is two and one for each child: the usual answer without reading the directory.
        if fstat(&self.fd).is_ok_and(|s| s.st_nlink <= 2) {
            return Ok(Vec::new());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = match Dir::openat(&self.fd, ".", flags, Mode::empty()) {
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == Some(Type::Directory) && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }
}
