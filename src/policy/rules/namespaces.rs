//! Namespaces: each kind new, or joined where policy lets engines pin them; the host's never.

use super::case::Case;
use crate::controls::ControlId;
use crate::paths::HostPath;
use crate::policy::{IdMap, Ids, Namespace, NamespaceKind};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};

/// Kinds that no container shares with the host.
const ALWAYS: [NamespaceKind; 6] = [
    NamespaceKind::Mount,
    NamespaceKind::Pid,
    NamespaceKind::Network,
    NamespaceKind::Ipc,
    NamespaceKind::Uts,
    NamespaceKind::Cgroup,
];

fn kind(of: LinuxNamespaceType) -> NamespaceKind {
    match of {
        LinuxNamespaceType::Mount => NamespaceKind::Mount,
        LinuxNamespaceType::Cgroup => NamespaceKind::Cgroup,
        LinuxNamespaceType::Uts => NamespaceKind::Uts,
        LinuxNamespaceType::Ipc => NamespaceKind::Ipc,
        LinuxNamespaceType::User => NamespaceKind::User,
        LinuxNamespaceType::Pid => NamespaceKind::Pid,
        LinuxNamespaceType::Network => NamespaceKind::Network,
        LinuxNamespaceType::Time => NamespaceKind::Time,
    }
}

pub(super) fn word(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::User => "user",
        NamespaceKind::Mount => "mount",
        NamespaceKind::Pid => "pid",
        NamespaceKind::Network => "network",
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Uts => "uts",
        NamespaceKind::Cgroup => "cgroup",
        NamespaceKind::Time => "time",
    }
}

/// Every entry, then what is missing.
pub(super) fn kinds(case: &mut Case<'_>) {
    let asked = case.linux().and_then(|l| l.namespaces().as_ref());
    for (at, entry) in asked.into_iter().flatten().enumerate() {
        let pointer = format!("/linux/namespaces/{at}");
        let kind = kind(entry.typ());
        if case.grant.namespaces.iter().any(|n| n.kind == kind) {
            let found = format!("a second {} namespace", word(kind));
            case.refuse(ControlId::S8_1_3, &pointer, found, "name each kind once");
            continue;
        }
        let join = entry.path().as_ref().filter(|p| !p.as_os_str().is_empty());
        let join = join.and_then(|path| join_at(case, kind, &pointer, &path.to_string_lossy()));
        case.grant.namespaces.push(Namespace { kind, join });
    }
    if case.bundle.extras.own_range {
        add(case, NamespaceKind::User);
    }
    for kind in ALWAYS {
        missing(case, kind);
    }
    case.grant.namespaces.sort_by_key(|n| n.kind);
}

fn add(case: &mut Case<'_>, kind: NamespaceKind) {
    if !case.grant.namespaces.iter().any(|n| n.kind == kind) {
        case.grant.namespaces.push(Namespace { kind, join: None });
    }
}

/// A kind that is not listed is the host's in OCI's terms.
fn missing(case: &mut Case<'_>, kind: NamespaceKind) {
    if case.grant.namespaces.iter().any(|n| n.kind == kind) {
        return;
    }
    let name = word(kind);
    // No engine lists the cgroup namespace on v1, and nobody means the host's mount table: simply added.
    if case.standalone() || kind == NamespaceKind::Mount {
        return add(case, kind);
    }
    let what = format!("the host's {name} namespace");
    if kind == NamespaceKind::Cgroup && mounts_cgroups(case) {
        let given = "a new one: without it the cgroup mount shows the host's whole tree";
        case.cut(ControlId::S8_1_3, "/linux/namespaces", &what, given);
        return add(case, kind);
    }
    if case.waived("/linux/namespaces", &what, |g| {
        g.namespaces.iter().any(|n| n == name)
    }) {
        return;
    }
    match kind {
        NamespaceKind::Cgroup => {
            case.cut(ControlId::S8_1_3, "/linux/namespaces", &what, "a new one")
        }
        _ => case.over(ControlId::S8_1_3, "/linux/namespaces", &what, "a new one"),
    }
    add(case, kind);
}

