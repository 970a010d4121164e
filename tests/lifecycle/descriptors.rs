//! Descriptors that an engine hands on, and those of socket activation: under compat, and no other.

use crate::need;
use crate::support::{Ran, Rig, finish, text, unique, wait_fd};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;

/// What is open beyond the streams, what is in it, and what socket activation says.
pub fn open_files() -> i32 {
    for fd in 3..64 {
        // Reading the link opens nothing.
        if let Ok(to) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            println!("{fd} {}", to.file_name().unwrap().to_string_lossy());
        }
    }
    for key in ["LISTEN_FDS", "LISTEN_PID"] {
        println!("{key} {:?}", std::env::var(key).ok());
    }
    0
}

/// `create` with 3 and 4 open and the given words, then `start`.
fn through(rig: &Rig, words: &[&str], listen: bool) -> Ran {
    let bundle = rig.bundle(&rig.spec(&["open-files"]));
    let (id, out) = (unique("fds"), rig.path("output"));
    std::fs::write(rig.path("three"), "3").unwrap();
    let file = File::open(rig.path("three")).unwrap();
    let fd = file.as_raw_fd();
    let mut command = std::process::Command::new("/bin/sh");
    // exec keeps the process id that LISTEN_PID names.
    let environment = if listen {
        "LISTEN_FDS=1 LISTEN_PID=$$"
    } else {
        "A=b"
    };
    command.args([
        "-c",
        &format!("exec env {environment} \"$@\" > {}", text(&out)),
        "sh",
    ]);
    command.arg(env!("CARGO_BIN_EXE_cofferdam"));
    command
        .arg("--root")
        .arg(rig.state())
        .arg("--policy")
        .arg(rig.path("policy.toml"));
    command
        .args(["create", "--bundle", text(&bundle)])
        .args(words)
        .arg(&id);
    // SAFETY: dup2 and close are async-signal-safe; the closure allocates nothing.
    unsafe {
        command.pre_exec(move || {
            libc::dup2(fd, 100);
            for to in 3..8 {
                libc::dup2(100, to);
            }
            libc::close(100);
            Ok(())
        });
    }
    let mut ran = finish(command);
    if ran.code == 0 {
        let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
        rig.call(&["start", &id]).ok();
        assert!(wait_fd(pidfd.as_fd()));
        rig.call(&["delete", "--force", &id]).ok();
        ran.out = std::fs::read_to_string(out).unwrap();
    }
    ran
}

#[test]
fn descriptors_are_handed_on_under_compat_and_no_other() {
    need!(Root);
    let rig = Rig::new();
    let none = "LISTEN_FDS None\nLISTEN_PID None\n";
    assert_eq!(
        through(&rig, &[], true).ok(),
        none,
        "cut, and told in the plan"
    );
    rig.except("8.4.14", "template = \"compat\"");
    assert_eq!(through(&rig, &[], false).ok(), none);
    let two = format!("3 three\n4 three\n{none}");
    assert_eq!(through(&rig, &["--preserve-fds", "2"], false).ok(), two);
    let activated = "3 three\n4 three\nLISTEN_FDS Some(\"1\")\nLISTEN_PID Some(\"1\")\n";
    assert_eq!(through(&rig, &["--preserve-fds=1"], true).ok(), activated);
    through(&rig, &["--preserve-fds", "90"], false)
        .refused(1, &["--preserve-fds 90: descriptor 8 is not open"]);
    through(&rig, &["--preserve-fds", "4294967295"], false).refused(1, &["--preserve-fds"]);
}

#[test]
fn a_caller_without_streams_gets_none_of_the_launchers_files_as_one() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("closed");
    let run = rig.run_command(&name, &[], &["wait"]);
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "exec \"$@\" 0<&- 1>&- 2>&-", "sh"]);
    command.arg(run.get_program()).args(run.get_args());
    let mut launcher = command.spawn().unwrap();
    let begun = std::time::Instant::now();
    while rig.call(&["state", &name]).code != 0 {
        if begun.elapsed().as_secs() > 60 {
            launcher.kill().unwrap();
            panic!("it never began");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let own = format!("/proc/{}", launcher.id());
    let link = |fd| std::fs::read_link(format!("{own}/fd/{fd}")).unwrap();
    let streams = [0, 1, 2].map(link);
    let status = std::fs::read_to_string(format!("{own}/status")).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(launcher.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    launcher.wait().unwrap();
    assert!(
        streams.iter().all(|s| text(s) == "/dev/null"),
        "{streams:?}"
    );
    let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    assert_ne!(
        ignored & 1 << (libc::SIGPIPE - 1),
        0,
        "a closed pipe ends it"
    );
    rig.assert_clean(&name);
}
