//! Limits that are met: told while the program runs, and counted at its end, for `run` and for an engine's container.

use crate::launches::events_of;
use crate::need;
use crate::support::events::spooled;
use crate::support::{Alive, PATIENCE, Rig, finish, text, unique};
use cofferdam::events::{Event, Limit, What};
use std::io::Write;
use std::os::fd::AsFd;

/// Threads until there may be no more, and then waits.
pub fn crowd() -> i32 {
    fill_up();
    println!("ready");
    crate::support::payload::wait()
}

/// Threads until there may be no more, and then memory.
pub fn crowd_and_gorge() -> i32 {
    fill_up();
    gorge()
}

fn fill_up() {
    let wait = || {
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(|| crate::support::payload::wait())
    };
    while wait().is_ok() {}
}

/// Memory without an end.
pub fn gorge() -> i32 {
    let mut all = Vec::new();
    loop {
        all.push(vec![1u8; 1 << 20]);
        std::io::stdout().flush().unwrap();
    }
}

fn met(events: &[Event], wanted: Limit) -> u64 {
    let counts = events.iter().filter_map(|e| match &e.what {
        What::LimitHit { limit, count } if *limit == wanted => Some(*count),
        _ => None,
    });
    counts.max().unwrap_or(0)
}

fn killed(events: &[Event]) -> u64 {
    let counts = events.iter().filter_map(|e| match &e.what {
        What::OomKilled { count } => Some(*count),
        _ => None,
    });
    counts.max().unwrap_or(0)
}

fn kills_at_the_end(events: &[Event]) -> Option<u64> {
    events.iter().find_map(|e| match &e.what {
        What::Exited { oom_kills, .. } => Some(*oom_kills),
        _ => None,
    })
}

#[test]
fn the_limit_of_threads_is_told_while_the_program_runs() {
    need!(Root);
    let rig = Rig::new();
    let (file, name) = (rig.path("events"), unique("crowd"));
    let flags = ["--pids", "12", "--events", text(&file)];
    let alive = Alive::spawn(rig.run_command(&name, &flags, &["crowd"]));
    until("the event", || {
        (met(&events_of(&file), Limit::Pids) > 0).then_some(())
    });
    let events = events_of(&file);
    assert_eq!(kills_at_the_end(&events), None, "it runs");
    rig.call(&["kill", &name, "KILL"]).ok();
    assert_eq!(alive.end(), 137);
    let told = rig.call(&["explain", "--events", text(&file), &name]);
    assert!(told.ok().contains("a thread or process more"), "{told:#?}");
    rig.assert_clean(&name);
}

#[test]
fn a_kill_for_want_of_memory_is_told() {
    need!(Root);
    let rig = Rig::new();
    let (file, name) = (rig.path("events"), unique("gorge"));
    let flags = ["--memory", "48m", "--events", text(&file)];
    let ran = finish(rig.run_command(&name, &flags, &["gorge"]));
    assert_eq!(ran.code, 137, "{ran:#?}");
    let events = events_of(&file);
    assert!(killed(&events) > 0, "{events:#?}");
    assert!(met(&events, Limit::Memory) > 0, "{events:#?}");
    assert_eq!(kills_at_the_end(&events), Some(killed(&events)));
    rig.assert_clean(&name);
}

#[test]
fn an_engines_container_tells_them_too() {
    need!(Root);
    let rig = Rig::new();
    let (spool, id) = (rig.with_spool(), unique("limits"));
    let mut spec = rig.spec(&["crowd-and-gorge"]);
    spec["linux"]["resources"] = serde_json::json!({
        "pids": { "limit": 12 },
        "memory": { "limit": 48 << 20, "swap": 48 << 20 },
    });
    rig.create_unheard(&spec, &id);
    let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
    rig.call(&["start", &id]).ok();
    assert!(crate::support::wait_fd(pidfd.as_fd()));
    let events = until("its end", || {
        let events = spooled(&spool.join(&id));
        kills_at_the_end(&events).is_some().then_some(events)
    });
    crate::support::schema::assert_events(&events);
    assert!(killed(&events) > 0, "{events:#?}");
    assert_eq!(kills_at_the_end(&events), Some(killed(&events)));
    assert!(met(&events, Limit::Pids) > 0, "{events:#?}");
    assert!(met(&events, Limit::Memory) > 0, "{events:#?}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn hooks_and_a_forced_removal_are_told() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.2.1", "hooks = [\"/bin/sh\"]");
    let (spool, id) = (rig.with_spool(), unique("hooked"));
    let mut spec = rig.spec(&["wait"]);
    let hook = |code: &str| serde_json::json!([{"path": "/bin/sh", "args": ["sh", "-c", code]}]);
    spec["hooks"] = serde_json::json!({"createRuntime": hook("exit 0"), "poststart": hook("exit 3"), "poststop": hook("sleep 1; exit 5")});
    rig.create_unheard(&spec, &id);
    rig.call(&["start", &id]);
    rig.call(&["delete", "--force", &id]).ok();
    // The hooks behind the end are told behind it.
    let last = |e: &Event| e.what.to_string().contains("the poststop hook");
    let events = until("its last hook", || {
        let events = spooled(&spool.join(&id));
        events.iter().any(last).then_some(events)
    });
    crate::support::schema::assert_events(&events);
    let told: Vec<String> = events.iter().map(|e| e.what.to_string()).collect();
    for part in [
        "the createRuntime hook /bin/sh has run",
        "the poststart hook /bin/sh failed: ended with exit code 3",
        "deleted it",
        "the poststop hook /bin/sh failed: ended with exit code 5",
    ] {
        assert!(
            told.iter().any(|t| t.contains(part)),
            "no {part:?} in {told:#?}"
        );
    }
    rig.assert_clean(&id);
}

/// Waits for something that must come.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
