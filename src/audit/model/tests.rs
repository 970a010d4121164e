//! The order, the roll-up and the exit code; and the JSON form there and back.

use super::*;
use ControlId::{S8_1_5, S8_4_7};

fn finding(id: &str, control: ControlId, verdict: Verdict) -> Finding {
    Finding::judged(id, &[control], "looked", ("none", "some"), verdict).seen("/proc/1/status", "x")
}

fn report(findings: Vec<Finding>) -> Report {
    let mut subject = Subject::new(SubjectKind::Container, "c");
    subject.findings = findings;
    Report::new(
        HostLabel::default(),
        "2026-11-28T00:00:00Z".into(),
        None,
        vec![subject],
    )
}

fn deviation() -> Deviation {
    Deviation {
        exception: "EX-1".into(),
        grants: "writable root".into(),
        approver: "A".into(),
        reference: "R".into(),
        expires: "2027-01-01".into(),
    }
}

#[test]
fn the_worst_comes_first() {
    let all = report(vec![
        finding("c", S8_4_7, Verdict::Pass),
        finding("b", S8_4_7, Verdict::Fail),
        finding("a", S8_4_7, Verdict::Waived(deviation())),
        finding("z", S8_1_5, Verdict::Fail),
    ]);
    let ids: Vec<&str> = all.subjects[0].findings.iter().map(|f| &*f.id).collect();
    assert_eq!(ids, ["z", "b", "a", "c"]);
}

#[test]
fn zero_only_if_something_was_seen_and_nothing_fails() {
    let pass = || finding("a", S8_4_7, Verdict::Pass);
    assert_eq!(report(vec![pass()]).exit_code(), 0);
    let unseen = finding("b", S8_1_5, Verdict::not_assessed("far away"));
    assert_eq!(report(vec![pass(), unseen.clone()]).exit_code(), 0);
    assert_eq!(
        report(vec![pass(), finding("c", S8_1_5, Verdict::Fail)]).exit_code(),
        1
    );
    assert_eq!(report(vec![unseen]).exit_code(), 1);
    assert_eq!(report(Vec::new()).exit_code(), 1);
    assert_eq!(
        report(vec![finding("a", S8_4_7, Verdict::Waived(deviation()))]).exit_code(),
        0
    );
}

#[test]
fn a_control_is_as_good_as_its_worst_finding() {
    let all = report(vec![
        finding("a", S8_4_7, Verdict::Pass),
        finding("b", S8_4_7, Verdict::not_assessed("far away")),
        finding("c", S8_1_5, Verdict::Pass),
    ]);
    let of = |id| {
        let mut rows = all.subjects[0].by_control().into_iter();
        rows.find(|(c, ..)| *c == id).map(|(_, v, _)| v.word())
    };
    assert_eq!(of(S8_4_7), Some("not assessed"));
    assert_eq!(of(S8_1_5), Some("pass"));
    assert_eq!(of(ControlId::S8_3_9), Some("not assessed"));
    assert_eq!(all.subjects[0].by_control().len(), crate::controls::COUNT);
}

#[test]
fn json_there_and_back() {
    let all = report(vec![
        finding("a", S8_4_7, Verdict::Waived(deviation())),
        finding("b", S8_4_7, Verdict::not_assessed("far away")),
        finding("c", S8_1_5, Verdict::Pass).mended_by("nothing"),
    ]);
    let text = serde_json::to_string(&all).unwrap();
    assert!(text.contains(r#""verdict":"not-assessed","why":"far away""#));
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), all);
}
