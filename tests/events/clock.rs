//! The host's clock is set while a service runs. Only on a machine of its own (tests/vm): there is no other clock to set.

use crate::limits::until;
use crate::need;
use crate::support::events::spooled;
use crate::support::{Alive, Rig, text, unique};
use cofferdam::events::What;

/// Sets the clock by so many seconds.
fn set_by(seconds: i64) {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both calls get a live structure of plain numbers.
    let done = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        now.tv_sec += seconds;
        libc::clock_settime(libc::CLOCK_REALTIME, &raw const now)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
#[ignore = "it sets the clock: tests/vm runs it on a machine of its own"]
fn a_clock_that_is_set_is_told_and_ends_nobody() {
    need!(Root);
    let rig = Rig::new();
    let spool = rig.path("spool");
    let policy = format!(
        "version = 1\n[logs]\nspool = {:?}\nheartbeat = \"1s\"\n[lifetime]\nmax = \"30m\"\n",
        text(&spool)
    );
    std::fs::write(rig.path("policy.toml"), policy).unwrap();
    let name = unique("clock");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let steps = || -> Vec<i64> {
        let events = spooled(&spool.join(&name)).into_iter();
        let steps = events.filter_map(|e| match e.what {
            What::ClockStep { milliseconds } => Some(milliseconds),
            _ => None,
        });
        steps.collect()
    };
    let beats = || {
        let events = spooled(&spool.join(&name));
        let beats = events.iter().filter(|e| e.what.kind() == "heartbeat");
        beats.count()
    };
    for (count, seconds) in [(1, 7200), (2, -7200)] {
        set_by(seconds);
        let told = until("the step", || Some(steps()).filter(|s| s.len() == count));
        let by = told[count - 1] - seconds * 1000;
        assert!(by.abs() < 1000, "{told:?}");
        // Whatever the clock says, two hours have not passed: its heart beats on, and it lives.
        let before = beats();
        until("two more heartbeats", || {
            (beats() > before + 1).then_some(())
        });
    }
    rig.call(&["kill", &name, "KILL"]).ok();
    assert_eq!(alive.end(), 137);
    let events = spooled(&spool.join(&name));
    assert!(events.iter().all(|e| e.what.kind() != "lifetime-reached"));
    rig.call(&["logs", "verify", &name]).ok();
    rig.assert_clean(&name);
}
