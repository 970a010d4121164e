//! Limits of a scope: in the files, as properties, changed, kept by systemd, and reached.

use crate::support::{Rig, unique};
use crate::{create, file, has_systemd, property, running, spec, systemctl, unit};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// Takes memory until the kernel says no.
pub fn eat() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![1; 1 << 20]);
    }
}

#[test]
fn limits_are_files_and_properties() {
    if !has_systemd("limits_are_files_and_properties") {
        return;
    }
    let rig = Rig::new();
    let id = unique("lim");
    let mut spec = spec(&rig, &id, &["wait"]);
    spec["linux"]["resources"] = json!({
        "memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 16 * MIB},
        "cpu": {"quota": 33_333, "period": 100_000, "shares": 512, "cpus": "0", "mems": "0"},
        "pids": {"limit": 20},
    });
    create(&rig, &spec, &id).ok();
    let all = [
        ("memory.max", (64 * MIB).to_string(), "MemoryMax"),
        ("memory.swap.max", "0".into(), "MemorySwapMax"),
        ("memory.low", (16 * MIB).to_string(), "MemoryLow"),
        ("pids.max", "20".into(), "TasksMax"),
        ("cpu.weight", "59".into(), "CPUWeight"),
        ("cpuset.cpus", "0".into(), "AllowedCPUs"),
        ("cpuset.mems", "0".into(), "AllowedMemoryNodes"),
    ];
    let check = || {
        for (path, value, name) in &all {
            assert_eq!(&file(&id, path), value, "{path}");
            assert_eq!(&property(&unit(&id), name), value, "{name}");
        }
    };
    check();
    // systemd has no property for it in a scope.
    assert_eq!(file(&id, "memory.oom.group"), "1");
    assert_eq!(file(&id, "cpu.max"), "33333 100000");
    assert_eq!(property(&unit(&id), "CPUQuotaPerSecUSec"), "333.330ms");
    // systemd writes everything again, and it is the same; but for the hundredths of a CPU, cut off by some versions.
    systemctl(&["daemon-reload"]).ok();
    check();
    assert!(["33333 100000", "33000 100000"].contains(&file(&id, "cpu.max").as_str()));
    rig.call(&["delete", "--force", &id]).ok();
}

#[test]
fn an_update_changes_both() {
    if !has_systemd("an_update_changes_both") {
        return;
    }
    let rig = Rig::new();
    let id = running(&rig);
    let unit = unit(&id);
    rig.call(&[
        "update",
        "--pids-limit",
        "33",
        "--memory",
        "96m",
        "--memory-swap",
        "96m",
        "--cpu-quota",
        "20000",
        "--cpu-period",
        "50000",
        &id,
    ])
    .ok();
    let check = || {
        assert_eq!(file(&id, "pids.max"), "33");
        assert_eq!(property(&unit, "TasksMax"), "33");
        assert_eq!(file(&id, "memory.max"), (96 * MIB).to_string());
        assert_eq!(property(&unit, "MemoryMax"), (96 * MIB).to_string());
        assert_eq!(file(&id, "cpu.max"), "20000 50000");
        assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "400ms");
    };
    check();
    systemctl(&["daemon-reload"]).ok();
    check();
    rig.call(&["delete", "--force", &id]).ok();
}

#[test]
fn paused_and_resumed() {
    if !has_systemd("paused_and_resumed") {
        return;
    }
    let rig = Rig::new();
    let id = running(&rig);
    rig.call(&["pause", &id]).ok();
    assert_eq!(file(&id, "cgroup.freeze"), "1");
    assert!(rig.call(&["state", &id]).ok().contains("paused"));
    rig.call(&["resume", &id]).ok();
    assert_eq!(file(&id, "cgroup.freeze"), "0");
    assert!(rig.call(&["state", &id]).ok().contains("running"));
    // One that stands still can be deleted.
    rig.call(&["pause", &id]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    crate::assert_forgotten(&unit(&id));
    rig.assert_clean(&id);
}

#[test]
fn a_second_process_is_in_the_scope() {
    if !has_systemd("a_second_process_is_in_the_scope") {
        return;
    }
    let rig = Rig::new();
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let id = running(&rig);
    rig.call(&["exec", "--detach", &id, "/payload", "wait"])
        .ok();
    assert_eq!(file(&id, "cgroup.procs").lines().count(), 2);
    let ran = rig.call(&["exec", &id, "/payload", "cat", "/proc/self/cgroup"]);
    assert_eq!(ran.ok(), "0::/\n");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn too_much_memory_is_told() {
    if !has_systemd("too_much_memory_is_told") {
        return;
    }
    let rig = Rig::new();
    let name = unique("oom");
    let mut command = rig.command();
    command.args(["--systemd-cgroup", "run", "--rootfs"]);
    command.arg(rig.rootfs());
    command.args(["--memory", "32m", &name, "--", "/payload", "eat"]);
    let ran = crate::support::finish(command);
    assert_eq!(ran.code, 137, "{ran:?}");
    assert!(ran.err.contains("at its memory limit"), "{ran:?}");
    crate::assert_forgotten(&format!("cofferdam-{name}.scope"));
    rig.assert_clean(&name);
}
