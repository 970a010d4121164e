//! The programs of the validation suite that look at cgroups, each with an absolute and a relative path.

use crate::suite::{Suite, has_controller};
use crate::support::unique;
use serde_json::{Value, json};
use std::path::Path;

fn absolute() -> String {
    format!("/{}", unique("conformance-abs"))
}

fn relative() -> String {
    unique("conformance-rel")
}

fn spec_at(suite: &Suite, path: &str, key: &str, limits: Value) -> Value {
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["cgroupsPath"] = json!(path);
    spec["linux"]["resources"][key] = limits;
    spec
}

fn memory(suite: &Suite, path: &str) {
    for (limit, swappiness) in [(50_593_792u64, 10), (50_593_792, 50), (151_781_376, 100)] {
        let limits = json!({
            "limit": limit, "reservation": limit, "swap": limit, "swappiness": swappiness, "disableOOMKiller": true,
        });
        let one = suite.created(&spec_at(suite, path, "memory", limits));
        assert_eq!(
            one.cgroup("memory", "memory.limit_in_bytes", "memory.max"),
            limit.to_string()
        );
        assert_eq!(
            one.cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"),
            limit.to_string()
        );
        if one
            .cgroup_folder("memory")
            .join("memory.swappiness")
            .exists()
        {
            assert_eq!(
                one.cgroup("memory", "memory.swappiness", ""),
                swappiness.to_string()
            );
            assert!(
                one.cgroup("memory", "memory.oom_control", "")
                    .contains("oom_kill_disable 1")
            );
        }
    }
}