/// What such a mount shows begins at the namespace's root, and nowhere else.
fn mounts_cgroups(case: &Case<'_>) -> bool {
    let mounts = case.spec().mounts().as_deref().unwrap_or_default();
    mounts
        .iter()
        .any(|m| matches!(m.typ().as_deref(), Some("cgroup" | "cgroup2")))
}

fn join_at(
    case: &mut Case<'_>,
    kind: NamespaceKind,
    pointer: &str,
    path: &str,
) -> Option<HostPath> {
    let name = word(kind);
    let places = case.policy.ceilings.join.get(name);
    let remedy = match (places.map(|p| p.join(", ")).unwrap_or_default(), kind) {
        (_, NamespaceKind::Mount) => "a mount namespace is never joined: whoever else is in it could change a root that was verified read-only; leave the path out".into(),
        (places, _) if places.is_empty() => format!("policy lets no {name} namespace be joined: leave the path out"),
        (places, _) => format!("a {name} namespace is joined at one of: {places}"),
    };
    let parsed = HostPath::parse(path)
        .ok()
        .filter(|_| !path.split('/').any(|p| p == ".." || p == "."));
    let Some(parsed) = parsed else {
        case.refuse(
            ControlId::S8_1_3,
            pointer,
            format!("{path:?} as a place of a namespace"),
            remedy,
        );
        return None;
    };
    let host = matches!(process_of(path), Some("1" | "self" | "thread-self"));
    let allowed = !host
        && case
            .policy
            .ceilings
            .join
            .get(name)
            .is_some_and(|list| list.iter().any(|p| place_matches(p, path)));
    let waived = |case: &mut Case<'_>| {
        case.waived(pointer, format!("joining {path}"), |g| {
            g.namespaces.iter().any(|n| match n.split_once(':') {
                Some((k, pattern)) => k == name && !host && place_matches(pattern, path),
                None => n == name,
            })
        })
    };
    if allowed || (!host && waived(case)) {
        return Some(parsed);
    }
    let found = match host {
        true => format!("the host's {name} namespace, by {path}"),
        false => format!("{path}, which policy does not list"),
    };
    case.refuse(ControlId::S8_1_3, pointer, found, remedy);
    None
}

/// The process in "/proc/PID/ns/...", however the slashes are doubled.
fn process_of(path: &str) -> Option<&str> {
    let mut parts = path.split('/').filter(|p| !p.is_empty());
    (parts.next() == Some("proc"))
        .then(|| parts.next())
        .flatten()
}

