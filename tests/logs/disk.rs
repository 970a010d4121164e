//! A disk that fails or stands still: the service is held or goes on as policy says, and nothing is lost uncounted.

use crate::beside::{child_named, kept, kill, logged, status, until};
use crate::faults::assert_whole;
use crate::full::{assert_in_order, told};
use crate::need;
use crate::support::{Alive, Rig, finish, text, unique};
use cofferdam::logs::Stream;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A disk of its own for a spool, that stands still on demand.
struct Disk(PathBuf);

impl Disk {
    fn make(rig: &Rig) -> Self {
        let (image, at) = (rig.path("image"), rig.path("disk"));
        fs::create_dir(&at).unwrap();
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let disk = Self(at);
        disk.does("mkfs.ext4", &["-q", "-F", text(&image)]);
        disk.does("mount", &["-o", "loop", text(&image), text(&disk.0)]);
        disk
    }

    fn does(&self, program: &str, args: &[&str]) {
        let done = Command::new(program).args(args).status();
        assert!(done.unwrap().success(), "{program} {args:?}");
    }

    /// Unmounted, repaired and mounted anew, as an administrator would.
    fn again(&self) {
        let image = self.0.with_file_name("image");
        until("nobody's files", || {
            let done = Command::new("umount").arg(&self.0).output().unwrap();
            done.status.success().then_some(())
        });
        // 1: errors that are mended.
        let mended = Command::new("fsck.ext4")
            .args(["-p", "-f", text(&image)])
            .status();
        assert!(matches!(mended.unwrap().code(), Some(0 | 1)));
        self.does("mount", &["-o", "loop", text(&image), text(&self.0)]);
    }

    fn freeze(&self) {
        self.does("fsfreeze", &["-f", text(&self.0)]);
    }

    fn thaw(&self) {
        self.does("fsfreeze", &["-u", text(&self.0)]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze")
            .args(["-u", text(&self.0)])
            .output();
        let _ = Command::new("umount").args(["-l", text(&self.0)]).status();
    }
}

/// So many lines of a service that goes on; one that doesn't is killed.
fn hear(rig: &Rig, name: &str, mut alive: Alive, count: usize) -> (Alive, Vec<String>) {
    let (to, from) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let heard = (0..count).map(|_| alive.line()).collect();
        let _ = to.send((alive, heard));
    });
    let heard = from.recv_timeout(Duration::from_secs(60));
    heard.unwrap_or_else(|_| {
        rig.call(&["kill", name, "KILL"]).ok();
        panic!("the service does not go on");
    })
}

/// As /proc has it: S sleeps, D does so over a disk.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().trim().chars().next()
}

/// Until the service sleeps over a write.
fn until_it_waits(service: i32) {
    let writes = || {
        let call = fs::read_to_string(format!("/proc/{service}/syscall")).unwrap();
        call.starts_with(&format!("{} 0x", libc::SYS_write))
    };
    until("the service to wait", || {
        let one = writes();
        std::thread::sleep(Duration::from_millis(50));
        (one && writes() && state(service) == Some('S')).then_some(())
    });
}

/// What a kernel does over a disk that fails (errors=remount-ro): what is open for writing can't be written any more.
fn becomes_read_only(when_full: &str) {
    let rig = Rig::new();
    let disk = Disk::make(&rig);
    let more = format!("quota = \"32MiB\"\nwhen_full = {when_full:?}");
    logged(&rig, &rig.path("disk/spool"), &more);
    let name = unique("log");
    let mut alive = Alive::spawn(rig.run_command(&name, &[], &["flood"]));
    let service = rig.pid(&name);
    let path = rig.path("disk/spool").join(&name);
    until("some output", || {
        (kept(&path, Stream::Stdout).0.len() > 100_000).then_some(())
    });
    // What was never written out would be gone, as behind a power cut.
    disk.does("sync", &["-f", text(&disk.0)]);
    disk.does("mount", &["-o", "remount,abort", text(&disk.0)]);
    assert!(fs::write(path.join("probe"), "x").is_err());
    if when_full == "block" {
        until_it_waits(service);
    } else {
        // More than all pipes on the way hold: the copy goes on, too.
        alive = hear(&rig, &name, alive, 60_000).0;
    }
    let shown = rig.call(&["logs", "status", &name]);
    let line = shown.ok().lines().find(|l| l.starts_with("disk"));
    assert!(
        line.is_some_and(|l| l.contains("Read-only file system")),
        "{shown:?}"
    );
    if when_full == "block" {
        // It lives, and can be ended; nobody waits for a disk for ever.
        rig.call(&["kill", &name, "KILL"]).ok();
        assert_eq!(alive.end(), 137);
    } else {
        kill(alive.child.id() as i32, libc::SIGTERM);
        assert_eq!(alive.end(), 0);
    }
    disk.again();
    // What is there is whole as far as it goes, and the next launch goes on behind it.
    assert_in_order(&kept(&path, Stream::Stdout).0, when_full == "drop_old");
    finish(rig.run_command(&name, &[], &["echo", "again"])).ok();
    assert_eq!(rig.call(&["logs", "--last", &name]).ok(), "again\n");
    rig.call(&["logs", "verify", &name]).ok();
    drop(disk);
    rig.assert_clean(&name);
}

