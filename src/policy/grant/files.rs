//! The root, what is attached below it, device nodes.

use super::IdMap;
use crate::bundle::RootSource;
use crate::paths::{GuestPath, HostPath};
use serde::Serialize;

/// The root file system.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    /// Where it comes from.
    pub source: RootSource,
    /// Read-only, recursively; false only by exception.
    pub readonly: bool,
    /// Propagation asked for with linux.rootfsPropagation; `None`: private.
    pub propagation: Option<Propagation>,
}

/// Mount propagation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Nothing crosses.
    Private,
    /// From the host inwards.
    Slave,
    /// Both ways.
    Shared,
    /// Private and can't be bound again.
    Unbindable,
}

/// A file system to attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where.
    pub target: GuestPath,
    /// What.
    pub source: MountSource,
    /// Read-only.
    pub readonly: bool,
    /// No execution from it.
    pub noexec: bool,
    /// Set-uid bits have no effect. False only by exception.
    pub nosuid: bool,
    /// Device nodes have no effect. False only for /dev and /dev/pts.
    pub nodev: bool,
    /// No access times, or as the request says.
    pub atime: Atime,
    /// Symbolic links are not followed (MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14).
    pub nosymfollow: bool,
    /// No access times of folders.
    pub nodiratime: bool,
    /// Propagation of the new mount; `None`: private.
    pub propagation: Option<Propagation>,
    /// JSON pointer or flag that asked for it.
    pub pointer: String,
}

/// Access-time updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Atime {
    /// The kernel's default.
    Relatime,
    /// Never.
    Noatime,
    /// Always.
    Strict,
}

/// How a whole file system is written (mount(8)): of a new one only, for of what is bound it is the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Writing {
    /// Every write at once.
    Sync,
    /// Every change of a folder at once.
    DirSync,
    /// Times only when something else is written.
    LazyTime,
}

impl Writing {
    /// As fsconfig(2) takes it, and mountinfo shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::DirSync => "dirsync",
            Self::LazyTime => "lazytime",
        }
    }
}

/// What is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A file or folder of the host.
    Bind {
        /// Where on the host.
        path: HostPath,
        /// With what is mounted below it.
        recursive: bool,
        /// How ids on disk show (MOUNT_ATTR_IDMAP, Linux 5.12).
        ids: Translation,
    },
    /// Memory, with a size.
    Tmpfs {
        /// Bytes.
        size: u64,
        /// Inodes; `None`: size / 4096, at least 64.
        inodes: Option<u64>,
        /// Mode of its root; `None`: that of the folder it covers.
        mode: Option<u32>,
        /// Owner inside; `None`: that of the folder it covers.
        uid: Option<u32>,
        /// Group inside.
        gid: Option<u32>,
        /// What it covers is copied into it (tmpcopyup): files, folders and links.
        copy_up: bool,
        /// How it is written.
        writing: Vec<Writing>,
    },
    /// Process information of the container's own processes only.
    Proc,
    /// Device nodes, built by the launcher.
    Dev,
    /// Pseudo terminals (terminal exception only).
    Devpts {
        /// Group of the terminals.
        gid: Option<u32>,
    },
    /// POSIX message queues.
    Mqueue,
    /// Kernel objects, always read-only.
    Sysfs,
    /// The cgroup tree as seen from the container's cgroup namespace, read-only.
    Cgroup,
}

/// How the ids of files show through a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Translation {
    /// As they are.
    None,
    /// As those of the container's user namespace.
    Container,
    /// As these say.
    Own {
        /// User ids.
        uids: Vec<IdMap>,
        /// Group ids.
        gids: Vec<IdMap>,
    },
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Where.
    pub path: GuestPath,
    /// JSON pointer that asked for it.
    pub pointer: String,
    /// 'c', 'b' or 'p'.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

impl Device {
    /// The name below /dev; `None`: it lies elsewhere.
    pub fn below_dev(&self) -> Option<&str> {
        self.path.as_str().strip_prefix("/dev/")
    }
}

impl super::Grant {
    /// The devices that lie outside /dev.
    pub fn devices_outside_dev(&self) -> impl Iterator<Item = &Device> {
        let outside = |device: &&Device| device.below_dev().is_none();
        self.devices.iter().filter(outside)
    }
}
