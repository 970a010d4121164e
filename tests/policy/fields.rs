//! Every field of config.json as runtime-spec 1.3 has it: honoured, cut with a note, or refused; none is ignored.
//!
//! The list is held against the type itself: a field that oci-spec knows and the list doesn't is found.

use crate::launch::{Launch, plain};
use cofferdam::policy::{Decision, Grant};
use serde_json::{Value, json};

#[derive(Debug, PartialEq, Clone, Copy)]
enum Fate {
    /// The grant carries it.
    Kept,
    /// The grant doesn't, and a clamp says so.
    Cut,
    /// The launch is refused.
    Refused,
    /// It asks for nothing that isn't so already.
    Idle,
}
use Fate::{Cut, Idle, Kept, Refused};

fn fields() -> Vec<(&'static str, Value, Fate)> {
    let device = json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 432, "uid": 1, "gid": 1});
    let rate = json!([{"major": 8, "minor": 0, "rate": 1000}]);
    let weight = json!([{"major": 8, "minor": 0, "weight": 10, "leafWeight": 10}]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
    let hook = json!([{"path": "/bin/hook", "args": ["hook"], "env": ["A=1"], "timeout": 5}]);
    let joined = |path: &str| {
        let new = ["pid", "mount", "ipc", "uts", "cgroup"].map(|kind| json!({"type": kind}));
        let mut all = new.to_vec();
        all.push(json!({"type": "network", "path": path}));
        Value::Array(all)
    };
    let zos = json!({"namespaces": []});
    vec![
        ("/ociVersion", json!("2.0.0"), Refused),
        ("/root/path", json!("/other"), Idle), // The loader's: it becomes Bundle.root.
        ("/root/readonly", json!(false), Cut),
        (
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind"]}]),
            Kept,
        ),
        (
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind", "weird"]}]),
            Refused,
        ),
        (
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind"], "uidMappings": map, "gidMappings": map}]),
            Refused,
        ),
        ("/process/terminal", json!(true), Refused),
        (
            "/process/consoleSize",
            json!({"height": 24, "width": 80}),
            Cut,
        ),
        ("/process/user/uid", json!(5), Kept),
        ("/process/user/gid", json!(5), Kept),
        ("/process/user/umask", json!(0o077), Kept),
        ("/process/user/umask", json!(0o7777), Refused),
        ("/process/user/additionalGids", json!([5]), Kept),
        ("/process/user/username", json!("x"), Refused),
        ("/process/args", json!(["/bin/other"]), Kept),
        ("/process/commandLine", json!("x"), Refused),
        ("/process/env", json!(["A=1"]), Kept),
        ("/process/env", json!(["A"]), Refused),
        ("/process/env", json!(["A_TOKEN=7f"]), Cut),
        ("/process/cwd", json!("/srv"), Kept),
        ("/process/cwd", json!("/proc/self/fd/7"), Refused),
        ("/process/capabilities/bounding", json!(["CAP_CHOWN"]), Cut),
        ("/process/capabilities/effective", json!(["CAP_CHOWN"]), Cut),
        (
            "/process/capabilities/inheritable",
            json!(["CAP_CHOWN"]),
            Cut,
        ),
        ("/process/capabilities/permitted", json!(["CAP_CHOWN"]), Cut),
        ("/process/capabilities/ambient", json!(["CAP_CHOWN"]), Cut),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]),
            Kept,
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 9, "hard": 9}]),
            Cut,
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NPROC", "soft": 1, "hard": 4_000_000}]),
            Cut,
        ),
        ("/process/noNewPrivileges", json!(false), Cut),
        ("/process/apparmorProfile", json!("docker-default"), Refused),
        ("/process/apparmorProfile", json!("unconfined"), Idle),
        ("/process/oomScoreAdj", json!(100), Kept),
        ("/process/oomScoreAdj", json!(-998), Cut),
        (
            "/process/selinuxLabel",
            json!("system_u:system_r:container_t:s0"),
            Refused,
        ),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 4}),
            Refused,
        ),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_FIFO", "nice": 1, "priority": 1, "flags": ["SCHED_RESET_ON_FORK"], "runtime": 1, "deadline": 1, "period": 1}),
            Refused,
        ),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER"}), Idle),
        (
            "/process/execCPUAffinity",
            json!({"initial": "0", "final": "1"}),
            Refused,
        ),
        ("/hostname", json!("inside"), Kept),
        ("/domainname", json!("inside"), Kept),
        ("/hooks/prestart", hook.clone(), Refused),
        ("/hooks/createRuntime", hook.clone(), Refused),
        ("/hooks/createContainer", hook.clone(), Refused),
        ("/hooks/startContainer", hook.clone(), Refused),
        ("/hooks/poststart", hook.clone(), Refused),
        ("/hooks/poststop", hook, Refused),
        ("/annotations", json!({"a": "b"}), Kept),
        (
            "/annotations",
            json!({"org.systemd.property.ExecStartPre": "x"}),
            Refused,
        ),
        ("/annotations", json!({"run.oci.handler": "krun"}), Refused),
        (
            "/annotations",
            json!({"org.cofferdam.exposed": "80"}),
            Refused,
        ),
        ("/annotations", json!({"org.cofferdam.expose": "80"}), Kept),
        (
            "/linux/netDevices",
            json!({"eth0": {"name": "eth0"}}),
            Refused,
        ),
        ("/linux/uidMappings", map.clone(), Refused),
        ("/linux/gidMappings", map.clone(), Refused),
        ("/linux/sysctl", json!({"net.core.somaxconn": "9"}), Kept),
        (
            "/linux/sysctl",
            json!({"kernel.shm_rmid_forced": "1+kernel.core_pattern=|x"}),
            Refused,
        ),
        (
            "/linux/sysctl",
            json!({"kernel.core_pattern": "|x"}),
            Refused,
        ),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}), Cut),
        (
            "/linux/resources/devices",
            json!([{"allow": true, "type": "b", "major": 8, "minor": 0, "access": "rwm"}]),
            Cut,
        ),
        (
            "/linux/resources/devices",
            json!([{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "x"}]),
            Refused,
        ),
        ("/linux/resources/memory/limit", json!(64 << 20), Kept),
        ("/linux/resources/memory/limit", json!(-1), Cut),
        ("/linux/resources/memory/reservation", json!(1 << 20), Kept),
        ("/linux/resources/memory/swap", json!(-1), Cut),
        ("/linux/resources/memory/swap", json!(1 << 30), Refused),
        ("/linux/resources/memory/kernel", json!(1 << 20), Cut),
        ("/linux/resources/memory/kernelTCP", json!(1 << 20), Cut),
        ("/linux/resources/memory/swappiness", json!(60), Cut),
        ("/linux/resources/memory/disableOOMKiller", json!(true), Cut),
        ("/linux/resources/memory/useHierarchy", json!(false), Cut),
        (
            "/linux/resources/memory/checkBeforeUpdate",
            json!(true),
            Cut,
        ),
        ("/linux/resources/cpu/shares", json!(512), Kept),
        ("/linux/resources/cpu/quota", json!(50_000), Kept),
        ("/linux/resources/cpu/burst", json!(5), Cut),
        ("/linux/resources/cpu/period", json!(50_000), Kept),
        ("/linux/resources/cpu/realtimeRuntime", json!(5), Refused),
        ("/linux/resources/cpu/realtimePeriod", json!(5), Refused),
        ("/linux/resources/cpu/cpus", json!("0-1"), Kept),
        ("/linux/resources/cpu/cpus", json!("0-1;"), Refused),
        ("/linux/resources/cpu/mems", json!("0"), Kept),
        ("/linux/resources/cpu/idle", json!(1), Refused),
        ("/linux/resources/pids/limit", json!(7), Kept),
        ("/linux/resources/pids/limit", json!(-1), Cut),
        ("/linux/resources/pids/limit", json!(0), Idle),
        ("/linux/resources/blockIO/weight", json!(10), Refused),
        ("/linux/resources/blockIO/leafWeight", json!(10), Refused),
        ("/linux/resources/blockIO/weightDevice", weight, Refused),
        (
            "/linux/resources/blockIO/throttleReadBpsDevice",
            rate.clone(),
            Kept,
        ),
        (
            "/linux/resources/blockIO/throttleWriteBpsDevice",
            rate.clone(),
            Kept,
        ),
        (
            "/linux/resources/blockIO/throttleReadIOPSDevice",
            rate.clone(),
            Kept,
        ),
        (
            "/linux/resources/blockIO/throttleWriteIOPSDevice",
            rate,
            Kept,
        ),
        (
            "/linux/resources/hugepageLimits",
            json!([{"pageSize": "2MB", "limit": 0}]),
            Kept,
        ),
        ("/linux/resources/network/classID", json!(1), Refused),
        (
            "/linux/resources/network/priorities",
            json!([{"name": "eth0", "priority": 1}]),
            Refused,
        ),
        (
            "/linux/resources/rdma",
            json!({"mlx": {"hcaHandles": 1, "hcaObjects": 1}}),
            Refused,
        ),
        (
            "/linux/resources/unified",
            json!({"memory.high": "1000000"}),
            Kept,
        ),
        (
            "/linux/resources/unified",
            json!({"memory.max": "max"}),
            Cut,
        ),
        (
            "/linux/resources/unified",
            json!({"cgroup.procs": "1"}),
            Refused,
        ),
        ("/linux/cgroupsPath", json!("/a/b"), Kept),
        ("/linux/cgroupsPath", json!("/a/../b"), Refused),
        ("/linux/namespaces", joined("/run/netns/a"), Kept),
        ("/linux/namespaces", joined("/proc/1/ns/net"), Refused),
        ("/linux/namespaces", json!([]), Cut),
        ("/linux/devices", json!([device]), Cut),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY", "defaultErrnoRet": 1, "architectures": [], "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "listenerPath": "/x", "listenerMetadata": "x", "syscalls": []}),
            Refused,
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}),
            Cut,
        ),
        ("/linux/rootfsPropagation", json!("rshared"), Cut),
        ("/linux/maskedPaths", json!(["/opt"]), Kept),
        ("/linux/readonlyPaths", json!(["/opt"]), Kept),
        ("/linux/mountLabel", json!("x"), Refused),
        (
            "/linux/intelRdt",
            json!({"closID": "x", "schemata": ["x"], "l3CacheSchema": "x", "memBwSchema": "x", "enableCmt": true, "enableMbm": true, "enableMonitoring": true}),
            Refused,
        ),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}),
            Refused,
        ),
        (
            "/linux/personality",
            json!({"domain": "LINUX32", "flags": ["x"]}),
            Refused,
        ),
        ("/linux/personality", json!({"domain": "LINUX"}), Idle),
        (
            "/linux/timeOffsets",
            json!({"monotonic": {"secs": 1, "nanosecs": 1}}),
            Refused,
        ),
        ("/solaris", json!({}), Refused),
        ("/windows", json!({"layerFolders": ["x"]}), Refused),
        ("/vm", json!({"kernel": {"path": "/x"}}), Refused),
        ("/zos", zos, Refused),
        ("/uidMappings", map.clone(), Refused),
        ("/gidMappings", map, Refused),
    ]
}

