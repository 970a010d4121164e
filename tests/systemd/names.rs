//! Names of units: taken by others, by leftovers, by two launches at once.

use crate::support::{Rig, finish, unique, wait_fd};
use crate::{assert_forgotten, create, has_systemd, property, spec, systemctl, unit};
use serde_json::json;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

#[test]
fn a_name_in_use_is_refused_and_the_other_stays() {
    if !has_systemd("a_name_in_use_is_refused_and_the_other_stays") {
        return;
    }
    let rig = Rig::new();
    let id = unique("use");
    let unit = unit(&id);
    let mut other = Command::new("systemd-run")
        .args(["--scope", "--quiet", "--unit", &unit, "sleep", "1000"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    while property(&unit, "ActiveState") != "active" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    create(&rig, &spec(&rig, &id, &["wait"]), &id).refused(1, &[&unit, "in use"]);
    assert!(other.try_wait().unwrap().is_none());
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(std::fs::read_dir(rig.state()).unwrap().count(), 0);
    // Another container that is in use is no leftover either.
    let (one, two) = (unique("one"), unique("two"));
    create(&rig, &spec(&rig, &one, &["wait"]), &one).ok();
    create(&rig, &spec(&rig, &one, &["wait"]), &two).refused(1, &["in use"]);
    rig.call(&["state", &one]).ok();
    rig.call(&["delete", "--force", &one]).ok();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_forgotten(&unit);
    rig.assert_clean(&one);
}

#[test]
fn a_failed_unit_of_the_name_makes_room() {
    if !has_systemd("a_failed_unit_of_the_name_makes_room") {
        return;
    }
    let rig = Rig::new();
    let (first, second) = (unique("fst"), unique("snd"));
    // A scope that has to be ended counts as failed.
    let mut limited = Command::new("systemd-run");
    limited.args(["--scope", "--quiet", "--property=RuntimeMaxSec=1"]);
    limited.args(["--unit", &unit(&first), "sleep", "1000"]);
    finish(limited);
    let state = property(&unit(&first), "ActiveState");
    assert_eq!(state, "failed");
    create(&rig, &spec(&rig, &first, &["wait"]), &first).ok();
    let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(&first)).unwrap();
    rig.call(&["kill", &first, "KILL"]).ok();
    assert!(wait_fd(pidfd.as_fd()));
    // Another container wants the name of the one that has ended.
    create(&rig, &spec(&rig, &first, &["wait"]), &second).ok();
    assert_eq!(property(&unit(&first), "ActiveState"), "active");
    // The first one's deletion leaves the second's scope alone.
    rig.call(&["delete", "--force", &first]).ok();
    assert_eq!(property(&unit(&first), "ActiveState"), "active");
    rig.call(&["start", &second]).ok();
    rig.call(&["delete", "--force", &second]).ok();
    assert_forgotten(&unit(&first));
    rig.assert_clean(&second);
}

#[test]
fn two_at_once() {
    if !has_systemd("two_at_once") {
        return;
    }
    let rig = Rig::new();
    let ids = [unique("two"), unique("two")];
    std::thread::scope(|scope| {
        for id in &ids {
            let rig = &rig;
            scope.spawn(move || {
                create(rig, &spec(rig, id, &["wait"]), id).ok();
                rig.call(&["start", id]).ok();
            });
        }
    });
    for id in &ids {
        assert_eq!(property(&unit(id), "ActiveState"), "active");
    }
    rig.call(&["delete", "--force", &ids[0]]).ok();
    assert_forgotten(&unit(&ids[0]));
    assert_eq!(property(&unit(&ids[1]), "ActiveState"), "active");
    rig.call(&["delete", "--force", &ids[1]]).ok();
    assert_forgotten(&unit(&ids[1]));
}

#[test]
fn without_a_path_the_scope_has_the_containers_name() {
    if !has_systemd("without_a_path_the_scope_has_the_containers_name") {
        return;
    }
    let rig = Rig::new();
    let id = unique("a+b");
    create(&rig, &rig.spec(&["wait"]), &id).ok();
    let unit = format!("cofferdam-{}.scope", id.replace('+', "\\x2b"));
    assert_eq!(property(&unit, "Slice"), "system.slice");
    // Paths of the cgroupfs driver are not taken for units.
    let mut spec = rig.spec(&["wait"]);
    spec["linux"]["cgroupsPath"] = json!("/a/b");
    create(&rig, &spec, &unique("x")).refused(1, &["slice:prefix:name"]);
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let mut command = rig.command();
    command.args(["--systemd-cgroup", "plan", "--engine", "--bundle"]);
    command.arg(&bundle).arg("web");
    let plan = finish(command);
    let line = "systemd scope cofferdam-web.scope in slice system.slice";
    assert!(plan.ok().contains(line), "{plan:?}");
    rig.call(&["delete", "--force", &id]).ok();
    assert_forgotten(&unit);
    systemctl(&["is-system-running"]);
}
