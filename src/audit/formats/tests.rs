//! Hostile names in every form, and identifiers that stay.

use super::super::model::{Deviation, Finding, HostLabel, Report, Subject, SubjectKind, Verdict};
use super::*;
use crate::controls::ControlId::{S8_1_5, S8_4_7, S8_5_1};

fn report(name: &str) -> Report {
    let mut subject = Subject::new(SubjectKind::Container, name);
    subject.facts.push(("image".into(), name.into()));
    let deviation = Deviation {
        exception: "EX-1".into(),
        grants: name.into(),
        approver: name.into(),
        reference: "R".into(),
        expires: "2027-01-01".into(),
    };
    let verdicts = [
        ("a", S8_4_7, Verdict::Fail),
        ("b", S8_4_7, Verdict::Pass),
        ("c", S8_1_5, Verdict::Waived(deviation)),
        ("d", S8_5_1, Verdict::not_assessed(name)),
    ];
    for (id, control, verdict) in verdicts {
        let finding = Finding::judged(id, &[control], name, (name, name), verdict);
        subject
            .findings
            .push(finding.seen(name, name).mended_by(name));
    }
    let host = HostLabel {
        name: name.into(),
        kernel: "6".into(),
    };
    Report::new(
        host,
        "2026-11-28T19:00:00.000000Z".into(),
        None,
        vec![subject],
    )
}

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{1b}[2J\n\u{202e}]]>";

#[test]
fn hostile_names_stay_text() {
    let report = report(HOSTILE);
    for format in [
        Format::Table,
        Format::Junit,
        Format::Html,
        Format::Sarif,
        Format::Oscal,
    ] {
        let text = render(&report, Some(&report), format, 100);
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{format:?}: {text}"
        );
        if matches!(format, Format::Junit | Format::Html) {
            assert!(!text.contains("<script"), "{format:?}: {text}");
        }
    }
}

#[test]
fn what_is_waived_is_never_satisfied() {
    let oscal = oscal::assessment(&report("c"));
    let result = &oscal["assessment-results"]["results"][0];
    let findings = result["findings"].as_array().unwrap();
    let state = |id: &str| {
        let of = |f: &&serde_json::Value| f["target"]["target-id"] == id;
        findings
            .iter()
            .find(of)
            .map(|f| f["target"]["status"]["state"].clone())
    };
    assert_eq!(state("ss-011_8.1.5_smt"), Some("not-satisfied".into()));
    assert_eq!(state("ss-011_8.4.7_smt"), Some("not-satisfied".into()));
    assert_eq!(state("ss-011_8.5.1_smt"), None);
    assert_eq!(result["risks"][0]["status"], "deviation-approved");
    let junit = render(&report("c"), None, Format::Junit, 0);
    assert!(
        junit.contains("<skipped message=\"waived: exception EX-1"),
        "{junit}"
    );
    let sarif = sarif::sarif(&report("c"));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let waived = results.iter().find(|r| r["ruleId"] == "c").unwrap();
    assert_eq!(
        (&waived["kind"], &waived["level"]),
        (&"fail".into(), &"error".into())
    );
    assert_eq!(waived["suppressions"][0]["status"], "accepted");
}

#[test]
fn identifiers_stay_from_run_to_run() {
    let (first, mut second) = (report("c"), report("c"));
    second.time = "2027-01-01T00:00:00.000000Z".into();
    let of =
        |r: &Report| oscal::assessment(r)["assessment-results"]["results"][0]["findings"].clone();
    assert_eq!(of(&first), of(&second));
}

#[test]
fn every_reference_leads_somewhere() {
    let text = serde_json::to_string(&oscal::assessment(&report("c"))).unwrap();
    let referred = text.split("-uuid\":\"").skip(1).map(|t| &t[..36]);
    for id in referred {
        assert!(
            text.contains(&format!("\"uuid\":\"{id}\"")),
            "{id} in {text}"
        );
    }
}

#[test]
fn json_stays_json_and_shows_no_control_code() {
    let name = "a\u{9b}b\u{7f}c\u{202e}d\u{e0001}\"\\\n\u{1}";
    let text = render(&report(name), None, Format::Json, 0);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(
        text.contains("a\\u009bb\\u007fc\\u202ed\\udb40\\udc01"),
        "{text}"
    );
    let back: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(back, report(name));
}

proptest::proptest! {
    #[test]
    fn no_name_breaks_a_form(name in proptest::prelude::any::<String>()) {
        let report = report(&name);
        for format in [Format::Table, Format::Json, Format::Junit, Format::Sarif, Format::Oscal, Format::Html] {
            let _ = render(&report, None, format, 80);
        }
    }
}
