//! What the kernel and this machine can do: read once, then a value that tests can make up.
//!
//! [`Host::probe`] does the reading; nothing here decides anything. Called once, early in every verb that plans.

mod apparmor;
mod cgroups;
mod delegated;
mod disk;
mod mountinfo;
mod probe;

pub use apparmor::{AppArmor, TEMPLATE};
pub use delegated::Delegated;
pub use disk::disk_behind;
pub use probe::HostError;

use crate::paths::HostPath;
use serde::Serialize;

/// Kernel facts and the caller's own standing.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// uname release, e.g. "6.18.44".
    pub release: String,
    /// The same as numbers.
    pub kernel: (u32, u32),
    /// Landlock ABI, 0 when the kernel has none.
    pub landlock_abi: u32,
    /// System calls that a launch needs and the kernel does not answer (ENOSYS).
    pub missing_calls: Vec<&'static str>,
    /// Real privilege or an ordinary user's.
    pub privilege: Privilege,
    /// The caller.
    pub caller: CallerIds,
    /// Bounding set of the launcher, as a mask: nothing outside it can be granted.
    pub bounding: u64,
    /// Hard limits of the launcher: (kind, soft, hard).
    pub rlimits: Vec<(String, u64, u64)>,
    /// Whether the launcher may raise hard limits (CAP_SYS_RESOURCE).
    pub may_raise_limits: bool,
    /// The cgroup layout.
    pub cgroups: CgroupLayout,
    /// Ranges of ids that others use (/etc/subuid, /etc/subgid): (first, count).
    pub taken_ids: Vec<(u32, u32)>,
    /// Ids that an ordinary caller may map.
    pub delegated: Delegated,
    /// Mount points of the host that matter to `--rootfs /`.
    pub submounts: Vec<HostPath>,
    /// Linux security modules in use, in order; empty when the list can't be read.
    pub lsm: Vec<String>,
    /// AppArmor, and our template in it.
    pub apparmor: AppArmor,
    /// Bytes of memory (sysinfo(2)), which a tmpfs may be given a share of.
    pub memory: u64,
    /// UTC now, in seconds.
    pub now: u64,
}

/// What the launcher may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// CAP_SYS_ADMIN in the initial user namespace: one whose uid_map is `0 0 4294967295`. Root of any other
    /// namespace counts as `User`: the kernel gives it no device nodes, no bpf and no foreign mounts.
    Root,
    /// An ordinary user: everything happens inside a user namespace.
    User,
}

/// Ids of the caller.
#[derive(Clone, Debug, Serialize)]
pub struct CallerIds {
    /// Effective user id.
    pub uid: u32,
    /// Real user id: another than the effective one means a set-uid launcher, which is refused.
    pub real_uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Login uid (/proc/self/loginuid); `None` when unset.
    pub login: Option<u32>,
}

/// Which hierarchies exist and what each controls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupLayout {
    /// v1 hierarchies that the caller may write, by controller name ("memory", "cpu", ...; named ones as "name=systemd").
    pub v1: Vec<V1Hierarchy>,
    /// The v2 hierarchy.
    pub v2: Option<V2Hierarchy>,
    /// Where the caller's own systemd makes cgroups (an ordinary user only).
    pub user_manager: Option<UserManager>,
}

/// systemd's manager of one user (user@1000.service), as far as files tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserManager {
    /// Its cgroup below the mount of v2, without a leading slash.
    pub cgroup: String,
    /// Controllers that are delegated to it.
    pub controllers: Vec<String>,
    /// The address of its message bus.
    pub bus: String,
}

impl CgroupLayout {
    /// Whether this controller is on a v1 hierarchy.
    pub fn has_v1(&self, controller: &str) -> bool {
        let mut all = self.v1.iter().flat_map(|h| &h.controllers);
        all.any(|c| c == controller)
    }
}

/// One v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct V1Hierarchy {
    /// Controllers on it.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: HostPath,
    /// The launcher's own cgroup in it, relative to the mount but beginning with a slash.
    pub own: String,
}

/// The v2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct V2Hierarchy {
    /// Where it is mounted.
    pub mount: HostPath,
    /// The launcher's own cgroup in it, relative to the mount but beginning with a slash.
    pub own: String,
    /// Controllers that can be enabled below the place where containers go.
    pub controllers: Vec<String>,
    /// Where containers go by default (relative to the mount); `None`: the caller may not make any.
    pub parent: Option<String>,
}
