//! The spool's reader, its check and its recovery over arbitrary segments.
#![no_main]

use cofferdam::logs::Origin;
use cofferdam::logs::spool::{Position, Reader, Settings, Sync, WhenFull, Writer, verify};
use libfuzzer_sys::fuzz_target;
use std::os::fd::OwnedFd;

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir().unwrap();
    // Two segments, so that the first one has an end.
    let cut = data.first().map_or(0, |n| usize::from(*n).min(data.len()));
    let (first, second) = data.split_at(cut);
    std::fs::write(dir.path().join("000000000001.seg"), first).unwrap();
    std::fs::write(dir.path().join("000000000002.seg"), second).unwrap();
    let open = || OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
    let mut reader = Reader::open(open(), Position::default());
    let mut frames = 0;
    while let Some(frame) = reader.read().unwrap() {
        frames += 1 + frame.records().count();
        assert!(frames <= 2 * data.len() + 8, "a reader that does not move");
    }
    verify(&open()).unwrap();
    let origin = Origin {
        id: "f".into(),
        name: None,
        image: None,
        host: "h".into(),
        boot: "b".into(),
        launch: "l".into(),
    };
    let settings = Settings {
        quota: 1 << 20,
        when_full: WhenFull::Block,
        sync: Sync::Never,
    };
    Writer::open(open(), &origin, settings, 1).unwrap();
});
