//! `audit` on what Docker and podman start by default, and on the same containers by this launcher.

use crate::docker;
use crate::engines;
use crate::host::Host;
use crate::images::BUSYBOX;
use crate::need;
use crate::podman;
use serde_json::Value;
use std::collections::BTreeSet;

/// `audit --container NAME --json` inside the host.
fn audit(host: &Host, name: &str) -> Value {
    let runtime = host.runtime();
    let ran = host.call(&[&runtime, "audit", "--container", name, "--json"]);
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:#?}"))
}

fn failed(report: &Value) -> BTreeSet<String> {
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let failed = findings.iter().filter(|f| f["verdict"] == "fail");
    let ids = failed.map(|f| f["id"].as_str().unwrap());
    ids.map(|id| id.trim_start_matches("observe/").into())
        .collect()
}

fn fact<'a>(report: &'a Value, key: &str) -> &'a str {
    let facts = report["subjects"][0]["facts"].as_array().unwrap();
    let found = facts.iter().find(|f| f[0] == key);
    found.map_or("", |f| f[1].as_str().unwrap())
}

#[track_caller]
fn assert_gaps(report: &Value, expected: &[&str], depends: &[&str]) {
    let mut failed = failed(report);
    for id in depends {
        failed.remove(*id);
    }
    let expected: BTreeSet<String> = expected.iter().map(|id| id.to_string()).collect();
    assert_eq!(failed, expected, "{report:#}");
}

/// What depends on the host's kernel, cgroups and security modules, and on the engine's release.
const DEPENDS: [&str; 8] = [
    "limit-disk",
    "limit-swap",
    "kernel-files",
    "template",
    "namespace-cgroup",
    "memory-files",
    "writable-devices",
    "open-files",
];

/// What runc lets stand under both engines.
const GAPS: [&str; 18] = [
    "capabilities",
    "capability-ids",
    "core-files",
    "filter-abi",
    "filter-exec",
    "filter-families",
    "filter-netlink",
    "filter-processes",
    "filter-raw-sockets",
    "filter-set-uid",
    "filter-tracing",
    "limit-cpu",
    "limit-memory",
    "no-new-privileges",
    "root-read-only",
    "set-uid",
    "user",
    "writable-code",
];

#[test]
fn dockers_defaults_have_their_known_gaps_and_ours_have_none() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = Host::boot();
    docker::start(&host);
    docker::take_image(&host);
    let run = |flags: &[&str]| {
        let words = [&["docker", "run", "-d"], flags, &[BUSYBOX, "sleep", "1000"]].concat();
        host.call(&words).ok();
    };
    run(&["--runtime", "runc", "--name", "plain"]);
    let report = audit(&host, "plain");
    let more = ["capability-raw-sockets", "limit-threads"];
    assert_gaps(&report, &[&GAPS[..], &more].concat(), &DEPENDS);
    assert_eq!(fact(&report, "engine"), "docker");
    assert_eq!(fact(&report, "image"), BUSYBOX);
    // Each thing that is opened up further is found, and named.
    run(&[
        "--runtime",
        "runc",
        "--name",
        "wide",
        "--pid",
        "host",
        "--network",
        "host",
        "--cap-add",
        "NET_ADMIN",
        "--security-opt",
        "seccomp=unconfined",
        "-v",
        "/run/docker.sock:/s/docker.sock",
        "-v",
        "/etc:/host",
    ]);
    let wide = failed(&audit(&host, "wide"));
    for id in [
        "namespace-pid",
        "namespace-network",
        "capability-network",
        "seccomp",
        "engine-socket",
        "filter-mounts",
        "filter-modules",
        "filter-namespaces",
    ] {
        assert!(wide.contains(id), "{id}: {wide:?}");
    }
    // Ours: Docker asks for root without a user namespace, and that is what is left.
    run(&["--name", "ours"]);
    let report = audit(&host, "ours");
    assert_gaps(&report, &["user"], &[]);
    assert_eq!(fact(&report, "runtime"), "cofferdam");
    run(&["--name", "better", "--user", "1000:1000"]);
    assert_gaps(&audit(&host, "better"), &[], &[]);
    let runtime = host.runtime();
    let all = host.call(&[&runtime, "audit", "--all", "--engine", "docker"]);
    assert_eq!(all.code, 1);
    let order: Vec<usize> = ["wide", "plain", "ours", "better"]
        .iter()
        .filter_map(|n| all.out.find(&format!("  {n} (")))
        .collect();
    assert!(order.len() == 4 && order.is_sorted(), "{}", all.out);
    host.line("docker rm -f plain wide ours better").ok();
}

#[test]
fn podmans_defaults_have_their_known_gaps_and_ours_have_none() {
    engines!("podman", "ip", "busybox");
    let host = podman::boot();
    let run = |flags: &[&str]| {
        let words = [&["podman"], flags, &[BUSYBOX, "sleep", "1000"]].concat();
        host.call(&words).ok();
    };
    run(&[
        "--runtime",
        "runc",
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "plain",
    ]);
    let report = audit(&host, "plain");
    let more = ["filter-mounts", "filter-namespaces"];
    assert_gaps(&report, &[&GAPS[..], &more].concat(), &DEPENDS);
    assert_eq!(fact(&report, "engine"), "podman");
    run(&["run", "-d", "--network", "none", "--name", "ours"]);
    let report = audit(&host, "ours");
    assert_gaps(&report, &["user"], &[]);
    assert_eq!(fact(&report, "runtime"), "cofferdam");
    host.line("podman rm -f -t 0 plain ours").ok();
}
