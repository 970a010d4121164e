//! update: other limits for a container that runs, in every form that engines use.

use crate::need;
use crate::pause::running;
use crate::support::{Ran, Rig, finish, text, unique};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

/// What the kernel says of a container's limit: the v1 or the v2 file, whichever there is.
fn limit(rig: &Rig, id: &str, files: [&str; 2]) -> String {
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", rig.pid(id))).unwrap();
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap(), parts.next().unwrap());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        for mount in mounts.lines() {
            let (at, of) = mount.split_once(" - ").unwrap();
            let point = at.split(' ').nth(4).unwrap();
            let same = match controllers {
                "" => of.starts_with("cgroup2"),
                names => {
                    of.starts_with("cgroup ")
                        && names
                            .split(',')
                            .all(|n| of.split([' ', ',']).any(|w| w == n))
                }
            };
            for file in files {
                let file = format!("{point}{path}/{file}");
                if same && let Ok(text) = std::fs::read_to_string(&file) {
                    return text.trim().to_string();
                }
            }
        }
    }
    panic!("no {files:?} for {id} in {cgroups}");
}

const MEMORY: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];
const SWAP: [&str; 2] = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
const PIDS: [&str; 2] = ["pids.max", "pids.max"];
const MIB: u64 = 1 << 20;

fn from_stdin(rig: &Rig, words: &[&str], resources: &Value) -> Ran {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(resources.to_string().as_bytes()).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let mut command = rig.command();
    command.args(words).stdin(Stdio::from(input));
    finish(command)
}

