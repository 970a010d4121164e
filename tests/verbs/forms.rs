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
