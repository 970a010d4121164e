//! What we tell, read by somebody else's validator: events against the published schema, OCSF's form against OCSF's own.

use super::{Ran, finish, skip, text};
use cofferdam::events::Event;
use std::path::PathBuf;
use std::process::Command;

/// Where `.ci/run` puts the validators.
fn python() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/audit-tools/bin/python")
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schema.py");
const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/events.schema.json");

/// Whether the validators are here; says what is missing, and fails where nothing may be.
pub fn is_there() -> bool {
    let there = Command::new(python())
        .args(["-c", "import jsonschema, ocsf_json_schema"])
        .output()
        .is_ok_and(|out| out.status.success());
    if !there {
        let why = "no jsonschema and ocsf-json-schema in target/audit-tools; .ci/run installs them";
        skip("a comparison with a schema", "audit-tools", why);
    }
    there
}

/// What the validator says of lines of JSON: `kind` is "events" or "ocsf".
pub fn judge<L: AsRef<[u8]>>(kind: &str, lines: impl IntoIterator<Item = L>) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut all = Vec::new();
    for line in lines {
        all.extend_from_slice(line.as_ref().trim_ascii());
        all.push(b'\n');
    }
    std::fs::write(file.path(), all).unwrap();
    let mut command = Command::new(python());
    command.args([SCRIPT, kind]);
    if kind == "events" {
        command.arg(EVENTS);
    }
    command.arg(text(file.path()));
    finish(command)
}

/// Fails unless each of these lines is as its schema says; without validators it says so.
#[track_caller]
pub fn assert_lines<L: AsRef<[u8]>>(kind: &str, lines: impl IntoIterator<Item = L>) {
    if is_there() {
        let ran = judge(kind, lines);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
}

/// Fails unless these events are as the published schema says.
#[track_caller]
pub fn assert_events(events: &[Event]) {
    if !events.is_empty() {
        assert_lines("events", events.iter().map(Event::line));
    }
}
