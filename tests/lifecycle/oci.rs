//! The OCI verbs: runc's state machine, texts and exit codes.

use crate::need;
use crate::support::{Rig, text, unique, wait_fd};
use std::os::fd::AsFd;

fn stop(rig: &Rig, id: &str) {
    let fd = cofferdam::sys::process::pidfd_open(rig.pid(id)).unwrap();
    rig.call(&["kill", id, "KILL"]).ok();
    assert!(wait_fd(fd.as_fd()));
}

#[test]
fn a_life_from_create_to_delete() {
    need!(Root);
    let rig = Rig::new();
    let (id, pid_file) = (unique("life"), rig.path("pid"));
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let created = rig.call(&[
        "create",
        "--bundle",
        text(&bundle),
        "--pid-file",
        text(&pid_file),
        &id,
    ]);
    assert_eq!(
        (created.ok(), created.err.as_str()),
        ("", ""),
        "an engine reads what is printed"
    );
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    assert_eq!(pid, rig.pid(&id).to_string());
    let state: serde_json::Value = serde_json::from_str(rig.call(&["state", &id]).ok()).unwrap();
    assert_eq!(state["status"], "created");
    assert_eq!(state["ociVersion"], "1.3.0");
    assert_eq!(state["bundle"], text(&bundle));
    assert_eq!(state["rootfs"], text(&rig.rootfs()));
    // Nothing of the image runs before start.
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert!(exe.ends_with("cofferdam"), "{exe:?}");
    rig.call(&["start", &id]).ok();
    assert!(rig.call(&["state", &id]).ok().contains("\"running\""));
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert!(exe.ends_with("payload"), "{exe:?}");
    rig.call(&["start", &id])
        .refused(1, &["cannot start an already running container"]);
    rig.call(&["delete", &id])
        .refused(1, &["that is not stopped: running"]);
    stop(&rig, &id);
    let state: serde_json::Value = serde_json::from_str(rig.call(&["state", &id]).ok()).unwrap();
    assert_eq!(
        (&state["status"], &state["pid"]),
        (&"stopped".into(), &0.into())
    );
    rig.call(&["start", &id])
        .refused(1, &["cannot start a container that has stopped"]);
    rig.call(&["kill", &id])
        .refused(1, &["container not running"]);
    rig.call(&["kill", "--all", &id, "9"]).ok();
    rig.call(&["delete", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn an_unknown_container() {
    let rig = Rig::new();
    for verb in ["state", "start", "kill", "delete"] {
        rig.call(&[verb, "nobody"])
            .refused(1, &["container does not exist"]);
    }
    let forced = rig.call(&["delete", "--force", "nobody"]);
    assert_eq!(
        (forced.code, forced.out.as_str(), forced.err.as_str()),
        (0, "", "")
    );
    assert_eq!(rig.call(&["list", "--format", "json"]).ok(), "null\n");
}

#[test]
fn ids_that_are_paths_are_refused() {
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    for id in ["../x", "a/b", ".", "..", "", "a b", &"x".repeat(256)] {
        rig.call(&["create", "--bundle", text(&bundle), id])
            .refused(1, &["invalid container id"]);
        let other = rig.call(&["state", id]);
        assert_ne!(other.code, 0, "{other:?}");
    }
    assert!(rig.leftovers("nothing-of-that-name").is_empty());
}

#[test]
fn a_created_container_can_be_deleted_and_a_running_one_with_force() {
    need!(Root);
    let rig = Rig::new();
    let spec = rig.spec(&["wait"]);
    let (first, second) = (unique("c"), unique("r"));
    rig.create(&spec, &first).ok();
    rig.call(&["delete", &first]).ok();
    rig.assert_clean(&first);
    rig.create(&spec, &second).ok();
    rig.call(&["start", &second]).ok();
    rig.call(&["delete", "--force", &second]).ok();
    rig.assert_clean(&second);
}

#[test]
fn one_of_two_creators_of_an_id_wins() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("race");
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let ran: Vec<_> = std::thread::scope(|scope| {
        let one = || rig.call(&["create", "--bundle", text(&bundle), &id]);
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(ran.iter().filter(|r| r.code == 0).count(), 1, "{ran:#?}");
    for lost in ran.iter().filter(|r| r.code != 0) {
        lost.refused(1, &["container with given ID already exists"]);
    }
    assert!(rig.call(&["state", &id]).ok().contains("created"));
    rig.call(&["delete", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn starting_and_killing_at_once_ends_in_an_order() {
    need!(Root);
    let rig = Rig::new();
    for _ in 0..10 {
        let id = unique("both");
        rig.create(&rig.spec(&["wait"]), &id).ok();
        std::thread::scope(|scope| {
            let started = scope.spawn(|| rig.call(&["start", &id]));
            let deleted = scope.spawn(|| rig.call(&["delete", "--force", &id]));
            assert_eq!(deleted.join().unwrap().code, 0);
            let started = started.join().unwrap();
            assert!(started.code == 0 || started.code == 1, "{started:?}");
        });
        rig.assert_clean(&id);
    }
}

#[test]
fn many_lives_leave_nothing() {
    need!(Root);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["exit", "0"]));
    let id = unique("many");
    for _ in 0..60 {
        rig.call(&["create", "--bundle", text(&bundle), &id]).ok();
        rig.call(&["start", &id]).ok();
        rig.call(&["delete", "--force", &id]).ok();
    }
    rig.assert_clean(&id);
}

#[test]
fn the_printed_spec_is_launched_without_a_clamp() {
    let rig = Rig::new();
    let spec = rig.call(&["spec", "--stdout"]);
    let mut spec: serde_json::Value = serde_json::from_str(spec.ok()).unwrap();
    spec["root"]["path"] = text(&rig.rootfs()).into();
    spec["process"]["args"] = serde_json::json!(["/payload", "exit", "0"]);
    let bundle = rig.bundle(&spec);
    let plan = rig.call(&["plan", "--json", "--engine", "--bundle", text(&bundle)]);
    let plan: serde_json::Value = serde_json::from_str(plan.ok()).unwrap();
    assert_eq!(
        plan["clamps"],
        serde_json::json!([]),
        "the hardened spec asks for no more than it gets"
    );
}

#[test]
fn features_and_version_have_the_shape_that_engines_read() {
    let rig = Rig::new();
    let features: serde_json::Value = serde_json::from_str(rig.call(&["features"]).ok()).unwrap();
    let parsed: oci_spec::runtime::Features = serde_json::from_value(features.clone()).unwrap();
    assert_eq!(parsed.oci_version_max(), "1.3.0");
    assert_eq!(features["linux"]["cgroup"]["systemd"], true);
    let version = rig.call(&["--version"]);
    let lines: Vec<&str> = version.ok().lines().collect();
    assert!(lines[0].starts_with("cofferdam version "), "{version:?}");
    assert!(lines[1].starts_with("commit: "), "{version:?}");
    assert!(lines[2].starts_with("spec: "), "{version:?}");
}

#[test]
fn errors_go_into_the_log_in_runcs_shape() {
    let rig = Rig::new();
    let log = rig.path("log.json");
    rig.call(&[
        "--log",
        text(&log),
        "--log-format",
        "json",
        "state",
        "nobody",
    ]);
    rig.call(&["state", "--log", text(&log), "--log-format=json", "nobody2"]);
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["level"], "error");
        assert_eq!(entry["msg"], "container does not exist");
        assert!(entry["time"].as_str().unwrap().ends_with('Z'));
    }
}

#[test]
fn a_missing_program_fails_at_create_and_not_at_start() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&[]);
    spec["process"]["args"] = serde_json::json!(["/nonexist"]);
    let id = unique("missing");
    rig.create(&spec, &id).refused(
        1,
        &["unable to start container process: exec: \"/nonexist\": stat /nonexist: no such file or directory"],
    );
    rig.assert_clean(&id);
}

/// An engine's filter that takes the seccomp call away must not keep ours out, nor ours its.
#[test]
fn the_requests_filter_and_ours_are_both_in_force() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["echo", "here"]);
    let filter = |names: &[&str]| {
        serde_json::json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
        })
    };
    spec["linux"]["seccomp"] = filter(&["seccomp"]);
    assert_eq!(rig.through(&spec).ok(), "here\n");
    spec["linux"]["seccomp"] = filter(&["seccomp", "write"]);
    let refused = rig.create(&spec, &unique("f"));
    refused.refused(1, &["/linux/seccomp/syscalls", "write is not allowed"]);
    spec["linux"]["seccomp"] = filter(&["seccomp", "writev", "getrandom"]);
    assert_eq!(rig.through(&spec).code, 0);
}
