//! The systemd cgroup driver against a real systemd, as root and as an ordinary user with a manager of its own.
//!
//! Needs systemd as the first process; tests/vm boots a machine that has it and runs these there.

#![allow(unsafe_code)] // the rig's payload

#[path = "../support/mod.rs"]
mod support;

mod ending;
mod limits;
mod names;
mod user;

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use support::{Ran, Rig, finish, text, unique};

payload!(verb);

fn verb(verb: &str, _args: &[String]) -> Option<i32> {
    match verb {
        "eat" => limits::eat(),
        _ => return None,
    }
    Some(0)
}

/// Whether the first process is systemd. `REQUIRE=systemd` fails where it is not; `all` does not, for whether it is
/// cannot be arranged.
fn has_systemd(test: &str) -> bool {
    let there = std::fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim() == "systemd")
        && nix::unistd::geteuid().is_root();
    let required = std::env::var("REQUIRE").unwrap_or_default();
    let forced = required.split(',').any(|r| r == "systemd");
    assert!(there || !forced, "REQUIRE={required}, but {test} can't run");
    if !there {
        let why = "systemd is not the first process, or not root; cargo test --test vm boots it";
        let _ = writeln!(std::io::stderr(), "SKIP {test}: {why}");
    }
    there
}

/// Where the tests' scopes go.
const SLICE: &str = "cofferdam-tests.slice";

/// A request for a scope of this name.
fn spec(rig: &Rig, name: &str, words: &[&str]) -> Value {
    let mut spec = rig.spec(words);
    spec["linux"]["cgroupsPath"] = json!(format!("{SLICE}:cd:{name}"));
    spec
}

fn unit(name: &str) -> String {
    format!("cd-{name}.scope")
}

/// The scope's folder.
fn folder(name: &str) -> PathBuf {
    let slices = "/sys/fs/cgroup/cofferdam.slice/cofferdam-tests.slice";
    PathBuf::from(slices).join(unit(name))
}

fn file(name: &str, file: &str) -> String {
    let path = folder(name).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim().to_string()
}

fn create(rig: &Rig, spec: &Value, id: &str) -> Ran {
    let bundle = rig.bundle(spec);
    rig.call(&["--systemd-cgroup", "create", "--bundle", text(&bundle), id])
}

/// A container that runs in the scope of its id.
fn running(rig: &Rig) -> String {
    let id = unique("s");
    create(rig, &spec(rig, &id, &["wait"]), &id).ok();
    rig.call(&["start", &id]).ok();
    id
}

fn systemctl(words: &[&str]) -> Ran {
    let mut command = Command::new("systemctl");
    command.args(words);
    finish(command)
}

/// A property as `systemctl show` prints it.
fn property(unit: &str, name: &str) -> String {
    let ran = systemctl(&["show", "--value", "-p", name, unit]);
    ran.ok().trim().to_string()
}

/// Waits until systemd knows no such unit, not even as failed.
fn assert_forgotten(unit: &str) {
    let mut seen = String::new();
    for _ in 0..100 {
        seen = property(unit, "LoadState") + " " + &property(unit, "ActiveState");
        if seen == "not-found inactive" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{unit} is still {seen}");
}

#[test]
fn a_whole_life_in_a_scope() {
    if !has_systemd("a_whole_life_in_a_scope") {
        return;
    }
    let rig = Rig::new();
    let id = unique("life");
    let unit = unit(&id);
    create(&rig, &spec(&rig, &id, &["wait"]), &id).ok();
    let pid = rig.pid(&id);
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = format!("/cofferdam.slice/{SLICE}/{unit}");
    assert_eq!(cgroup, format!("0::{path}\n"));
    for (name, value) in [
        ("ActiveState", "active"),
        ("SubState", "running"),
        ("Slice", SLICE),
        ("ControlGroup", &path),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("Transient", "yes"),
        ("Description", &format!("cofferdam container {id}")),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    rig.call(&["start", &id]).ok();
    let ps = rig.call(&["ps", "--format", "json", &id]);
    assert_eq!(ps.ok().trim(), format!("[{pid}]"));
    // The container sees its own cgroup as the root.
    let inside = format!("/proc/{pid}/ns/cgroup");
    assert_ne!(
        std::fs::read_link(inside).unwrap(),
        std::fs::read_link("/proc/self/ns/cgroup").unwrap()
    );
    rig.call(&["events", "--stats", &id]).ok();
    rig.call(&["kill", &id, "KILL"]).ok();
    let deleted = rig.call(&["delete", "--force", &id]);
    deleted.ok();
    assert_eq!(deleted.err, "");
    assert_forgotten(&unit);
    rig.assert_clean(&id);
}

#[test]
fn without_systemd_a_sentence_says_so() {
    if std::fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim() == "systemd") {
        return;
    }
    crate::need!(Root);
    let rig = Rig::new();
    let id = unique("none");
    let ran = create(&rig, &spec(&rig, &id, &["wait"]), &id);
    ran.refused(1, &["leave"]);
    let why = ["pure cgroup v2", "/run/dbus/system_bus_socket"];
    assert!(why.iter().any(|w| ran.err.contains(w)), "{ran:?}");
    rig.assert_clean(&id);
}
