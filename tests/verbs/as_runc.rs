//! Small promises that runc's verbs make: the signal 0, a table's columns, ids of any length, `spec --rootless`.

use crate::exec::running;
use crate::need;
use crate::support::{Rig, unique, wait_fd};
use serde_json::{Value, json};
use std::os::fd::AsFd;

#[test]
fn the_signal_0_asks_whether_a_container_is_there() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig, |_| ());
    let end = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
    for words in [&["kill", &id, "0"][..], &["kill", "--all", &id, "0"]] {
        rig.call(words).ok();
    }
    assert!(rig.call(&["state", &id]).ok().contains("\"running\""));
    rig.call(&["kill", &id, "65"]).refused(1, &["0 to 64"]);
    rig.call(&["kill", &id, "KILL"]).ok();
    assert!(wait_fd(end.as_fd()));
    rig.call(&["kill", &id, "0"])
        .refused(1, &["container not running"]);
    rig.call(&["delete", &id]).ok();
    rig.call(&["kill", &id, "0"])
        .refused(1, &["container does not exist"]);
}

#[test]
fn the_list_says_whose_a_container_is() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig, |_| ());
    let listed = rig.call(&["list"]);
    let rows: Vec<Vec<&str>> = listed
        .ok()
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    let columns = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    assert_eq!(rows[0], columns);
    assert_eq!(
        (rows[1][0], rows[1][2], rows[1][5]),
        (&*id, "running", "root")
    );
    rig.call(&["delete", "--force", &id]).ok();
}

#[test]
fn ids_as_long_as_a_file_name_live_beside_each_other() {
    need!(Root);
    let rig = Rig::new();
    let begin = unique("long");
    let ids = ["a", "b"].map(|end| format!("{begin}{}{end}", "x".repeat(254 - begin.len())));
    for id in &ids {
        let mut spec = rig.spec(&["wait"]);
        spec["linux"].as_object_mut().unwrap().remove("cgroupsPath");
        rig.create(&spec, id).ok();
    }
    for id in &ids {
        assert!(rig.call(&["state", id]).ok().contains("\"created\""));
        rig.call(&["delete", "--force", id]).ok();
    }
    rig.assert_clean(&ids[0]);
}

#[test]
fn spec_takes_rootless_without_a_value() {
    let rig = Rig::new();
    let ran = rig.call(&["spec", "--rootless", "--stdout"]);
    let spec: Value = serde_json::from_str(ran.ok()).unwrap();
    let linux = &spec["linux"];
    let kinds = linux["namespaces"].as_array().unwrap();
    assert!(kinds.contains(&json!({"type": "user"})), "{linux}");
    let uid = nix::unistd::geteuid().as_raw();
    let inside = &spec["process"]["user"]["uid"];
    let map = json!([{"containerID": inside, "hostID": uid, "size": 1}]);
    assert_eq!(linux["uidMappings"], map);
    let plain: Value = serde_json::from_str(rig.call(&["spec", "--stdout"]).ok()).unwrap();
    assert_eq!(plain["linux"]["uidMappings"], Value::Null);
}

/// The one-shot exec needs the hard limit's number alone.
#[test]
fn a_soft_limit_of_descriptors_is_the_programs() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["cat", "/proc/self/limits"]);
    spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 16, "hard": 200}]);
    let said = rig.through(&spec);
    let mut lines = said.ok().lines();
    let files = lines.find(|l| l.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(words[3..5], ["16", "200"], "{files}");
}
