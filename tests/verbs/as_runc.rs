//! Small promises that runc's verbs make: ids of any length, limits as they are asked.

use crate::need;
use crate::support::{Rig, unique};
use serde_json::json;

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
