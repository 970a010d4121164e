//! From the plan to the kernel: directories, controllers, what a process needs as it enters, the other writes.
//!
//! Whatever was made is noted in the [`Cgroup`] at once, so that a failure can be undone.

use super::dir::{OpenDir, Root};
use super::{Cgroup, CgroupError, MadeDir, Member, device, v1};
use crate::plan::limits::{
    CgroupDir, CgroupVersion, DeviceFilter, Lack, LimitPlan, LimitWrite, Presence, Value,
};
use nix::errno::Errno;
use std::path::Path;

/// v2: the directory, and controllers for it.
pub(super) fn unified(cgroup: &mut Cgroup, plan: &LimitPlan) -> Result<(), CgroupError> {
    if let Some(leaf) = &plan.step_aside {
        step_aside(cgroup, leaf)?;
    }
    of_version(cgroup, plan, CgroupVersion::V2)?;
    enable(cgroup, plan)
}

/// v1: the directories.
pub(super) fn legacy(cgroup: &mut Cgroup, plan: &LimitPlan) -> Result<(), CgroupError> {
    of_version(cgroup, plan, CgroupVersion::V1)
}

fn of_version(
    cgroup: &mut Cgroup,
    plan: &LimitPlan,
    version: CgroupVersion,
) -> Result<(), CgroupError> {
    let mut places = plan.dirs.iter().filter(|d| d.version == version);
    places.try_for_each(|place| enter(cgroup, place))
}

/// What decides whether a process can enter (a v1 cpuset without cpus or mems takes none) and what it can do before it is
/// locked down: open devices, ask for nodes and classes.
fn is_early(write: &LimitWrite) -> bool {
    write.value == Value::Inherited
        || write.file.starts_with("cpuset.")
        || write.file.starts_with("cpu.rt_")
}

/// What must be in the directories before a process enters. A v1 device filter denies all until its lines are there.
pub(super) fn begin(cgroup: &mut Cgroup, plan: &LimitPlan) -> Result<(), CgroupError> {
    let mut early = plan.writes.iter().filter(|w| is_early(w));
    early.try_for_each(|write| apply(cgroup, plan, write))?;
    match plan.filter {
        DeviceFilter::V1 { .. } => device::apply(cgroup, plan),
        _ => Ok(()),
    }
}

/// Every other write, in the plan's order, and a v2 device filter.
pub(super) fn fill(cgroup: &mut Cgroup, plan: &LimitPlan) -> Result<(), CgroupError> {
    let mut rest = plan.writes.iter().filter(|w| !is_early(w));
    rest.try_for_each(|write| apply(cgroup, plan, write))?;
    match plan.filter {
        DeviceFilter::V2 { .. } => device::apply(cgroup, plan),
        _ => Ok(()),
    }
}

/// v2: controllers for the cgroups below.
pub(super) fn enable(cgroup: &mut Cgroup, plan: &LimitPlan) -> Result<(), CgroupError> {
    for enable in &plan.enable {
        let names: Vec<String> = enable.controllers.iter().map(|c| format!("+{c}")).collect();
        let root = cgroup
            .roots
            .iter()
            .find(|(mount, _)| *mount == enable.mount);
        if let Some((mount, root)) = root {
            let dir = root.dir(mount.as_path(), &enable.path)?;
            dir.set("cgroup.subtree_control", &names.join(" "))?;
        }
    }
    Ok(())
}

/// v2 lets no cgroup have both processes and controllers for its children: the launcher makes room.
fn step_aside(cgroup: &mut Cgroup, leaf: &CgroupDir) -> Result<(), CgroupError> {
    let path = leaf.mount.as_path().join(&leaf.path);
    let root = cgroup.root(&leaf.mount, leaf.version)?;
    match root.make(&leaf.path) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => {
            return Err(CgroupError::new(
                "made the launcher's own leaf (mkdirat)",
                &path,
                e,
            ));
        }
    }
    root.dir(leaf.mount.as_path(), &leaf.path)?
        .set("cgroup.procs", "0")
}

