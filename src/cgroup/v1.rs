//! What only v1 needs: cpusets that start empty, and a freezer in a hierarchy of its own.

use super::{Cgroup, CgroupError, make};
use crate::plan::limits::CgroupDir;
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

/// Makes the freezer's cgroup, moves every process in and freezes them.
pub(super) fn freeze(cgroup: &mut Cgroup) -> Result<(), CgroupError> {
    if cgroup.with("freezer").is_none()
        && let Some(place) = cgroup.freezer.clone()
    {
        make::enter(cgroup, &place)?;
    }
    let Some(freezer) = cgroup.with("freezer") else {
        let container = cgroup
            .members
            .first()
            .map_or(Path::new("?"), |m| m.dir.path());
        return Err(CgroupError::new(
            "looked for a freezer for",
            container,
            Errno::ENOENT,
        ));
    };
    // Who forks meanwhile does it in either cgroup: go round until nobody is left outside.
    for _ in 0..64 {
        let inside = freezer.dir.procs().unwrap_or_default();
        let outside: Vec<i32> = cgroup
            .procs()?
            .into_iter()
            .filter(|p| !inside.contains(p))
            .collect();
        if outside.is_empty() {
            break;
        }
        for pid in outside {
            match freezer.dir.write("cgroup.procs", &pid.to_string()) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(e) => {
                    let file = freezer.dir.path().join("cgroup.procs");
                    return Err(CgroupError::new(
                        format!("moved process {pid} into"),
                        &file,
                        e,
                    ));
                }
            }
        }
    }
    freezer.dir.set("freezer.state", "FROZEN")?;
    for _ in 0..200 {
        match freezer.dir.read("freezer.state") {
            Ok(state) if state.trim() == "FROZEN" => return Ok(()),
            _ => sleep(Duration::from_millis(5)),
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
