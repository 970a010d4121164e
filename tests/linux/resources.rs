//! Limits that few ask for, as the kernel keeps them.

use crate::need;
use crate::support::{Rig, unique};
use cofferdam::sys::schedule::sched_getattr;
use serde_json::{Value, json};

fn on_v1(controller: &str) -> bool {
    let host = cofferdam::host::Host::probe().unwrap();
    host.cgroups.has_v1(controller)
}

/// A file of the cgroup that a waiting container has for a v1 controller.
fn file(rig: &Rig, spec: &Value, controller: &str, name: &str) -> String {
    let id = unique("look");
    rig.create(spec, &id).ok();
    let pid = rig.pid(&id);
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = own.lines().find_map(|l| {
        let (_, rest) = l.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        names.split(',').any(|n| n == controller).then_some(path)
    });
    let host = cofferdam::host::Host::probe().unwrap();
    let at = host
        .cgroups
        .v1
        .iter()
        .find(|h| h.controllers.iter().any(|c| c == controller));
    let dir = at
        .unwrap()
        .mount
        .as_path()
        .join(path.unwrap().trim_start_matches('/'));
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    rig.call(&["delete", "--force", &id]).ok();
    text
}

#[test]
fn an_idle_group_and_under_compat_a_burst() {
    need!(Root);
    if !on_v1("cpu") {
        return crate::support::skip("an_idle_group", "v1", "no v1 cpu hierarchy here");
    }
    let rig = Rig::new();
    let mut spec = rig.spec(&["wait"]);
    spec["linux"]["resources"] =
        json!({"cpu": {"idle": 1, "shares": 512, "quota": 50_000, "burst": 7_000}});
    assert_eq!(file(&rig, &spec, "cpu", "cpu.idle"), "1\n");
    assert_eq!(file(&rig, &spec, "cpu", "cpu.cfs_burst_us"), "0\n");
    rig.except("8.4.14", "template = \"compat\"");
    assert_eq!(file(&rig, &spec, "cpu", "cpu.cfs_burst_us"), "7000\n");
}

#[test]
fn a_realtime_process_has_its_share() {
    need!(Root);
    if !on_v1("cpu") {
        return crate::support::skip("a_realtime_process", "v1", "no v1 cpu hierarchy here");
    }
    let rig = Rig::new();
    rig.except("8.1.4", "realtime = true");
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["scheduler"] = json!({"policy": "SCHED_RR", "priority": 3});
    spec["linux"]["resources"] =
        json!({"cpu": {"realtimeRuntime": 20_000, "realtimePeriod": 1_000_000}});
    assert_eq!(file(&rig, &spec, "cpu", "cpu.rt_runtime_us"), "20000\n");
    let id = unique("rt");
    rig.create(&spec, &id).ok();
    let attr = sched_getattr(rig.pid(&id)).unwrap();
    assert_eq!((attr.policy, attr.priority), (2, 3));
    rig.call(&["delete", "--force", &id]).ok();
    // Without a share the kernel takes no such process, and the sentence says what is missing.
    spec["linux"]["resources"] = json!({});
    if std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
        rig.create(&spec, &id)
            .refused(1, &["sched_setattr", "cpu.rt_runtime_us"]);
        rig.assert_clean(&id);
    }
}

#[test]
fn what_v1_memory_has_is_given_under_compat() {
    need!(Root);
    if !on_v1("memory") {
        return crate::support::skip("what_v1_memory_has", "v1", "no v1 memory hierarchy here");
    }
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let mut spec = rig.spec(&["wait"]);
    spec["linux"]["resources"] =
        json!({"memory": {"limit": 64 << 20, "swappiness": 33, "disableOOMKiller": true}});
    assert_eq!(file(&rig, &spec, "memory", "memory.swappiness"), "33\n");
    assert!(file(&rig, &spec, "memory", "memory.oom_control").starts_with("oom_kill_disable 1"));
}
