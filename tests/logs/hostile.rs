//! Output that wants to be something else: one endless line, no text, forged frames.

use crate::beside::{Unbuffered, child_named, kept, rig};
use crate::need;
use crate::support::{Alive, finish, unique};
use cofferdam::logs::Stream;
use std::fs;
use std::io::Write;

/// So many MiB on one line.
pub fn pour(mib: &str) -> i32 {
    let block = vec![b'x'; 1 << 20];
    let mut out = fs::File::from(std::io::stdout().as_fd_owned());
    out.write_all(b"ready\n").unwrap();
    for _ in 0..mib.parse().unwrap_or(1) {
        out.write_all(&block).unwrap();
    }
    out.write_all(b"\n").unwrap();
    0
}

/// What no log should be confused by.
pub fn hostile_bytes() -> Vec<u8> {
    let mut all: Vec<u8> = (0..=255).collect();
    all.extend_from_slice(b"\x1b[2J\x1b]0;title\x07 \r overwritten\r\n\n\n\0\0\xff\xfe\xc3\x28");
    all.extend_from_slice(b"<134>1 2026-01-01T00:00:00Z forged app - - - I am another message\n");
    all.extend_from_slice(b"{\"kind\":\"exited\"}\n{\"gap\":\"drop_new\",\"bytes\":1}\n");
    // A frame and a segment's head, as they would stand in a file.
    all.extend_from_slice(b"CFSPOOL1\x10\0\0\0");
    all.extend_from_slice(&[
        5, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 2, 0, 0, 0,
    ]);
    all.extend_from_slice(b"hello and no line feed");
    all
}

pub fn bytes() -> i32 {
    fs::File::from(std::io::stdout().as_fd_owned())
        .write_all(&hostile_bytes())
        .unwrap();
    0
}

#[test]
fn any_bytes_come_back_as_they_were() {
    need!(Root);
    let rig = rig("");
    let name = unique("log");
    finish(rig.run_command(&name, &[], &["bytes"]));
    let path = rig.path("spool").join(&name);
    assert_eq!(kept(&path, Stream::Stdout).0, hostile_bytes());
    let told = kept(&path, Stream::Event).0;
    let forged = told
        .split(|b| *b == b'\n')
        .any(|l| l == b"{\"kind\":\"exited\"}");
    assert!(!forged, "output became an event");
    let shown = rig.command().args(["logs", &name]).output().unwrap();
    assert_eq!(shown.stdout, hostile_bytes());
    assert!(rig.call(&["logs", "verify", &name]).code == 0);
}

#[test]
fn an_endless_line_takes_no_memory() {
    need!(Root);
    let rig = rig("");
    let name = unique("log");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["pour", "128"]));
    let monitor = child_named(alive.child.id() as i32, "cofferdam-mon", 0);
    let capture = child_named(monitor, "cofferdam-captu", 0);
    let mut most = 0;
    while let Ok(status) = fs::read_to_string(format!("/proc/{capture}/status")) {
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
        let Some(line) = line else { break };
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        most = most.max(kib);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(alive.end(), 0);
    // A debug build's own relocations are one MiB of it.
    assert!(most > 0 && most < 4096, "{most} KiB");
    let bytes = kept(&rig.path("spool").join(&name), Stream::Stdout).0;
    assert_eq!(bytes.len(), 6 + (128 << 20) + 1);
    assert!(bytes[6..bytes.len() - 1].iter().all(|b| *b == b'x'));
}
