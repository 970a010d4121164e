//! What the root and the mount sources look like: existence, kinds, the program's nature.
//!
//! Reads through descriptors that can't leave the root, follows no magic link, creates and decides nothing.
//! Called once between `policy::decide` and `plan::plan`, which then needs no look of its own.

use crate::paths::{GuestPath, HostPath};
use crate::policy::{Grant, MountSource, NamespaceKind, RootSource};
use nix::errno::Errno;
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

pub use ids::IdMaps;
pub use program::{Program, ProgramError, Shape};
pub use view::View;
use view::{node, open_host};

mod hidden;
mod home;
mod ids;
mod link;
pub mod network;
mod program;
mod view;

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

/// Finds the program of a grant in the root of a container that is there, as its mounts show it now.
pub fn program_in(root: OwnedFd, grant: &Grant) -> Result<Program, ProgramError> {
    let mut grant = grant.clone();
    // The mounts are in place, and what lies below the root is the container's own view.
    grant.mounts.clear();
    grant.root.source = RootSource::Dir(HostPath::trusted("/"));
    program::find(&grant, &View::of(Some(root), &grant), &[])
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
            RootSource::Host => hidden::on_host(),
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