/// Makes and opens one of the container's own cgroups.
pub(super) fn enter(cgroup: &mut Cgroup, place: &CgroupDir) -> Result<(), CgroupError> {
    let mut parents = Vec::new();
    let root = cgroup.root(&place.mount, place.version)?;
    let made = fresh(root, place, &mut parents);
    cgroup.parents.extend(parents);
    made?;
    adopt(cgroup, place)
}

/// Opens one of the container's own cgroups that somebody has made.
pub(super) fn adopt(cgroup: &mut Cgroup, place: &CgroupDir) -> Result<(), CgroupError> {
    let mount = place.mount.as_path();
    let full = mount.join(&place.path);
    let dir = cgroup
        .root(&place.mount, place.version)?
        .dir(mount, &place.path)?;
    let inode = dir
        .inode()
        .map_err(|e| CgroupError::new("read the number of (fstat)", &full, e))?;
    cgroup.members.push(Member {
        place: place.clone(),
        inode,
        dir,
    });
    Ok(())
}

/// mkdir of the leaf, and of what is missing above it.
fn fresh(root: &Root, place: &CgroupDir, parents: &mut Vec<MadeDir>) -> Result<(), CgroupError> {
    let full = place.mount.as_path().join(&place.path);
    match root.make(&place.path) {
        Ok(()) => return Ok(()),
        Err(Errno::EEXIST) => return replace(root, place, &full),
        Err(Errno::ENOENT) => {}
        Err(e) => return Err(CgroupError::new("made (mkdirat)", &full, e)),
    }
    for (cut, _) in place.path.match_indices('/') {
        let above = &place.path[..cut];
        match root.make(above) {
            Ok(()) => parents.push(MadeDir {
                mount: place.mount.clone(),
                version: place.version,
                path: above.to_string(),
            }),
            Err(Errno::EEXIST) => {}
            Err(e) => {
                let at = place.mount.as_path().join(above);
                return Err(CgroupError::new("made (mkdirat)", &at, e));
            }
        }
    }
    match root.make(&place.path) {
        Ok(()) => Ok(()),
        Err(Errno::EEXIST) => replace(root, place, &full),
        Err(e) => Err(CgroupError::new("made (mkdirat)", &full, e)),
    }
}

/// A cgroup of this name exists: an empty one is a leftover and goes (its limits are unknown), another is in use.
fn replace(root: &Root, place: &CgroupDir, full: &Path) -> Result<(), CgroupError> {
    match root.remove(&place.path) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(Errno::EBUSY | Errno::ENOTEMPTY) => {
            let dir = root.dir(place.mount.as_path(), &place.path)?;
            let mut pids = dir.all_procs().unwrap_or_default();
            pids.truncate(8);
            return Err(CgroupError::Occupied {
                path: full.display().to_string(),
                pids,
            });
        }
        Err(e) => return Err(CgroupError::new("removed the leftover (rmdir)", full, e)),
    }
    root.make(&place.path)
        .map_err(|e| CgroupError::new("made (mkdirat)", full, e))
}

pub(super) fn apply(
    cgroup: &mut Cgroup,
    plan: &LimitPlan,
    write: &LimitWrite,
) -> Result<(), CgroupError> {
    let text = match &write.value {
        Value::Text(text) => text,
        Value::Inherited => return v1::inherit(cgroup, &plan.dirs[write.dir], &write.file),
    };
    let dir: &OpenDir = cgroup.planned(plan, write.dir)?;
    match (dir.write(&write.file, text), &write.presence) {
        (Ok(()), _) => Ok(()),
        (Err(Errno::ENOENT), Presence::Optional(lost)) => {
            let what = format!(
                "this kernel has no {}",
                dir.path().join(&write.file).display()
            );
            cgroup.gaps.push(Lack {
                control: write.control,
                what,
                lost: lost.clone(),
            });
            Ok(())
        }
        (Err(e), _) => {
            let what = format!("wrote {text:?} into");
            Err(CgroupError::new(what, &dir.path().join(&write.file), e))
        }
    }
}
