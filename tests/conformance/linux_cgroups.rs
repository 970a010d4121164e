//! config-linux.md § Control groups, Unified, IntelRdt.

use crate::suite::{Suite, has_controller};
use crate::support::unique;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn limited(suite: &Suite, controller: &str, limits: Value) -> Value {
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["resources"][controller] = limits;
    spec
}

/// [config-linux.md § Control groups] a cgroup that is not fit (processes in it, frozen) is an error of create
#[test]
fn a_cgroup_in_use_is_an_error() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["wait"]));
    let folder = one.cgroup_folder("memory");
    let mut second = suite.spec(&["wait"]);
    second["linux"]["cgroupsPath"] = json!(format!(
        "/{}",
        folder.file_name().unwrap().to_str().unwrap()
    ));
    suite.refuses(&second);
    assert_eq!(one.status(), "running");
}

/// [config-linux.md § Cgroups Path] an absolute path begins at the hierarchy's mount point
#[test]
fn an_absolute_cgroups_path() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let name = unique("conformance-abs");
    spec["linux"]["cgroupsPath"] = json!(format!("/{name}"));
    let one = suite.created(&spec);
    let folder = one.cgroup_folder("pids");
    let v1 = Path::new("/sys/fs/cgroup/pids").join(&name);
    let v2 = Path::new("/sys/fs/cgroup").join(&name);
    assert!(folder == v1 || folder == v2, "{folder:?}");
}

/// [config-linux.md § Cgroups Path] the same path is always the same place
#[test]
fn a_cgroups_path_is_always_the_same_place() {
    let suite = suite!();
    for path in [
        unique("conformance-rel"),
        format!("/{}", unique("conformance-abs")),
    ] {
        let mut spec = suite.spec(&["wait"]);
        spec["linux"]["cgroupsPath"] = json!(path);
        let first = suite.created(&spec).cgroup_folder("memory");
        let second = suite.created(&spec).cgroup_folder("memory");
        assert_eq!(first, second, "{path}");
        assert!(first.ends_with(path.trim_start_matches('/')), "{first:?}");
    }
}

/// [config-linux.md § Cgroups Path] a path that is not valid is an error
#[test]
fn a_cgroups_path_that_climbs_is_contained_or_an_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let name = unique("conformance-up");
    spec["linux"]["cgroupsPath"] = json!(format!("/../../{name}"));
    let id = unique("up");
    if suite.create(&spec, &id).code == 0 {
        assert!(!Path::new("/sys").join(&name).exists());
        suite.call(&["delete", "--force", &id]).ok();
    }
}

/// [config-linux.md § Cgroup ownership] it is not an error that files of cgroup/delegate are not there
#[test]
fn a_cgroup_mount_is_made() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "type": "cgroup" }));
    let mount = json!({
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
    });
    spec["mounts"].as_array_mut().unwrap().push(mount);
    let seen = suite.inside(&spec, &["ls:/sys/fs/cgroup"]);
    assert!(
        seen["ls:/sys/fs/cgroup"]
            .as_array()
            .is_some_and(|l| !l.is_empty()),
        "{seen}"
    );
}

/// [config-linux.md § Default Filesystems] a cgroup mount shows the container's own cgroups, and nobody else's
#[test]
fn a_cgroup_mount_shows_no_other_container() {
    let suite = suite!();
    let other = suite.created(&limited(&suite, "pids", json!({ "limit": 100 })));
    let folder = other.cgroup_folder("pids");
    let name = folder.file_name().unwrap().to_str().unwrap();
    let controllers = [
        "pids", "memory", "cpu", "cpuset", "blkio", "systemd", "unified", "",
    ];
    let places = controllers.map(|c| format!("ls:/sys/fs/cgroup/{c}"));
    let questions: Vec<&str> = places.iter().map(String::as_str).collect();
    for namespace in [false, true] {
        let mut spec = suite.spec(&["wait"]);
        if namespace {
            let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
            all.push(json!({ "type": "cgroup" }));
        }
        let mount = json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev"],
        });
        spec["mounts"].as_array_mut().unwrap().push(mount);
        let seen = suite.inside(&spec, &questions);
        for place in &questions {
            let listed = seen[*place].as_array().into_iter().flatten();
            let mut names = listed.filter_map(|n| n.as_str());
            // release_agent lies in the root of a whole hierarchy alone.
            assert!(
                names.all(|n| n != name && n != "release_agent"),
                "{place}, {namespace}: {seen}"
            );
        }
    }
}

