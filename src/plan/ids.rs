//! Who is who in the container's user namespace, and who may write it down. Pure.

use super::{Lack, PlanError, Weight};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::paths::HostPath;
use crate::policy::{Grant, IdMap, Ids};
use crate::survey::Survey;
use serde::{Deserialize, Serialize};

/// The range that systemd-nspawn and we pick from (Linux UID ranges, systemd.io/UIDS-GIDS).
const RANGE_FIRST: u32 = 524_288;
const RANGE_LAST: u32 = 1_879_048_191;
const RANGE_SIZE: u32 = 65_536;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapWriter {
    /// The launcher, privileged.
    Launcher,
    /// The launcher, unprivileged: its own id only, setgroups denied.
    OwnId,
    /// newuidmap and newgidmap, set-uid programs that know the caller's ranges (/etc/subuid, /etc/subgid).
    Helpers {
        /// newuidmap.
        uids: HostPath,
        /// newgidmap.
        gids: HostPath,
    },
    /// Nobody: the namespace is joined and has its maps.
    Joined,
}

pub(super) fn user_map(
    grant: &Grant,
    host: &Host,
    survey: &Survey,
    lacks: &mut Vec<Lack>,
) -> Result<Option<UserMap>, PlanError> {
    let user = host.privilege == Privilege::User;
    let map = match &grant.ids {
        Ids::Joined { uids, gids } => joined(survey, uids, gids)?,
        Ids::Mapped { uids, gids } if user => delegated(host, uids, gids)?,
        Ids::OwnRange if user => match own_and_delegated(grant, host) {
            Some(map) => map,
            None => own_id_only(grant, host, lacks),
        },
        Ids::Host if user => own_id_only(grant, host, lacks),
        Ids::OwnRange => {
            let first = pick_range(&grant.name, &host.taken_ids);
            let map = vec![IdMap {
                inside: 0,
                outside: first,
                count: RANGE_SIZE,
            }];
            UserMap {
                uids: map.clone(),
                gids: map,
                by: MapWriter::Launcher,
                range: Some(first),
            }
        }
        Ids::Mapped { uids, gids } => UserMap {
            uids: uids.clone(),
            gids: gids.clone(),
            by: MapWriter::Launcher,
            range: None,
        },
        Ids::Host => return Ok(None),
    };
    covers(grant, &map)?;
    Ok(Some(map))
}

/// Whoever the program is to be must exist inside.
fn covers(grant: &Grant, map: &UserMap) -> Result<(), PlanError> {
    let process = &grant.process;
    let mut asked = vec![
        ("/process/user/uid".to_string(), process.uid, &map.uids),
        ("/process/user/gid".to_string(), process.gid, &map.gids),
    ];
    if map.by != MapWriter::OwnId {
        let groups = process.groups.iter().enumerate();
        asked.extend(groups.map(|(at, gid)| {
            let pointer = format!("/process/user/additionalGids/{at}");
            (pointer, *gid, &map.gids)
        }));
    }
    match asked
        .into_iter()
        .find(|(_, id, maps)| translate(maps, *id).is_none())
    {
        None => Ok(()),
        Some((pointer, id, maps)) => Err(PlanError::Value {
            pointer,
            what: format!(
                "{id} is not among the ids of the user namespace ({}): map it, or choose another",
                text(maps)
            ),
        }),
    }
}

