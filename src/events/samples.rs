//! One event of each kind, for tests only: this crate's own, and those outside of it that have them validated by others.

// Whoever includes this file has brought the events' names.
use super::*;

fn asked() -> Asked {
    Asked {
        way: Ask::Engine,
        uid: 0,
        login: Some(1000),
        launcher: 7,
    }
}

/// One reason.
pub fn reasons() -> Vec<Reason> {
    vec![Reason {
        control: serde_json::from_str("\"SS-011/8.4.1\"").unwrap(),
        at: "/process/terminal".into(),
        found: "a terminal".into(),
        remedy: "leave it out".into(),
    }]
}

/// One of each kind, with `text` wherever a text is.
pub fn samples(text: &str) -> Vec<What> {
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
            untold: 2,
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
        What::PortNative {
            port: 80,
            established: 1,
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
    let kinds: std::collections::BTreeSet<_> = all.iter().map(What::kind).collect();
    assert_eq!(kinds.len(), all.len(), "a kind twice");
    all
}