fn bare(grant: &Grant) -> Value {
    let mut value = serde_json::to_value(grant).unwrap();
    value.as_object_mut().unwrap().remove("clamps");
    value
}

fn fate(with: &Launch, without: &Grant) -> Fate {
    match with.decide() {
        Decision::Refused(violations) => {
            assert!(
                violations
                    .iter()
                    .all(|v| !v.found.is_empty() && !v.remedy.is_empty())
            );
            Refused
        }
        Decision::Granted(grant) if grant.clamps.len() > without.clamps.len() => Cut,
        Decision::Granted(grant) if bare(&grant) != bare(without) => Kept,
        Decision::Granted(_) => Idle,
    }
}

#[test]
fn every_field_is_kept_cut_or_refused() {
    let without = Launch::engine(plain()).granted();
    for (pointer, value, wanted) in fields() {
        let launch = Launch::engine(plain()).set(pointer, value.clone());
        assert_eq!(fate(&launch, &without), wanted, "{pointer} = {value}");
        if let Decision::Refused(violations) = launch.decide() {
            assert!(
                violations.iter().any(|v| v.pointer.starts_with(pointer)),
                "{pointer}: {violations:?}"
            );
        }
    }
}

/// Keys of all objects in the list, as they stand in config.json.
fn known() -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, into: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                into.insert(key.clone());
                walk(value, into);
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, into)),
            _ => {}
        }
    }
    let mut all = std::collections::BTreeSet::new();
    for (pointer, value, _) in fields() {
        all.extend(pointer.split('/').skip(1).map(String::from));
        walk(&value, &mut all);
    }
    all
}

