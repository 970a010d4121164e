//! The spool end to end: what is written is read, through restarts, damage and full disks.

use super::*;
use crate::logs::record::{Kind, Origin, Stream};
use nix::fcntl::OFlag;
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn folder(path: &Path) -> OwnedFd {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).unwrap()
}

fn origin(launch: &str) -> Origin {
    Origin {
        id: "web".into(),
        name: None,
        image: None,
        host: "h".into(),
        boot: "b".into(),
        launch: launch.into(),
    }
}

const WIDE: Settings = Settings {
    quota: 64 << 20,
    when_full: WhenFull::Block,
    sync: Sync::Never,
};

/// A spool of a mebibyte.
fn small(path: &Path, when_full: WhenFull) -> Writer {
    let settings = Settings {
        quota: 1 << 20,
        when_full,
        ..WIDE
    };
    Writer::open(folder(path), &origin("1"), settings, 1).unwrap()
}

fn put(writer: &mut Writer, stream: Stream, bytes: &[u8]) -> Stored {
    let mut whole = vec![0; HEADER];
    whole.extend_from_slice(bytes);
    writer.append(stream, 5, &mut whole).unwrap()
}

/// Everything, as (seq, kind, bytes).
fn all(path: &Path) -> Vec<(u64, Kind, Vec<u8>)> {
    from(path, Position::default())
}

fn from(path: &Path, position: Position) -> Vec<(u64, Kind, Vec<u8>)> {
    let mut reader = Reader::open(folder(path), position);
    let mut out = Vec::new();
    while let Some(frame) = reader.read().unwrap() {
        out.extend(frame.records().map(|r| (r.seq, r.kind, r.bytes.to_vec())));
    }
    out
}

#[test]
fn what_is_written_is_read_through_restarts_and_segments() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        quota: 2 << 20,
        ..WIDE
    };
    let mut wanted = 0u64;
    for _restart in 0..3 {
        let mut writer = Writer::open(folder(dir.path()), &origin("1"), settings, 1).unwrap();
        assert_eq!(writer.next_seq(), wanted + 1);
        for _ in 0..20 {
            let line = format!("{}\n{}\n", "a".repeat(9000), "b".repeat(9000));
            assert_eq!(
                put(&mut writer, Stream::Stdout, line.as_bytes()),
                Stored::Kept
            );
            wanted += 2;
        }
        // Killed: nothing is closed.
    }
    let read = all(dir.path());
    let numbers: Vec<u64> = read.iter().map(|r| r.0).collect();
    assert_eq!(numbers, (1..=wanted).collect::<Vec<_>>());
    assert!(segments(&folder(dir.path())).unwrap().len() > 3);
    let checked = verify(&folder(dir.path())).unwrap();
    assert_eq!(
        (checked.problems.len(), checked.records),
        (0, wanted),
        "{checked:?}"
    );
    // The next launch of the name has numbers of its own.
    let mut writer = Writer::open(folder(dir.path()), &origin("2"), settings, 1).unwrap();
    put(&mut writer, Stream::Stderr, b"new\n");
    writer.close().unwrap();
    assert_eq!(
        all(dir.path()).last().unwrap(),
        &(1, Kind::Line, b"new".to_vec())
    );
    let mut writer = Writer::open(folder(dir.path()), &origin("3"), settings, 1).unwrap();
    put(&mut writer, Stream::Stderr, b"newer\n");
    assert_eq!(verify(&folder(dir.path())).unwrap().problems, []);
}

