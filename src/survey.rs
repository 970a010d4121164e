//! What the root and the mount sources look like: existence, kinds, the program's nature.
//!
//! Reads through descriptors that can't leave the root, follows no magic link, creates and decides nothing.
//! Called once between `policy::decide` and `plan::plan`, which then needs no look of its own.

use crate::paths::{GuestPath, HostPath};
use crate::policy::{Grant, MountSource, NamespaceKind, RootSource};
use crate::sys::fs::{Resolve, fs_magic, open_in_root};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::Serialize;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

pub use ids::IdMaps;
pub use program::{Program, ProgramError, Shape};

mod ids;
mod link;
pub mod network;
mod program;

/// Facts about the bundle's files.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The root folder; `None` for the embedded one.
    pub root: Option<Node>,
    /// Each path that something will be attached to or hidden at.
    pub targets: BTreeMap<GuestPath, Target>,
    /// What lies where a device node is asked for outside /dev.
    pub occupants: BTreeMap<GuestPath, Occupant>,
    /// Each bind source.
    pub sources: BTreeMap<HostPath, Source>,
    /// The program, or why it can't be run.
    pub program: Result<Program, ProgramError>,
    /// Folders of the host's root that a service has no business in (only for `--rootfs /`).
    pub hidden: Vec<(GuestPath, Kind)>,
    /// Id maps of the user namespace to be joined, or why they can't be told.
    pub joined_ids: Option<Result<IdMaps, String>>,
    /// Whole disks behind the root and the writable sources: (major, minor).
    pub disks: Vec<(u32, u32)>,
    /// The network of the site's that is asked for, or why there is none.
    pub network: Option<Result<network::Network, String>>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Folder.
    Dir,
    /// Regular file.
    File,
    /// Device, socket, pipe.
    Special,
}

/// A file or folder, opened once and looked at through its descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// statfs magic of its file system.
    pub magic: i64,
    /// Device number of its file system: (major, minor).
    pub device: (u32, u32),
}

/// A path inside the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Not there.
    Missing,
    /// There; `at` is the path without symbolic links.
    Present {
        /// Resolved path.
        at: GuestPath,
        /// What it is.
        kind: Kind,
    },
    /// Not there, and a symbolic link on the way says that it would be at `at`.
    Dangling {
        /// Resolved path; the last parts of it don't exist.
        at: GuestPath,
    },
    /// Can't be looked up (a magic link, a loop, no permission): errno as text.
    Blocked(String),
}

/// What lies in a device node's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Occupant {
    /// Nothing, or nothing that can be looked up.
    Nothing,
    /// An empty file, as a mount point is left behind in a root that may be written.
    Empty,
    /// A device node or pipe.
    Node {
        /// 'c', 'b' or 'p'.
        kind: char,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Something else.
    Other,
}

/// A path on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// There.
    Present(Node),
    /// Not there or not to be opened: errno as text.
    Absent(String),
}

/// A root that paths are looked up in, bind mounts of the grant included.
pub struct View<'a> {
    root: Option<OwnedFd>,
    /// The root's path, once somebody has asked for it.
    root_path: OnceCell<String>,
    grant: &'a Grant,
}

/// Finds the program of a grant in the root of a container that is there, as its mounts show it now.
pub fn program_in(root: OwnedFd, grant: &Grant) -> Result<Program, ProgramError> {
    let mut grant = grant.clone();
    // The mounts are in place, and what lies below the root is the container's own view.
    grant.mounts.clear();
    grant.root.source = RootSource::Dir(HostPath::trusted("/"));
    let view = View {
        root: Some(root),
        root_path: OnceCell::new(),
        grant: &grant,
    };
    program::find(&grant, &view, &[])
}

fn node(fd: &OwnedFd) -> Result<Node, Errno> {
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

fn kind_of(mode: u32) -> Kind {
    match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => Kind::Dir,
        SFlag::S_IFREG => Kind::File,
        _ => Kind::Special,
    }
}

