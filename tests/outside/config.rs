//! `check` and `controls`: configurations that do not run, the machine, the catalogue.

use crate::support::*;
use serde_json::{Value, json};

fn check(rig: &Rig, config: &[u8]) -> (i32, Value) {
    let bundle = rig.raw_bundle(config);
    let file = bundle.join("config.json");
    let ran = rig.call(&["check", "config", text(&file), "--json"]);
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:#?}"));
    (ran.code, report)
}

fn failing(report: &Value) -> Vec<&Value> {
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    findings.iter().filter(|f| f["verdict"] == "fail").collect()
}

#[test]
fn a_hardened_config_passes_and_what_asks_for_more_is_named() {
    let rig = Rig::new();
    let mut spec = rig.spec(&["wait"]);
    let (code, report) = check(&rig, spec.to_string().as_bytes());
    assert_eq!((code, failing(&report)), (0, Vec::new()), "{report:#}");
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
    spec["root"]["readonly"] = false.into();
    let (code, report) = check(&rig, spec.to_string().as_bytes());
    assert_eq!(code, 1);
    let controls: Vec<&Value> = failing(&report).iter().map(|f| &f["controls"][0]).collect();
    for control in ["SS-011/8.1.5", "SS-011/8.4.7"] {
        assert!(controls.contains(&&Value::from(control)), "{report:#}");
    }
    // The same by the bundle's folder.
    let bundle = rig.bundle(&spec);
    let ran = rig.call(&["check", "bundle", text(&bundle), "--json"]);
    let second: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, 1);
    assert_eq!(failing(&second).len(), failing(&report).len());
}

#[test]
fn an_exception_is_named_and_passes() {
    let rig = Rig::new();
    rig.except("8.1.5", "capabilities = [\"NET_BIND_SERVICE\"]");
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["capabilities"] = json!({"bounding": ["CAP_NET_BIND_SERVICE"]});
    let (code, report) = check(&rig, spec.to_string().as_bytes());
    assert_eq!(code, 0, "{report:#}");
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let waived = findings.iter().find(|f| f["verdict"] == "waived").unwrap();
    assert_eq!(waived["approver"], "test", "{waived:#}");
}

#[test]
fn files_that_are_no_config_get_a_sentence() {
    let rig = Rig::new();
    let file = |bytes: &[u8]| rig.raw_bundle(bytes).join("config.json");
    let deep = format!("{{\"ociVersion\":{}", "[".repeat(50_000));
    let hostile: [&[u8]; 5] = [b"", b"{", b"[]", b"\xff\xfe", deep.as_bytes()];
    for bytes in hostile {
        let ran = rig.call(&["check", "config", text(&file(bytes))]);
        ran.refused(125, &["config.json"]);
    }
    let ran = rig.call(&["check", "config", "/nowhere/config.json"]);
    ran.refused(125, &["can't read /nowhere/config.json"]);
    let ran = rig.call(&["check", "bundle", "/dev/null"]);
    ran.refused(125, &["can't read"]);
    // Keys that a hostile file chooses are shown and never obeyed.
    let mut spec = rig.spec(&["wait"]);
    spec["linux"]["sysctl"] = json!({"kernel.x\u{1b}[2J\n<b>": "1"});
    spec["annotations"] = json!({"\u{1b}]0;x\u{7}": "y"});
    let path = file(spec.to_string().as_bytes());
    for form in ["table", "html", "junit", "sarif"] {
        let ran = rig.call(&["check", "config", text(&path), "-f", form]);
        assert_eq!(ran.code, 1, "{ran:#?}");
        let plain = |c: char| !c.is_control() || c == '\n';
        assert!(ran.out.chars().all(plain), "{ran:#?}");
    }
}

#[test]
fn the_host_is_checked_and_each_fault_says_how_to_mend_it() {
    let rig = Rig::new();
    let ran = rig.call(&["check", "host", "--json"]);
    assert!(matches!(ran.code, 0 | 1), "{ran:#?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(report["subjects"][0]["findings"].as_array().unwrap().len() > 30);
    for fault in failing(&report) {
        assert!(
            fault["remedy"].as_str().is_some_and(|r| r.len() > 5),
            "{fault:#}"
        );
    }
}

#[test]
fn controls_tell_what_the_code_does_and_nothing_more() {
    let rig = Rig::new();
    let all: Value = serde_json::from_str(rig.call(&["controls", "--json"]).ok()).unwrap();
    let all = all["controls"].as_array().unwrap();
    assert_eq!(all.len(), cofferdam::controls::COUNT);
    let of = |id: &str| all.iter().find(|c| c["id"] == id).unwrap();
    let enforced = of("SS-011/8.1.5")["coverage"]["enforced"].to_string();
    assert!(
        enforced.contains("policy::rules::capabilities::sets"),
        "{enforced}"
    );
    let verified = of("SS-011/8.4.7")["coverage"]["verified"].to_string();
    assert!(verified.contains("observe/root-read-only"), "{verified}");
    // Nobody can see from a machine whether exceptions are well judged.
    assert_eq!(of("SS-011/5.2")["coverage"]["verified"], json!([]));
    let one = rig.call(&["controls", "8.4.7"]);
    for part in [
        "Run File systems",
        "NIST 800-190",
        "4.4.4",
        "root::readonly_and_private",
    ] {
        assert!(one.ok().contains(part), "{part}: {one:#?}");
    }
    rig.call(&["controls", "8.99"])
        .refused_as_usage(&["no control"]);
}