#[test]
fn a_reader_goes_on_from_the_middle_of_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
    put(&mut writer, Stream::Stdout, b"1\n2\n3\n");
    let mut reader = Reader::open(folder(dir.path()), Position::default());
    reader.read().unwrap().unwrap();
    let begin = reader.head().unwrap().first_seq;
    let first = from(
        dir.path(),
        Position {
            segment: 1,
            offset: 0,
            seq: 0,
        },
    );
    assert_eq!((begin, first.len()), (1, 3));
    let behind = reader.position();
    put(&mut writer, Stream::Stdout, b"4\n5\n");
    let rest = from(dir.path(), Position { seq: 5, ..behind });
    assert_eq!(rest, [(5, Kind::Line, b"5".to_vec())]);
    // And a reader at the end sees what comes.
    assert_eq!(reader.read().unwrap().unwrap().bytes, b"4\n5\n");
    assert!(reader.read().unwrap().is_none());
    put(&mut writer, Stream::Stdout, b"6\n");
    assert_eq!(reader.read().unwrap().unwrap().seq, 6);
}

#[test]
fn a_torn_tail_never_stops_a_start_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
    put(&mut writer, Stream::Stdout, b"kept\n");
    let path = dir.path().join("000000000001.seg");
    let kept = std::fs::metadata(&path).unwrap().len();
    put(&mut writer, Stream::Stdout, b"the last one\n");
    drop(writer);
    let whole = std::fs::read(&path).unwrap();
    for end in kept..whole.len() as u64 {
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(&path, &whole[..end as usize]).unwrap();
        // The same launch: its successor still has the bytes, so there is no gap.
        let mut writer = Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
        assert_eq!(writer.next_seq(), 2);
        put(&mut writer, Stream::Stdout, b"the last one\n");
        drop(writer);
        let read: Vec<_> = all(dir.path()).into_iter().map(|r| r.2).collect();
        assert_eq!(read, [b"kept".to_vec(), b"the last one".to_vec()], "{end}");
        // Another launch: they are gone, and that is said.
        std::fs::write(&path, &whole[..end as usize]).unwrap();
        let mut writer = Writer::open(folder(dir.path()), &origin("2"), WIDE, 1).unwrap();
        writer.tell_gaps(1).unwrap();
        drop(writer);
        let kinds: Vec<_> = all(dir.path()).into_iter().map(|r| r.1).collect();
        let gaps = kinds.iter().filter(|k| **k == Kind::Gap).count();
        assert_eq!(gaps, usize::from(end != kept), "{end}: {kinds:?}");
        assert_eq!(verify(&folder(dir.path())).unwrap().problems, [], "{end}");
    }
}

#[test]
fn a_damaged_head_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
    put(&mut writer, Stream::Stdout, b"lost\n");
    drop(writer);
    let path = dir.path().join("000000000001.seg");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(b"?", 20)
        .unwrap();
    assert_eq!(all(dir.path()).first().map(|r| r.1), Some(Kind::Gap));
    let mut writer = Writer::open(folder(dir.path()), &origin("2"), WIDE, 1).unwrap();
    put(&mut writer, Stream::Stdout, b"on\n");
    let read = all(dir.path());
    assert_eq!(
        read.iter().map(|r| r.1).collect::<Vec<_>>(),
        [Kind::Gap, Kind::Line]
    );
    assert!(dir.path().join("000000000001.seg.bad").exists());
    assert_eq!(verify(&folder(dir.path())).unwrap().problems.len(), 1);
}