#[test]
fn in_every_form_that_engines_use() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    // Docker 28, ctr and CRI; with the bare deny-all of CRI.
    let ran = from_stdin(
        &rig,
        &["update", "--resources=-", &id],
        &json!({"memory": {"limit": 128 * MIB, "swap": 128 * MIB}, "cpu": {"shares": 512, "quota": 50000, "period": 100000},
            "pids": {"limit": 20}, "devices": [{"allow": false, "access": "rwm"}]}),
    );
    ran.ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{ran:?}");
    assert_eq!(limit(&rig, &id, MEMORY), (128 * MIB).to_string());
    assert_eq!(limit(&rig, &id, PIDS), "20");
    // Docker 20.10: zeros leave alone.
    from_stdin(
        &rig,
        &["update", "--resources", "-", &id],
        &json!({"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 0, "kernel": 0},
            "cpu": {"shares": 0}, "pids": {"limit": 0}, "blockIO": {"weight": 0}}),
    )
    .ok();
    assert_eq!(limit(&rig, &id, MEMORY), (64 * MIB).to_string());
    assert_eq!(limit(&rig, &id, PIDS), "20");
    // podman: a file.
    let file = rig.path("resources.json");
    std::fs::write(&file, json!({"pids": {"limit": 30}}).to_string()).unwrap();
    rig.call(&["update", &format!("--resources={}", text(&file)), &id])
        .ok();
    assert_eq!(limit(&rig, &id, PIDS), "30");
    // People: flags, also after the id.
    rig.call(&[
        "update",
        &id,
        "--memory",
        "96m",
        "--memory-swap",
        "96m",
        "--pids-limit=25",
    ])
    .ok();
    assert_eq!(limit(&rig, &id, MEMORY), (96 * MIB).to_string());
    assert_eq!(limit(&rig, &id, PIDS), "25");
    rig.call(&["update", "--cpu-quota", "20000", "--cpu-shares", "100", &id])
        .ok();
    let quota = limit(&rig, &id, ["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota.starts_with("20000"), "{quota}");
    // A shorter period in front of the quota that it asks for, and the other way round.
    rig.call(&[
        "update",
        "--cpu-period",
        "10000",
        "--cpu-quota",
        "5000",
        &id,
    ])
    .ok();
    rig.call(&[
        "update",
        "--cpu-period",
        "100000",
        "--cpu-quota",
        "50000",
        &id,
    ])
    .ok();
    // A hierarchy that it was not in.
    rig.call(&["update", "--cpuset-cpus", "0", &id]).ok();
    assert_eq!(limit(&rig, &id, ["cpuset.cpus", "cpuset.cpus"]), "0");
    let recorded = std::fs::read_to_string(rig.state().join(&id).join("update.jsonl")).unwrap();
    assert_eq!(recorded.lines().count(), 8, "{recorded}");
    assert!(recorded.contains("pids.max=25"), "{recorded}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn the_devices_are_as_before() {
    need!(Root);
    let rig = Rig::new();
    let (id, out) = (unique("dev"), tempfile::tempfile().unwrap());
    let bundle = rig.bundle(&rig.spec(&["cat", "/dev/null"]));
    let mut command = rig.command();
    command.args(["create", "--bundle", text(&bundle), &id]);
    command.stdout(out.try_clone().unwrap());
    assert!(command.status().unwrap().success());
    let deny = json!({"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 9}});
    from_stdin(&rig, &["update", "--resources=-", &id], &deny).ok();
    let end = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
    rig.call(&["start", &id]).ok();
    assert!(crate::support::wait_fd(std::os::fd::AsFd::as_fd(&end)));
    let mut said = String::new();
    let mut out = out;
    std::io::Seek::rewind(&mut out).unwrap();
    std::io::Read::read_to_string(&mut out, &mut said).unwrap();
    assert_eq!(said, "", "/dev/null opens as before");
    let give = json!({"devices": [{"allow": true, "type": "c", "major": 10, "minor": 232, "access": "rwm"}]});
    let other = running(&rig);
    // Nothing that a policy cuts is given, and nothing that it would allow either: access is decided at create.
    let ran = from_stdin(&rig, &["update", "--resources=-", &other], &give);
    assert!(
        ran.code == 0 || ran.err.contains("permission denied"),
        "{ran:?}"
    );
    rig.call(&["delete", "--force", &id]).ok();
    rig.call(&["delete", "--force", &other]).ok();
}

#[test]
fn unlimited_is_clamped_and_takes_nothing_away() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    rig.call(&["update", "--pids-limit", "300", &id]).ok();
    let ran = rig.call(&[
        "update",
        "--pids-limit",
        "-1",
        "--memory",
        "-1",
        "--memory-swap=-1",
        &id,
    ]);
    ran.ok();
    assert_eq!(limit(&rig, &id, PIDS), "300", "{ran:?}");
    assert!(ran.err.contains("/linux/resources/pids/limit"), "{ran:?}");
    let memory: u64 = limit(&rig, &id, MEMORY).parse().unwrap();
    assert!(memory <= 1 << 40, "{memory}");
    // Above the ceiling: the ceiling, said so.
    let before: u64 = limit(&rig, &id, MEMORY).parse().unwrap();
    let ran = rig.call(&["update", "--memory", "100t", &id]);
    ran.ok();
    let after: u64 = limit(&rig, &id, MEMORY).parse().unwrap();
    assert!((before..1 << 45).contains(&after), "{after} {ran:?}");
    assert!(ran.err.contains("SS-011/8.1.4"), "{ran:?}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn all_or_nothing() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    rig.call(&["update", "--pids-limit", "50", &id]).ok();
    // CPU 9999 does not exist: the kernel refuses, and the limit written before says again what it said.
    let ran = rig.call(&["update", "--pids-limit", "60", "--cpuset-cpus", "9999", &id]);
    ran.refused(1, &["cpuset.cpus"]);
    assert_eq!(limit(&rig, &id, PIDS), "50", "{ran:?}");
    for wrong in [
        json!({"memory": {"limit": "much"}}),
        json!({"cpu": {"period": 5}}),
        json!({"memory": {"limit": 64 * MIB, "swap": MIB}}),
        json!({"unified": {"cgroup.procs": "1"}}),
        json!([1]),
    ] {
        let ran = from_stdin(&rig, &["update", "--resources=-", &id], &wrong);
        ran.refused(1, &[]);
        assert_eq!(limit(&rig, &id, PIDS), "50", "{wrong}");
    }
    let giant = json!({"unified": {"memory.high": "1".repeat(2 << 20)}});
    from_stdin(&rig, &["update", "--resources=-", &id], &giant).refused(1, &["more than 1 MiB"]);
    rig.call(&["update", "--memory", "1", &id])
        .refused(1, &["512KiB"]);
    rig.call(&["update", "--resources", "/nonexistent", &id])
        .refused(1, &["can't read"]);
    rig.call(&["update", "--l3-cache-schema", "x", &id])
        .refused(1, &["Intel RDT"]);
    rig.call(&["kill", &id, "9"]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    rig.call(&["update", "--pids-limit", "5", &id])
        .refused(1, &["container does not exist"]);
    rig.assert_clean(&id);
}

/// Under compat "unlimited" is a value like another: what was written goes, in whichever form it is asked.
#[test]
fn unlimited_lifts_a_limit_where_policy_lets_it() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    for path in [None, Some(format!("/{}", unique("lift")))] {
        let id = unique("lift");
        let mut spec = rig.spec(&["wait"]);
        spec["linux"]["cgroupsPath"] = json!(path);
        spec["linux"]["resources"] =
            json!({"pids": {"limit": 77}, "memory": {"limit": 64 * MIB, "swap": 128 * MIB}});
        rig.create(&spec, &id).ok();
        let most: u64 = i64::MAX as u64 / 4096 * 4096;
        let unlimited = |text: String| text == "max" || text == most.to_string();
        rig.call(&["update", "--pids-limit", "-1", &id]).ok();
        assert_eq!(limit(&rig, &id, PIDS), "max");
        rig.call(&["update", "--pids-limit", "50", &id]).ok();
        let pids = json!({"pids": {"limit": -1}});
        from_stdin(&rig, &["update", "--resources=-", &id], &pids).ok();
        assert_eq!(limit(&rig, &id, PIDS), "max");
        assert_eq!(limit(&rig, &id, MEMORY), (64 * MIB).to_string());
        // Memory and swap are one number in v1: that of both goes with that of memory.
        rig.call(&["update", "--memory", "-1", &id]).ok();
        assert!(unlimited(limit(&rig, &id, MEMORY)));
        assert!(unlimited(limit(&rig, &id, SWAP)));
        rig.call(&["update", "--memory=64m", "--memory-swap=128m", &id])
            .ok();
        let memory = json!({"memory": {"limit": -1}});
        from_stdin(&rig, &["update", "--resources=-", &id], &memory).ok();
        assert!(unlimited(limit(&rig, &id, MEMORY)));
        assert!(unlimited(limit(&rig, &id, SWAP)));
        rig.call(&["delete", "--force", &id]).ok();
        rig.assert_clean(&id);
    }
}

#[test]
fn unlimited_memory_does_not_stumble_over_the_swap_that_was_given_with_it() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.1.4", "limits = { swap = \"64MiB\" }");
    let id = unique("swap");
    let mut spec = rig.spec(&["wait"]);
    spec["linux"]["resources"]["memory"] = json!({"limit": 64 * MIB, "swap": 128 * MIB});
    rig.create(&spec, &id).ok();
    let ran = rig.call(&["update", "--memory", "-1", &id]);
    ran.ok();
    let memory: u64 = limit(&rig, &id, MEMORY).parse().unwrap();
    assert!(memory > 64 * MIB && memory < 1 << 40, "{memory} {ran:?}");
    assert!(ran.err.contains("/linux/resources/memory/limit"), "{ran:?}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}
