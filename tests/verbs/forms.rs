//! Spellings that engines and people use: options behind the id, global options in front of the verb and behind it.

use crate::need;
use crate::support::{Ran, Rig, finish, text, unique};
use cofferdam::sys::process;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The binary under test without the rig's own global options.
fn bare(words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command.env_clear().stdin(std::process::Stdio::null());
    command.args(words);
    finish(command)
}

#[test]
fn options_stand_in_front_of_the_verb_behind_it_and_behind_the_id() {
    need!(Root);
    let rig = Rig::new();
    let (state, policy, log) = (rig.state(), rig.path("policy.toml"), rig.path("log.json"));
    let root = format!("--root={}", text(&state));
    let id = unique("form");
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let pid_file = rig.path("pid");
    bare(&[
        "--policy",
        text(&policy),
        "create",
        &root,
        &id,
        "--log",
        text(&log),
        "--log-format=json",
        "--bundle",
        text(&bundle),
        "--pid-file",
        text(&pid_file),
    ])
    .ok();
    assert!(pid_file.exists());
    bare(&["--log", text(&log), "start", &id, &root]).ok();
    assert!(bare(&[&root, "state", &id]).ok().contains("running"));
    assert!(bare(&["list", &root, "--format=json"]).ok().contains(&id));
    assert!(
        bare(&["ps", &id, "--format", "json", &root])
            .ok()
            .starts_with('[')
    );
    bare(&["update", &root, &id, "--pids-limit=40"]).ok();
    bare(&["kill", &root, &id, "KILL", "--all"]).ok();
    // An error goes where the log is said to be, wherever that is said.
    bare(&[
        "start",
        &id,
        &root,
        "--log-format=json",
        "--log",
        text(&log),
    ])
    .refused(1, &[]);
    let said = std::fs::read_to_string(&log).unwrap();
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    bare(&["delete", &id, "--force", &root]).ok();
    rig.assert_clean(&id);
}

/// A caller that ignores or blocks SIGCHLD hands that on: the end of a child is told by its pidfd, and by nothing else.
#[test]
fn a_run_does_not_hang_where_the_end_of_a_child_is_not_signalled() {
    need!(Root);
    let rig = Rig::new();
    for ignored in [true, false] {
        let name = unique("chld");
        let mut command = rig.run_command(&name, &[], &["exit", "7"]);
        // SAFETY: system calls of integers alone, between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if ignored {
                    process::ignore_signal(libc::SIGCHLD);
                    return Ok(());
                }
                let mut set = nix::sys::signal::SigSet::empty();
                set.add(nix::sys::signal::SIGCHLD);
                Ok(set.thread_block()?)
            });
        }
        assert_eq!(finish(command).code, 7, "ignored: {ignored}");
        rig.assert_clean(&name);
    }
}

/// Options of runc's that engines may send and that change nothing here, or whose meaning is refused in a sentence.
#[test]
fn every_spelling_of_the_engines_is_understood() {
    need!(Root);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let id = unique("spelled");
    let create = |words: &[&str]| {
        let usual = ["--no-new-keyring", "--bundle", text(&bundle), &id];
        rig.call(&[&["create"], words, &usual].concat())
    };
    create(&["--no-pivot"]).refused(1, &["--no-pivot", "SS-011/8.4.5"]);
    rig.assert_clean(&id);
    create(&[]).ok();
    for global in [
        &["--debug"][..],
        &["--rootless=auto"],
        &["--rootless", "false"],
        &["--criu", "/usr/sbin/criu"],
    ] {
        let state = rig.call(&[global, &["state", &id]].concat());
        assert!(state.ok().contains("\"created\""), "{global:?} {state:?}");
    }
    // Docker 20.10 and CRI-O put a space where others put "=".
    let mut update = rig.command();
    let zeros = rig.path("update.json");
    std::fs::write(&zeros, r#"{"pids": {"limit": 40}}"#).unwrap();
    update.args(["update", "--resources", "-", &id]);
    update.stdin(std::fs::File::open(&zeros).unwrap());
    finish(update).ok();
    rig.call(&["update", "--resources", text(&zeros), &id]).ok();
    rig.call(&["start", &id]).ok();
    let end = process::pidfd_open(rig.pid(&id)).unwrap();
    rig.call(&["kill", "-a", &id, "SIGKILL"]).ok();
    assert!(crate::support::wait_fd(std::os::fd::AsFd::as_fd(&end)));
    rig.call(&["kill", &id, "KILL"])
        .refused(1, &["container not running"]);
    rig.call(&["kill", "--all", &id, "9"]).ok();
    assert_eq!(rig.call(&["ps", "--format", "json", &id]).ok(), "null\n");
    rig.call(&["delete", "-f", &id]).ok();
    rig.assert_clean(&id);
    let restore = "restore --detach --image-path /a --work-path /b --no-subreaper --bundle /c";
    let mut words: Vec<&str> = restore.split(' ').collect();
    words.push(&id);
    rig.call(&words).refused(1, &["restore is not supported"]);
    for verb in ["ps", "pause", "resume", "update", "events"] {
        rig.call(&[verb, &id])
            .refused(1, &["container does not exist"]);
    }
}
