//! Namespaces joined by path, as a pod's containers join those of its sandbox.

use crate::need;
use crate::support::{Rig, text, unique};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A container that holds namespaces and does nothing, as the pause container of a pod.
struct Pause<'a> {
    rig: &'a Rig,
    id: String,
    pid: i32,
}

impl<'a> Pause<'a> {
    fn start(rig: &'a Rig, spec: &Value) -> Self {
        let id = unique("pause");
        rig.create(spec, &id).ok();
        rig.call(&["start", &id]).ok();
        let pid = rig.pid(&id);
        Self { rig, id, pid }
    }

    fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.pid)
    }

    fn link(&self, kind: &str) -> String {
        crate::link(&self.path(kind))
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let _ = self.rig.call(&["delete", "--force", &self.id]);
    }
}

/// Gives a spec's namespaces these paths, by OCI's names.
fn join(spec: &mut Value, paths: &[(&str, String)]) {
    let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
    for (kind, path) in paths {
        all.retain(|n| n["type"] != *kind);
        all.push(json!({"type": kind, "path": path}));
    }
}

fn with_user_namespace(spec: &mut Value) {
    let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
    all.push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 700_000_000, "size": 65536}]);
    spec["linux"]["uidMappings"] = map.clone();
    spec["linux"]["gidMappings"] = map;
}

#[test]
fn a_container_of_a_pod_joins_the_namespaces_of_its_sandbox() {
    need!(Root);
    let rig = Rig::new();
    let pause = Pause::start(&rig, &rig.spec(&["wait"]));
    let mut spec = rig.spec(&["ns", "net", "ipc", "uts", "mnt", "cgroup"]);
    let shared = [("network", "net"), ("ipc", "ipc"), ("uts", "uts")];
    join(
        &mut spec,
        &shared.map(|(oci, proc)| (oci, pause.path(proc))),
    );
    let ran = rig.through(&spec);
    let lines: Vec<&str> = ran.ok().lines().collect();
    for (at, kind) in ["net", "ipc", "uts"].iter().enumerate() {
        assert_eq!(lines[at], pause.link(kind), "{ran:?}");
    }
    for (at, kind) in [(3, "mnt"), (4, "cgroup")] {
        assert_ne!(lines[at], pause.link(kind), "{ran:?}");
        assert_ne!(lines[at], crate::link(&format!("/proc/self/ns/{kind}")));
    }
    assert_eq!(lines[5], "pid 1", "a pid namespace of its own: {ran:?}");
}

#[test]
fn a_pod_can_share_its_pid_namespace_and_the_others_too() {
    need!(Root);
    let rig = Rig::new();
    let mut sandbox = rig.spec(&["wait"]);
    let all = sandbox["linux"]["namespaces"].as_array_mut().unwrap();
    all.push(json!({"type": "time"}));
    let pause = Pause::start(&rig, &sandbox);
    let mut spec = rig.spec(&["ns", "pid", "cgroup", "time"]);
    let shared = [("pid", "pid"), ("cgroup", "cgroup"), ("time", "time")];
    join(
        &mut spec,
        &shared.map(|(oci, proc)| (oci, pause.path(proc))),
    );
    let ran = rig.through(&spec);
    let lines: Vec<&str> = ran.ok().lines().collect();
    for (at, kind) in ["pid", "cgroup", "time"].iter().enumerate() {
        assert_eq!(lines[at], pause.link(kind), "{ran:?}");
    }
    let pid: i32 = lines[3].strip_prefix("pid ").unwrap().parse().unwrap();
    assert!(pid > 1, "{ran:?}");
    // Nothing of the kernel shows through the shared namespace either.
    let mut spec = rig.spec(&["ls", "/proc/sys"]);
    join(&mut spec, &[("pid", pause.path("pid"))]);
    assert_eq!(rig.through(&spec).out, "ENOENT\n");
}

#[test]
fn a_user_namespace_is_joined_with_its_maps() {
    need!(Root);
    let rig = Rig::new();
    let mut sandbox = rig.spec(&["wait"]);
    with_user_namespace(&mut sandbox);
    let pause = Pause::start(&rig, &sandbox);
    let mut spec = rig.spec(&["ns", "user", "net"]);
    join(
        &mut spec,
        &[("user", pause.path("user")), ("network", pause.path("net"))],
    );
    let ran = rig.through(&spec);
    let lines: Vec<&str> = ran.ok().lines().collect();
    assert_eq!(
        lines[..2],
        [pause.link("user"), pause.link("net")],
        "{ran:?}"
    );
    // The engine may say the maps, and must be right.
    let map = json!([{"containerID": 0, "hostID": 700_000_000, "size": 65536}]);
    for file in ["uidMappings", "gidMappings"] {
        spec["linux"][file] = map.clone();
    }
    spec["process"]["args"] = json!(["/payload", "cat", "/proc/self/uid_map"]);
    let ran = rig.through(&spec);
    let words: Vec<&str> = ran.ok().split_whitespace().collect();
    assert_eq!(words, ["0", "700000000", "65536"]);
    spec["linux"]["uidMappings"][0]["hostID"] = json!(1000);
    rig.create(&spec, &unique("wrong"))
        .refused(1, &["/linux/uidMappings", "maps 0+65536 -> 700000000"]);
}

