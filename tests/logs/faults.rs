//! Whoever is killed, however full the disk is: nothing is lost, or what is lost is counted.

use crate::beside::{child_named, events, kept, kill, logged, rig, status, until};
use crate::need;
use crate::support::{Alive, Rig, finish, text, unique};
use cofferdam::logs::Stream;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines 0 to N, then "end N", each once and in order.
pub fn assert_whole(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("ready"));
    let mut n = 0u64;
    for line in lines {
        if let Some(end) = line.strip_prefix("end ") {
            assert_eq!(end.parse(), Ok(n));
            return;
        }
        assert_eq!(
            line[5..17].parse(),
            Ok(n),
            "{line:?} where {n} was expected"
        );
        n += 1;
    }
    panic!("the last line is missing; {n} lines");
}

#[test]
fn capture_killed_ten_times_loses_nothing() {
    need!(Root);
    let rig = rig("quota = \"8GiB\"");
    let name = unique("log");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["flood"]));
    let run = alive.child.id() as i32;
    let monitor = child_named(run, "cofferdam-mon", 0);
    let mut last = 0;
    for _ in 0..10 {
        last = child_named(monitor, "cofferdam-captu", last);
        kill(last, libc::SIGKILL);
    }
    // Its own copy as well; the caller, who reads nothing, holds nobody up.
    kill(child_named(monitor, "cofferdam-copy", 0), libc::SIGKILL);
    child_named(monitor, "cofferdam-captu", last);
    kill(run, libc::SIGTERM);
    assert_eq!(alive.end(), 0);
    let path = rig.path("spool").join(&name);
    assert_whole(&kept(&path, Stream::Stdout).0);
    let told = events(&path);
    let restarts = told
        .iter()
        .filter(|e| e["kind"] == "worker-restarted" && e["worker"] == "capture");
    assert_eq!(restarts.count(), 10);
    assert!(rig.call(&["logs", "verify", &name]).code == 0);
    rig.assert_clean(&name);
}

#[test]
fn the_service_ends_with_its_monitor() {
    need!(Root);
    let rig = rig("");
    let name = unique("log");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let monitor = child_named(alive.child.id() as i32, "cofferdam-mon", 0);
    child_named(monitor, "cofferdam-guard", 0);
    kill(monitor, libc::SIGKILL);
    assert_eq!(alive.end(), 137);
    rig.assert_clean(&name);
}

#[test]
fn or_it_goes_on_and_so_does_capture() {
    need!(Root);
    let rig = rig("on_monitor_death = \"go_on\"");
    let name = unique("log");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["flood"]));
    let run = alive.child.id() as i32;
    kill(child_named(run, "cofferdam-mon", 0), libc::SIGKILL);
    // It has been collected or is a zombie; the service writes on.
    let path = rig.path("spool").join(&name);
    let size = || {
        fs::read_dir(&path)
            .unwrap()
            .flatten()
            .map(|e| e.metadata().unwrap().len())
            .sum::<u64>()
    };
    let before = size();
    until("more output", || {
        (size() > before + (1 << 16)).then_some(())
    });
    kill(run, libc::SIGTERM);
    assert_eq!(alive.end(), 0);
    until("the end", || {
        kept(&path, Stream::Stdout)
            .0
            .windows(5)
            .any(|w| w == b"\nend ")
            .then_some(())
    });
    assert_whole(&kept(&path, Stream::Stdout).0);
}

/// A file system of its own for a spool.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path, options: &str) -> Self {
        fs::create_dir(path).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none", text(path)])
            .status();
        assert!(done.unwrap().success());
        Self(path.to_path_buf())
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount")
            .args(["-o", &options, text(&self.0)])
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", text(&self.0)]).status();
    }
}

/// 12 MiB in lines through a disk of 4 MiB.
const LINES: u64 = 120_000;

fn through_a_small_disk(rig: &Rig, when_full: &str) -> (Small, String) {
    let small = Small::mount(&rig.path("disk"), "size=4m,mode=700");
    logged(
        rig,
        &rig.path("disk/spool"),
        &format!("when_full = {when_full:?}\ncopy = \"none\""),
    );
    (small, unique("log"))
}

