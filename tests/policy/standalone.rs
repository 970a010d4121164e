//! Command lines: the defaults, flags in messages instead of JSON pointers, and hostile input.

use crate::launch::{Launch, plain};
use cofferdam::host::Privilege;
use cofferdam::policy::{
    CapabilitySets, Decision, Exec, Ids, MountSource, Ports, Template, WriteExecute,
};
use serde_json::{Value, json};

#[test]
fn the_default_grants_next_to_nothing_and_cuts_nothing() {
    let grant = Launch::standalone().granted();
    assert!(
        grant.clamps.is_empty() && grant.waivers.is_empty(),
        "{:?}",
        grant.clamps
    );
    assert_eq!((grant.process.uid, grant.process.gid), (65532, 65532));
    assert_eq!(grant.template, Template::Default);
    assert_eq!(
        (grant.exec, grant.write_execute),
        (Exec::Once, WriteExecute::Denied)
    );
    assert_eq!(grant.capabilities, CapabilitySets::default());
    assert_eq!(
        (grant.ids, grant.ports),
        (Ids::OwnRange, Ports::Declared(vec![]))
    );
    let limits = &grant.limits;
    assert_eq!(
        (limits.memory, limits.swap, limits.pids),
        (Some(512 << 20), Some(0), Some(256))
    );
    assert_eq!(
        (limits.cpu_quota, limits.cpu_period),
        (Some(100_000), Some(100_000))
    );
    assert!(limits.io_bps.is_some() && limits.io_iops.is_some());
    let kinds: Vec<_> = grant
        .process
        .rlimits
        .iter()
        .map(|r| (r.kind.as_str(), r.soft, r.hard))
        .collect();
    assert_eq!(kinds, [("core", 1, 1), ("nofile", 1024, 1024)]);
    let sources: Vec<_> = grant.mounts.iter().map(|m| &m.source).collect();
    assert_eq!(sources, [&MountSource::Proc, &MountSource::Dev]);
    assert_eq!(grant.namespaces.len(), 7);
    assert!(grant.root.readonly);
}

/// (pointer to change, value, what the message must name)
fn hostile() -> Vec<(&'static str, Value, &'static str)> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!([{"destination": destination, "type": kind, "source": source, "options": options}]);
    vec![
        ("/process/user/uid", json!(0), "--user"),
        ("/process/user/uid", json!(u32::MAX), "--user"),
        ("/process/args", json!([]), "PROGRAM"),
        ("/process/args", json!([""]), "PROGRAM"),
        ("/process/args", json!(["/proc/self/exe"]), "PROGRAM"),
        (
            "/process/args",
            json!(["/proc/self/fd/7/../../bin/sh"]),
            "PROGRAM",
        ),
        ("/process/args", json!(["/usr/sbin/crond"]), "PROGRAM"),
        ("/process/args", json!(["/bin/a", "x\u{0}y"]), "PROGRAM"),
        ("/process/env", json!(["=x"]), "--env"),
        ("/process/env", json!(["DB_PASSWORD=hunter2"]), "--env"),
        ("/process/cwd", json!("relative"), "--workdir"),
        ("/process/cwd", json!("/a/../b"), "--workdir"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}]),
            "--nofile",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3}]),
            "--nofile",
        ),
        (
            "/linux/resources/memory/limit",
            json!(1u64 << 40),
            "--memory",
        ),
        ("/linux/resources/memory/limit", json!(1000), "--memory"),
        ("/linux/resources/pids/limit", json!(100_000), "--pids"),
        ("/linux/resources/cpu/quota", json!(10_000_000), "--cpus"),
        (
            "/mounts",
            mount("/proc/self", "tmpfs", "tmpfs", &[]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/sys/kernel", "bind", "/srv", &["rbind"]),
            "--volume",
        ),
        ("/mounts", mount("/", "tmpfs", "tmpfs", &[]), "--volume"),
        (
            "/mounts",
            mount("/a/../proc", "tmpfs", "tmpfs", &[]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "bind", "/", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "bind", "//etc/./shadow", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "bind", "/srv/../etc", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "bind", "/var/run", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "bind", "/var", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "bind", "relative", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/dev", "bind", "/dev", &["rbind"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "overlay", "overlay", &["lowerdir=/"]),
            "--volume",
        ),
        (
            "/mounts",
            mount("/data", "tmpfs", "tmpfs", &["size=1GiB"]),
            "--volume",
        ),
        ("/hostname", json!("a b"), "NAME"),
    ]
}

#[test]
fn hostile_requests_are_refused_with_their_flag() {
    for (pointer, value, flag) in hostile() {
        let violations = Launch::standalone().set(pointer, value.clone()).refused();
        assert!(
            violations.iter().any(|v| v.pointer.starts_with(flag)),
            "{pointer} {value}: {violations:?}"
        );
    }
}

