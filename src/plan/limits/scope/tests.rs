//! Scopes on made-up hosts.

use super::super::tests::{host, pure_v2, usual};
use super::super::{CgroupVersion, LimitPlan, plan_limits};
use super::*;
use crate::host::UserManager;
use crate::policy::{CgroupPlace, Limits};

fn asked(slice: Option<&str>, unit: &str) -> CgroupPlace {
    CgroupPlace {
        path: None,
        scope: Some(ScopeName {
            slice: slice.map(String::from),
            unit: unit.into(),
        }),
    }
}

fn planned(place: &CgroupPlace, host: &Host, grant: &Limits) -> Result<LimitPlan, Lacks> {
    plan_limits(grant, &[], place, "web", host, &[(254, 0)])
}

fn user() -> Host {
    let mut cgroups = pure_v2().cgroups;
    let v2 = cgroups.v2.as_mut().unwrap();
    (v2.parent, v2.controllers) = (None, Vec::new());
    cgroups.user_manager = Some(UserManager {
        cgroup: "user.slice/user-7.slice/user@7.service".into(),
        controllers: ["cpu", "memory", "pids"].map(String::from).to_vec(),
        bus: "unix:path=/run/user/7/bus".into(),
    });
    host(cgroups, Privilege::User)
}

#[test]
fn slices_are_a_tree_in_one_name() {
    assert_eq!(expand("system.slice"), "system.slice");
    assert_eq!(expand("-.slice"), "");
    assert_eq!(
        expand("kubepods-burstable-pod1_2.slice"),
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice"
    );
}

#[test]
fn of_the_system() {
    let place = asked(Some("kube-pod.slice"), "cri-1.scope");
    let plan = planned(&place, &pure_v2(), &usual()).unwrap();
    let path = "kube.slice/kube-pod.slice/cri-1.scope";
    assert_eq!(plan.dirs.len(), 1);
    assert_eq!(plan.dirs[0].path, path);
    assert_eq!(plan.dirs[0].version, CgroupVersion::V2);
    assert!(plan.step_aside.is_none() && plan.freezer.is_none() && plan.lacks.is_empty());
    let enabled: Vec<&str> = plan.enable.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(enabled, ["", "kube.slice", "kube.slice/kube-pod.slice"]);
    assert_eq!(
        (plan.lines[0].name.as_str(), plan.lines[0].text.as_str()),
        ("systemd", "scope cri-1.scope in slice kube-pod.slice")
    );
    let scope = plan.scope.unwrap();
    assert_eq!(scope.cgroup, format!("/{path}"));
    assert_eq!(
        scope.manager,
        Manager::System {
            bus: SYSTEM_BUS.into()
        }
    );
    let names: Vec<&str> = scope.identity.iter().map(|p| p.name).collect();
    assert_eq!(
        names[..4],
        ["Description", "Slice", "Delegate", "DefaultDependencies"]
    );
    let names: Vec<&str> = scope.limits.iter().map(|p| p.name).collect();
    assert_eq!(
        names,
        [
            "MemoryMax",
            "MemorySwapMax",
            "TasksMax",
            "CPUQuotaPerSecUSec",
            "CPUQuotaPeriodUSec",
            "CPUWeight",
            "IOReadBandwidthMax",
            "IOWriteBandwidthMax",
            "IOReadIOPSMax",
            "IOWriteIOPSMax"
        ]
    );
}

#[test]
fn of_the_users_own() {
    let mut grant = usual();
    grant.io_bps = None;
    let plan = planned(&asked(None, "p-x.scope"), &user(), &grant).unwrap();
    let own = "user.slice/user-7.slice/user@7.service";
    assert_eq!(plan.dirs[0].path, format!("{own}/user.slice/p-x.scope"));
    let enabled: Vec<&str> = plan.enable.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(enabled, [own, &format!("{own}/user.slice")]);
    assert!(plan.lacks.is_empty(), "{:?}", plan.lacks);
    assert!(plan.lines[0].text.ends_with("of the user's systemd"));

    // What is not delegated can't be had.
    grant.cpuset_cpus = Some("0".into());
    let plan = planned(&asked(None, "p-x.scope"), &user(), &grant).unwrap();
    let lack = &plan.lacks[0].what;
    assert!(
        lack.contains("add it to Delegate= of user@.service"),
        "{lack}"
    );
}

#[test]
fn without_a_manager_or_on_v1_it_is_refused() {
    let place = asked(None, "x.scope");
    let mut nobody = user();
    nobody.cgroups.user_manager = None;
    let error = planned(&place, &nobody, &usual()).unwrap_err();
    assert!(error.to_string().contains("enable-linger"), "{error}");
    let mut hybrid = pure_v2();
    hybrid.cgroups.v1.push(crate::host::V1Hierarchy {
        controllers: vec!["memory".into()],
        mount: crate::paths::HostPath::trusted("/sys/fs/cgroup/memory"),
        own: "/".into(),
    });
    let error = planned(&place, &hybrid, &usual()).unwrap_err();
    assert!(error.to_string().contains("pure cgroup v2"), "{error}");
}

#[test]
fn an_update_sets_what_changes() {
    let place = asked(None, "x.scope");
    let old = planned(&place, &pure_v2(), &usual()).unwrap();
    let mut grant = usual();
    (grant.pids, grant.cpu_quota, grant.cpu_period) = (Some(9), None, None);
    let new = planned(&place, &pure_v2(), &grant).unwrap();
    let way = old.towards(&new, &old.dirs);
    let limits: Vec<String> = way
        .scope
        .unwrap()
        .limits
        .iter()
        .map(|p| format!("{}={:?}", p.name, p.value))
        .collect();
    assert_eq!(
        limits,
        [
            "TasksMax=Number(9)",
            "CPUQuotaPerSecUSec=Number(18446744073709551615)",
            "CPUQuotaPeriodUSec=Number(100000)"
        ]
    );
}
