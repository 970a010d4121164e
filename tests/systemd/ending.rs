//! Ends that nobody planned: the launcher killed, systemd stopping the scope.

use crate::support::{Alive, Rig, text, unique};
use crate::{assert_forgotten, has_systemd, running, spec, systemctl, unit};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_killed_launcher_leaves_no_unit() {
    if !has_systemd("a_killed_launcher_leaves_no_unit") {
        return;
    }
    let rig = Rig::new();
    let name = unique("kil");
    let mut command = rig.command();
    command.args(["--systemd-cgroup", "run", "--rootfs"]);
    command.arg(rig.rootfs());
    command.args([&name, "--", "/payload", "wait"]);
    let mut alive = Alive::spawn(command);
    let unit = format!("cofferdam-{name}.scope");
    assert_eq!(crate::property(&unit, "ActiveState"), "active");
    alive.child.kill().unwrap();
    alive.child.wait().unwrap();
    assert_forgotten(&unit);
    rig.assert_clean(&name);
}

#[test]
fn a_create_killed_in_the_middle_leaves_no_unit() {
    if !has_systemd("a_create_killed_in_the_middle_leaves_no_unit") {
        return;
    }
    let rig = Rig::new();
    for step in 0..12u64 {
        let id = unique("mid");
        let bundle = rig.bundle(&spec(&rig, &id, &["wait"]));
        let mut command = rig.command();
        command.args(["--systemd-cgroup", "create", "--bundle", text(&bundle), &id]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 * step));
        let _ = child.kill();
        child.wait().unwrap();
        // Nothing, or a whole container.
        rig.call(&["delete", "--force", &id]).ok();
        assert_forgotten(&unit(&id));
        rig.assert_clean(&id);
    }
}

#[test]
fn a_scope_that_systemd_stops_can_be_deleted() {
    if !has_systemd("a_scope_that_systemd_stops_can_be_deleted") {
        return;
    }
    let rig = Rig::new();
    let id = running(&rig);
    systemctl(&["kill", "--signal=KILL", &unit(&id)]).ok();
    systemctl(&["stop", &unit(&id)]);
    assert!(rig.call(&["state", &id]).ok().contains("stopped"));
    rig.call(&["delete", &id]).ok();
    assert_forgotten(&unit(&id));
    rig.assert_clean(&id);
    // And one whose creation fails when the scope is there.
    let id = unique("bad");
    let bundle = rig.bundle(&spec(&rig, &id, &["wait"]));
    let words = ["--systemd-cgroup", "create", "--bundle", text(&bundle)];
    let pid_file = ["--pid-file", "/not/there/pid", &id];
    rig.call(&[words.as_slice(), &pid_file].concat())
        .refused(1, &["write the pid file"]);
    assert_forgotten(&unit(&id));
    rig.assert_clean(&id);
}
