//! Every field of config.json as runtime-spec 1.3 has it, and what becomes of it: by default, and under compat.
//!
//! Decided in tests/policy (a made-up host), planned by the real binary in tests/linux.

use serde_json::{Value, json};

#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Fate {
    /// The grant carries it.
    Kept,
    /// The grant doesn't, and a clamp says so.
    Cut,
    /// The launch is refused.
    Refused,
    /// It asks for nothing that isn't so already.
    Idle,
    /// Any but the last: it depends on the host.
    Told,
}
use Fate::{Cut, Idle, Kept, Refused, Told};

/// A value of one field.
pub struct Row {
    /// Where.
    pub pointer: &'static str,
    /// What.
    pub value: Value,
    /// What else must be said for it to make sense.
    pub with: Option<(&'static str, Value)>,
    /// By default.
    pub strict: Fate,
    /// Under compat, where nothing is clamped.
    pub compat: Fate,
}

fn row(pointer: &'static str, value: Value, strict: Fate, compat: Fate) -> Row {
    Row {
        pointer,
        value,
        with: None,
        strict,
        compat,
    }
}

pub fn rows() -> Vec<Row> {
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
    let time = || {
        let kinds = ["pid", "mount", "ipc", "uts", "network", "cgroup", "time"];
        Value::Array(kinds.map(|kind| json!({"type": kind})).to_vec())
    };
    let zos = json!({"namespaces": []});
    vec![
        row("/ociVersion", json!("2.0.0"), Refused, Refused),
        row("/root/path", json!("/other"), Idle, Idle),
        row("/root/readonly", json!(false), Cut, Kept),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind"]}]),
            Kept,
            Kept,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind", "weird"]}]),
            Refused,
            Refused,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind"], "uidMappings": map, "gidMappings": map}]),
            Refused,
            Kept,
        ),
        row("/process/terminal", json!(true), Refused, Told),
        row(
            "/process/consoleSize",
            json!({"height": 24, "width": 80}),
            Cut,
            Cut,
        ),
        row("/process/user/uid", json!(5), Kept, Kept),
        row("/process/user/gid", json!(5), Kept, Kept),
        row("/process/user/umask", json!(0o077), Kept, Kept),
        row("/process/user/umask", json!(0o7777), Refused, Refused),
        row("/process/user/additionalGids", json!([5]), Kept, Kept),
        row("/process/user/username", json!("x"), Refused, Refused),
        row("/process/args", json!(["/bin/other"]), Kept, Kept),
        row("/process/commandLine", json!("x"), Refused, Refused),
        row("/process/env", json!(["A=1"]), Kept, Kept),
        row("/process/env", json!(["A"]), Refused, Refused),
        row("/process/env", json!(["A_TOKEN=7f"]), Cut, Kept),
        row("/process/cwd", json!("/srv"), Kept, Kept),
        row("/process/cwd", json!("/proc/self/fd/7"), Refused, Refused),
        row(
            "/process/capabilities/bounding",
            json!(["CAP_CHOWN"]),
            Cut,
            Kept,
        ),
        row(
            "/process/capabilities/effective",
            json!(["CAP_CHOWN"]),
            Cut,
            Cut,
        ),
        row(
            "/process/capabilities/inheritable",
            json!(["CAP_CHOWN"]),
            Cut,
            Cut,
        ),
        row(
            "/process/capabilities/permitted",
            json!(["CAP_CHOWN"]),
            Cut,
            Kept,
        ),
        row(
            "/process/capabilities/ambient",
            json!(["CAP_CHOWN"]),
            Cut,
            Cut,
        ),
        row(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]),
            Kept,
            Kept,
        ),
        row(
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 9, "hard": 9}]),
            Cut,
            Kept,
        ),
        row(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NPROC", "soft": 1, "hard": 4_000_000}]),
            Cut,
            Cut,
        ),
        row("/process/noNewPrivileges", json!(false), Cut, Kept),
        row(
            "/process/apparmorProfile",
            json!("docker-default"),
            Refused,
            Told,
        ),
        row("/process/apparmorProfile", json!("unconfined"), Idle, Idle),
        row("/process/oomScoreAdj", json!(100), Kept, Kept),
        row("/process/oomScoreAdj", json!(-998), Cut, Kept),
        row(
            "/process/selinuxLabel",
            json!("system_u:system_r:container_t:s0"),
            Refused,
            Told,
        ),
        row(
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 4}),
            Kept,
            Kept,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_FIFO", "nice": 1, "priority": 1, "flags": ["SCHED_RESET_ON_FORK"], "runtime": 1, "deadline": 1, "period": 1}),
            Cut,
            Cut,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER"}),
            Kept,
            Kept,
        ),
        row(
            "/process/execCPUAffinity",
            json!({"initial": "0", "final": "1"}),
            Kept,
            Kept,
        ),
        row("/hostname", json!("inside"), Kept, Kept),
        row("/domainname", json!("inside"), Kept, Kept),
        row("/hooks/prestart", hook.clone(), Refused, Kept),
        row("/hooks/createRuntime", hook.clone(), Refused, Kept),
        row("/hooks/createContainer", hook.clone(), Refused, Kept),
        row("/hooks/startContainer", hook.clone(), Refused, Kept),
        row("/hooks/poststart", hook.clone(), Refused, Kept),
        row("/hooks/poststop", hook, Refused, Kept),
        row("/annotations", json!({"a": "b"}), Kept, Kept),
        row(
            "/annotations",
            json!({"org.systemd.property.ExecStartPre": "x"}),
            Refused,
            Refused,
        ),
        row(
            "/annotations",
            json!({"run.oci.handler": "krun"}),
            Refused,
            Refused,
        ),
        row(
            "/annotations",
            json!({"org.cofferdam.exposed": "80"}),
            Refused,
            Refused,
        ),
        row(
            "/annotations",
            json!({"org.cofferdam.expose": "80"}),
            Kept,
            Kept,
        ),
        row(
            "/linux/netDevices",
            json!({"eth0": {"name": "eth0"}}),
            Refused,
            Kept,
        ),
        row("/linux/uidMappings", map.clone(), Refused, Refused),
        row("/linux/gidMappings", map.clone(), Refused, Refused),
        row(
            "/linux/sysctl",
            json!({"net.core.somaxconn": "9"}),
            Kept,
            Kept,
        ),
        row(
            "/linux/sysctl",
            json!({"kernel.shm_rmid_forced": "1+kernel.core_pattern=|x"}),
            Refused,
            Refused,
        ),
        row(
            "/linux/sysctl",
            json!({"kernel.core_pattern": "|x"}),
            Refused,
            Refused,
        ),
        row(
            "/linux/sysctl",
            json!({"net.ipv4.ip_forward": "1"}),
            Cut,
            Kept,
        ),
        row(
            "/linux/resources/devices",
            json!([{"allow": true, "type": "b", "major": 8, "minor": 0, "access": "rwm"}]),
            Cut,
            Kept,
        ),
        row(
            "/linux/resources/devices",
            json!([{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "x"}]),
            Refused,
            Refused,
        ),
        row("/linux/resources/memory/limit", json!(64 << 20), Kept, Kept),
        row("/linux/resources/memory/limit", json!(-1), Cut, Idle),
        row(
            "/linux/resources/memory/reservation",
            json!(1 << 20),
            Kept,
            Kept,
        ),
        row("/linux/resources/memory/swap", json!(-1), Cut, Idle),
        row(
            "/linux/resources/memory/swap",
            json!(1 << 30),
            Refused,
            Refused,
        ),
        row("/linux/resources/memory/kernel", json!(1 << 20), Cut, Cut),
        row(
            "/linux/resources/memory/kernelTCP",
            json!(1 << 20),
            Told,
            Told,
        ),
        row("/linux/resources/memory/swappiness", json!(60), Cut, Told),
        row(
            "/linux/resources/memory/disableOOMKiller",
            json!(true),
            Cut,
            Told,
        ),
        row(
            "/linux/resources/memory/useHierarchy",
            json!(false),
            Cut,
            Cut,
        ),
        row(
            "/linux/resources/memory/checkBeforeUpdate",
            json!(true),
            Cut,
            Cut,
        ),
        row("/linux/resources/cpu/shares", json!(512), Kept, Kept),
        row("/linux/resources/cpu/quota", json!(50_000), Kept, Kept),
        row("/linux/resources/cpu/burst", json!(5), Cut, Kept),
        row("/linux/resources/cpu/period", json!(50_000), Kept, Kept),
        row("/linux/resources/cpu/realtimeRuntime", json!(5), Cut, Told),
        row("/linux/resources/cpu/realtimePeriod", json!(5), Cut, Told),
        row("/linux/resources/cpu/cpus", json!("0-1"), Kept, Kept),
        row("/linux/resources/cpu/cpus", json!("0-1;"), Refused, Refused),
        row("/linux/resources/cpu/mems", json!("0"), Kept, Kept),
        row("/linux/resources/cpu/idle", json!(1), Kept, Kept),
        row("/linux/resources/pids/limit", json!(7), Kept, Kept),
        row("/linux/resources/pids/limit", json!(-1), Cut, Idle),
        row("/linux/resources/pids/limit", json!(0), Idle, Idle),
        row("/linux/resources/blockIO/weight", json!(10), Kept, Kept),
        row(
            "/linux/resources/blockIO/leafWeight",
            json!(10),
            Refused,
            Refused,
        ),
        row(
            "/linux/resources/blockIO/weightDevice",
            weight,
            Refused,
            Refused,
        ),
        row(
            "/linux/resources/blockIO/throttleReadBpsDevice",
            rate.clone(),
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/blockIO/throttleWriteBpsDevice",
            rate.clone(),
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/blockIO/throttleReadIOPSDevice",
            rate.clone(),
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/blockIO/throttleWriteIOPSDevice",
            rate,
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/hugepageLimits",
            json!([{"pageSize": "2MB", "limit": 0}]),
            Kept,
            Kept,
        ),
        row("/linux/resources/network/classID", json!(1), Kept, Kept),
        row(
            "/linux/resources/network/priorities",
            json!([{"name": "eth0", "priority": 1}]),
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/rdma",
            json!({"mlx": {"hcaHandles": 1, "hcaObjects": 1}}),
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/unified",
            json!({"memory.high": "1000000"}),
            Kept,
            Kept,
        ),
        row(
            "/linux/resources/unified",
            json!({"memory.max": "max"}),
            Cut,
            Kept,
        ),
        row(
            "/linux/resources/unified",
            json!({"cgroup.procs": "1"}),
            Refused,
            Refused,
        ),
        row("/linux/cgroupsPath", json!("/a/b"), Kept, Kept),
        row("/linux/cgroupsPath", json!("/a/../b"), Refused, Refused),
        row("/linux/namespaces", joined("/run/netns/a"), Kept, Kept),
        row(
            "/linux/namespaces",
            joined("/proc/1/ns/net"),
            Refused,
            Refused,
        ),
        row("/linux/namespaces", json!([]), Cut, Kept),
        row("/linux/devices", json!([device]), Cut, Kept),
        row(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY", "defaultErrnoRet": 1, "architectures": [], "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "listenerPath": "/x", "listenerMetadata": "x", "syscalls": []}),
            Refused,
            Told,
        ),
        row(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}),
            Cut,
            Kept,
        ),
        row("/linux/rootfsPropagation", json!("rshared"), Cut, Kept),
        row("/linux/maskedPaths", json!(["/opt"]), Kept, Kept),
        row("/linux/readonlyPaths", json!(["/opt"]), Kept, Kept),
        row("/linux/mountLabel", json!("x"), Refused, Told),
        row(
            "/linux/intelRdt",
            json!({"closID": "x", "schemata": ["x"], "l3CacheSchema": "x", "memBwSchema": "x", "enableCmt": true, "enableMbm": true, "enableMonitoring": true}),
            Refused,
            Refused,
        ),
        row(
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}),
            Kept,
            Kept,
        ),
        row(
            "/linux/personality",
            json!({"domain": "LINUX32", "flags": ["x"]}),
            Refused,
            Refused,
        ),
        row("/linux/personality", json!({"domain": "LINUX"}), Idle, Idle),
        row(
            "/linux/timeOffsets",
            json!({"monotonic": {"secs": 1, "nanosecs": 1}}),
            Refused,
            Refused,
        ),
        row("/solaris", json!({}), Refused, Refused),
        row("/windows", json!({"layerFolders": ["x"]}), Refused, Refused),
        row("/vm", json!({"kernel": {"path": "/x"}}), Refused, Refused),
        row("/zos", zos, Refused, Refused),
        row("/uidMappings", map.clone(), Refused, Refused),
        row("/gidMappings", map, Refused, Refused),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_FIFO", "priority": 1}),
            Cut,
            Kept,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "nice": -1}),
            Cut,
            Kept,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_BATCH", "nice": 19}),
            Kept,
            Kept,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "nice": 20}),
            Refused,
            Refused,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_ISO"}),
            Refused,
            Refused,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 1000}),
            Refused,
            Refused,
        ),
        row(
            "/process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 4000}),
            Cut,
            Kept,
        ),
        row(
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_RT", "priority": 0}),
            Cut,
            Kept,
        ),
        row(
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            Refused,
            Refused,
        ),
        row(
            "/linux/personality",
            json!({"domain": "LINUX32"}),
            Kept,
            Kept,
        ),
        row(
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND"}),
            Refused,
            Refused,
        ),
        row(
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_LOCAL", "nodes": "0"}),
            Refused,
            Refused,
        ),
        row(
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}),
            Refused,
            Refused,
        ),
        Row {
            with: Some(("/linux/namespaces", time())),
            ..row(
                "/linux/timeOffsets",
                json!({"boottime": {"secs": 1}}),
                Kept,
                Kept,
            )
        },
        Row {
            with: Some(("/linux/namespaces", time())),
            ..row(
                "/linux/timeOffsets",
                json!({"realtime": {"secs": 1}}),
                Refused,
                Refused,
            )
        },
        row("/linux/netDevices", json!({"lo": {}}), Refused, Refused),
        row(
            "/linux/resources/blockIO/weight",
            json!(9),
            Refused,
            Refused,
        ),
        row(
            "/linux/resources/blockIO/weightDevice",
            json!([{"major": 8, "minor": 0, "weight": 10}]),
            Kept,
            Kept,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "options": ["rprivate"]}]),
            Cut,
            Refused,
        ),
        row(
            "/mounts",
            json!([{"destination": "/tmp", "type": "tmpfs", "options": ["tmpcopyup", "sync", "dirsync", "lazytime"]}]),
            Kept,
            Kept,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind", "sync"]}]),
            Cut,
            Cut,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind", "idmap"]}]),
            Refused,
            Refused,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "bind", "source": "/srv/d", "options": ["rbind", "rshared"]}]),
            Cut,
            Kept,
        ),
        row(
            "/mounts",
            json!([{"destination": "/data", "type": "overlay", "source": "overlay"}]),
            Refused,
            Refused,
        ),
        row("/linux/rootfsPropagation", json!("slave"), Cut, Kept),
        row("/linux/rootfsPropagation", json!("private"), Idle, Idle),
        row("/linux/rootfsPropagation", json!("unbindable"), Cut, Kept),
        row("/linux/rootfsPropagation", json!("other"), Refused, Refused),
    ]
}
