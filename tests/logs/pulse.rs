//! What capture tells by itself: heartbeats with counters, a spool that fills. And the ways to look at a log.

use crate::beside::{events, rig, until};
use crate::need;
use crate::support::{Alive, finish, unique};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// Says each line that it hears, until there is none.
pub fn parrot() -> i32 {
    println!("ready");
    let mut line = String::new();
    while matches!(std::io::stdin().read_line(&mut line), Ok(1..)) {
        print!("{line}");
        std::io::stdout().flush().unwrap();
        line.clear();
    }
    0
}

#[test]
fn a_heartbeat_comes_with_counters() {
    need!(Root);
    let rig = rig("heartbeat = \"1s\"");
    let name = unique("beat");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let path = rig.path("spool").join(&name);
    let beats = until("two heartbeats", || {
        let all = events(&path);
        let beats = all.into_iter().filter(|e| e["kind"] == "heartbeat");
        let beats: Vec<_> = beats.map(|e| e["counters"].clone()).collect();
        (beats.len() > 1).then_some(beats)
    });
    rig.call(&["kill", &name, "KILL"]).ok();
    assert_eq!(alive.end(), 137);
    let number = |at: usize, key: &str| beats[at][key].as_u64().unwrap();
    assert_eq!((number(1, "records"), number(1, "bytes")), (1, 6));
    assert!(number(1, "last_seq") > number(0, "last_seq"));
    assert!(number(1, "events") > number(0, "events"));
    assert!(number(1, "spool_bytes") > 0);
    assert_eq!(number(1, "dropped"), 0);
    rig.assert_clean(&name);
}

#[test]
fn a_spool_that_fills_is_told_at_each_level() {
    need!(Root);
    let rig = rig("quota = \"4MiB\"\nwhen_full = \"drop_new\"");
    let name = unique("fills");
    let mut command = rig.run_command(&name, &[], &["parrot"]);
    command.stdin(Stdio::piped());
    let mut alive = Alive::spawn(command);
    let mut input = alive.child.stdin.take().unwrap();
    let path = rig.path("spool").join(&name);
    let told = || -> Vec<u64> {
        let all = events(&path);
        let levels = all.iter().filter(|e| e["kind"] == "spool");
        levels.filter_map(|e| e["percent"].as_u64()).collect()
    };
    // A little at a time: a level that is passed over in one step isn't told.
    let mut line = vec![b'x'; 16 << 10];
    line.push(b'\n');
    let mut seen = Vec::new();
    until("95 %", || {
        for _ in 0..8 {
            input.write_all(&line).unwrap();
            // Whoever hears nothing back has not been stored yet.
            assert_eq!(alive.line().len(), line.len());
        }
        seen = told();
        seen.contains(&95).then_some(())
    });
    drop(input);
    assert_eq!(alive.end(), 0);
    assert_eq!(seen, [50, 80, 95]);
    rig.assert_clean(&name);
}

#[test]
fn a_log_is_followed_until_its_container_ends() {
    need!(Root);
    let rig = rig("");
    let name = unique("follow");
    let mut command = rig.run_command(&name, &[], &["parrot"]);
    command.stdin(Stdio::piped());
    let mut alive = Alive::spawn(command);
    let mut input = alive.child.stdin.take().unwrap();
    let mut follow = rig.command();
    follow.args(["logs", "-f", &name]).stdout(Stdio::piped());
    let mut follower = follow.spawn().unwrap();
    let mut shown = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(shown.next().unwrap().unwrap(), "ready");
    for word in ["one", "two"] {
        writeln!(input, "{word}").unwrap();
        assert_eq!(shown.next().unwrap().unwrap(), word);
    }
    drop(input);
    assert_eq!(alive.end(), 0);
    assert!(shown.next().is_none(), "it ends with the container");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_log_is_shown_since_a_time_and_with_times() {
    need!(Root);
    let rig = rig("");
    let name = unique("since");
    finish(rig.run_command(&name, &[], &["echo", "early"])).ok();
    let stamped = rig.call(&["logs", "-t", &name]);
    let (early, text) = stamped.ok().trim_end().split_once(' ').unwrap();
    assert_eq!(text, "early");
    let seconds = |time: &str| cofferdam::clock::seconds(time).unwrap();
    // The next launch is later by the clock: what is shown since its line is that line alone.
    finish(rig.run_command(&name, &[], &["echo", "late"])).ok();
    let stamped = rig.call(&["logs", "-t", &name]);
    let lines: Vec<_> = stamped
        .ok()
        .lines()
        .map(|l| l.split_once(' ').unwrap())
        .collect();
    assert_eq!((lines[0], lines[1].1), ((early, "early"), "late"));
    let late = lines[1].0;
    assert!(seconds(late) > seconds(early));
    let shown = |since: &str| {
        rig.call(&["logs", "--since", since, &name])
            .ok()
            .to_string()
    };
    assert_eq!(shown(late), "late\n");
    assert_eq!(shown(early), "early\nlate\n");
    assert_eq!(shown("1h"), "early\nlate\n");
    assert_eq!(shown("2999-01-01T00:00:00Z"), "");
    let wrong = rig.call(&["logs", "--since", "soon", &name]);
    assert!(
        wrong.code != 0 && wrong.err.contains("--since"),
        "{wrong:#?}"
    );
}
