//! One of each kind: there and back, short enough whatever is in it, and as the schema says.

use super::*;
use crate::controls::ControlId;

fn asked() -> Asked {
    Asked {
        way: Ask::Engine,
        uid: 0,
        login: Some(1000),
        launcher: 7,
    }
}

fn reasons() -> Vec<Reason> {
    vec![Reason {
        control: Some(ControlId::S8_4_1),
        at: "/process/terminal".into(),
        found: "a terminal".into(),
        remedy: "leave it out".into(),
    }]
}

/// One of each kind. The match below fails to build when one is missing here.
pub(super) fn samples(text: &str) -> Vec<What> {
    let s = || text.to_string();
    let all = vec![
        What::LaunchRequested {
            by: asked(),
            image: Some(s()),
            program: s(),
            bundle_digest: s(),
        },
        What::Identity {
            uid: 65532,
            gid: 65532,
            host_uid: Some(100_000),
            host: s(),
            kernel: s(),
        },
        What::Granted {
            template: "default".into(),
            policy_digest: s(),
            plan_digest: s(),
            clamps: 1,
            exceptions: 1,
            lacks: vec![s(); 3],
        },
        What::Clamped {
            pointer: s(),
            asked: s(),
            granted: s(),
        },
        What::ExceptionUsed {
            exception: s(),
            grants: s(),
            expires: s(),
            approver: s(),
            reference: s(),
        },
        What::Verified {
            checked: 200,
            pid: 3,
        },
        What::Started {
            pid: 3,
            program: s(),
        },
        What::Refused {
            stage: Stage::Policy,
            reasons: reasons(),
        },
        What::DeniedCall {
            call: "mount".into(),
            number: 165,
            arguments: vec![s(); 6],
            raw: std::array::from_fn(|_| "0x0".into()),
            answer: "EPERM".into(),
            pid: 3,
            count: 9,
            untold: 1,
        },
        What::DeniedAccess {
            blockers: vec!["fs.write_file".into()],
            object: s(),
            pid: 3,
            count: 1,
        },
        What::OomKilled { count: 1 },
        What::LimitHit {
            limit: Limit::Pids,
            count: 4,
        },
        What::Exited {
            code: Some(1),
            signal: None,
            oom_kills: 0,
        },
        What::Exec {
            by: asked(),
            program: s(),
            result: ExecResult::Refused,
            reasons: reasons(),
        },
        What::Hook {
            point: "createRuntime".into(),
            program: s(),
            result: HookResult::Failed,
            said: Some(s()),
        },
        What::Changed {
            by: asked(),
            change: Change::Signal,
            detail: s(),
        },
        What::Collector {
            collector: s(),
            link: Link::Down,
            why: Some(s()),
            waiting: 4,
        },
        What::PeerRefused {
            collector: s(),
            why: s(),
        },
        What::Spool {
            percent: 80,
            bytes: 8,
            quota: 10,
        },
        What::Gap {
            records: 1,
            bytes: 2,
            first: Some(1),
            last: Some(1),
            why: s(),
        },
        What::RateLimited {
            on: true,
            dropped: 0,
        },
        What::WorkerRestarted {
            worker: "ship".into(),
            ended: "signal 9".into(),
            count: 1,
        },
        What::ClockStep {
            milliseconds: -2000,
        },
        What::Port {
            port: 80,
            accepted: 1,
            refused: 0,
            open: 1,
            bytes_in: 1,
            bytes_out: 1,
        },
        What::PortRefused {
            port: 80,
            peer: s(),
            why: s(),
            count: 1,
            untold: 0,
        },
        What::LifetimeReached {
            seconds: 604_800,
            grace: 10,
        },
        What::Heartbeat {
            counters: Counters::default(),
        },
    ];
    let kinds: std::collections::BTreeSet<_> = all
        .iter()
        .map(|w| serde_json::to_value(w).unwrap()["kind"].to_string())
        .collect();
    assert_eq!(kinds.len(), all.len(), "a kind twice");
    assert_eq!(all.len(), KINDS.len(), "a kind without a sample");
    all
}

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
