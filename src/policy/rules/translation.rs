//! How the ids of files show through a bind mount.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::{Ids, Translation};
use oci_spec::runtime::LinuxIdMapping;

/// As they are, as the container's, or as the entry's own maps say. Such maps could make files on the host for any owner.
pub(super) fn of(
    case: &mut Case<'_>,
    pointer: &str,
    mount: &oci_spec::runtime::Mount,
    asked: bool,
) -> Translation {
    let maps = |list: &Option<Vec<LinuxIdMapping>>| list.clone().unwrap_or_default();
    let (uids, gids) = (maps(mount.uid_mappings()), maps(mount.gid_mappings()));
    let namespace = case.grant.ids != Ids::Host;
    let place = format!("{pointer}/uidMappings");
    if uids.is_empty() && gids.is_empty() {
        if asked && !namespace {
            let remedy =
                "give uidMappings and gidMappings, here or under /linux with a user namespace";
            case.refuse(ControlId::S8_5_1, &place, "idmap without mappings", remedy);
        }
        return match asked {
            true => Translation::Container,
            false => Translation::None,
        };
    }
    let same = case.linux().is_some_and(|l| {
        maps(l.uid_mappings()) == uids && maps(l.gid_mappings()) == gids && namespace
    });
    if same {
        return Translation::Container;
    }
    if !case.compat() {
        let remedy = "use those of /linux, or leave them out";
        let found = "id mappings other than the container's";
        case.refuse(ControlId::S8_5_1, &place, found, remedy);
    }
    Translation::Own {
        uids: super::namespaces::ranges(case, &place, &uids),
        gids: super::namespaces::ranges(case, &format!("{pointer}/gidMappings"), &gids),
    }
}
