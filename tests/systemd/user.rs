//! An ordinary user with a systemd of its own, called from a cgroup outside of it.

use crate::has_systemd;
use crate::support::{Alive, Ran, Rig, finish, unique};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The ordinary user of the machine.
const UID: u32 = 1000;

/// Starts the user's manager; waits for its bus.
fn manager() {
    let mut command = Command::new("loginctl");
    command.args(["enable-linger", "tester"]);
    finish(command).ok();
    for _ in 0..600 {
        if Path::new("/run/user/1000/bus").exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the user's manager does not start");
}

fn as_user(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().uid(UID).gid(UID);
    command.env("XDG_RUNTIME_DIR", "/run/user/1000");
    command.env("PATH", "/usr/bin:/bin");
    command.stdin(std::process::Stdio::null());
    command
}

/// The launcher where the user can reach it, and a state folder of the user's.
fn prepared(rig: &Rig) -> (PathBuf, PathBuf) {
    let binary = rig.path("cofferdam");
    std::fs::copy(env!("CARGO_BIN_EXE_cofferdam"), &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let state = rig.path("state-of-user");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
    chown(&state, Some(UID), Some(UID)).unwrap();
    (binary, state)
}

fn property(unit: &str, name: &str) -> String {
    let mut command = as_user("systemctl");
    command.args(["--user", "show", "--value", "-p", name, unit]);
    finish(command).ok().trim().to_string()
}

fn call(binary: &Path, state: &Path, words: &[&str]) -> Ran {
    let mut command = as_user(binary);
    command.arg("--root").arg(state).args(words);
    finish(command)
}

#[test]
fn a_users_scope() {
    if !has_systemd("a_users_scope") {
        return;
    }
    manager();
    let rig = Rig::new();
    let (binary, state) = prepared(&rig);
    let name = unique("usr");
    let mut command = as_user(&binary);
    command.arg("--root").arg(&state);
    command.args(["--systemd-cgroup", "run", "--memory", "64m", "--rootfs"]);
    command.arg(rig.rootfs());
    command.args([&name, "--", "/payload", "wait"]);
    let alive = Alive::spawn(command);
    let unit = format!("cofferdam-{name}.scope");
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "MemoryMax"), (64 << 20).to_string());
    let cgroup = property(&unit, "ControlGroup");
    let expected = format!("/user.slice/user-1000.slice/user@1000.service/user.slice/{unit}");
    assert_eq!(cgroup, expected);
    let folder = PathBuf::from(format!("/sys/fs/cgroup{cgroup}"));
    let file = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(file("memory.max").trim(), (64 << 20).to_string());
    assert_eq!(file("cgroup.procs").lines().count(), 1);
    call(&binary, &state, &["update", "--pids-limit", "12", &name]).ok();
    assert_eq!(file("pids.max").trim(), "12");
    assert_eq!(property(&unit, "TasksMax"), "12");
    call(&binary, &state, &["pause", &name]).ok();
    assert_eq!(file("cgroup.freeze").trim(), "1");
    call(&binary, &state, &["resume", &name]).ok();
    call(&binary, &state, &["kill", &name, "KILL"]).ok();
    assert_eq!(alive.end(), 137);
    for _ in 0..100 {
        if property(&unit, "LoadState") == "not-found" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert!(!folder.exists());
    rig.assert_clean(&name);
}

#[test]
fn without_a_manager_a_sentence_says_so() {
    if !has_systemd("without_a_manager_a_sentence_says_so") {
        return;
    }
    let rig = Rig::new();
    let (binary, state) = prepared(&rig);
    chown(&state, Some(65534), Some(65534)).unwrap();
    let mut command = as_user(&binary);
    command.uid(65534).gid(65534).arg("--root").arg(&state);
    command.args(["--systemd-cgroup", "run", "--rootfs"]);
    command.arg(rig.rootfs());
    command.args([&unique("usr"), "--", "/payload", "exit", "0"]);
    finish(command).refused(125, &["enable-linger"]);
}
