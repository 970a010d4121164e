//! --baseline and --compare: what got worse since.

use crate::support::*;
use serde_json::{Value, json};

#[test]
fn what_got_worse_fails_and_what_stays_bad_does_not() {
    let rig = Rig::new();
    let file = rig.raw_bundle(b"x").join("config.json");
    let path = text(&file);
    let write = |spec: &Value| std::fs::write(&file, spec.to_string()).unwrap();
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["capabilities"] = json!({"bounding": ["CAP_CHOWN"]});
    write(&spec);
    let (a, b) = (rig.path("a.json"), rig.path("b.json"));
    let out = |to| rig.call(&["check", "config", path, "--json", "--output", text(to)]);
    assert_eq!(out(&a).code, 1);
    // As bad as before is not worse.
    let same = rig.call(&["check", "config", path, "--baseline", text(&a)]);
    assert_eq!(same.code, 0, "{same:#?}");
    spec["root"]["readonly"] = false.into();
    write(&spec);
    let worse = rig.call(&["check", "config", path, "--baseline", text(&a)]);
    assert_eq!(worse.code, 1, "{worse:#?}");
    assert!(
        worse.out.contains("worse") && worse.out.contains("SS-011/8.4.7"),
        "{worse:#?}"
    );
    assert_eq!(out(&b).code, 1);
    assert_eq!(
        rig.call(&["audit", "--compare", text(&a), text(&b)]).code,
        1
    );
    assert_eq!(
        rig.call(&["audit", "--compare", text(&b), text(&a)]).code,
        0
    );
    let page = rig.call(&["audit", "--compare", text(&a), text(&b), "-f", "html"]);
    assert!(page.out.contains("<h2>Since "), "{page:#?}");
    // Reports are for their owner.
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&a).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn files_that_are_no_reports_get_a_sentence() {
    let rig = Rig::new();
    let bad = rig.path("bad.json");
    for content in ["", "{}", "[1]", "{\"version\":99}"] {
        std::fs::write(&bad, content).unwrap();
        let ran = rig.call(&["audit", "--compare", text(&bad), text(&bad)]);
        ran.refused(125, &["can't read the report", "bad.json"]);
    }
    let ran = rig.call(&["audit", "--compare", "/nowhere", "/nowhere"]);
    ran.refused(125, &["can't read the report /nowhere"]);
    let ran = rig.call(&["check", "host", "-o", "/nowhere/x"]);
    ran.refused(125, &["can't write the report to /nowhere/x"]);
    let ran = rig.call(&["check", "host", "-o", text(rig.dir())]);
    ran.refused(125, &["no regular file"]);
}
