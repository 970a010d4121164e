//! Hooks are told wherever they run: around the container, inside of it, behind its end. And a program that can't begin.

use crate::launches::events_of;
use crate::limits::until;
use crate::need;
use crate::support::events::spooled;
use crate::support::{Rig, finish, text, unique};
use cofferdam::events::{Event, Stage, What};
use serde_json::{Value, json};

/// A site that lets everything be asked for, with a spool.
fn site() -> Rig {
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    rig.with_spool();
    rig
}

fn inside(code: &str) -> Value {
    json!([{"path": "/payload", "args": ["payload", "exit", code]}])
}

fn said(events: &[Event]) -> Vec<String> {
    events.iter().map(|e| e.what.to_string()).collect()
}

#[track_caller]
fn assert_said(events: &[Event], parts: &[&str]) {
    crate::support::schema::assert_events(events);
    let all = said(events);
    let found = all.iter().filter(|t| parts.iter().any(|p| t.contains(p)));
    let found: Vec<&String> = found.collect();
    assert_eq!(found.len(), parts.len(), "{all:#?}");
    for (text, part) in found.iter().zip(parts) {
        assert!(text.contains(part), "{part:?} is not next in {all:#?}");
    }
}

#[test]
fn hooks_inside_and_behind_the_end_are_told() {
    need!(Root);
    let rig = site();
    let mut spec = rig.spec(&["exit", "0"]);
    let poststop = |code: &str| json!({"path": "/bin/sh", "args": ["sh", "-c", code]});
    spec["hooks"] = json!({
        "startContainer": inside("0"),
        "poststop": [poststop("exit 0"), poststop("exit 3")],
    });
    let (bundle, name) = (rig.bundle(&spec), unique("behind"));
    let mut command = rig.command();
    command.args(["run", "--bundle", text(&bundle), &name]);
    finish(command).ok();
    let last = "the poststop hook /bin/sh failed: ended with exit code 3";
    let events = until("the last hook", || {
        let events = spooled(&rig.path("spool").join(&name));
        said(&events).iter().any(|t| t == last).then_some(events)
    });
    assert_said(
        &events,
        &[
            "runs as process",
            "the startContainer hook /payload has run",
            "ended with 0",
            "the poststop hook /bin/sh has run",
            last,
        ],
    );
    rig.assert_clean(&name);
}

#[test]
fn a_hook_inside_that_fails_is_told_with_the_refusal() {
    need!(Root);
    let rig = site();
    let mut spec = rig.spec(&["exit", "0"]);
    spec["hooks"] = json!({ "startContainer": inside("4") });
    let parts = [
        "the startContainer hook /payload failed: the startContainer hook number 0 ended with exit code 4",
        "refused: ",
    ];
    for standalone in [true, false] {
        let (bundle, name) = (rig.bundle(&spec), unique("inside"));
        let verb = if standalone { "run" } else { "create" };
        let ran = rig.call(&[verb, "--bundle", text(&bundle), &name]);
        if standalone {
            assert_eq!(ran.code, 125, "{ran:#?}");
        } else {
            ran.ok();
            assert_ne!(rig.call(&["start", &name]).code, 0);
        }
        let events = until("the refusal", || {
            let events = spooled(&rig.path("spool").join(&name));
            let refused = |e: &Event| {
                matches!(
                    &e.what,
                    What::Refused {
                        stage: Stage::Exec,
                        ..
                    }
                )
            };
            events.iter().any(refused).then_some(events)
        });
        assert_said(&events, &parts);
        rig.call(&["delete", "--force", &name]).ok();
        rig.assert_clean(&name);
    }
}

#[test]
fn nothing_that_a_program_does_is_told_before_its_start() {
    need!(Root);
    let rig = site();
    std::fs::remove_dir_all(rig.path("exceptions.d")).unwrap();
    // Programs that are refused something at once, and are gone before anybody can tell that they run.
    for n in 0..12 {
        let name = unique("early");
        if n % 2 == 0 {
            let file = rig.path(&name);
            finish(rig.run_command(&name, &["--events", text(&file)], &["try"])).ok();
            assert_begins(&events_of(&file));
            continue;
        }
        rig.create(&rig.spec(&["try"]), &name).ok();
        rig.call(&["start", &name]).ok();
        let events = until("its end", || {
            let events = spooled(&rig.path("spool").join(&name));
            let ended = events.iter().any(|e| matches!(e.what, What::Exited { .. }));
            ended.then_some(events)
        });
        assert_begins(&events);
        rig.call(&["delete", "--force", &name]).ok();
    }
}

#[track_caller]
fn assert_begins(events: &[Event]) {
    let at = |wanted: &str| events.iter().position(|e| e.what.kind() == wanted);
    let started = at("started").expect("no start");
    assert!(
        started < at("denied-call").expect("no denial"),
        "{events:#?}"
    );
    assert!(started < at("exited").expect("no end"), "{events:#?}");
    let What::Started { program, .. } = &events[started].what else {
        unreachable!()
    };
    assert_eq!(program, "/payload");
}
