//! The heartbeat: it comes again and again, no sooner than it should, and counts exactly what is in the spool before it.

use crate::limits::until;
use crate::need;
use crate::support::{Alive, Rig, text, unique};
use cofferdam::events::{Counters, Event, What, parse};
use cofferdam::logs::spool::{Position, Reader};
use cofferdam::logs::{Kind, Stream};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// What the spool holds up to a record, counted by hand.
#[derive(Default)]
struct Sum {
    counted: Vec<(u64, Counters)>,
    beats: Vec<(u64, Event)>,
}

fn read(dir: &Path) -> Sum {
    let Ok(dir) = std::fs::File::open(dir) else {
        return Sum::default();
    };
    let mut reader = Reader::of_now(dir.into(), Position::default()).unwrap();
    let (mut sum, mut now) = (Sum::default(), Counters::default());
    while let Some(frame) = reader.read().unwrap() {
        for record in frame.records() {
            assert_ne!(record.kind, Kind::Gap);
            now.last_seq = record.seq;
            if record.stream == Stream::Event {
                now.events += 1;
                let event = parse(record.bytes).unwrap();
                match &event.what {
                    What::DeniedCall { count, untold, .. } => now.denied += count + untold,
                    What::WorkerRestarted { .. } => now.restarts += 1,
                    What::Heartbeat { .. } => sum.beats.push((record.seq, event)),
                    _ => {}
                }
            } else {
                now.records += 1;
                now.bytes += record.bytes.len() as u64 + 1;
            }
            sum.counted.push((record.seq, now.clone()));
        }
    }
    sum
}

#[test]
fn heartbeats_count_what_was_told_and_come_in_their_interval() {
    need!(Root);
    let rig = Rig::new();
    let spool = rig.path("spool");
    let policy = format!(
        "version = 1\n[logs]\nspool = {:?}\nheartbeat = \"1s\"\n",
        text(&spool)
    );
    std::fs::write(rig.path("policy.toml"), policy).unwrap();
    let name = unique("beats");
    let mut command = rig.run_command(&name, &[], &["try-again"]);
    command.stdin(Stdio::piped());
    let mut alive = Alive::spawn(command);
    let mut input = alive.child.stdin.take().unwrap();
    let mut beats = 0;
    until("five heartbeats", || {
        input.write_all(b"\n").unwrap();
        assert_eq!(alive.line(), "EPERM\n");
        beats = read(&spool.join(&name)).beats.len();
        (beats >= 5).then_some(())
    });
    drop(input);
    assert_eq!(alive.end(), 0);
    let sum = read(&spool.join(&name));
    let mut before = None;
    for (seq, event) in &sum.beats {
        let What::Heartbeat { counters } = &event.what else {
            unreachable!()
        };
        assert!(counters.last_seq < *seq);
        let found = sum.counted.iter().find(|(at, _)| *at == counters.last_seq);
        let expected = Counters {
            spool_bytes: counters.spool_bytes,
            ..found.unwrap().1.clone()
        };
        assert_eq!(counters, &expected);
        assert!(counters.denied > 0 && counters.records > 1 && counters.spool_bytes > 0);
        let (seconds, micros) = cofferdam::clock::seconds(&event.time).unwrap();
        let now = seconds * 1_000_000 + micros;
        // Stamped as they are sent, one after the other.
        assert!(
            before.is_none_or(|before| now >= before + 990_000),
            "{before:?} {now}"
        );
        before = Some(now);
    }
    rig.assert_clean(&name);
}