#[test]
fn each_policy_of_a_full_spool_counts_what_it_drops() {
    for when_full in [WhenFull::Block, WhenFull::DropNew, WhenFull::DropOld] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = small(dir.path(), when_full);
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let mut produced = 0u64;
        let mut full = 0;
        for _ in 0..2000 {
            match put(&mut writer, Stream::Stdout, &line) {
                Stored::Full => full += 1,
                Stored::Kept | Stored::Dropped => produced += 1,
            }
        }
        assert_eq!(full > 0, when_full == WhenFull::Block);
        // An event has room of its own.
        assert_eq!(put(&mut writer, Stream::Event, b"{}"), Stored::Kept);
        assert!(
            writer.room().used <= (1 << 20) + (64 << 10),
            "{:?}",
            writer.room()
        );
        writer.tell_gaps(1).unwrap();
        let read = all(dir.path());
        let lines = read
            .iter()
            .filter(|r| r.1 == Kind::Line && r.2.len() == 999)
            .count() as u64;
        let gaps: Vec<Gap> = read
            .iter()
            .filter(|r| r.1 == Kind::Gap)
            .map(|r| serde_json::from_slice(&r.2).unwrap())
            .collect();
        match when_full {
            WhenFull::Block => assert_eq!((lines, gaps.len()), (produced, 0)),
            WhenFull::DropNew => {
                let lost: u64 = gaps.iter().filter_map(|g| g.records).sum();
                assert_eq!(lines + lost, produced);
            }
            WhenFull::DropOld => {
                // Gap records take numbers too, and go with the segments that they are in.
                assert!(!gaps.is_empty());
                let last = gaps.last().unwrap().seq.unwrap();
                assert_eq!(last.1 + 1, read[0].0, "{gaps:?}");
                let numbers: Vec<u64> = read.iter().map(|r| r.0).collect();
                assert_eq!(numbers, (read[0].0..writer.next_seq()).collect::<Vec<_>>());
            }
        }
        assert_eq!(verify(&folder(dir.path())).unwrap().problems, []);
    }
}

#[test]
fn events_beyond_the_reserve_are_counted_and_told_once_there_is_room() {
    for when_full in [WhenFull::Block, WhenFull::DropNew, WhenFull::DropOld] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = small(dir.path(), when_full);
        let (line, event) = ([b'x'; 999], [b'{'; 500]);
        let (mut lines, mut lost, mut events) = (0, 0u64, 0);
        for _ in 0..1200 {
            lines += u64::from(put(&mut writer, Stream::Stdout, &line) == Stored::Kept);
        }
        for _ in 0..3000 {
            match put(&mut writer, Stream::Event, &event) {
                Stored::Kept => events += 1,
                Stored::Dropped => lost += 1,
                Stored::Full => panic!("nobody tries an event again"),
            }
            // What was dropped between them is gathered, and the second's turn does not use the reserve either.
            put(&mut writer, Stream::Stdout, &line);
            writer.tell_gaps_if_room(1).unwrap();
            assert!(writer.room().used <= (1 << 20) + (64 << 10));
        }
        if when_full == WhenFull::DropOld {
            assert_eq!(lost, 0);
            continue;
        }
        assert!(events > 100 && lost > 2000, "{events} {lost}");
        assert_eq!(writer.untold(Why::Events), (lost, lost * 500));
        let there = |gap: bool, len: usize| {
            let read = all(dir.path());
            let those = read
                .iter()
                .filter(|r| (r.1 == Kind::Gap) == gap && (gap || r.2.len() == len));
            those.count() as u64
        };
        assert_eq!((there(false, 999), there(false, 500)), (lines, events));
        assert_eq!(there(true, 0), 0);
        // A collector has it all.
        let at = Position {
            segment: writer.segment().0,
            ..Position::default()
        };
        let mut cursor = Cursor::open(&folder(dir.path()), "c").unwrap();
        cursor.store(at, 1).unwrap();
        writer.tell_gaps_if_room(1).unwrap();
        assert!(writer.has_told());
        let gaps = all(dir.path()).into_iter().filter(|r| r.1 == Kind::Gap);
        let told = gaps.map(|r| serde_json::from_slice::<Gap>(&r.2).unwrap());
        let told = told.filter(|g| g.gap == Why::Events);
        assert_eq!(told.filter_map(|g| g.records).sum::<u64>(), lost);
        assert_eq!(verify(&folder(dir.path())).unwrap().problems, []);
    }
}