/// What runtime-spec 1.3 (schema/config-linux.json and its kin) names, without the other systems' own sections.
const SPECIFIED: &str = "ociVersion root path readonly mounts destination type source options uidMappings gidMappings \
    process terminal consoleSize height width user uid gid umask additionalGids username args commandLine env cwd \
    capabilities bounding effective inheritable permitted ambient rlimits soft hard noNewPrivileges apparmorProfile \
    oomScoreAdj selinuxLabel ioPriority class priority scheduler policy nice flags runtime deadline period \
    execCPUAffinity initial final hostname domainname hooks prestart createRuntime createContainer startContainer \
    poststart poststop timeout annotations linux netDevices name containerID hostID size sysctl resources devices \
    allow major minor access memory limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy \
    checkBeforeUpdate cpu shares quota burst realtimeRuntime realtimePeriod cpus mems idle pids blockIO weight \
    leafWeight weightDevice throttleReadBpsDevice rate throttleWriteBpsDevice throttleReadIOPSDevice \
    throttleWriteIOPSDevice hugepageLimits pageSize network classID priorities rdma hcaHandles hcaObjects unified \
    cgroupsPath namespaces fileMode seccomp defaultAction defaultErrnoRet architectures listenerPath listenerMetadata \
    syscalls rootfsPropagation maskedPaths readonlyPaths mountLabel intelRdt closID schemata l3CacheSchema \
    memBwSchema enableMonitoring memoryPolicy mode nodes personality domain timeOffsets secs nanosecs solaris windows \
    vm zos";

#[test]
fn the_list_is_complete() {
    let known = known();
    let missing: Vec<&str> = SPECIFIED
        .split_whitespace()
        .filter(|key| !known.contains(*key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Each field of the list survives oci-spec: one that its types dropped would be ignored without a word.
#[test]
fn oci_spec_reads_every_field_of_the_list() {
    for (pointer, value, _) in fields() {
        let launch = Launch::engine(plain()).set(pointer, value.clone());
        let read = serde_json::to_value(launch.bundle().spec).unwrap();
        let there = read.pointer(pointer);
        let same = |a: &Value, b: &Value| a == b || a.to_string().len() <= b.to_string().len();
        assert!(
            there.is_some_and(|there| same(&value, there) || there.is_array()),
            "{pointer} = {value} became {there:?}"
        );
    }
}
