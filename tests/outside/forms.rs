//! Every form of a report against its own schema: OSCAL by compliance-trestle, SARIF and JUnit by their schemas, the
//! page in a real browser.

use crate::containers::{Foreign, has};
use crate::need;
use crate::support::*;
use std::path::PathBuf;
use std::process::Command;

/// Where `.ci/run` puts the validators.
fn python() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/audit-tools/bin/python")
}

/// Skips where the validators are not installed.
macro_rules! validators {
    ($test:literal) => {
        if !python().exists() {
            let why = "no validators in target/audit-tools; .ci/run installs them";
            return skip($test, "audit-tools", why);
        }
    };
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside/validate.py");

#[track_caller]
fn validate(kind: &str, file: &str) {
    let mut command = Command::new(python());
    command.args([SCRIPT, kind, file]);
    command.env("HOME", "/nonexistent");
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{kind} {file}: {ran:#?}");
}

/// A report on something that fails, waives, passes and can't all be seen.
fn report(rig: &Rig, form: &str, more: &[&str]) -> PathBuf {
    if !rig.path("exceptions.d").exists() {
        rig.except("8.1.5", "capabilities = [\"NET_BIND_SERVICE\"]");
    }
    let mut spec = rig.spec(&["wait"]);
    spec["process"]["capabilities"] = serde_json::json!({"bounding": ["CAP_NET_BIND_SERVICE"]});
    let file = rig.path("request.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    let out = rig.path(&format!("report.{form}"));
    let args = ["check", "config", text(&file), "-f", form, "-o", text(&out)];
    let ran = rig.call(&[&args, more].concat());
    assert_eq!(ran.code, 0, "{ran:#?}");
    out
}

#[test]
fn oscal_is_what_trestle_takes() {
    validators!("oscal_is_what_trestle_takes");
    let rig = Rig::new();
    validate("oscal", text(&report(&rig, "oscal", &[])));
    for kind in ["catalog", "component", "poam"] {
        let out = rig.path(&format!("{kind}.json"));
        rig.call(&["oscal", kind, "-o", text(&out)]).ok();
        validate("oscal", text(&out));
    }
    let host = rig.path("host.json");
    rig.call(&["check", "host", "-f", "oscal", "-o", text(&host)]);
    validate("oscal", text(&host));
    let none = Rig::new();
    none.call(&["oscal", "poam"])
        .refused(125, &["no exception"]);
}

#[test]
fn sarif_and_junit_are_what_their_schemas_say() {
    validators!("sarif_and_junit_are_what_their_schemas_say");
    let rig = Rig::new();
    for form in ["sarif", "junit"] {
        validate(form, text(&report(&rig, form, &[])));
    }
}

#[test]
fn a_foreign_containers_report_is_valid_in_every_form() {
    need!(Root);
    validators!("a_foreign_containers_report_is_valid_in_every_form");
    if !has("runc", "a_foreign_containers_report_is_valid_in_every_form") {
        return;
    }
    let rig = Rig::new();
    let foreign = Foreign::start("runc", &rig, &unique("forms"));
    let pid = foreign.pid().to_string();
    for form in ["oscal", "sarif", "junit"] {
        let out = rig.path(&format!("runc.{form}"));
        let ran = rig.call(&["audit", "--pid", &pid, "-f", form, "-o", text(&out)]);
        assert_eq!(ran.code, 1, "{ran:#?}");
        validate(form, text(&out));
    }
}

#[test]
fn the_page_opens_in_a_browser_without_a_complaint() {
    if !has(
        "chromium",
        "the_page_opens_in_a_browser_without_a_complaint",
    ) {
        return;
    }
    let rig = Rig::new();
    let old = report(&rig, "json", &[]);
    let page = rig.path("report.html");
    let now = report(&rig, "html", &["--baseline", text(&old)]);
    assert_eq!(now, page);
    let picture = rig.path("page.png");
    let browser = |what: &str| {
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.args([
            "--enable-logging=stderr",
            "--log-level=0",
            "--window-size=1200,1600",
        ]);
        command.arg(format!("--user-data-dir={}", text(&rig.path("profile"))));
        command.arg(what).arg(format!("file://{}", text(&page)));
        command.env("HOME", rig.dir());
        finish(command)
    };
    let dom = browser("--dump-dom");
    assert_eq!(dom.code, 0, "{dom:#?}");
    // The browser's own view of the page: every section is there, and nothing was said on its console.
    assert!(
        dom.out.contains("<h2>Exceptions in use</h2>"),
        "{}",
        dom.out
    );
    assert!(dom.out.contains("<h2>Since "), "{}", dom.out);
    let sections = dom.out.matches("<section class=\"control").count();
    assert_eq!(sections, cofferdam::controls::COUNT);
    assert!(!dom.err.contains("CONSOLE"), "{}", dom.err);
    let shot = browser(&format!("--screenshot={}", text(&picture)));
    assert_eq!(shot.code, 0, "{shot:#?}");
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000);
}
