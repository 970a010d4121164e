//! The cgroups of a process, v1, v2 or both, and what their limit files say. Reads; judges nothing.

use super::mounts;
use super::proc::read;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Controllers of a v1 hierarchy; empty for v2.
    pub controllers: Vec<String>,
    /// Its path as /proc/PID/cgroup says it.
    pub path: String,
    /// Where that is; `None`: its hierarchy is not mounted here.
    pub place: Option<PathBuf>,
    /// Its limit files and what they say.
    pub files: BTreeMap<&'static str, String>,
}

const V1: [(&str, &[&str]); 5] = [
    (
        "memory",
        &[
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            "memory.swappiness",
        ],
    ),
    ("pids", &["pids.max"]),
    ("cpu", &["cpu.cfs_quota_us", "cpu.cfs_period_us"]),
    (
        "blkio",
        &[
            "blkio.throttle.read_bps_device",
            "blkio.throttle.write_bps_device",
        ],
    ),
    ("devices", &["devices.list"]),
];
const V2: &[&str] = &[
    "memory.max",
    "memory.swap.max",
    "pids.max",
    "cpu.max",
    "io.max",
];

/// The groups that the text of /proc/PID/cgroup names, with their limits.
pub fn of(text: &str) -> Vec<Group> {
    let own = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let mounts = mounts::parse(&own);
    let mut groups: Vec<Group> = text.lines().filter_map(line).collect();
    for group in &mut groups {
        let found = mounts
            .iter()
            .rev()
            .find(|m| match group.controllers.is_empty() {
                true => m.kind == "cgroup2",
                false => m.kind == "cgroup" && m.system.contains(&group.controllers[0]),
            });
        let Some(mount) = found else { continue };
        // The part of the hierarchy that is mounted, for a reader whose root is not its top.
        let inside = group.path.strip_prefix(mount.root.trim_end_matches('/'));
        let relative = inside.unwrap_or(&group.path).trim_start_matches('/');
        if relative.split('/').any(|part| part == "..") {
            continue;
        }
        let place = Path::new(&mount.point).join(relative);
        for file in files(group) {
            if let Ok(text) = read(&place.join(file)) {
                group.files.insert(file, text.trim().into());
            }
        }
        group.place = Some(place);
    }
    groups
}

fn files(group: &Group) -> Vec<&'static str> {
    if group.controllers.is_empty() {
        return V2.to_vec();
    }
    let has = |(name, _): &&(&str, &[&str])| group.controllers.iter().any(|c| c == name);
    V1.iter()
        .filter(has)
        .flat_map(|(_, f)| f.iter().copied())
        .collect()
}

/// "4:memory:/x", "0::/x".
fn line(text: &str) -> Option<Group> {
    let mut fields = text.splitn(3, ':');
    let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
    let names = names.split(',').filter(|n| !n.is_empty());
    Some(Group {
        controllers: names.map(String::from).collect(),
        path: path.into(),
        place: None,
        files: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_groups_are_found_and_nonsense_is_not() {
        let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        assert_eq!(of(&own).len(), own.lines().count());
        assert!(of("x\n1:\n").is_empty());
        assert!(of("0::/../../etc")[0].place.is_none());
    }
}