#[test]
fn names_cannot_climb() {
    let long = "x".repeat(256);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a b",
        "ä",
        "a\0",
        long.as_str(),
    ] {
        let mut launch = Launch::standalone();
        launch.name = name.into();
        assert!(
            launch.refused().iter().any(|v| v.pointer == "NAME"),
            "{name:?}"
        );
    }
}

#[test]
fn all_violations_are_listed_at_once() {
    let launch = Launch::standalone()
        .set("/process/user/uid", 0)
        .set("/process/terminal", true)
        .set("/process/env/1", "API_KEY=x")
        .set("/linux/intelRdt", json!({}))
        .set(
            "/mounts/0",
            json!({"destination": "/sys/x", "type": "tmpfs"}),
        );
    assert_eq!(launch.refused().len(), 5);
}

#[test]
fn values_of_secrets_appear_nowhere() {
    for launch in [Launch::standalone(), Launch::engine(plain())] {
        let launch = launch.set("/process/env/1", "DB_PASSWORD=hunter2-long");
        assert!(!format!("{:?}", launch.decide()).contains("hunter2"));
    }
}

#[test]
fn strings_and_lists_have_an_end() {
    let long = Launch::standalone().set("/annotations/x", "x".repeat(70 << 10));
    assert_eq!(long.refused()[0].pointer, "/annotations/x");
    let mounts: Vec<Value> = (0..65_536)
        .map(|n| json!({"destination": format!("/m{n}"), "type": "tmpfs"}))
        .collect();
    let many = Launch::standalone().set("/mounts", mounts).refused();
    assert!(
        many.iter().any(|v| v.found == "a list of 65536 entries"),
        "{:?}",
        many[0]
    );
}

#[test]
fn only_operators_launch() {
    let mut launch = Launch::standalone();
    (launch.host.caller.uid, launch.host.caller.real_uid) = (1000, 1000);
    assert_eq!(launch.refused()[0].control.as_str(), "SS-011/8.2.1");
    launch.host.privilege = Privilege::User;
    assert!(
        launch
            .granted()
            .degraded_allowed
            .iter()
            .any(|c| c.as_str() == "SS-011/8.1.4")
    );
    let launch = launch.policy("version = 1\n[operators]\nuids = []\n");
    launch.refused();
    let launch = launch.policy("version = 1\n[operators]\nuids = [1000]\n");
    let _ = launch.granted();
    let mut launch = Launch::standalone();
    launch.host.caller.real_uid = 1000;
    assert!(launch.refused()[0].remedy.contains("set-uid"));
}

#[test]
fn ports_are_declared_and_low_ones_need_no_capability() {
    let mut launch = Launch::standalone();
    launch.extras.expose = Some(vec![80]);
    let grant = launch.granted();
    assert_eq!(grant.ports, Ports::Declared(vec![80]));
    assert_eq!(
        grant.sysctl,
        [(
            "net.ipv4.ip_unprivileged_port_start".to_string(),
            "80".to_string()
        )]
    );
    launch.extras.expose = Some(vec![80, 443]);
    assert_eq!(launch.refused()[0].control.as_str(), "SS-011/8.5.5");
    launch.extras.expose = Some(vec![0]);
    launch.refused();
}

#[test]
fn what_the_launcher_lacks_is_not_granted() {
    let mut launch = Launch::standalone().excepted(
        "SS-011/8.1.5",
        "capabilities = [\"CHOWN\", \"KILL\"], ambient = [\"KILL\"]",
    );
    for set in [
        "bounding",
        "permitted",
        "effective",
        "inheritable",
        "ambient",
    ] {
        let pointer = format!("/process/capabilities/{set}");
        launch = launch.set(&pointer, json!(["CAP_KILL"]));
    }
    let sets = launch.granted().capabilities;
    assert_eq!(
        (sets.inheritable, sets.ambient),
        (vec!["KILL".to_string()], vec!["KILL".to_string()])
    );
    launch.host.bounding = 1;
    let grant = launch.granted();
    assert_eq!(grant.capabilities, CapabilitySets::default());
    assert!(
        grant
            .clamps
            .iter()
            .any(|c| c.granted.contains("the launcher itself has no more"))
    );
}

#[test]
fn hooks_run_only_by_exact_path() {
    let policy = "version = 1\nhooks = [\"/usr/libexec/hook\"]\n";
    let launch = |path: &str| {
        Launch::engine(plain())
            .policy(policy)
            .set("/hooks/createRuntime/0/path", path)
    };
    assert_eq!(launch("/usr/libexec/hook").granted().hooks.len(), 1);
    for path in [
        "/usr/libexec/hook2",
        "/usr/libexec//hook",
        "/usr/libexec/../libexec/hook",
        "hook",
    ] {
        assert!(
            matches!(launch(path).decide(), Decision::Refused(_)),
            "{path}"
        );
    }
}
