//! What only v1 needs: cpusets that start empty, and a freezer in a hierarchy of its own.

use super::{Cgroup, CgroupError, Member, make};
use crate::plan::limits::{CgroupDir, CgroupVersion};
use nix::errno::Errno;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Fills `file` at each level from the mount down to `place` with the value of the level above, where it is empty: a
/// v1 cpuset without cpus or mems takes no process (ENOSPC).
pub(super) fn inherit(
    cgroup: &mut Cgroup,
    place: &CgroupDir,
    file: &str,
) -> Result<(), CgroupError> {
    let mount = place.mount.as_path();
    let root = cgroup.root(&place.mount, place.version)?;
    let cuts = place.path.match_indices('/').map(|(at, _)| at);
    let mut above = String::new();
    for cut in std::iter::once(0).chain(cuts).chain([place.path.len()]) {
        let dir = root.dir(mount, &place.path[..cut])?;
        let path = dir.path().join(file);
        let own = dir
            .read(file)
            .map_err(|e| CgroupError::new("read", &path, e))?;
        if own.trim().is_empty() && cut > 0 {
            dir.set(file, above.trim())?;
        } else {
            above = own;
        }
    }
    Ok(())
}

/// Makes the freezer's cgroup and moves every process in.
pub(super) fn gather(cgroup: &mut Cgroup) -> Result<(), CgroupError> {
    if cgroup.with("freezer").is_none()
        && let Some(place) = cgroup.freezer.clone()
    {
        make::enter(cgroup, &place)?;
    }
    let freezer = freezer(cgroup)?;
    move_in(cgroup, freezer)
}

/// Every process into every v1 cgroup of the container (one that was made later is empty at first).
pub(super) fn fill(cgroup: &mut Cgroup) -> Result<(), CgroupError> {
    // An update that was killed may have left a cpuset that it had made and not filled: nobody could enter it.
    let sets = cgroup.members.iter().map(|m| m.place.clone());
    let sets = sets.filter(|p| is_v1(p) && p.controllers.iter().any(|c| c == "cpuset"));
    for place in sets.collect::<Vec<_>>() {
        inherit(cgroup, &place, "cpuset.cpus")?;
        inherit(cgroup, &place, "cpuset.mems")?;
    }
    let mut members = cgroup.members.iter().filter(|m| is_v1(&m.place));
    members.try_for_each(|member| move_in(cgroup, member))
}

fn is_v1(place: &CgroupDir) -> bool {
    place.version == CgroupVersion::V1
}

/// Who forks meanwhile does it in either cgroup: go round until nobody is left outside.
fn move_in(cgroup: &Cgroup, member: &Member) -> Result<(), CgroupError> {
    for _ in 0..64 {
        let inside = member.dir.all_procs().unwrap_or_default();
        let outside: Vec<i32> = cgroup
            .procs()?
            .into_iter()
            .filter(|p| !inside.contains(p))
            .collect();
        if outside.is_empty() {
            break;
        }
        for pid in outside {
            match member.dir.write("cgroup.procs", &pid.to_string()) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(e) => {
                    let file = member.dir.path().join("cgroup.procs");
                    return Err(CgroupError::new(
                        format!("moved process {pid} into"),
                        &file,
                        e,
                    ));
                }
            }
        }
    }
    Ok(())
}

fn freezer(cgroup: &Cgroup) -> Result<&Member, CgroupError> {
    cgroup.with("freezer").ok_or_else(|| {
        let container = cgroup
            .members
            .first()
            .map_or(Path::new("?"), |m| m.dir.path());
        CgroupError::new("looked for a freezer for", container, Errno::ENOENT)
    })
}

/// Freezes whoever has been gathered.
pub(super) fn freeze(cgroup: &mut Cgroup) -> Result<(), CgroupError> {
    // Who was forked since is gathered, too.
    gather(cgroup)?;
    let freezer = freezer(cgroup)?;
    for round in 1..200 {
        freezer.dir.set("freezer.state", "FROZEN")?;
        match freezer.dir.read("freezer.state") {
            Ok(state) if state.trim() == "FROZEN" => return Ok(()),
            _ => sleep(Duration::from_millis(5)),
        }
        // Who waits for another in the kernel (vfork) and finds it frozen first never arrives: a moment of going on
        // lets both, and who was born meanwhile is gathered.
        if round % 20 == 0 {
            freezer.dir.set("freezer.state", "THAWED")?;
            sleep(Duration::from_millis(1));
            move_in(cgroup, freezer)?;
        }
    }
    let _ = freezer.dir.write("freezer.state", "THAWED");
    let file = freezer.dir.path().join("freezer.state");
    Err(CgroupError::new(
        "waited 1 s for FROZEN in",
        &file,
        Errno::ETIMEDOUT,
    ))
}
