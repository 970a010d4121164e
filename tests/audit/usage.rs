//! The verb `audit`: what it audits, what it prints, what it leaves.

use crate::support::{Rig, text};
use serde_json::Value;

fn findings(text: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(text).unwrap();
    report["subjects"][0]["findings"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn without_arguments_nothing_fails_and_nothing_is_left() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let mut command = rig.command();
    command.args(["audit", "--json"]);
    // Where the captured log is kept for the time.
    let spools = tempfile::tempdir().unwrap();
    command.env("TMPDIR", spools.path());
    command.stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let name = format!("audit-{}", child.id());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let all = findings(&String::from_utf8(out.stdout).unwrap());
    assert!(all.len() >= 130, "{}", all.len());
    let with = |start: &str, verdict: &str| {
        let of = all
            .iter()
            .filter(|f| f["id"].as_str().unwrap().starts_with(start));
        of.filter(|f| f["verdict"] == verdict).count()
    };
    assert!(with("probe/", "pass") >= 130, "{all:#?}");
    for verdict in ["fail", "waived", "not-assessed"] {
        assert_eq!(with("probe/", verdict), 0, "{verdict}: {all:#?}");
    }
    // Seen from outside too, and there nothing is amiss either.
    assert_eq!(with("", "fail"), 0);
    assert!(with("", "pass") > with("probe/", "pass"), "{all:#?}");
    let table = rig.call(&["audit"]);
    assert!(table.ok().contains("0 fail"), "{table:?}");
    rig.assert_clean(&name);
    assert_eq!(std::fs::read_dir(spools.path()).unwrap().count(), 0);
}

/// The tester takes the program's place, and nothing else changes.
#[test]
fn a_bundle_and_a_root_are_audited_as_they_are() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let ran = rig.call(&["audit", "--json", "--bundle", text(&bundle)]);
    let all = findings(ran.ok());
    // Nothing is writable there.
    let fill = all
        .iter()
        .find(|f| f["id"] == "probe/bomb/tmpfs-size")
        .unwrap();
    assert_eq!(fill["verdict"], "not-applicable", "{fill:#}");
    rig.call(&["audit", "--rootfs", text(&rig.rootfs()), "--", "/payload"])
        .ok();
    rig.call(&["audit", "--rootfs", text(&rig.path("state"))])
        .refused(127, &["exec:"]);
}

#[test]
fn an_exception_is_named_and_the_control_stays_unmet() {
    need!(Root, Landlock);
    let rig = Rig::new();
    rig.except("8.4.8", "jit = true");
    rig.except("8.5.2", "template = \"workers\"");
    let ran = rig.call(&["audit", "--json", "--profile", "workers"]);
    let all = findings(&ran.out);
    let failed: Vec<&Value> = all.iter().filter(|f| f["verdict"] == "fail").collect();
    assert!(failed.is_empty() && ran.code == 0, "{failed:#?}");
    let of = |id: &str| all.iter().find(|f| f["id"] == id).unwrap().clone();
    for id in ["probe/process/fork", "probe/memory/map-all"] {
        let finding = of(id);
        assert_eq!(
            (&finding["verdict"], &finding["answer"]),
            (&"waived".into(), &"OK".into()),
            "{finding:#}"
        );
        assert!(finding["exception"].as_str().is_some(), "{finding:#}");
    }
    assert_eq!(of("probe/exec/shell")["verdict"], "pass");
}