fn open_host(path: &HostPath) -> Result<OwnedFd, Errno> {
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
        Ok(Self {
            root,
            root_path: OnceCell::new(),
            grant,
        })
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

impl Survey {
    /// Looks at everything the plan will need to know.
    pub fn take(grant: &Grant) -> Result<Self, (HostPath, Errno)> {
        let view = View::open(grant)?;
        let root = match &view.root {
            Some(fd) => {
                let path = match &grant.root.source {
                    RootSource::Dir(dir) => dir.clone(),
                    _ => HostPath::trusted("/"),
                };
                match node(fd) {
                    Ok(node) if node.kind == Kind::Dir => Some(node),
                    Ok(_) => return Err((path, Errno::ENOTDIR)),
                    Err(errno) => return Err((path, errno)),
                }
            }
            None => None,
        };
        let hidden = match grant.root.source {
            RootSource::Host => hidden_on_host(),
            _ => Vec::new(),
        };
        let mut targets = BTreeMap::new();
        let wanted = grant.mounts.iter().map(|m| &m.target);
        let wanted = wanted
            .chain(&grant.masked_paths)
            .chain(&grant.readonly_paths)
            .chain(grant.devices_outside_dev().map(|d| &d.path));
        for path in wanted.chain(std::iter::once(&grant.process.cwd)) {
            if !targets.contains_key(path) {
                targets.insert(path.clone(), view.target(path));
            }
        }
        let nodes = grant.devices_outside_dev();
        let occupants = nodes.map(|d| (d.path.clone(), view.occupant(&d.path)));
        let occupants = occupants.collect();
        let mut sources = BTreeMap::new();
        for mount in &grant.mounts {
            if let MountSource::Bind { path, .. } = &mount.source {
                sources.insert(path.clone(), source(path));
            }
        }
        for secret in &grant.secrets {
            sources.insert(secret.source.clone(), source(&secret.source));
        }
        let joined = |n: &&crate::policy::Namespace| n.kind == NamespaceKind::User;
        let joined = grant.namespaces.iter().find(joined);
        let joined_ids = joined.and_then(|n| n.join.as_ref()).map(ids::of_namespace);
        let disks = disks(root.as_ref(), &sources);
        let program = program::find(grant, &view, &hidden);
        Ok(Self {
            root,
            targets,
            occupants,
            sources,
            program,
            hidden,
            joined_ids,
            disks,
            network: network(grant),
        })
    }
}

fn network(grant: &Grant) -> Option<Result<network::Network, String>> {
    let folders = grant.networks.as_ref()?;
    Some(network::find(folders, grant.openings.cni.as_deref()?))
}

/// The disks that io limits are set on; file systems without one (overlay, tmpfs) have none.
fn disks(root: Option<&Node>, sources: &BTreeMap<HostPath, Source>) -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> = root
        .into_iter()
        .chain(sources.values().filter_map(|s| match s {
            Source::Present(node) => Some(node),
            Source::Absent(_) => None,
        }))
        .filter_map(|node| crate::host::disk_behind(node.device))
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn source(path: &HostPath) -> Source {
    match open_host(path).and_then(|fd| node(&fd)) {
        Ok(node) => Source::Present(node),
        Err(errno) => Source::Absent(errno.desc().into()),
    }
}

impl View<'_> {
    fn target(&self, path: &GuestPath) -> Target {
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
}

impl View<'_> {
    fn occupant(&self, path: &GuestPath) -> Occupant {
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

/// Top-level folders that hold programs and their configuration; everything else of the host is hidden.
const HOST_KEPT: [&str; 9] = [
    "bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr",
];

/// What below /etc is a secret by its nature, where it exists.
const HOST_SECRETS: [&str; 28] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt",
    "/etc/krb5.keytab",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ipsec.secrets",
    "/etc/ipsec.d",
    "/etc/swanctl",
    "/etc/NetworkManager/system-connections",
    "/etc/ppp",
    "/etc/wpa_supplicant",
    "/etc/docker",
    "/etc/containers",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/cofferdam",
    "/etc/cloud",
    "/etc/apt/auth.conf.d",
    "/etc/polkit-1",
];

fn hidden_on_host() -> Vec<(GuestPath, Kind)> {
    let mut out = Vec::new();
    let entries = std::fs::read_dir("/").into_iter().flatten().flatten();
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        // proc, dev and sys get mounts of their own or an empty folder like the rest.
        if kind.is_symlink() || HOST_KEPT.contains(&name.as_str()) {
            continue;
        }
        if let Ok(path) = GuestPath::parse(&format!("/{name}")) {
            out.push((path, if kind.is_dir() { Kind::Dir } else { Kind::File }));
        }
    }
    for secret in HOST_SECRETS {
        if let (Ok(path), Ok(meta)) = (GuestPath::parse(secret), std::fs::symlink_metadata(secret))
            && !meta.is_symlink()
        {
            out.push((path, if meta.is_dir() { Kind::Dir } else { Kind::File }));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}
