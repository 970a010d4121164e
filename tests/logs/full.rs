//! A spool that stays full: what finds no room, not even in the reserve, is counted, and what was kept stays.

use crate::beside::{kept, kill, rig, status, until};
use crate::need;
use crate::support::{Alive, Rig, unique};
use cofferdam::logs::Stream;
use serde_json::Value;

/// A line of `flood`.
const LINE: u64 = 66;

/// (records, bytes) that gap records tell for this reason.
pub fn told(gaps: &[String], why: &str) -> (u64, u64) {
    let gaps = gaps.iter().map(|g| serde_json::from_str(g).unwrap());
    let gaps = gaps.filter(|gap: &Value| gap["gap"] == why);
    gaps.fold((0, 0), |(records, bytes), gap| {
        let number = |key: &str| gap[key].as_u64().unwrap();
        (records + number("records"), bytes + number("bytes"))
    })
}

/// Whether so many bytes are what `flood` says, with its last words or without.
pub fn is_a_flood(bytes: u64, ended: bool) -> bool {
    let lines = |last: u64| {
        let lines = bytes.checked_sub(6 + last)?;
        (lines % LINE == 0).then_some(lines / LINE)
    };
    match ended {
        false => lines(0).is_some(),
        true => (1..20).any(|d| lines(5 + d).is_some_and(|n| n.to_string().len() as u64 == d)),
    }
}

/// Lines in order: without a hole, where nothing was dropped between them.
pub fn assert_in_order(bytes: &[u8], has_holes: bool) {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut next = 0u64;
    for line in text.lines().filter(|l| l.starts_with("line ")) {
        let n: u64 = line[5..17].parse().unwrap();
        assert!(n == next || (has_holes && n > next), "{line:?} at {next}");
        next = n + 1;
    }
    assert!(next > 1000, "{next}");
}

fn fill(when_full: &str) -> (Rig, String, Alive) {
    let rig = rig(&format!("quota = \"1MiB\"\nwhen_full = {when_full:?}"));
    let name = unique("full");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["flood"]));
    until("a full spool", || {
        let status = status(&rig, &name);
        (status["full"] == true || status["room"]["lost"].as_u64() > Some(0)).then_some(())
    });
    // Each refusal is an event.
    until("events without room", || {
        for _ in 0..20 {
            let ran = rig.call(&["exec", &name, "/payload", "exit", "0"]);
            assert_ne!(ran.code, 0);
        }
        (status(&rig, &name)["events_lost"].as_u64() > Some(20)).then_some(())
    });
    (rig, name, alive)
}

fn assert_counted(rig: &Rig, name: &str, ended: bool) {
    let now = until("the end of the spool", || {
        let now = status(rig, name);
        now["ended_ns"].is_u64().then_some(now)
    });
    assert_eq!(now["restarts"], 0);
    let (bytes, gaps) = kept(&rig.path("spool").join(name), Stream::Stdout);
    assert_in_order(&bytes, ended);
    let lost = told(&gaps, "drop_new");
    let room = &now["room"];
    assert_eq!(Some(lost.1), room["lost_bytes"].as_u64(), "{now} {gaps:?}");
    assert!(
        lost.1 > 0 && is_a_flood(bytes.len() as u64 + lost.1, ended),
        "{lost:?}"
    );
    let events = told(&gaps, "events").0;
    assert!(
        events > 20 && now["events_lost"] == events,
        "{now} {gaps:?}"
    );
    assert!(
        room["used"].as_u64() < Some((1 << 20) + (72 << 10)),
        "{now}"
    );
    rig.call(&["logs", "verify", name]).ok();
    rig.assert_clean(name);
}

#[test]
fn a_service_is_held_and_events_beyond_the_reserve_are_counted() {
    need!(Root);
    let (rig, name, alive) = fill("block");
    assert_eq!(status(&rig, &name)["room"]["lost"], 0);
    rig.call(&["kill", &name, "KILL"]).ok();
    assert_eq!(alive.end(), 137);
    // What was in hand at its end is counted, too.
    assert_counted(&rig, &name, false);
}

#[test]
fn a_service_goes_on_and_events_beyond_the_reserve_are_counted() {
    need!(Root);
    let (rig, name, alive) = fill("drop_new");
    kill(alive.child.id() as i32, libc::SIGTERM);
    assert_eq!(alive.end(), 0);
    assert_counted(&rig, &name, true);
}
