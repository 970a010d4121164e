//! pause, resume and ps: runc's state machine, and what becomes of a container that stands still.

use crate::need;
use crate::support::{Ran, Rig, text, unique, wait_fd};
use std::os::fd::AsFd;
use std::path::PathBuf;

/// A container that runs and waits for a signal.
pub fn running(rig: &Rig) -> String {
    let id = unique("v");
    rig.create(&rig.spec(&["wait"]), &id).ok();
    rig.call(&["start", &id]).ok();
    id
}

fn status(rig: &Rig, id: &str) -> String {
    let state: serde_json::Value = serde_json::from_str(rig.call(&["state", id]).ok()).unwrap();
    state["status"].as_str().unwrap().to_string()
}

/// CPU time in ticks: a process that stands still uses none.
fn is_silent(ran: &Ran) -> bool {
    ran.out.is_empty() && ran.err.is_empty()
}

#[test]
fn pause_and_resume_follow_runcs_table() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    rig.call(&["resume", &id])
        .refused(1, &["container not paused"]);
    let paused = rig.call(&["pause", &id]);
    paused.ok();
    assert!(is_silent(&paused), "{paused:?}");
    assert_eq!(status(&rig, &id), "paused");
    let list = rig.call(&["list", "--format=json"]);
    assert!(list.ok().contains("\"paused\""), "{list:?}");
    rig.call(&["pause", &id])
        .refused(1, &["container not running"]);
    rig.call(&["start", &id])
        .refused(1, &["cannot start a container in the paused state"]);
    rig.call(&["delete", &id])
        .refused(1, &["that is not stopped: paused"]);
    rig.call(&["exec", &id, "/payload"])
        .refused(255, &["cannot exec in a paused container"]);
    rig.call(&["resume", &id]).ok();
    assert_eq!(status(&rig, &id), "running");
    rig.call(&["delete", "--force", &id]).ok();
    for verb in ["pause", "resume", "ps"] {
        rig.call(&[verb, &id])
            .refused(1, &["container does not exist"]);
    }
    rig.assert_clean(&id);
}

#[test]
fn a_paused_container_is_killed_as_engines_do_it() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    let end = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
    rig.call(&["pause", &id]).ok();
    // TERM waits until it goes on; KILL does not.
    rig.call(&["kill", &id, "15"]).ok();
    assert_eq!(status(&rig, &id), "paused");
    rig.call(&["kill", &id, "9"]).ok();
    assert!(wait_fd(end.as_fd()), "KILL takes effect on a paused one");
    rig.call(&["resume", &id])
        .refused(1, &["container not paused"]);
    assert_eq!(status(&rig, &id), "stopped");
    rig.call(&["pause", &id])
        .refused(1, &["container not running"]);
    rig.call(&["kill", "--all", &id, "9"]).ok();
    assert_eq!(rig.call(&["ps", "--format", "json", &id]).ok(), "null\n");
    rig.call(&["delete", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn a_paused_container_is_deleted_with_force() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    rig.call(&["pause", &id]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn a_created_container_can_be_paused_and_is_not_lost() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("v");
    rig.create(&rig.spec(&["wait"]), &id).ok();
    rig.call(&["pause", &id]).ok();
    rig.call(&["start", &id])
        .refused(1, &["cannot start a container in the paused state"]);
    rig.call(&["resume", &id]).ok();
    assert_eq!(status(&rig, &id), "created");
    rig.call(&["start", &id]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn ps_shows_the_processes_as_json_and_as_a_table() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig);
    let pid = rig.pid(&id);
    let json = rig.call(&["ps", "--format", "json", &id]);
    assert_eq!(json.ok(), format!("[{pid}]\n"));
    assert_eq!(json.err, "");
    let table = rig.call(&["ps", &id]);
    let lines: Vec<&str> = table.ok().lines().collect();
    assert_eq!(lines.len(), 2, "{table:?}");
    assert!(lines[0].contains("PID") && lines[1].contains(&pid.to_string()));
    let other = rig.call(&["ps", &id, "-eo", "pid,comm"]);
    assert!(other.ok().contains("payload"), "{other:?}");
    rig.call(&["ps", &id, "-eo", "comm"])
        .refused(1, &["no column PID"]);
    rig.call(&["delete", "--force", &id]).ok();
}

#[test]
fn verbs_that_are_not_supported_say_so() {
    let rig = Rig::new();
    rig.call(&[
        "checkpoint",
        "--image-path",
        "/tmp/x",
        "--leave-running",
        "a",
    ])
    .refused(1, &["checkpoint is not supported", "SS-011/8.2.2"]);
    rig.call(&["restore", "--detach", "--bundle", "/x", "a"])
        .refused(1, &["restore is not supported"]);
    // podman asks this way whether it can.
    rig.call(&["checkpoint", "--help"]).ok();
    rig.call(&["frobnicate"]).refused(3, &["frobnicate"]);
    rig.call(&["pause"]).refused(1, &["ID"]);
    let log = rig.path("log.json");
    let ran = rig.call(&["checkpoint", "a", "--log", text(&log), "--log-format=json"]);
    assert_eq!(ran.code, 1);
    let lines = std::fs::read_to_string(PathBuf::from(&log)).unwrap();
    assert_eq!(lines.lines().count(), 1);
}