#[test]
fn a_disk_that_becomes_read_only_holds_the_service_and_what_was_kept_stays() {
    need!(Root);
    becomes_read_only("block");
}

#[test]
fn or_drops_what_is_new_where_policy_says_so() {
    need!(Root);
    becomes_read_only("drop_new");
}

#[test]
fn or_drops_it_where_policy_would_drop_what_is_old() {
    need!(Root);
    becomes_read_only("drop_old");
}

/// What can't be changed can't be written: not a disk that fails, but one that is well again afterwards.
fn cannot_be_written_for_a_while(when_full: &str) {
    let rig = Rig::new();
    let disk = Disk::make(&rig);
    let more = format!("quota = \"8MiB\"\nwhen_full = {when_full:?}");
    logged(&rig, &rig.path("disk/spool"), &more);
    let name = unique("while");
    let mut command = rig.run_command(&name, &[], &["parrot"]);
    command.stdin(Stdio::piped());
    let mut alive = Alive::spawn(command);
    let mut input = alive.child.stdin.take().unwrap();
    let path = rig.path("disk/spool").join(&name);
    let line = |n: usize| format!("line {n:012}\n");
    let mut next = 0;
    let mut say = |alive: Alive| {
        let lines: Vec<_> = (next..next + 200).map(line).collect();
        input.write_all(lines.concat().as_bytes()).unwrap();
        next += 200;
        // Heard back it is stored, or counted: the copy comes behind.
        let (alive, heard) = hear(&rig, &name, alive, 200);
        assert_eq!(heard, lines);
        alive
    };
    let set = |how: &str| {
        let segments = fs::read_dir(&path).unwrap().flatten().map(|e| e.path());
        let segments: Vec<_> = segments.filter(|p| text(p).ends_with(".seg")).collect();
        let all = segments.iter().map(|p| text(p)).chain([text(&path)]);
        disk.does("chattr", &[&[how], &all.collect::<Vec<_>>()[..]].concat());
    };
    alive = say(alive);
    set("+i");
    alive = say(alive);
    until("the disk's error", || {
        let now = status(&rig, &name);
        let error = now["error"].as_str().unwrap_or_default();
        (error.contains("not permitted") && now["room"]["lost"] == 200).then_some(())
    });
    set("-i");
    until("the gap record", || {
        let lost = told(&kept(&path, Stream::Stdout).1, "drop_new");
        (lost == (200, 200 * 18)).then_some(())
    });
    alive = say(alive);
    drop(input);
    assert_eq!(alive.end(), 0);
    let (bytes, gaps) = kept(&path, Stream::Stdout);
    let there: String = (0..200).chain(400..600).map(line).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), format!("ready\n{there}"));
    assert_eq!(told(&gaps, "drop_new"), (200, 200 * 18), "{gaps:?}");
    assert_eq!(status(&rig, &name)["restarts"], 0);
    rig.call(&["logs", "verify", &name]).ok();
    drop(disk);
    rig.assert_clean(&name);
}

#[test]
fn what_a_disk_did_not_take_is_told_when_it_can_be_written_again() {
    need!(Root);
    cannot_be_written_for_a_while("drop_new");
}

#[test]
fn so_it_is_where_policy_would_drop_what_is_old() {
    need!(Root);
    cannot_be_written_for_a_while("drop_old");
}

#[test]
fn a_disk_that_stands_still_holds_the_service_and_loses_nothing() {
    need!(Root);
    let rig = Rig::new();
    let disk = Disk::make(&rig);
    logged(&rig, &rig.path("disk/spool"), "quota = \"32MiB\"");
    let name = unique("log");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["flood"]));
    let run = alive.child.id() as i32;
    let capture = child_named(child_named(run, "cofferdam-mon", 0), "cofferdam-captu", 0);
    disk.freeze();
    // It sleeps in the kernel, over a write; what it hasn't read fills the pipe, and then the service sleeps, too.
    until("capture to stand still", || {
        (state(capture) == Some('D')).then_some(())
    });
    until_it_waits(rig.pid(&name));
    disk.thaw();
    kill(run, libc::SIGTERM);
    assert_eq!(alive.end(), 0);
    let path = rig.path("disk/spool").join(&name);
    let (bytes, gaps) = kept(&path, Stream::Stdout);
    assert_whole(&bytes);
    assert_eq!(gaps, Vec::<String>::new());
    drop(disk);
    rig.assert_clean(&name);
}
