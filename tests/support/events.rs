//! What launches tell: events in a file or in a spool, and a policy that has one.

use super::{Rig, text};
use cofferdam::events::{Event, parse};
use cofferdam::logs::Stream;
use cofferdam::logs::spool::{Position, Reader};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Every event in a file of `run --events`.
pub fn in_file(path: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|l| parse(l.as_bytes()).unwrap()).collect()
}

/// Every event in a spool.
pub fn spooled(dir: &Path) -> Vec<Event> {
    let Ok(dir) = std::fs::File::open(dir) else {
        return Vec::new();
    };
    let mut reader = Reader::of_now(dir.into(), Position::default()).unwrap();
    let mut all = Vec::new();
    while let Some(frame) = reader.read().unwrap() {
        let events = frame.records().filter(|r| r.stream == Stream::Event);
        all.extend(events.filter_map(|r| parse(r.bytes).ok()));
    }
    all
}

impl Rig {
    /// A policy of which all there is to say is its spool; where that is.
    pub fn with_spool(&self) -> PathBuf {
        let spool = self.path("spool");
        let policy = format!("version = 1\n[logs]\nspool = \"{}\"\n", text(&spool));
        std::fs::write(self.path("policy.toml"), policy).unwrap();
        spool
    }

    /// `create` as an engine that goes on calls it: nobody waits for the end of what the container says.
    pub fn create_unheard(&self, spec: &Value, id: &str) {
        let bundle = self.bundle(spec);
        let mut command = self.command();
        command.args(["create", "--bundle", text(&bundle), id]);
        command.stdout(tempfile::tempfile().unwrap());
        assert!(command.status().unwrap().success());
    }
}
