//! The words of a mount plan.

use crate::paths::{GuestPath, HostPath};
use crate::policy::{Atime, Propagation, Translation, Writing};
use serde::Serialize;

/// The file system of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MountPlan {
    /// The root.
    pub root: RootPlan,
    /// What is attached below it, in order.
    pub steps: Vec<Step>,
    /// Block devices that io limits apply to: (major, minor).
    pub io_devices: Vec<(u32, u32)>,
}

/// The root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RootPlan {
    /// Where it comes from.
    pub from: RootFrom,
    /// Read-only, with all that is below.
    pub readonly: bool,
    /// Missing mount points: shown by an overlay, or made, in what is ours or in a folder that may be written.
    pub skeleton: Skeleton,
    /// Its propagation once everything stands.
    pub propagation: Propagation,
    /// Who opens it.
    pub by: By,
}

/// Where the root comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootFrom {
    /// An empty memory file system with the skeleton.
    Empty,
    /// A folder of the host.
    Tree {
        /// Where.
        path: HostPath,
        /// With what is mounted below it (an unprivileged launcher can't leave that out).
        recursive: bool,
        /// Ids translated to the container's.
        idmap: bool,
    },
}

impl RootPlan {
    /// Whether an overlay shows what is missing: two layers, so never writable.
    pub fn overlaid(&self) -> bool {
        self.readonly && self.from != RootFrom::Empty && !self.skeleton.is_empty()
    }
}

impl RootFrom {
    /// The folder as `state` shows it.
    pub fn shown(&self) -> String {
        match self {
            Self::Empty => "(embedded)".into(),
            Self::Tree { path, .. } => path.to_string(),
        }
    }
}

/// Folders and empty files to be made in something of ours, parents first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skeleton {
    /// Folders, mode 0755.
    pub dirs: Vec<GuestPath>,
    /// Empty files, mode 0644.
    pub files: Vec<GuestPath>,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where, without symbolic links.
    pub target: GuestPath,
    /// What.
    pub what: What,
    /// Flags.
    pub attrs: Attrs,
    /// Who makes it.
    pub by: By,
    /// Propagation asked for.
    pub propagation: Option<Propagation>,
    /// JSON pointer or flag that asked for it; empty: always there.
    pub pointer: String,
}

/// Per-mount flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attrs {
    /// Read-only.
    pub readonly: bool,
    /// No set-uid.
    pub nosuid: bool,
    /// No device nodes.
    pub nodev: bool,
    /// No execution.
    pub noexec: bool,
    /// No symbolic links.
    pub nosymfollow: bool,
    /// No access times of folders.
    pub nodiratime: bool,
    /// Access times.
    pub atime: Atime,
}

impl Attrs {
    /// ro, nosuid, nodev, noexec.
    pub const SEALED: Self = Self {
        readonly: true,
        nosuid: true,
        nodev: true,
        noexec: true,
        nosymfollow: false,
        nodiratime: false,
        atime: Atime::Relatime,
    };
}

/// Who makes a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The launcher, with the host's rights (device nodes, id translation, noswap).
    Launcher,
    /// The child, with the rights of its own namespaces.
    Child,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A file or folder of the host.
    Bind {
        /// Where on the host.
        path: HostPath,
        /// With what is mounted below it.
        recursive: bool,
        /// How ids show.
        ids: Translation,
    },
    /// The launcher's own file: the sample service.
    Sample,
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: u64,
        /// Inodes.
        inodes: u64,
        /// Mode of its root; `None`: as the covered folder.
        mode: Option<u32>,
        /// Owner inside; `None`: as the covered folder.
        uid: Option<u32>,
        /// Group inside; `None`: as the covered folder.
        gid: Option<u32>,
        /// What it covers is copied into it.
        copy_up: bool,
        /// How it is written.
        writing: Vec<Writing>,
        /// Mount points of later steps.
        holds: Skeleton,
    },
    /// The container's own processes (subset=pid, hidepid=invisible), or all of /proc where asked by compat.
    Proc {
        /// Only processes, nothing of the kernel.
        processes_only: bool,
    },
    /// Device nodes.
    Dev {
        /// The nodes.
        nodes: Vec<Node>,
        /// Symbolic links: (name, target).
        links: Vec<(String, String)>,
        /// Mount points of later steps.
        holds: Skeleton,
        /// Made as nodes, or bound one by one from the host.
        how: DevNodes,
    },
    /// One device node outside /dev, of ours.
    Device {
        /// The node.
        node: Node,
    },
    /// Pseudo terminals.
    Devpts {
        /// Group.
        gid: Option<u32>,
    },
    /// The program's terminal, made by the child and bound there.
    Console,
    /// Message queues.
    Mqueue,
    /// Kernel objects.
    Sysfs,
    /// The v2 cgroup tree.
    Cgroup2,
    /// A v1 hierarchy with these controllers.
    Cgroup1 {
        /// Mount options.
        controllers: Vec<String>,
    },
    /// An empty folder.
    EmptyDir {
        /// Mount points of later steps.
        holds: Skeleton,
    },
    /// An empty file.
    EmptyFile,
    /// An empty folder or file, whichever the target is; nothing if there is no target (masked paths).
    Mask,
    /// The target itself, read-only; nothing if there is no target (read-only paths).
    ReadOnly,
    /// Secrets, each a file of mode 0400, in memory that is never swapped out.
    Secrets {
        /// (name, source on the host).
        files: Vec<(String, HostPath)>,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// tmpfs `noswap` (Linux 6.4, host's root only).
        noswap: bool,
    },
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Name below /dev; of a node outside it the whole path.
    pub name: String,
    /// 'c', 'b' or 'p'.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner, as the maker of the node sees it.
    pub uid: u32,
    /// Group, as the maker of the node sees it.
    pub gid: u32,
}

/// How /dev gets its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DevNodes {
    /// mknod, on a file system of the host's user namespace.
    Made,
    /// Bound from the host's /dev: an ordinary user can't make any.
    Bound,
}
