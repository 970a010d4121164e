//! The cgroup layout from mountinfo and /proc/self/cgroup: v1, hybrid, v2, none, in a container or not. Pure.
//!
//! Called by `probe`, which then asks the v2 hierarchy what may be done there ([`place_v2`]).

use super::mountinfo::Entry;
use super::{CgroupLayout, Privilege, UserManager, V1Hierarchy, V2Hierarchy};
use crate::paths::HostPath;

/// What is mounted and writable, without looking into it: `v2.parent` and `v2.controllers` are still empty.
pub(super) fn layout(mounts: &[Entry], own: &str) -> CgroupLayout {
    let mut layout = CgroupLayout::default();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if id == "0" && names.is_empty() {
            layout.v2 = mount_of(mounts, "cgroup2", |_| true).map(|m| V2Hierarchy {
                mount: HostPath::trusted(m.point.as_ref()),
                own: below(path, &m.root),
                controllers: Vec::new(),
                parent: None,
            });
        } else if !names.is_empty() {
            let all = |m: &Entry| {
                names
                    .split(',')
                    .all(|n| m.options.split(',').any(|o| o == n))
            };
            if let Some(m) = mount_of(mounts, "cgroup", all).filter(|m| !m.readonly) {
                layout.v1.push(V1Hierarchy {
                    controllers: names.split(',').map(str::to_string).collect(),
                    mount: HostPath::trusted(m.point.as_ref()),
                    own: below(path, &m.root),
                });
            }
        }
    }
    layout
}

/// A hierarchy can be mounted in several places: a writable one below /sys/fs/cgroup first, then any writable one. Of
/// two at one point only the later can be seen.
fn mount_of<'m, 'a>(
    mounts: &'m [Entry<'a>],
    kind: &str,
    fits: impl Fn(&Entry) -> bool,
) -> Option<&'m Entry<'a>> {
    let visible =
        |at: usize, m: &Entry| mounts[at + 1..].iter().all(|later| later.point != m.point);
    mounts
        .iter()
        .enumerate()
        .filter(|(at, m)| m.kind == kind && fits(m) && visible(*at, m))
        .map(|(_, m)| m)
        .min_by_key(|m| (m.readonly, !m.point.starts_with("/sys/fs/cgroup")))
}

/// The caller's cgroup relative to the mount. /proc/self/cgroup counts from the root of the cgroup namespace, the
/// mount may begin further down (a container that sees the host's paths). What lies outside the mount, or has been
/// removed, counts as the mount's own root.
fn below(own: &str, root: &str) -> String {
    let root = root.trim_end_matches('/');
    let rest = match own.strip_prefix(root) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => "/",
    };
    let outside = rest.split('/').any(|n| n == "..") || rest.ends_with(" (deleted)");
    if outside { "/".into() } else { rest.into() }
}

/// What the v2 hierarchy says about one cgroup.
#[derive(Clone, Debug, Default)]
pub(super) struct V2Facts {
    /// The caller may make cgroups here and move processes in.
    pub writable: bool,
    /// The hierarchy's true root, which alone may have both processes and controllers for its children.
    pub true_root: bool,
    /// `cgroup.controllers`.
    pub available: String,
    /// `cgroup.subtree_control`.
    pub enabled: String,
    /// `cgroup.procs`.
    pub procs: String,
}

/// Where containers go and what can be had there. `look` reads one cgroup (relative to the mount) and is asked as
/// little as possible.
///
/// Root: the mount's root. A user: its own cgroup if it is writable and nobody else is in it (a scope of
/// `systemd-run --user --scope -p Delegate=yes`; the launcher will step into a leaf), else the mount's root if that is
/// writable and without processes (a container with a cgroup namespace). Other writable cgroups above, such as
/// user@.service's slices, belong to systemd, which would take the controllers away again.
pub(super) fn place_v2(
    v2: &mut V2Hierarchy,
    privilege: Privilege,
    pid: u32,
    look: impl Fn(&str) -> V2Facts,
) {
    let own = v2.own.trim_start_matches('/').to_string();
    if privilege == Privilege::User && !own.is_empty() {
        let facts = look(&own);
        let alone = facts.procs.lines().all(|p| p.trim().parse() == Ok(pid));
        if facts.writable && alone {
            v2.controllers = words(&facts.available);
            v2.parent = Some(own);
            return;
        }
    }
    let facts = look("");
    if !facts.writable {
        return;
    }
    let free = facts.true_root || facts.procs.trim().is_empty();
    if privilege == Privilege::User && !free {
        return;
    }
    v2.controllers = words(if free {
        &facts.available
    } else {
        &facts.enabled
    });
    v2.parent = Some(String::new());
}

/// The user whom the caller is outside its user namespace, by /proc/self/uid_map.
pub(super) fn outer_uid(uid: u32, map: &str) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(|n| n.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let from_first = uid.checked_sub(inside)?;
        (from_first < count).then(|| outside.checked_add(from_first))?
    })
}

/// The manager of the user `uid`, where systemd keeps it; `address` and `folder` are what the environment says of its
/// bus (DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR).
pub(super) fn user_manager(
    uid: u32,
    (address, folder): (Option<String>, Option<String>),
    available: impl Fn(&str) -> Option<String>,
) -> Option<UserManager> {
    let cgroup = format!("user.slice/user-{uid}.slice/user@{uid}.service");
    let controllers = words(&available(&cgroup)?);
    let usual = || {
        let folder = folder.unwrap_or_else(|| format!("/run/user/{uid}"));
        format!("unix:path={folder}/bus")
    };
    Some(UserManager {
        cgroup,
        controllers,
        bus: address.unwrap_or_else(usual),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

#[cfg(test)]
mod tests;
