//! The folder of the peers: one unix socket a container that permits links, beside the folder of the states.
//!
//! Nobody but its owner can enter it, which is what makes a caller's name in a question worth something.

use super::error::PortsError;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, socket};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The folder, and this container's socket in it.
#[derive(Debug)]
pub struct Place {
    socket: Option<OwnedFd>,
    folder: OwnedFd,
}

/// Beside the folder of the states.
pub fn beside(states: &Path) -> PathBuf {
    let mut name = states.file_name().unwrap_or_default().to_os_string();
    name.push("-links");
    states.with_file_name(name)
}

impl Place {
    /// Opens it, made if it isn't there; takes the container's name in it if others may link to it.
    pub fn open(path: &Path, name: &str, permits: bool) -> Result<Self, PortsError> {
        let wrong = |why: String| PortsError::Folder {
            path: path.display().to_string(),
            why,
        };
        let said = |tried: &'static str| {
            move |errno: Errno| wrong(format!("can't {tried}: {}", errno.desc()))
        };
        match mkdirat(nix::fcntl::AT_FDCWD, path, Mode::from_bits_truncate(0o700)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(said("make it (mkdir)")(errno)),
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let folder = open(path, flags, Mode::empty()).map_err(said("open it (open)"))?;
        let stat = fstat(&folder).map_err(said("look at it (fstat)"))?;
        if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            let mode = stat.st_mode & 0o7777;
            return Err(wrong(format!(
                "belongs to uid {} with mode {mode:o}",
                stat.st_uid
            )));
        }
        let socket = match permits {
            true => Some(listen(path, &folder, name).map_err(said("listen in it (bind)"))?),
            false => None,
        };
        Ok(Self { socket, folder })
    }

    pub(super) fn into_parts(self) -> (Option<OwnedFd>, Option<OwnedFd>) {
        (self.socket, Some(self.folder))
    }
}

/// The store lets no two containers of a name live at once, so what is there was left behind.
fn listen(path: &Path, folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let _ = unlinkat(folder, name, UnlinkatFlags::NoRemoveDir);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let at = UnixAddr::new(&path.join(name))?;
    nix::sys::socket::bind(made.as_raw_fd(), &at)?;
    nix::sys::socket::listen(&made, Backlog::new(64).unwrap_or(Backlog::MAXCONN))?;
    Ok(made)
}

/// Takes a container's name out of it.
pub(super) fn leave(folder: &OwnedFd, name: &str) {
    let _ = unlinkat(folder, name, UnlinkatFlags::NoRemoveDir);
}
