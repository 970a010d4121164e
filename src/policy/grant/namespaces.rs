//! Namespaces and the ids in them.

use crate::paths::HostPath;
use serde::Serialize;

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// User and group ids, capabilities.
    User,
    /// Mount table.
    Mount,
    /// Process ids.
    Pid,
    /// Network stack.
    Network,
    /// System V IPC and POSIX queues.
    Ipc,
    /// Host name.
    Uts,
    /// View of the cgroup tree.
    Cgroup,
    /// Monotonic and boot clocks.
    Time,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// Which.
    pub kind: NamespaceKind,
    /// `None`: a new one. Otherwise the one at this path is joined.
    pub join: Option<HostPath>,
}

/// Ids inside and outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// A range of 65536 ids that nobody else has, picked by the launcher.
    OwnRange,
    /// As the request maps them.
    Mapped {
        /// User ids.
        uids: Vec<IdMap>,
        /// Group ids.
        gids: Vec<IdMap>,
    },
    /// No user namespace: the same ids as on the host.
    Host,
    /// Those of a user namespace that is joined; the lists are what the request says they are, or empty.
    Joined {
        /// User ids.
        uids: Vec<IdMap>,
        /// Group ids.
        gids: Vec<IdMap>,
    },
}

/// One range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// An interface of the host that moves into the container's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    /// Its name inside.
    pub inside: String,
}
