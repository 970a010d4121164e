//! events: figures in runc's shape, memory that runs out, and an end when the container ends.

use crate::need;
use crate::support::{Rig, unique, wait_fd};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::Stdio;

#[test]
fn figures_have_runcs_shape() {
    need!(Root);
    let rig = Rig::new();
    let id = crate::pause::running(&rig);
    let ran = rig.call(&["events", "--stats", &id]);
    assert_eq!(ran.ok().lines().count(), 1);
    let event: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&event["type"], &event["id"]),
        (&"stats".into(), &id.as_str().into())
    );
    let data = &event["data"];
    for part in [
        "cpu",
        "cpuset",
        "memory",
        "pids",
        "blkio",
        "hugetlb",
        "intel_rdt",
    ] {
        assert!(data[part].is_object(), "{part} {data}");
    }
    assert!(
        data["memory"]["usage"]["usage"].as_u64().unwrap() > 0,
        "{data}"
    );
    assert!(
        data["memory"]["usage"]["limit"].as_u64().unwrap() > 1 << 20,
        "{data}"
    );
    assert!(
        !data["memory"]["raw"].as_object().unwrap().is_empty(),
        "{data}"
    );
    assert_eq!(data["pids"]["current"], 1, "{data}");
    assert!(data["cpu"]["usage"]["total"].is_u64(), "{data}");
    assert!(data["cpu"]["throttling"].is_object(), "{data}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.call(&["events", "--stats", &id])
        .refused(1, &["container does not exist"]);
    rig.call(&["events", "--interval", "never", &id])
        .refused(1, &["expected a time"]);
}

#[test]
fn memory_that_runs_out_is_told_and_the_end_ends_it() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("oom");
    let mut spec = rig.spec(&["eat"]);
    let limit = 32 << 20;
    spec["linux"]["resources"]["memory"] = serde_json::json!({"limit": limit, "swap": limit});
    rig.create(&spec, &id).ok();
    let mut command = rig.command();
    command.args(["events", "--interval", "50ms", &id]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let mut lines = lines
        .lines()
        .map(|l| serde_json::from_str::<Value>(&l.unwrap()).unwrap());
    // It listens: now the program may run into its limit.
    assert_eq!(lines.next().unwrap()["type"], "stats");
    rig.call(&["start", &id]).ok();
    let kinds: Vec<Value> = lines.map(|e| e["type"].clone()).collect();
    assert!(kinds.iter().any(|k| k == "oom"), "{kinds:?}");
    let end = cofferdam::sys::process::pidfd_open(child.id() as i32).unwrap();
    assert!(
        wait_fd(end.as_fd()),
        "events does not end with its container"
    );
    assert!(child.wait().unwrap().success());
    rig.call(&["events", &id])
        .refused(1, &["container not running"]);
    rig.call(&["delete", &id]).ok();
    rig.assert_clean(&id);
}

/// Fills memory until it is killed.
pub fn eat() -> ! {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![7u8; 1 << 20]);
    }
}
