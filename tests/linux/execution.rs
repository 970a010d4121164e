//! Scheduling, I/O class, memory policy and personality of a launched process, as the kernel tells them.

use crate::need;
use crate::support::{Rig, finish, unique};
use cofferdam::sys::schedule::{ioprio_get, sched_getattr};
use serde_json::{Value, json};

/// A container that waits, looked at, and gone again.
fn look<T>(rig: &Rig, spec: &Value, at: impl Fn(i32) -> T) -> T {
    let id = unique("look");
    rig.create(spec, &id).ok();
    rig.call(&["start", &id]).ok();
    let seen = at(rig.pid(&id));
    rig.call(&["delete", "--force", &id]).ok();
    seen
}

#[test]
fn a_class_is_given_and_a_realtime_one_is_not() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["scheduler"] =
        json!({"policy": "SCHED_BATCH", "nice": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    let (attr, io) = look(&rig, &spec, |pid| {
        (sched_getattr(pid).unwrap(), ioprio_get(pid).unwrap())
    });
    assert_eq!((attr.policy, attr.nice, attr.flags & 1), (3, 7, 1));
    assert_eq!(io, (2 << 13) | 6);
    // What would go before the host's own work is cut.
    spec["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 5, "nice": -5});
    spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 0});
    let (attr, io) = look(&rig, &spec, |pid| {
        (sched_getattr(pid).unwrap(), ioprio_get(pid).unwrap())
    });
    assert_eq!((attr.policy, attr.nice, attr.priority), (0, 0, 0));
    assert_eq!(io >> 13, 2);
    spec["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"});
    let attr = look(&rig, &spec, |pid| sched_getattr(pid).unwrap());
    assert_eq!(attr.policy, 5);
}

#[test]
fn an_exception_gives_negative_nice_and_realtime_io() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.1.4", "realtime = true");
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -5});
    spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 3});
    let (attr, io) = look(&rig, &spec, |pid| {
        (sched_getattr(pid).unwrap(), ioprio_get(pid).unwrap())
    });
    assert_eq!((attr.policy, attr.nice), (0, -5));
    assert_eq!(io, (1 << 13) | 3);
}

#[test]
fn memory_comes_from_the_nodes_that_are_named() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["wait"]);
    spec["linux"]["memoryPolicy"] =
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let maps = look(&rig, &spec, |pid| {
        std::fs::read_to_string(format!("/proc/{pid}/numa_maps")).unwrap()
    });
    assert!(maps.contains(" bind=static:0 "), "{maps}");
    // A node that is not there, and one that is above what the kernel counts.
    spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "900"});
    rig.create(&spec, &unique("node"))
        .refused(1, &["set_mempolicy"]);
    spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0-1024"});
    rig.create(&spec, &unique("node"))
        .refused(1, &["/linux/memoryPolicy/nodes"]);
}

#[test]
fn the_personality_is_the_requests_and_never_the_callers() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["machine"]);
    let own = rig.through(&spec).ok().to_string();
    spec["linux"]["personality"] = json!({"domain": "LINUX32"});
    let ran = rig.through(&spec);
    assert_ne!(ran.ok(), own, "uname says the same machine");
    // setarch -R: addresses would not be randomised.
    let launcher = rig.run_command(&unique("aslr"), &[], &["cat", "/proc/self/personality"]);
    let mut command = std::process::Command::new("/usr/bin/setarch");
    command.arg("-R").arg(launcher.get_program());
    command.args(launcher.get_args()).env_clear();
    command.stdin(std::process::Stdio::null());
    assert_eq!(finish(command).ok(), "00000000\n");
}

#[test]
fn the_verb_exec_has_an_affinity_of_its_own() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["execCPUAffinity"] = json!({"initial": "0-1", "final": "0"});
    let id = unique("affinity");
    rig.create(&spec, &id).ok();
    rig.call(&["start", &id]).ok();
    let allowed = |text: &str| {
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
        line.unwrap().trim().to_string()
    };
    let first = std::fs::read_to_string(format!("/proc/{}/status", rig.pid(&id))).unwrap();
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(
        allowed(&first),
        allowed(&own),
        "the first process is not meant"
    );
    let ran = rig.call(&["exec", &id, "/payload", "cat", "/proc/self/status"]);
    assert_eq!(allowed(ran.ok()), "0");
    rig.call(&["delete", "--force", &id]).ok();
}
