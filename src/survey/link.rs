//! Where a path that does not exist would be: links are followed inside the root, as far as there are any.
//!
//! Engines bind /etc/resolv.conf, which in many images is a link to a file that only a running system has.

use crate::paths::GuestPath;
use crate::sys::fs::{Resolve, open_in_root};
use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// As many as the kernel follows (MAXSYMLINKS).
const MOST_LINKS: usize = 40;

/// The path without links. Its last parts don't exist, and none of them is a link.
pub(super) fn would_be(root: &OwnedFd, path: &GuestPath) -> Result<GuestPath, Errno> {
    let mut left: Vec<String> = parts(path.as_str());
    let mut at = GuestPath::root();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            at = at.parent();
            continue;
        }
        let here = at.join(&part);
        let text = CString::new(here.relative()).map_err(|_| Errno::EINVAL)?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let node = match open_in_root(root.as_fd(), &text, flags, 0, Resolve::InRoot) {
            Ok(node) => node,
            Err(Errno::ENOENT) => {
                at = here;
                continue;
            }
            Err(errno) => return Err(errno),
        };
        if fstat(&node)?.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
            at = here;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        let to = nix::fcntl::readlinkat(&node, c"")?;
        let to = to.to_str().ok_or(Errno::EILSEQ)?;
        if to.starts_with('/') {
            at = GuestPath::root();
        }
        left.extend(parts(to));
    }
    Ok(at)
}

/// Last first.
fn parts(path: &str) -> Vec<String> {
    let named = path.split('/').filter(|p| !p.is_empty() && *p != ".");
    named.rev().map(String::from).collect()
}