/// `<pid>` is a number, a last `*` one name; doubled slashes match nothing.
fn place_matches(pattern: &str, path: &str) -> bool {
    let (mut want, mut have) = (pattern.split('/'), path.split('/'));
    loop {
        match (want.next(), have.next()) {
            (None, None) => return true,
            (Some("<pid>"), Some(part)) => {
                let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                if !number || part.starts_with('0') {
                    return false;
                }
            }
            (Some("*"), Some(part)) if !part.is_empty() => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// How ids inside relate to ids outside.
pub(super) fn ids(case: &mut Case<'_>) {
    let user = case
        .grant
        .namespaces
        .iter()
        .find(|n| n.kind == NamespaceKind::User);
    let joined = user.map(|n| n.join.is_some());
    let maps = |list: Option<&Vec<LinuxIdMapping>>| list.cloned().unwrap_or_default();
    let uids = maps(case.linux().and_then(|l| l.uid_mappings().as_ref()));
    let gids = maps(case.linux().and_then(|l| l.gid_mappings().as_ref()));
    let mapped = !uids.is_empty() || !gids.is_empty();
    if mapped && joined.is_none() {
        let pointer = match uids.is_empty() {
            true => "/linux/gidMappings",
            false => "/linux/uidMappings",
        };
        let found = "id mappings without a user namespace";
        case.refuse(
            ControlId::S8_5_1,
            pointer,
            found,
            "add {\"type\": \"user\"} to /linux/namespaces, or leave the mappings out",
        );
        return;
    }
    case.grant.ids = match joined {
        // What the engine believes the maps to be: compared with what they are.
        Some(true) => Ids::Joined {
            uids: known(case, "/linux/uidMappings", &uids),
            gids: known(case, "/linux/gidMappings", &gids),
        },
        Some(false) if mapped => Ids::Mapped {
            uids: ranges(case, "/linux/uidMappings", &uids),
            gids: ranges(case, "/linux/gidMappings", &gids),
        },
        Some(false) if case.standalone() || case.bundle.extras.own_range => Ids::OwnRange,
        Some(false) => {
            let found = "a new user namespace without mappings";
            case.refuse(
                ControlId::S8_5_1,
                "/linux/uidMappings",
                found,
                "give uidMappings and gidMappings",
            );
            Ids::Host
        }
        None => {
            without_user_namespace(case);
            Ids::Host
        }
    };
}

fn known(case: &mut Case<'_>, pointer: &str, list: &[LinuxIdMapping]) -> Vec<IdMap> {
    match list.is_empty() {
        true => Vec::new(),
        false => ranges(case, pointer, list),
    }
}

fn without_user_namespace(case: &mut Case<'_>) {
    if case.standalone() && !case.waived("--userns", "no user namespace", |g| g.no_user_namespace) {
        case.refuse(
            ControlId::S8_5_1,
            "--userns",
            "a launch without a user namespace",
            "let the launcher pick a range of ids, or get an exception with no_user_namespace = true",
        );
    }
}

pub(super) fn ranges(case: &mut Case<'_>, pointer: &str, list: &[LinuxIdMapping]) -> Vec<IdMap> {
    // user_namespaces(7): 340 lines since Linux 4.15.
    if list.is_empty() || list.len() > 340 {
        let found = format!("{} ranges of ids", list.len());
        case.refuse(
            ControlId::S8_5_1,
            pointer,
            found,
            "the kernel takes 1 to 340",
        );
    }
    let mut out: Vec<IdMap> = Vec::with_capacity(list.len().min(340));
    for (at, map) in list.iter().take(340).enumerate() {
        let place = format!("{pointer}/{at}");
        let fits = |first: u32| first.checked_add(map.size()).is_some();
        if map.size() == 0 || !fits(map.host_id()) || !fits(map.container_id()) {
            let found = format!(
                "{} ids from {} to {}",
                map.size(),
                map.container_id(),
                map.host_id()
            );
            case.refuse(
                ControlId::S8_5_1,
                &place,
                found,
                "a range has at least one id and ends below 4294967295",
            );
            continue;
        }
        let clash = |a: u32, b: u32, n: u32| a < b + n && b < a + map.size();
        if out.iter().any(|o| {
            clash(map.container_id(), o.inside, o.count) || clash(map.host_id(), o.outside, o.count)
        }) {
            case.refuse(
                ControlId::S8_5_1,
                &place,
                "a range that overlaps another",
                "give each id once",
            );
            continue;
        }
        out.push(IdMap {
            inside: map.container_id(),
            outside: map.host_id(),
            count: map.size(),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_match_by_component() {
        assert!(place_matches("/proc/<pid>/ns/net", "/proc/4711/ns/net"));
        assert!(!place_matches("/proc/<pid>/ns/net", "/proc/self/ns/net"));
        assert!(!place_matches("/proc/<pid>/ns/net", "/proc/01/ns/net"));
        assert!(!place_matches("/run/netns/*", "/run/netns/a/b"));
        assert!(!place_matches("/run/netns/*", "/run/netns/"));
        assert_eq!(process_of("//proc//1/ns/net"), Some("1"));
    }
}