/// Numbers of the lines that are there.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let lines = bytes.split(|b| *b == b'\n').filter(|l| l.len() == 99);
    lines
        .map(|l| std::str::from_utf8(&l[..10]).unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_full_disk_drops_new_lines_and_counts_them() {
    need!(Root);
    let rig = Rig::new();
    let (_small, name) = through_a_small_disk(&rig, "drop_new");
    finish(rig.run_command(&name, &[], &["lines", &LINES.to_string(), "100"])).ok();
    let path = rig.path("disk/spool").join(&name);
    // `run` returns when all output is where it belongs; the last words about it come behind.
    let status = until("the end of the spool", || {
        let now = status(&rig, &name);
        now["ended_ns"].is_u64().then_some(now)
    });
    let there = kept(&path, Stream::Stdout).0.len() as u64;
    let lost = status["room"]["lost_bytes"].as_u64().unwrap();
    assert!(lost > 0);
    assert_eq!(there + lost, LINES * 100);
    let told: u64 = kept(&path, Stream::Event)
        .1
        .iter()
        .map(|gap| {
            let gap: serde_json::Value = serde_json::from_str(gap).unwrap();
            gap["bytes"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(told, lost);
}

#[test]
fn a_full_disk_drops_old_segments_and_counts_them() {
    need!(Root);
    let rig = Rig::new();
    let (_small, name) = through_a_small_disk(&rig, "drop_old");
    fs::write(
        rig.path("policy.toml"),
        fs::read_to_string(rig.path("policy.toml")).unwrap() + "quota = \"3MiB\"\n",
    )
    .unwrap();
    finish(rig.run_command(&name, &[], &["lines", &LINES.to_string(), "100"])).ok();
    let (bytes, gaps) = kept(&rig.path("disk/spool").join(&name), Stream::Stdout);
    let there = numbers(&bytes);
    assert_eq!(there.last(), Some(&(LINES - 1)));
    let first = there[0];
    assert_eq!(there, (first..LINES).collect::<Vec<_>>());
    assert!(
        first > 0 && gaps.last().is_some_and(|g| g.contains("drop_old")),
        "{gaps:?}"
    );
}

#[test]
fn a_full_disk_holds_the_service_until_there_is_room() {
    need!(Root);
    let rig = Rig::new();
    let (small, name) = through_a_small_disk(&rig, "block");
    let mut child = rig
        .run_command(&name, &[], &["lines", &LINES.to_string(), "100"])
        .spawn()
        .unwrap();
    let path = rig.path("disk/spool").join(&name);
    until("a full disk", || {
        let status = fs::read_to_string(path.join("status")).ok()?;
        // The status itself may no longer be written: the segments tell.
        let used = fs::read_dir(&path)
            .ok()?
            .flatten()
            .map(|e| e.metadata().map_or(0, |m| m.len()))
            .sum::<u64>();
        (status.contains("\"full\":true") || used > 3 << 20).then_some(())
    });
    assert!(
        child.try_wait().unwrap().is_none(),
        "it can't have ended: its output is nowhere"
    );
    small.remount("size=64m");
    assert!(child.wait().unwrap().success());
    let (bytes, gaps) = kept(&path, Stream::Stdout);
    assert_eq!(numbers(&bytes), (0..LINES).collect::<Vec<_>>());
    assert_eq!(gaps, Vec::<String>::new());
}

#[test]
fn a_spool_that_cant_be_written_stops_the_launch_with_a_sentence() {
    need!(Root);
    let rig = Rig::new();
    let small = Small::mount(&rig.path("disk"), "size=4m,mode=700");
    logged(&rig, &rig.path("disk/spool"), "");
    small.remount("ro");
    let name = unique("log");
    let ran = finish(rig.run_command(&name, &[], &["echo", "x"]));
    ran.refused(125, &["can't make the spool", "Read-only file system"]);
    assert_eq!(fs::read_dir(rig.state()).unwrap().count(), 0);
    // One that others can write is none either.
    small.remount("rw");
    fs::create_dir(rig.path("disk/spool")).unwrap();
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    fs::set_permissions(rig.path("disk/spool"), mode).unwrap();
    let ran = finish(rig.run_command(&name, &[], &["echo", "x"]));
    ran.refused(125, &["writable for nobody else"]);
}

#[test]
fn a_reader_that_takes_nothing_holds_nobody_up() {
    need!(Root);
    let rig = rig("");
    let name = unique("log");
    // More than all pipes on the way hold; nobody reads the caller's end until the program has ended.
    let (from, into) = nix::unistd::pipe().unwrap();
    let mut command = rig.run_command(&name, &[], &["lines", "60000", "100"]);
    command.stdout(into);
    let mut child = command.spawn().unwrap();
    drop(command);
    assert!(child.wait().unwrap().success());
    drop(from);
    let there = numbers(&kept(&rig.path("spool").join(&name), Stream::Stdout).0);
    assert_eq!(there, (0..60000).collect::<Vec<_>>());
    let status = status(&rig, &name);
    assert!(status["copy_lost"].as_u64().unwrap() > 0, "{status}");
    rig.assert_clean(&name);
}
