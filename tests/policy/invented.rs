//! Invented configurations: `decide` never panics, never grants above a ceiling, and cuts a cut request no further.

use crate::launch::{Launch, plain};
use cofferdam::policy::{Decision, Grant, MountSource, Ports, Source};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Numbers and words that have broken parsers before.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(-1),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(1),
        any::<i64>(),
        1i64..1 << 36
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("..".into()),
        Just("/".into()),
        Just("/proc/self/fd/3".into()),
        Just("/run/netns/a".into()),
        Just("max".into()),
        Just("A_TOKEN=b".into()),
        "[a-zA-Z0-9/._=:+%-]{0,24}",
        "/[a-z]{1,6}(/[a-z.]{1,6}){0,3}",
        any::<String>(),
    ]
}

fn option() -> impl Strategy<Value = String> {
    let known = [
        "ro",
        "rw",
        "rbind",
        "bind",
        "exec",
        "suid",
        "dev",
        "rshared",
        "noexec",
        "size=0",
        "size=50%",
        "size=9g",
        "mode=1777",
        "uid=0",
        "idmap",
    ];
    prop_oneof![3 => proptest::sample::select(known.to_vec()).prop_map(String::from), 1 => word()]
}

fn mount() -> impl Strategy<Value = Value> {
    let kinds = [
        "tmpfs", "bind", "proc", "sysfs", "cgroup", "devpts", "mqueue", "overlay", "",
    ];
    let place = prop_oneof![
        Just("/data".to_string()),
        Just("/dev/shm".into()),
        Just("/sys".into()),
        Just("/proc".into()),
        Just("/dev".into()),
        word()
    ];
    let source = prop_oneof![Just("/srv/data".to_string()), Just("/etc".into()), word()];
    (place, proptest::sample::select(kinds.to_vec()), source, proptest::collection::vec(option(), 0..5)).prop_map(|(destination, kind, source, options)| {
        json!({"destination": destination, "type": kind, "source": source, "options": options})
    })
}

fn capability() -> impl Strategy<Value = Vec<String>> {
    let names = proptest::sample::select(&cofferdam::policy::CAPABILITY_NAMES[..])
        .prop_map(|n| format!("CAP_{n}"));
    proptest::collection::vec(names, 0..6)
}

fn namespace() -> impl Strategy<Value = Value> {
    let kinds = [
        "pid", "mount", "ipc", "uts", "network", "cgroup", "user", "time",
    ];
    let place = prop_oneof![
        Just(String::new()),
        Just("/proc/77/ns/net".into()),
        Just("/proc/1/ns/net".into()),
        word()
    ];
    (proptest::sample::select(kinds.to_vec()), place)
        .prop_map(|(kind, path)| json!({"type": kind, "path": path}))
}

fn change() -> impl Strategy<Value = (String, Value)> {
    let scalars = [
        "/linux/resources/memory/limit",
        "/linux/resources/memory/swap",
        "/linux/resources/memory/reservation",
        "/linux/resources/cpu/quota",
        "/linux/resources/pids/limit",
        "/linux/resources/cpu/idle",
    ];
    let texts = [
        "/process/cwd",
        "/hostname",
        "/domainname",
        "/linux/cgroupsPath",
        "/linux/rootfsPropagation",
        "/process/apparmorProfile",
        "/process/selinuxLabel",
        "/linux/resources/cpu/cpus",
        "/ociVersion",
        "/annotations/org.cofferdam.expose",
        "/linux/resources/unified/memory.max",
        "/linux/resources/unified/cpu.max",
        "/linux/sysctl/net.core.somaxconn",
    ];
    let lists = [
        "/process/args",
        "/process/env",
        "/linux/maskedPaths",
        "/linux/readonlyPaths",
    ];
    let sets = [
        "bounding",
        "effective",
        "inheritable",
        "permitted",
        "ambient",
    ];
    prop_oneof![
        (proptest::sample::select(scalars.to_vec()), number()).prop_map(|(p, n)| (p.to_string(), json!(n))),
        (proptest::sample::select(texts.to_vec()), word()).prop_map(|(p, t)| (p.to_string(), json!(t))),
        (proptest::sample::select(lists.to_vec()), proptest::collection::vec(word(), 0..4)).prop_map(|(p, l)| (p.to_string(), json!(l))),
        (proptest::sample::select(sets.to_vec()), capability()).prop_map(|(s, l)| (format!("/process/capabilities/{s}"), json!(l))),
        proptest::collection::vec(mount(), 0..4).prop_map(|l| ("/mounts".to_string(), json!(l))),
        proptest::collection::vec(namespace(), 0..9).prop_map(|l| ("/linux/namespaces".to_string(), json!(l))),
        (any::<u32>(), any::<u32>()).prop_map(|(u, g)| ("/process/user".to_string(), json!({"uid": u, "gid": g, "umask": g}))),
        (-1000i32..1000).prop_map(|n| ("/process/oomScoreAdj".to_string(), json!(n))),
        any::<bool>().prop_map(|b| ("/root/readonly".to_string(), json!(b))),
        (any::<u64>(), any::<u64>()).prop_map(|(s, h)| ("/process/rlimits".to_string(), json!([{"type": "RLIMIT_NOFILE", "soft": s, "hard": h}]))),
        (any::<i64>(), any::<i64>(), word()).prop_map(|(a, b, p)| ("/linux/devices".to_string(), json!([{"path": p, "type": "c", "major": a, "minor": b}]))),
        (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(a, b, n)| ("/linux/uidMappings".to_string(), json!([{"containerID": a, "hostID": b, "size": n}, {"containerID": b, "hostID": a, "size": n}]))),
    ]
}