/// The lines of a map on one.
pub(super) fn text(maps: &[IdMap]) -> String {
    let one = |m: &IdMap| format!("{}+{} -> {}", m.inside, m.count, m.outside);
    maps.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// As the namespace has them; the request may say what it takes them for, and must be right.
fn joined(survey: &Survey, uids: &[IdMap], gids: &[IdMap]) -> Result<UserMap, PlanError> {
    let refuse = |pointer: &str, what: String| PlanError::Value {
        pointer: pointer.into(),
        what,
    };
    let maps = match &survey.joined_ids {
        Some(Ok(maps)) => maps,
        Some(Err(why)) => {
            let what = format!("the user namespace to be joined can't be looked at: {why}");
            return Err(refuse("/linux/namespaces", what));
        }
        None => return Err(refuse("/linux/namespaces", "no user namespace".into())),
    };
    for (pointer, said, found) in [
        ("/linux/uidMappings", uids, &maps.uids),
        ("/linux/gidMappings", gids, &maps.gids),
    ] {
        if !said.is_empty() && !same(said, found) {
            let what = format!(
                "the joined user namespace maps {}, not {}: leave the mappings out, or give its own",
                text(found),
                text(said)
            );
            return Err(refuse(pointer, what));
        }
    }
    Ok(UserMap {
        uids: maps.uids.clone(),
        gids: maps.gids.clone(),
        by: MapWriter::Joined,
        range: None,
    })
}

fn same(a: &[IdMap], b: &[IdMap]) -> bool {
    let sorted = |maps: &[IdMap]| {
        let mut all: Vec<(u32, u32, u32)> = maps
            .iter()
            .map(|m| (m.inside, m.outside, m.count))
            .collect();
        all.sort_unstable();
        all
    };
    sorted(a) == sorted(b)
}

/// What an ordinary user's request maps: the own id, or ranges that the host gives to that user.
fn delegated(host: &Host, uids: &[IdMap], gids: &[IdMap]) -> Result<UserMap, PlanError> {
    let (uid, gid) = (host.caller.uid, host.caller.gid);
    let own =
        |maps: &[IdMap], id: u32| maps.len() == 1 && maps[0].count == 1 && maps[0].outside == id;
    let map = |by| UserMap {
        uids: uids.to_vec(),
        gids: gids.to_vec(),
        by,
        range: None,
    };
    if own(uids, uid) && own(gids, gid) {
        return Ok(map(MapWriter::OwnId));
    }
    let given = &host.delegated;
    for (pointer, maps, ranges, id, file) in [
        ("/linux/uidMappings", uids, &given.uids, uid, "/etc/subuid"),
        ("/linux/gidMappings", gids, &given.gids, gid, "/etc/subgid"),
    ] {
        let allowed = |m: &IdMap| {
            (m.count == 1 && m.outside == id)
                || ranges.iter().any(|(first, count)| {
                    m.outside >= *first
                        && u64::from(m.outside) + u64::from(m.count)
                            <= u64::from(*first) + u64::from(*count)
                })
        };
        if let Some(at) = maps.iter().position(|m| !allowed(m)) {
            return Err(PlanError::Value {
                pointer: format!("{pointer}/{at}"),
                what: format!(
                    "{}: the ids outside are not the caller's, who has {id} and what {file} gives (usermod --add-subuids, --add-subgids)",
                    text(&maps[at..=at])
                ),
            });
        }
    }
    match &given.helpers {
        Some((uids, gids)) => Ok(map(MapWriter::Helpers {
            uids: uids.clone(),
            gids: gids.clone(),
        })),
        None => Err(PlanError::Value {
            pointer: "/linux/uidMappings".into(),
            what: "an ordinary user needs newuidmap and newgidmap, set-uid root, to map more than the own id: apt install uidmap".into(),
        }),
    }
}

/// The container's root is the caller, who owns the files that it is built from; everybody else inside, the service
/// too, is someone of the caller's ranges and so has none of the caller's rights.
fn own_and_delegated(grant: &Grant, host: &Host) -> Option<UserMap> {
    let given = &host.delegated;
    let (uid_helper, gid_helper) = given.helpers.clone()?;
    let map = |ranges: &[(u32, u32)], own: u32, wanted: u32| {
        let (first, count) = *ranges.iter().find(|(_, count)| *count >= wanted)?;
        let one = |inside, outside, count| IdMap {
            inside,
            outside,
            count,
        };
        Some(vec![
            one(0, own, 1),
            one(1, first, count.min(RANGE_SIZE - 1)),
        ])
    };
    let groups = grant.process.groups.iter().max().copied().unwrap_or(0);
    let (uid, gid) = (grant.process.uid, grant.process.gid.max(groups));
    Some(UserMap {
        uids: map(&given.uids, host.caller.uid, uid.max(1))?,
        gids: map(&given.gids, host.caller.gid, gid.max(1))?,
        by: MapWriter::Helpers {
            uids: uid_helper,
            gids: gid_helper,
        },
        range: None,
    })
}

fn own_id_only(grant: &Grant, host: &Host, lacks: &mut Vec<Lack>) -> UserMap {
    lacks.push(Lack {
        control: ControlId::S8_5_1,
        what: "an ordinary user can map only the own id".into(),
        lost: "the service has the caller's rights on files that the container shows (ranges in /etc/subuid and /etc/subgid, and the package uidmap, would mend it)".into(),
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
