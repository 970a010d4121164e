//! A hostile program in a default container: the audit's attacks, what came in with it, what it can see.

use crate::support::*;
use std::os::unix::process::CommandExt;

/// The audit's own attacks, each refused by the layer that has to; the bounds of the table are in `tests/audit`.
#[test]
fn every_attack_is_refused_for_its_reason() {
    need!(Root, Landlock, Template);
    let rig = Rig::new();
    let audit = rig.call(&["audit", "--json"]);
    let report: serde_json::Value = serde_json::from_str(audit.ok()).unwrap();
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let passed = findings.iter().filter(|f| f["verdict"] == "pass").count();
    assert!(passed >= 130, "{passed} of {}", findings.len());
    let root = rig.rootfs();
    let on = ["audit", "--rootfs", text(&root), "--", "/payload"];
    rig.call(&on).ok();
}

/// Nothing that was open outside is open inside, however it was handed over.
#[test]
fn no_descriptor_of_the_caller_comes_in() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let mut command = rig.run_command(&unique("t"), &[], &["fds"]);
    // SAFETY: dup2 and fcntl are async-signal-safe; the closure allocates nothing.
    unsafe {
        command.pre_exec(|| {
            for fd in 3..64 {
                libc::dup2(0, fd);
            }
            Ok(())
        });
    }
    assert_eq!(finish(command).ok(), "0\n1\n2\n");
    rig.create(&rig.spec(&["exit", "0"]), &unique("p")).ok();
    // Not without compat, and a folder not even then.
    let bundle = rig.bundle(&rig.spec(&["ls", "/proc/self/fd"]));
    let create = |folder: bool| {
        let file = if folder {
            rig.dir().to_path_buf()
        } else {
            rig.path("policy.toml")
        };
        let file = std::fs::File::open(file).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let mut command = rig.command();
        command.args([
            "create",
            "--preserve-fds",
            "2",
            "--bundle",
            text(&bundle),
            &unique("p"),
        ]);
        // SAFETY: dup2 is async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(move || {
                libc::dup2(fd, 100);
                libc::dup2(100, 3);
                libc::dup2(100, 4);
                libc::close(100);
                Ok(())
            });
        }
        finish(command)
    };
    create(false).refused(1, &["--preserve-fds", "SS-011/8.1.3", "permission denied"]);
    rig.except("8.4.14", "template = \"compat\"");
    create(false).ok();
    create(true).refused(1, &["--preserve-fds", "a folder of the host"]);
}

/// A neighbour on the same host: other processes can't be seen, signalled or reached.
#[test]
fn a_neighbour_is_not_there() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let id = unique("n");
    let neighbour = Alive::spawn(rig.run_command(&id, &["--expose", "8080"], &["wait"]));
    let ran = rig.run(&[], &["ls", "/proc"]);
    let pids: Vec<&str> = ran
        .ok()
        .lines()
        .filter(|l| l.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    assert_eq!(pids, ["1"], "{ran:?}");
    // Ranges of ids don't touch: a file of one belongs to nobody in the other.
    let base = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    let second = unique("n");
    let other = Alive::spawn(rig.run_command(&second, &[], &["wait"]));
    let (a, b) = (base(rig.pid(&id)), base(rig.pid(&second)));
    let first = |map: &str| {
        map.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(first(&a).abs_diff(first(&b)) >= 65_536, "{a} {b}");
    drop((neighbour, other));
    rig.assert_clean(&id);
    rig.assert_clean(&second);
}

/// Mounts, seen from outside: nothing of the host's tree, no flag missing.
#[test]
fn no_mount_of_the_host_is_left_in_the_mount_namespace() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let id = unique("m");
    let alive = Alive::spawn(rig.run_command(&id, &["--tmpfs", "/tmp:1m"], &["wait"]));
    let text = std::fs::read_to_string(format!("/proc/{}/mountinfo", rig.pid(&id))).unwrap();
    let mut places = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (place, flags) = (fields[4], fields[5]);
        places.push(place);
        let is_device = place.starts_with("/dev");
        assert!(flags.contains("nosuid"), "{line}");
        assert!(flags.contains("nodev") || is_device, "{line}");
        assert!(
            flags.starts_with("ro") || flags.contains("noexec"),
            "{line}"
        );
        assert!(
            !line.contains(" shared:") && !line.contains(" master:"),
            "{line}"
        );
    }
    places.sort();
    assert_eq!(places, ["/", "/dev", "/proc", "/tmp"], "{text}");
    drop(alive);
    rig.assert_clean(&id);
}
