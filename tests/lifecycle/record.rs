//! The launch record, and secrets: what is evidence is there, what is secret is not.

use crate::need;
use crate::support::{Alive, Rig, older_than, text, unique};
use serde_json::Value;

#[test]
fn a_record_says_who_what_and_that_it_was_verified() {
    need!(Root);
    let rig = Rig::new();
    let target = rig.path("records");
    let flags = ["--record", text(&target)];
    rig.run(&flags, &["exit", "0"]).ok();
    rig.run(&flags, &["exit", "3"]);
    let records = std::fs::read_to_string(&target).unwrap();
    let records: Vec<Value> = records
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(records.len(), 2, "appended, one line each");
    let record = &records[0];
    assert_eq!(record["identity"]["uid"], 0);
    assert_eq!(record["result"], "verified");
    assert!(record["verification"]["checked"].as_u64().unwrap() > 30);
    assert_eq!(record["verification"]["differences"], serde_json::json!([]));
    for digest in ["bundleDigest", "policyDigest", "planDigest"] {
        assert_eq!(record[digest].as_str().unwrap().len(), 64, "{digest}");
    }
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&target).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_secret_is_a_file_inside_and_nowhere_else() {
    need!(Root);
    let rig = Rig::new();
    let (source, name) = (rig.path("token"), unique("sec"));
    std::fs::write(&source, "hunter2hunter2").unwrap();
    let secret = format!("db={}", text(&source));
    let seen = rig.run(&["--secret", &secret], &["cat", "/run/secrets/db"]);
    assert_eq!(seen.ok(), "hunter2hunter2");
    let alive = Alive::spawn(rig.run_command(&name, &["--secret", &secret], &["wait"]));
    let state = rig.state().join(&name);
    for entry in std::fs::read_dir(&state).unwrap().flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&text).contains("hunter2"),
            "{:?}",
            entry.path()
        );
    }
    let pid = rig.pid(&name);
    let inside = format!("/proc/{pid}/root/run/secrets/db");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&inside).unwrap().mode() & 0o7777, 0o400);
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mount = mounts
        .lines()
        .find(|l| l.contains(" /run/secrets "))
        .unwrap();
    for option in ["ro", "nosuid", "nodev", "noexec", "noswap"] {
        let expected = option != "noswap" || !older_than(6, 4);
        assert_eq!(mount.contains(option), expected, "{option}: {mount}");
    }
    drop(alive);
    let rootfs = rig.rootfs();
    let plan = rig.call(&[
        "plan",
        "--json",
        "--rootfs",
        text(&rootfs),
        "--secret",
        &secret,
        "p",
        "--",
        "/payload",
    ]);
    assert!(
        plan.ok().contains("db") && !plan.out.contains("hunter2"),
        "{plan:?}"
    );
}

#[test]
fn environment_values_are_not_in_plans_or_records() {
    need!(Root);
    let rig = Rig::new();
    let (rootfs, record) = (rig.rootfs(), rig.path("r"));
    let plan = rig.call(&[
        "plan",
        "--json",
        "--rootfs",
        text(&rootfs),
        "-e",
        "COLOUR=blue-value",
        "p",
        "--",
        "/payload",
    ]);
    assert!(plan.ok().contains("COLOUR") && !plan.out.contains("blue-value"));
    rig.run(
        &["-e", "COLOUR=blue-value", "--record", text(&record)],
        &["exit", "0"],
    )
    .ok();
    assert!(
        !std::fs::read_to_string(record)
            .unwrap()
            .contains("blue-value")
    );
}
