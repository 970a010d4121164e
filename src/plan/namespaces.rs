//! Namespaces: which are new, which are joined, and how ids map. Pure.

use super::{Lack, Line, Weight};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::paths::HostPath;
use crate::policy::{Grant, IdMap, Ids, NamespaceKind};
use serde::{Deserialize, Serialize};

/// The range that systemd-nspawn and we pick from (Linux UID ranges, systemd.io/UIDS-GIDS).
const RANGE_FIRST: u32 = 524_288;
const RANGE_LAST: u32 = 1_879_048_191;
const RANGE_SIZE: u32 = 65_536;

/// Namespaces of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamespacePlan {
    /// Made by the one clone3.
    pub new: Vec<NamespaceKind>,
    /// Joined by the launcher before it.
    pub joined: Vec<(NamespaceKind, HostPath)>,
    /// Id maps of the new user namespace.
    pub user: Option<UserMap>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// NIS domain name inside.
    pub domainname: Option<String>,
}

/// Id maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMap {
    /// Lines of uid_map.
    pub uids: Vec<IdMap>,
    /// Lines of gid_map.
    pub gids: Vec<IdMap>,
    /// How they are written.
    pub by: MapWriter,
    /// First id of a range that was picked for this container alone.
    pub range: Option<u32>,
}

/// Who may write the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MapWriter {
    /// The launcher, privileged.
    Launcher,
    /// The launcher, unprivileged: its own id only, setgroups denied.
    OwnId,
}

pub(super) fn plan(grant: &Grant, host: &Host, lacks: &mut Vec<Lack>) -> NamespacePlan {
    let user = user_map(grant, host, lacks);
    let mut new: Vec<NamespaceKind> = grant
        .namespaces
        .iter()
        .filter(|n| n.join.is_none() && n.kind != NamespaceKind::User)
        .map(|n| n.kind)
        .collect();
    if user.is_some() {
        new.push(NamespaceKind::User);
    }
    new.sort();
    let joined = grant
        .namespaces
        .iter()
        .filter_map(|n| n.join.clone().map(|path| (n.kind, path)))
        .collect();
    let own_uts = new.contains(&NamespaceKind::Uts);
    NamespacePlan {
        hostname: own_uts.then(|| grant.hostname.clone().unwrap_or_else(|| grant.name.clone())),
        domainname: grant.domainname.clone().filter(|_| own_uts),
        new,
        joined,
        user,
    }
}

fn user_map(grant: &Grant, host: &Host, lacks: &mut Vec<Lack>) -> Option<UserMap> {
    if host.privilege == Privilege::User {
        return Some(own_id_only(grant, host, lacks));
    }
    match &grant.ids {
        Ids::OwnRange => {
            let first = pick_range(&grant.name, &host.taken_ids);
            let map = vec![IdMap {
                inside: 0,
                outside: first,
                count: RANGE_SIZE,
            }];
            Some(UserMap {
                uids: map.clone(),
                gids: map,
                by: MapWriter::Launcher,
                range: Some(first),
            })
        }
        Ids::Mapped { uids, gids } => Some(UserMap {
            uids: uids.clone(),
            gids: gids.clone(),
            by: MapWriter::Launcher,
            range: None,
        }),
        Ids::Host | Ids::Joined => None,
    }
}

fn own_id_only(grant: &Grant, host: &Host, lacks: &mut Vec<Lack>) -> UserMap {
    lacks.push(Lack {
        control: ControlId::S8_5_1,
        what: "an ordinary user can map only the own id".into(),
        lost: "the service has the caller's rights on files that the container shows".into(),
        weight: Weight::Covered,
    });
    let one = |inside, outside| {
        vec![IdMap {
            inside,
            outside,
            count: 1,
        }]
    };
    UserMap {
        uids: one(grant.process.uid, host.caller.uid),
        gids: one(grant.process.gid, host.caller.gid),
        by: MapWriter::OwnId,
        range: None,
    }
}

/// A range of 65536 ids, found by the name's hash as systemd-nspawn does, then the next that nobody has.
fn pick_range(name: &str, taken: &[(u32, u32)]) -> u32 {
    let slots = (RANGE_LAST - RANGE_FIRST) / RANGE_SIZE;
    // FNV-1a: any spread will do, collisions are stepped over.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |h, b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    });
    let free = |first: &u32| {
        let (from, to) = (u64::from(*first), u64::from(*first) + u64::from(RANGE_SIZE));
        !taken
            .iter()
            .any(|(t, n)| u64::from(*t) < to && from < u64::from(*t) + u64::from(*n))
    };
    (0..slots)
        .map(|step| RANGE_FIRST + ((hash % slots + step) % slots) * RANGE_SIZE)
        .find(free)
        .unwrap_or(RANGE_FIRST)
}

impl NamespaceKind {
    /// The kernel's name below /proc/PID/ns.
    pub fn proc_name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Network => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

impl UserMap {
    /// The id outside for one inside.
    pub fn outside_uid(&self, inside: u32) -> Option<u32> {
        translate(&self.uids, inside)
    }

    /// The group id outside for one inside.
    pub fn outside_gid(&self, inside: u32) -> Option<u32> {
        translate(&self.gids, inside)
    }
}

fn translate(map: &[IdMap], inside: u32) -> Option<u32> {
    map.iter()
        .find(|m| inside >= m.inside && inside - m.inside < m.count)
        .and_then(|m| m.outside.checked_add(inside - m.inside))
}

impl NamespacePlan {
    /// Whether the container gets a new one of this kind.
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let names: Vec<&str> = self.new.iter().map(|k| k.proc_name()).collect();
        let mut text = format!("new {}", names.join(" "));
        for (kind, path) in &self.joined {
            text.push_str(&format!("; {} joined from {path}", kind.proc_name()));
        }
        let mut out = vec![Line::new(
            "namespaces",
            text,
            &[ControlId::S8_1_3, ControlId::S8_4_4],
        )];
        if let Some(user) = &self.user {
            let map = |maps: &[IdMap]| {
                maps.iter()
                    .map(|m| format!("{}+{} -> {}", m.inside, m.count, m.outside))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let own = user.range.map_or("", |_| " (a range of its own)");
            out.push(Line::new(
                "ids",
                format!("{}{own}", map(&user.uids)),
                &[ControlId::S8_5_1],
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_clashes_with_nobody() {
        let first = pick_range("web", &[]);
        assert!((RANGE_FIRST..=RANGE_LAST - RANGE_SIZE).contains(&first));
        assert_eq!(first % RANGE_SIZE, 0);
        assert_eq!(first, pick_range("web", &[]));
        // An owner of the middle of that range pushes us on.
        let second = pick_range("web", &[(first + 10, 5)]);
        assert_ne!(first, second);
        assert!(second >= first + RANGE_SIZE || second + RANGE_SIZE <= first);
    }

    #[test]
    fn ids_translate_by_range() {
        let map = [IdMap {
            inside: 0,
            outside: 1_000_000,
            count: 65_536,
        }];
        assert_eq!(translate(&map, 65_532), Some(1_065_532));
        assert_eq!(translate(&map, 65_536), None);
    }
}