fn within_ceilings(grant: &Grant) {
    let sets = &grant.capabilities;
    for set in [
        &sets.bounding,
        &sets.permitted,
        &sets.effective,
        &sets.inheritable,
        &sets.ambient,
    ] {
        assert!(set.is_empty());
    }
    assert!(grant.root.readonly && grant.root.propagation.is_none());
    assert!(
        grant.devices.is_empty() && grant.device_rules.len() == 1 && !grant.device_rules[0].allow
    );
    assert!(grant.hooks.is_empty() && grant.process.terminal.is_none());
    assert!(grant.process.oom_score_adj.is_none_or(|n| n >= 0));
    let limits = &grant.limits;
    assert!(limits.memory.is_some_and(|n| n <= 16 << 30) && limits.swap == Some(0));
    assert!(limits.pids.is_some_and(|n| n <= 4096));
    let (quota, period) = (limits.cpu_quota.unwrap(), limits.cpu_period.unwrap());
    assert!(quota <= 16 * period);
    assert!(matches!(&grant.ports, Ports::Declared(ports) if ports.len() <= 1));
    for limit in &grant.process.rlimits {
        assert!(limit.soft <= limit.hard);
        assert!(limit.kind != "nofile" || limit.hard <= 20_000 && limit.soft == limit.hard);
    }
    for mount in &grant.mounts {
        let readonly_bind = mount.readonly && matches!(mount.source, MountSource::Bind { .. });
        assert!(mount.nosuid && mount.propagation.is_none() && (mount.noexec || readonly_bind));
        assert!(mount.nodev || matches!(mount.source, MountSource::Dev));
        assert!(
            !matches!(mount.source, MountSource::Tmpfs { size, .. } if size > 4 << 30 || size == 0)
        );
        assert!(
            mount.readonly
                || !matches!(
                    mount.source,
                    MountSource::Sysfs | MountSource::Cgroup | MountSource::Dev
                )
        );
    }
    let shared = grant.namespaces.iter().filter_map(|n| n.join.as_ref());
    assert!(
        shared
            .into_iter()
            .all(|path| !path.to_string().contains("/proc/1/"))
    );
    assert!(grant.namespaces.len() >= 6);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_above_the_ceiling_is_ever_granted(changes in proptest::collection::vec(change(), 0..6)) {
        let launch = changes.into_iter().fold(Launch::engine(plain()), |l, (p, v)| l.set(&p, v));
        let Ok(_) = serde_json::from_value::<oci_spec::runtime::Spec>(launch.spec.clone()) else {
            return Ok(());
        };
        match launch.decide() {
            Decision::Granted(grant) => within_ceilings(&grant),
            Decision::Refused(violations) => prop_assert!(!violations.is_empty()),
        }
    }

    /// What was cut to the ceiling isn't cut again when it is asked for as it was granted.
    #[test]
    fn cutting_settles(memory in number(), pids in number(), quota in number(), oom in -1000i32..1000) {
        let ask = |memory: i64, pids: i64, quota: i64, oom: i32| Launch::engine(plain())
            .set("/linux/resources/memory/limit", memory).set("/linux/resources/pids/limit", pids)
            .set("/linux/resources/cpu/quota", quota).set("/process/oomScoreAdj", oom);
        let Decision::Granted(first) = ask(memory, pids, quota, oom).decide() else {
            return Ok(());
        };
        let l = &first.limits;
        let again = ask(l.memory.unwrap() as i64, l.pids.unwrap() as i64, l.cpu_quota.unwrap() as i64, first.process.oom_score_adj.unwrap());
        let second = again.granted();
        prop_assert!(second.clamps.is_empty(), "{:?}", second.clamps);
        prop_assert_eq!(&second.limits, &first.limits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn policy_files_never_panic(text in "(version = 1\n)?([a-z_\\[\\]\"={}.0-9\n -]{0,80})", tail in any::<String>()) {
        let source = Source { name: "p".into(), text: format!("{text}{tail}") };
        let _ = cofferdam::policy::Policy::layered(Some(&source), std::slice::from_ref(&source));
    }
}