fn cpus(suite: &Suite, path: &str) {
    for (shares, period, quota) in [
        (1024, 100_000, 50_000),
        (1024, 500_000, 200_000),
        (2048, 100_000, 200_000),
    ] {
        let limits =
            json!({ "shares": shares, "period": period, "quota": quota, "cpus": "0", "mems": "0" });
        let one = suite.created(&spec_at(suite, path, "cpu", limits));
        let max = one.cgroup("cpu", "cpu.cfs_quota_us", "cpu.max");
        assert!(
            max == quota.to_string() || max == format!("{quota} {period}"),
            "{max}"
        );
        if one.cgroup_folder("cpu").join("cpu.shares").exists() {
            assert_eq!(one.cgroup("cpu", "cpu.shares", ""), shares.to_string());
            assert_eq!(
                one.cgroup("cpu", "cpu.cfs_period_us", ""),
                period.to_string()
            );
        }
        assert_eq!(one.cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
        assert_eq!(one.cgroup("cpuset", "cpuset.mems", "cpuset.mems"), "0");
    }
    suite.created(&spec_at(suite, path, "cpu", json!({})));
}

fn pids(suite: &Suite, path: &str) {
    let one = suite.created(&spec_at(suite, path, "pids", json!({ "limit": 1000 })));
    assert_eq!(one.cgroup("pids", "pids.max", "pids.max"), "1000");
}

/// The kernel has no weight without the BFQ scheduler, and no leaf weight since Linux 5.0.
fn blkio(suite: &Suite, path: &str) {
    let (major, minor) = disk();
    let device = |rate: u64| json!([{ "major": major, "minor": minor, "rate": rate }]);
    let limits = json!({
        "throttleReadBpsDevice": device(102_400), "throttleWriteBpsDevice": device(204_800),
        "throttleReadIOPSDevice": device(100), "throttleWriteIOPSDevice": device(200),
    });
    let one = suite.created(&spec_at(suite, path, "blockIO", limits));
    if one.cgroup_folder("blkio").join("io.max").exists() {
        let text = one.cgroup("blkio", "", "io.max");
        for word in ["rbps=102400", "wbps=204800", "riops=100", "wiops=200"] {
            assert!(text.contains(word), "{text}");
        }
        return;
    }
    for (file, rate) in [
        ("read_bps", 102_400),
        ("write_bps", 204_800),
        ("read_iops", 100),
        ("write_iops", 200),
    ] {
        let text = one.cgroup("blkio", &format!("blkio.throttle.{file}_device"), "");
        assert_eq!(text, format!("{major}:{minor} {rate}"), "{file}");
    }
}

/// The first disk of the host.
fn disk() -> (u32, u32) {
    let disks = std::fs::read_dir("/sys/block").unwrap().flatten();
    let mut found: Vec<(u32, u32)> = disks
        .filter_map(|d| {
            let text = std::fs::read_to_string(d.path().join("dev")).ok()?;
            let (major, minor) = text.trim().split_once(':')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
        .collect();
    found.sort();
    *found.last().expect("a block device")
}

fn devices(suite: &Suite, path: &str) {
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["cgroupsPath"] = json!(path);
    spec["linux"]["resources"]["devices"] = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm" },
        { "allow": true, "type": "b", "major": 8, "minor": 20, "access": "rw" },
        { "allow": true, "type": "b", "major": 10, "minor": 200, "access": "r" },
    ]);
    let one = suite.created(&spec);
    let file = one.cgroup_folder("devices").join("devices.list");
    if let Ok(list) = std::fs::read_to_string(&file) {
        for rule in ["c 10:229 rwm", "b 8:20 rw", "b 10:200 r"] {
            assert!(list.lines().any(|l| l == rule), "{rule}: {list}");
        }
    } else {
        spec["linux"]["devices"] = json!([{ "path": "/dev/no", "type": "c", "major": 10, "minor": 237, "fileMode": 0o666 }]);
        assert_eq!(
            suite.inside(&spec, &["read:/dev/no"])["read:/dev/no"],
            "EPERM"
        );
    }
}

/// Where the kernel lacks the controller nothing can be set: then an error is what runtime.md asks for.
fn hugetlb(suite: &Suite, path: &str) {
    let spec = spec_at(
        suite,
        path,
        "hugepageLimits",
        json!([{ "pageSize": "2MB", "limit": 209_715_200 }]),
    );
    if !has_controller("hugetlb") {
        suite.refuses(&spec);
        return;
    }
    let one = suite.created(&spec);
    assert_eq!(
        one.cgroup("hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"),
        "209715200"
    );
}

/// As for huge pages: net_cls and net_prio are of v1 alone.
fn network(suite: &Suite, path: &str) {
    let limits = json!({ "classID": 255, "priorities": [{ "name": "lo", "priority": 10 }] });
    let spec = spec_at(suite, path, "network", limits);
    if !Path::new("/sys/fs/cgroup/net_cls")
        .join("cgroup.procs")
        .exists()
    {
        suite.refuses(&spec);
        return;
    }
    let one = suite.created(&spec);
    assert_eq!(one.cgroup("net_cls", "net_cls.classid", ""), "255");
    assert!(
        one.cgroup("net_prio", "net_prio.ifpriomap", "")
            .contains("lo 10")
    );
}

/// [validation/linux_cgroups_blkio] rates of a disk
#[test]
fn linux_cgroups_blkio() {
    let suite = suite!();
    blkio(&suite, &absolute());
}

/// [validation/linux_cgroups_cpus] shares, period, quota, processors and memory nodes
#[test]
fn linux_cgroups_cpus() {
    let suite = suite!();
    cpus(&suite, &absolute());
}

/// [validation/linux_cgroups_devices] rules of several kinds
#[test]
fn linux_cgroups_devices() {
    let suite = suite!();
    devices(&suite, &absolute());
}

/// [validation/linux_cgroups_hugetlb] limits of huge pages, or an error
#[test]
fn linux_cgroups_hugetlb() {
    let suite = suite!();
    hugetlb(&suite, &absolute());
}

/// [validation/linux_cgroups_memory] limits, swappiness, no OOM killer
#[test]
fn linux_cgroups_memory() {
    let suite = suite!();
    memory(&suite, &absolute());
}

/// [validation/linux_cgroups_network] class and priorities, or an error
#[test]
fn linux_cgroups_network() {
    let suite = suite!();
    network(&suite, &absolute());
}

/// [validation/linux_cgroups_pids] a limit
#[test]
fn linux_cgroups_pids() {
    let suite = suite!();
    pids(&suite, &absolute());
}

/// [validation/linux_cgroups_relative_blkio] rates of a disk, below a relative path
#[test]
fn linux_cgroups_relative_blkio() {
    let suite = suite!();
    blkio(&suite, &relative());
}

/// [validation/linux_cgroups_relative_cpus] shares, period, quota, processors and memory nodes, below a relative path
#[test]
fn linux_cgroups_relative_cpus() {
    let suite = suite!();
    cpus(&suite, &relative());
}

/// [validation/linux_cgroups_relative_devices] rules of several kinds, below a relative path
#[test]
fn linux_cgroups_relative_devices() {
    let suite = suite!();
    devices(&suite, &relative());
}

/// [validation/linux_cgroups_relative_hugetlb] limits of huge pages, or an error, below a relative path
#[test]
fn linux_cgroups_relative_hugetlb() {
    let suite = suite!();
    hugetlb(&suite, &relative());
}

/// [validation/linux_cgroups_relative_memory] limits, swappiness, no OOM killer, below a relative path
#[test]
fn linux_cgroups_relative_memory() {
    let suite = suite!();
    memory(&suite, &relative());
}

/// [validation/linux_cgroups_relative_network] class and priorities, or an error, below a relative path
#[test]
fn linux_cgroups_relative_network() {
    let suite = suite!();
    network(&suite, &relative());
}

/// [validation/linux_cgroups_relative_pids] a limit, below a relative path
#[test]
fn linux_cgroups_relative_pids() {
    let suite = suite!();
    pids(&suite, &relative());
}
