//! What stays on this host: files for the kubelet's readers and in JSON, rotated; and the journal.

use crate::count::{Count, count};
use crate::lab::{self, Lab, until};
use crate::producer::{Producer, line};
use crate::receivers::Running;
use crate::support;
use cofferdam::logs::Stream;
use cofferdam::policy::{Amount, Protocol, Target};
use std::path::Path;
use std::process::Command;

fn files(lab: &Lab, protocol: Protocol) -> Target {
    let folder = lab.path("files");
    std::fs::create_dir_all(&folder).unwrap();
    Target {
        path: Some(folder.to_str().unwrap().into()),
        max_file: Some(Amount(300_000)),
        keep: Some(100),
        ..Target::plain("files", protocol)
    }
}

/// The text of all files, the oldest first.
fn text(folder: &Path) -> String {
    let mut names: Vec<(u32, std::path::PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let end = path.extension().unwrap().to_str().unwrap();
            (end.parse().unwrap_or(0), path)
        })
        .collect();
    names.sort();
    assert!(names.len() > 1, "rotated");
    let whole = names.iter().rev();
    whole
        .map(|(_, path)| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn cri_files_as_the_kubelets_readers_take_them() {
    need!(Root);
    let lab = Lab::new();
    let target = files(&lab, Protocol::Cri);
    lab.ship(vec![target], lab.finished(10_000)).delivered();
    let text = text(&lab.path("files"));
    let read = |l: &str| {
        let mut words = l.splitn(4, ' ');
        let time = words.next().unwrap();
        assert!(time.len() == 30 && time.ends_with('Z'), "{time}");
        assert_eq!((words.next(), words.next()), (Some("stdout"), Some("F")));
        let body = words.next().unwrap().to_string();
        (body[..10].parse().unwrap(), body)
    };
    let all = Count {
        stored: 10_000,
        ..Count::default()
    };
    assert_eq!(count(text.lines().map(read), 10_000), all);
}

#[test]
fn json_files_hold_any_bytes() {
    need!(Root);
    let lab = Lab::new();
    let (mut producer, over) = Producer::new(&lab.spool());
    producer.frame(Stream::Stderr, b"\xff\\ \x1b \"}\n");
    producer.frame(Stream::Stdout, "{\"log\":\"é\"}\n".as_bytes());
    for number in 3..=3_000 {
        producer.frame(Stream::Stdout, format!("{}\n", line(number)).as_bytes());
    }
    producer.end();
    let target = files(&lab, Protocol::Json);
    lab.ship(vec![target], over).delivered();
    let text = text(&lab.path("files"));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 3_000);
    assert_eq!(
        (&lines[0]["log"], &lines[0]["enc"]),
        (&r#"\xFF\x5C \x1B "}"#.into(), &"esc".into())
    );
    assert_eq!(lines[0]["stream"], "stderr");
    assert_eq!(
        (&lines[1]["log"], lines[1].get("enc")),
        (&"{\"log\":\"é\"}".into(), None)
    );
    assert!(lines.iter().enumerate().all(|(n, l)| l["seq"] == n + 1));
    let mode = std::fs::metadata(lab.path("files/c0ffee.log"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
}

#[test]
fn a_folder_that_is_full_keeps_the_lines_in_the_spool() {
    need!(Root);
    let lab = Lab::new();
    let target = files(&lab, Protocol::Cri);
    let folder = lab.path("files");
    // A file system of its own, which everybody sees; it goes with the test.
    let mounted = |args: &[&str]| {
        let done = Command::new("mount")
            .args(args)
            .arg(&folder)
            .status()
            .unwrap();
        assert!(done.success());
    };
    mounted(&["-t", "tmpfs", "-o", "size=400k", "none"]);
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(folder.clone());
    let shipping = lab.ship(vec![target], lab.finished(10_000));
    shipping.wait_for(|n| format!("{n:?}").contains("No space left"));
    mounted(&["-o", "remount,size=40m", "none"]);
    shipping.delivered();
    let text = text(&folder);
    let numbers: Vec<u64> = text
        .lines()
        .map(|l| l.splitn(4, ' ').nth(3).unwrap()[..10].parse().unwrap())
        .collect();
    let mut once = numbers.clone();
    once.dedup();
    assert_eq!(once, (1..=10_000).collect::<Vec<_>>());
}

/// A journal of its own, in a mount namespace with another /run.
fn journald(lab: &Lab) -> Running {
    let script = "mount --make-rprivate / && mount -t tmpfs none /run && \
        mkdir -p /run/systemd/journal /run/log/journal && exec /usr/lib/systemd/systemd-journald";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]);
    Running::spawn(&mut command, &lab.path("journald.log"))
}

#[test]
fn the_journal_has_every_record_and_its_fields() {
    need!(Root);
    if !Path::new("/usr/lib/systemd/systemd-journald").exists() {
        let why = "no systemd-journald; apt-get install systemd";
        return support::skip("the_journal_has_every_record", "journald", why);
    }
    let lab = Lab::new();
    let journald = journald(&lab);
    let root = format!("/proc/{}/root/run", journald.pid());
    let socket = format!("{root}/systemd/journal/socket");
    // Not the host's: its folder was there before.
    until("the journal's socket", || {
        let made = std::fs::read_link(format!("/proc/{}/ns/mnt", journald.pid())).ok();
        made != std::fs::read_link("/proc/self/ns/mnt").ok() && Path::new(&socket).exists()
    });
    let (mut producer, over) = Producer::new(&lab.spool());
    producer.frame(Stream::Stdout, "plain grüße\n".as_bytes());
    producer.frame(Stream::Stderr, b"\xff\x01 bytes\n");
    // Larger than a datagram: three parts, as no record is longer than 16 KiB; small enough for one each.
    producer.frame(
        Stream::Stdout,
        &[vec![b'y'; 40_000], b"\n".to_vec()].concat(),
    );
    producer.frame(Stream::Event, br#"{"event":"x"}"#);
    producer.end();
    let target = Target {
        path: Some(socket),
        ..Target::plain("journal", Protocol::Journald)
    };
    lab.ship(vec![target], over).delivered();
    let read = || -> Vec<serde_json::Value> {
        let out = Command::new("journalctl")
            .args([
                "-o",
                "json",
                "--all",
                "--no-pager",
                "COFFERDAM_LAUNCH=launch-1",
                "-D",
            ])
            .arg(format!("{root}/log/journal"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    lab::until("the journal's entries", || read().len() == 6);
    let entries = read();
    assert_eq!(entries[0]["MESSAGE"], "plain grüße");
    assert_eq!(entries[0]["PRIORITY"], "6");
    assert_eq!(entries[0]["CONTAINER_NAME"], "web");
    assert_eq!(entries[0]["SYSLOG_IDENTIFIER"], "web");
    let bytes: Vec<u8> = serde_json::from_value(entries[1]["MESSAGE"].clone()).unwrap();
    assert_eq!(bytes, b"\xff\x01 bytes");
    let parts: usize = entries[2..5]
        .iter()
        .map(|e| e["MESSAGE"].as_str().unwrap().len())
        .sum();
    assert_eq!(parts, 40_000);
    assert_eq!(entries[2]["CONTAINER_PARTIAL_MESSAGE"], "true");
    assert_eq!(entries[5]["COFFERDAM_STREAM"], "event");
    assert!(
        entries
            .iter()
            .enumerate()
            .all(|(n, e)| e["COFFERDAM_SEQ"].as_str() == Some(&*format!("{}", n + 1)))
    );
}