#[test]
fn files_of_a_joined_user_namespace_have_its_ids() {
    need!(Root);
    let rig = Rig::new();
    let mut sandbox = rig.spec(&["wait"]);
    with_user_namespace(&mut sandbox);
    let pause = Pause::start(&rig, &sandbox);
    let mut spec = rig.spec(&["owner", "/tmp"]);
    join(&mut spec, &[("user", pause.path("user"))]);
    let tmpfs = json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "uid=7", "gid=8"]});
    spec["mounts"].as_array_mut().unwrap().push(tmpfs);
    assert_eq!(rig.through(&spec).ok(), "7 8\n");
}

/// A namespace kept by a bind mount, as CRI-O keeps those of a pod.
struct Pinned(PathBuf);

impl Pinned {
    fn new(from: &str) -> Option<Self> {
        let dir = PathBuf::from("/run/userns");
        std::fs::create_dir_all(&dir).ok()?;
        let at = dir.join(unique("pin"));
        std::fs::write(&at, "").ok()?;
        let flags = nix::mount::MsFlags::MS_BIND;
        let none = None::<&str>;
        nix::mount::mount(Some(from), &at, none, flags, none).ok()?;
        Some(Self(at))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = nix::mount::umount(&self.0);
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir("/run/userns");
    }
}

#[test]
fn a_pinned_user_namespace_is_joined() {
    need!(Root);
    let rig = Rig::new();
    let mut sandbox = rig.spec(&["wait"]);
    with_user_namespace(&mut sandbox);
    let pause = Pause::start(&rig, &sandbox);
    let pinned = Pinned::new(&pause.path("user")).expect("can't pin a namespace below /run/userns");
    let mut spec = rig.spec(&["ns", "user"]);
    join(&mut spec, &[("user", text(&pinned.0).to_string())]);
    let ran = rig.through(&spec);
    assert!(ran.ok().starts_with(&pause.link("user")), "{ran:?}");
}

#[test]
fn a_mount_namespace_is_joined_under_compat_only() {
    need!(Root);
    let rig = Rig::new();
    let pause = Pause::start(&rig, &rig.spec(&["wait"]));
    let mut spec = rig.spec(&["ns", "mnt"]);
    join(&mut spec, &[("mount", pause.path("mnt"))]);
    rig.create(&spec, &unique("mnt"))
        .refused(1, &["SS-011/8.1.3", "mount namespace", "read-only"]);
    rig.except("8.4.14", "template = \"compat\"");
    let ran = rig.through(&spec);
    assert!(ran.ok().starts_with(&pause.link("mnt")), "{ran:?}");
}

#[test]
fn the_hosts_namespaces_are_never_joined() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let me = std::process::id();
    for (oci, proc) in [
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("pid", "pid"),
        ("cgroup", "cgroup"),
        ("time", "time"),
        ("user", "user"),
        ("mount", "mnt"),
    ] {
        let mut spec = rig.spec(&["exit", "0"]);
        join(&mut spec, &[(oci, format!("/proc/{me}/ns/{proc}"))]);
        rig.create(&spec, &unique("host"))
            .refused(1, &["SS-011/8.1.3", "never joined"]);
    }
    // A namespace of another kind than the entry says.
    let pause = Pause::start(&rig, &rig.spec(&["wait"]));
    let mut spec = rig.spec(&["exit", "0"]);
    join(&mut spec, &[("network", pause.path("ipc"))]);
    rig.create(&spec, &unique("kind"))
        .refused(1, &["join a namespace (setns)"]);
    let id = pause.id.clone();
    drop(pause);
    rig.assert_clean(&id);
}

#[test]
fn clocks_are_shifted_in_a_time_namespace_of_its_own() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["clocks"]);
    spec["linux"]["timeOffsets"] = json!({
        "monotonic": {"secs": 172_800, "nanosecs": 500_000_000}, "boottime": {"secs": 604_800}
    });
    rig.create(&spec, &unique("clock"))
        .refused(1, &["/linux/timeOffsets", "add {\"type\": \"time\"}"]);
    let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
    all.push(json!({"type": "time"}));
    let ran = rig.through(&spec);
    let inside: Vec<i64> = ran.ok().lines().map(|l| l.parse().unwrap()).collect();
    let shift = inside[0] - crate::seconds(libc::CLOCK_MONOTONIC);
    assert!((172_700..=172_801).contains(&shift), "{shift}: {ran:?}");
    let shift = inside[1] - crate::seconds(libc::CLOCK_BOOTTIME);
    assert!((604_700..=604_800).contains(&shift), "{shift}: {ran:?}");
}