/// [config-linux.md § Allowed Device list] entries are applied in order: a later one wins
#[test]
fn device_rules_are_in_order() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["devices"] = json!([
        { "path": "/dev/one", "type": "c", "major": 10, "minor": 237, "fileMode": 0o666 },
        { "path": "/dev/zero2", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 },
    ]);
    let rule = |allow: bool, access: &str| json!({ "allow": allow, "type": "c", "major": 10, "minor": 237, "access": access });
    let none = json!({ "allow": false, "access": "rwm" });
    spec["linux"]["resources"]["devices"] = json!([none, rule(true, "rw"), rule(false, "rw")]);
    let denied = suite.inside(&spec, &["read:/dev/one", "read:/dev/zero2"]);
    assert_eq!(
        (&denied["read:/dev/one"], &denied["read:/dev/zero2"]),
        (&json!("EPERM"), &json!(1))
    );
    spec["linux"]["resources"]["devices"] = json!([rule(false, "rw"), none, rule(true, "rw")]);
    let allowed = suite.inside(&spec, &["read:/dev/one"]);
    assert_ne!(
        allowed["read:/dev/one"], "EPERM",
        "no driver may be there, but the cgroup lets it through"
    );
}

/// [config-linux.md § Memory] checkBeforeUpdate and limits in bytes; -1 is none
#[test]
fn memory_is_limited() {
    let suite = suite!();
    let spec = limited(
        &suite,
        "memory",
        json!({ "limit": 50_593_792, "checkBeforeUpdate": true }),
    );
    let one = suite.created(&spec);
    assert_eq!(
        one.cgroup("memory", "memory.limit_in_bytes", "memory.max"),
        "50593792"
    );
    let unlimited = suite.created(&limited(&suite, "memory", json!({ "limit": -1 })));
    let text = unlimited.cgroup("memory", "memory.limit_in_bytes", "memory.max");
    assert!(
        text == "max" || text.parse::<u64>().unwrap() > 1 << 60,
        "{text}"
    );
}

/// [config-linux.md § CPU] a burst is never larger than a positive quota
#[test]
fn a_burst_is_no_larger_than_the_quota() {
    let suite = suite!();
    let cpu = json!({ "quota": 10_000, "period": 100_000, "burst": 20_000 });
    let id = unique("burst");
    if suite.create(&limited(&suite, "cpu", cpu), &id).code == 0 {
        let one = suite.adopt(id);
        let burst = one.cgroup("cpu", "cpu.cfs_burst_us", "cpu.max.burst");
        assert!(burst.parse::<u64>().unwrap() <= 10_000, "{burst}");
    }
}

/// [config-linux.md § Block IO] a weight for a device needs a weight or a leaf weight
#[test]
fn a_device_weight_has_a_weight() {
    let suite = suite!();
    suite.refuses(&limited(
        &suite,
        "blockIO",
        json!({ "weightDevice": [{ "major": 8, "minor": 0 }] }),
    ));
}

/// [config-linux.md § PIDs] the limit stands; 0 is what runc makes of it
#[test]
fn processes_are_limited() {
    let suite = suite!();
    let one = suite.created(&limited(&suite, "pids", json!({ "limit": 100 })));
    assert_eq!(one.cgroup("pids", "pids.max", "pids.max"), "100");
    for none in [0, -1] {
        let one = suite.created(&limited(&suite, "pids", json!({ "limit": none })));
        let text = one.cgroup("pids", "pids.max", "pids.max");
        assert!(
            text == "max" || (none == 0 && text == "1"),
            "{none}: {text}"
        );
    }
}

/// [config-linux.md § RDMA] an entry has handles or objects
#[test]
fn an_rdma_entry_has_a_limit() {
    let suite = suite!();
    suite.refuses(&limited(&suite, "rdma", json!({ "mlx5_1": {} })));
}

/// [config-linux.md § Unified] controllers that are needed are enabled, and unknown files are written
#[test]
fn unified_files_are_written() {
    let suite = suite!();
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        // On v1 it is an error.
        suite.refuses(&limited(&suite, "unified", json!({ "pids.max": "77" })));
        return;
    }
    let one = suite.created(&limited(&suite, "unified", json!({ "pids.max": "77" })));
    assert_eq!(one.cgroup("pids", "pids.max", "pids.max"), "77");
}

/// [config-linux.md § Unified] a controller that is not there is an error
#[test]
fn an_unknown_controller_is_an_error() {
    let suite = suite!();
    suite.refuses(&limited(&suite, "unified", json!({ "nonsense.max": "1" })));
}

/// [config-linux.md § IntelRdt] without resctrl it is an error
#[test]
fn cache_allocation_needs_resctrl() {
    let suite = suite!();
    if fs::read_to_string("/proc/mounts")
        .unwrap()
        .contains(" resctrl ")
    {
        return crate::support::skip(
            "cache_allocation_needs_resctrl",
            "no-resctrl",
            "this host has it",
        );
    }
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["intelRdt"] =
        json!({ "closID": "guaranteed_group", "l3CacheSchema": "L3:0=7f0" });
    suite.refuses(&spec);
}

/// [config-linux.md § IntelRdt] memBwSchema begins with MB: and has one line
#[test]
fn a_bandwidth_schema_has_its_form() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["intelRdt"] = json!({ "memBwSchema": "L3:0=7f0\nMB:0=20" });
    suite.refuses(&spec);
}

/// [config-linux.md § Huge page limits] they stand, or are an error where the kernel has no such controller
#[test]
fn huge_pages_are_limited_or_an_error() {
    let suite = suite!();
    let spec = limited(
        &suite,
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
