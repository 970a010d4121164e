//! Many lives, and lives that are cut short or pulled in two directions: nothing is lost, nothing is left.

use crate::exec::{open_rig, running};
use crate::need;
use crate::support::{Rig, text, unique};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Kernel objects that a leak would make more of: cgroups, mounts, processes of ours.
fn counts() -> (usize, usize) {
    let cgroups = std::fs::read_to_string("/proc/cgroups").unwrap();
    let numbers = cgroups
        .lines()
        .filter_map(|l| l.split_whitespace().nth(2)?.parse::<usize>().ok());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    (numbers.sum(), mounts.lines().count())
}

#[test]
fn five_hundred_lives_leave_nothing() {
    need!(Root);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["exit", "0"]));
    let family = unique("life");
    let before = counts();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (rig, bundle, family) = (&rig, &bundle, &family);
            scope.spawn(move || {
                let id = format!("{family}-{worker}");
                for _ in 0..250 {
                    rig.call(&["create", "--bundle", text(bundle), &id]).ok();
                    rig.call(&["start", &id]).ok();
                    rig.call(&["delete", "--force", &id]).ok();
                }
            });
        }
    });
    rig.assert_clean(&family);
    // Others work on this machine at the same time: a leak of one a life would be five hundred. The kernel frees
    // removed cgroups in its own time, after grace periods of RCU.
    let leaked = |after: (usize, usize)| after.0 >= before.0 + 250 || after.1 >= before.1 + 50;
    let patience = Instant::now() + Duration::from_secs(60);
    while leaked(counts()) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = counts();
    assert!(!leaked(after), "cgroups and mounts {before:?} {after:?}");
    assert_eq!(std::fs::read_dir(rig.state()).unwrap().count(), 0);
}

#[test]
fn verbs_at_once_end_in_an_order() {
    need!(Root);
    let rig = open_rig();
    for _ in 0..12 {
        let id = unique("at-once");
        rig.create(&rig.spec(&["wait"]), &id).ok();
        let verbs: [&[&str]; 9] = [
            &["start", &id],
            &["start", &id],
            &["kill", &id, "9"],
            &["pause", &id],
            &["resume", &id],
            &["update", "--pids-limit", "40", &id],
            &["exec", &id, "/payload", "exit", "0"],
            &["state", &id],
            &["delete", "--force", &id],
        ];
        std::thread::scope(|scope| {
            let all: Vec<_> = verbs.iter().map(|v| scope.spawn(|| rig.call(v))).collect();
            for ran in all.into_iter().map(|t| t.join().unwrap()) {
                assert!([0, 1, 137, 255].contains(&ran.code), "{ran:?}");
                assert!(
                    !ran.err.contains("panicked") && !ran.err.contains("damaged"),
                    "{ran:?}"
                );
            }
        });
        rig.call(&["delete", "--force", &id]).ok();
        rig.assert_clean(&id);
    }
}

#[test]
fn a_pid_file_in_a_missing_folder_fails_the_create_and_leaves_nothing() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("pidfile");
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let words = [
        "create",
        "--bundle",
        text(&bundle),
        "--pid-file",
        "/nonexistent/x/pid",
        &id,
    ];
    rig.call(&words)
        .refused(1, &["write the pid file", "/nonexistent/x/pid"]);
    rig.assert_clean(&id);
}

#[test]
fn a_half_made_container_is_deleted() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("half");
    let dir = rig.state().join(&id);
    std::fs::create_dir(&dir).unwrap();
    rig.call(&["state", &id])
        .refused(1, &["container does not exist"]);
    rig.call(&["start", &id])
        .refused(1, &["container does not exist"]);
    rig.call(&["exec", &id, "/x"])
        .refused(255, &["container does not exist"]);
    rig.call(&["delete", &id]).ok();
    assert!(!dir.exists());
    for damage in ["", "{", "{\"layout\":1}", "null"] {
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("state.json"), damage).unwrap();
        let ran = rig.call(&["delete", &id]);
        ran.refused(1, &["is damaged", "--force"]);
        for verb in ["pause", "update", "ps", "events"] {
            rig.call(&[verb, &id]).refused(1, &["is damaged"]);
        }
        rig.call(&["delete", "--force", &id]).ok();
        assert!(!dir.exists());
    }
    // The launch's file is damaged: what needs it says so, the rest goes on.
    let id = running(&rig, |_| {});
    let kept = rig.state().join(&id).join("launch.json");
    let whole = std::fs::read_to_string(&kept).unwrap();
    let layout = whole.replacen("\"layout\":1", "\"layout\":7", 1);
    for damage in ["{", &layout, &" ".repeat(9 << 20)] {
        std::fs::write(&kept, damage).unwrap();
        rig.call(&["update", "--pids-limit", "9", &id])
            .refused(1, &["is damaged"]);
        rig.call(&["exec", &id, "/payload"])
            .refused(255, &["is damaged"]);
    }
    rig.call(&["pause", &id]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn killed_while_pausing_updating_or_deleting() {
    need!(Root);
    let rig = Rig::new();
    let id = crate::pause::running(&rig);
    for step in 0..40 {
        for verb in [
            &["pause", &id][..],
            &["update", "--cpuset-cpus", "0", "--pids-limit", "50", &id],
            &["resume", &id],
        ] {
            let mut command = rig.command();
            command
                .args(verb)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(Duration::from_micros(400 * step));
            let _ = child.kill();
            child.wait().unwrap();
        }
        let state = rig.call(&["state", &id]);
        assert!(
            state.ok().contains("running") || state.out.contains("paused"),
            "{state:?}"
        );
    }
    let _ = rig.call(&["resume", &id]);
    rig.call(&["update", "--pids-limit", "60", &id]).ok();
    for step in 0..20 {
        let mut command = rig.command();
        command
            .args(["delete", "--force", &id])
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(300 * step));
        let _ = child.kill();
        child.wait().unwrap();
    }
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn the_pidfd_socket_gets_the_first_process() {
    need!(Root);
    let rig = Rig::new();
    let (id, path) = (unique("pidfd"), rig.path("pidfd.sock"));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    rig.call(&[
        "create",
        "--bundle",
        text(&bundle),
        "--pidfd-socket",
        text(&path),
        &id,
    ])
    .ok();
    let (socket, _) = listener.accept().unwrap();
    let mut word = [0u8; 1];
    let mut fds = [-1; cofferdam::sys::socket::MOST];
    let got = cofferdam::sys::socket::receive_fds(socket.as_raw_fd(), &mut word, &mut fds).unwrap();
    assert_eq!(got.map(|(_, count)| count), Some(1));
    let pidfd: OwnedFd = cofferdam::sys::process::own(fds[0]);
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    let pid = format!("Pid:\t{}\n", rig.pid(&id));
    assert!(info.contains(&pid), "{info}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
    // No socket there: nothing is made.
    let words = [
        "create",
        "--bundle",
        text(&bundle),
        "--pidfd-socket",
        "/nonexistent/s",
        &id,
    ];
    rig.call(&words).refused(1, &["/nonexistent/s"]);
    rig.assert_clean(&id);
}
