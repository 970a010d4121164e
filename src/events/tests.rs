//! One of each kind: there and back, short enough whatever is in it, and as the schema says.

use super::samples::{reasons, samples};
use super::*;
use crate::controls::ControlId;

/// The kinds that the schema names.
static KINDS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../profiles/events.schema.json")).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap();
    kinds
        .iter()
        .map(|k| k["properties"]["kind"]["const"].as_str().unwrap().into())
        .collect()
});

#[test]
fn every_kind_has_a_sample() {
    assert_eq!(samples("x").len(), KINDS.len());
}

pub(super) fn about(text: &str) -> About {
    About {
        id: text.into(),
        name: Some(text.into()),
        launch: "1-2".into(),
    }
}

#[test]
fn each_kind_comes_back_as_it_went() {
    for what in samples("some\nwords\u{1b}[2J \u{fffd}\"") {
        let event = what.event(&about("web"), &[ControlId::S8_1_4]);
        let line = event.line();
        assert_eq!(line.iter().filter(|b| b.is_ascii_control()).count(), 1);
        assert_eq!(parse(&line).unwrap(), event);
    }
}

#[test]
fn whatever_is_in_it_it_is_one_line_of_8_kib() {
    for text in ["\u{1}".repeat(100_000), "é".repeat(5000), "x".repeat(9000)] {
        for what in samples(&text) {
            let event = what.event(&about(&text), &[]);
            let line = event.line();
            assert!(line.len() <= MOST, "{}", line.len());
            let back = parse(&line).unwrap();
            assert!(back.shortened);
            assert_eq!(
                std::mem::discriminant(&back.what),
                std::mem::discriminant(&event.what)
            );
        }
    }
    let mut many = reasons();
    while many.len() < 1000 {
        many.extend(reasons());
    }
    let refused = What::Refused {
        stage: Stage::Policy,
        reasons: many,
    };
    let line = refused.event(&about("web"), &[]).line();
    assert!(parse(&line).is_ok() && line.len() <= MOST);
}

#[test]
fn what_is_no_event_is_an_error() {
    for bad in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"version":1,"time":"","id":"","launch":"","kind":"nothing"}"#,
        &"[".repeat(5000),
        &"x".repeat(MOST + 1),
    ] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let later =
        r#"{"version":2,"time":"","id":"","launch":"","kind":"oom-killed","count":1,"new":[]}"#;
    assert!(parse(later.as_bytes()).is_ok());
}

#[test]
fn a_denial_s_own_control_stands_alone() {
    let denied = &samples("")[8];
    let of = |c: &[ControlId]| denied.clone().event(&about("web"), c).controls;
    assert_eq!(of(&[ControlId::S8_4_5]), [ControlId::S8_4_5]);
    assert_eq!(of(&[]), [ControlId::S8_1_4]);
}