#[test]
fn what_every_collector_has_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        quota: 1 << 20,
        ..WIDE
    };
    let mut writer = Writer::open(folder(dir.path()), &origin("1"), settings, 1).unwrap();
    let line = [b"x".repeat(9999), b"\n".to_vec()].concat();
    while put(&mut writer, Stream::Stdout, &line) == Stored::Kept {}
    let mut cursor = Cursor::open(&folder(dir.path()), "tls://a:1").unwrap();
    assert_eq!(put(&mut writer, Stream::Stdout, &line), Stored::Full);
    let mut reader = Reader::open(folder(dir.path()), cursor.position());
    while reader.read().unwrap().is_some() {}
    cursor.store(reader.position(), 3).unwrap();
    assert_eq!(put(&mut writer, Stream::Stdout, &line), Stored::Kept);
    let again = Cursor::open(&folder(dir.path()), "tls://a:1").unwrap();
    assert_eq!(
        (again.position(), again.stored_ns()),
        (reader.position(), 3)
    );
    assert_eq!(from(dir.path(), again.position()).len(), 1);
}

#[test]
fn what_waits_is_counted_over_launches() {
    let dir = tempfile::tempdir().unwrap();
    for launch in ["1", "2", "3"] {
        let mut writer = Writer::open(folder(dir.path()), &origin(launch), WIDE, 1).unwrap();
        for _ in 0..7 {
            put(&mut writer, Stream::Stdout, b"a line\nand another\n");
        }
        writer.close().unwrap();
    }
    let launch = |n: &str| origin(n).launch;
    let waits = |n, delivered| waiting(&folder(dir.path()), &launch(n), delivered).unwrap();
    assert_eq!((waits("1", 0), waits("1", 4), waits("1", 14)), (42, 38, 28));
    assert_eq!((waits("3", 0), waits("3", 13), waits("3", 14)), (14, 1, 0));
    assert_eq!(waits("unknown", 9), 42);
}

#[test]
fn a_forged_frame_inside_a_line_is_output() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
    // What the service could know of the format, with a salt that it guesses.
    let mut forged = vec![0; HEADER];
    forged.extend_from_slice(b"{\"event\":\"forged\"}");
    frame::seal(
        b"00000000000000000000000000000000",
        &mut forged,
        9,
        9,
        Stream::Event.into(),
        false,
    );
    put(&mut writer, Stream::Stdout, &forged);
    put(&mut writer, Stream::Stdout, b"next\n");
    let path = dir.path().join("000000000001.seg");
    let mut whole = std::fs::read(&path).unwrap();
    let at = whole
        .windows(forged.len())
        .position(|w| w == forged)
        .unwrap();
    whole[at - 1] ^= 1;
    std::fs::write(&path, &whole).unwrap();
    let read = all(dir.path());
    assert_eq!(
        read.iter().map(|r| r.1).collect::<Vec<_>>(),
        [Kind::Gap, Kind::Line],
        "{read:?}"
    );
}

proptest! {
    #[test]
    fn any_flipped_bit_costs_one_frame_at_most_and_is_told(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 3..12),
        at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
        let path = dir.path().join("000000000001.seg");
        let first = std::fs::metadata(&path).unwrap().len() as usize;
        for line in &lines { put(&mut writer, Stream::Stdout, line); }
        let before = all(dir.path());
        let mut whole = std::fs::read(&path).unwrap();
        let at = first + at.index(whole.len() - first);
        whole[at] ^= 1 << bit;
        std::fs::write(&path, &whole).unwrap();
        let after = all(dir.path());
        let lost = before.iter().filter(|r| !after.contains(r)).count();
        let most = lines.iter().map(|l| count(l)).max().unwrap() as usize;
        prop_assert!(lost <= most, "{lost} of {}", before.len());
        let problems = verify(&folder(dir.path())).unwrap().problems;
        prop_assert!(!problems.is_empty());
        // A start over it does not fail.
        let writer = Writer::open(folder(dir.path()), &origin("2"), WIDE, 1).unwrap();
        prop_assert_eq!(writer.next_seq(), 1);
    }

    #[test]
    fn arbitrary_files_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("000000000001.seg"), &bytes).unwrap();
        let _ = all(dir.path());
        let _ = verify(&folder(dir.path())).unwrap();
        Writer::open(folder(dir.path()), &origin("1"), WIDE, 1).unwrap();
    }
}
