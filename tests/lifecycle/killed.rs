//! The launcher killed with KILL, at any moment: the program ends with it, and nothing is left.

use crate::need;
use crate::support::{Alive, Rig, text, unique};
use std::process::Stdio;
use std::time::Duration;

/// The cheap half of `assert_clean`, for loops: the state folder goes last.
fn wait_until_gone(rig: &Rig, id: &str) {
    for _ in 0..5000 {
        if !rig.state().join(id).exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    rig.assert_clean(id);
}

#[test]
fn a_running_container_ends_with_its_launcher() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("k");
    let mut alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let pid = rig.pid(&name);
    alive.child.kill().unwrap();
    alive.child.wait().unwrap();
    rig.assert_clean(&name);
    assert!(!std::path::Path::new(&format!("/proc/{pid}/root/payload")).exists());
}

#[test]
fn a_launch_killed_in_the_middle_leaves_nothing() {
    need!(Root);
    let rig = Rig::new();
    let (mut killed, family) = (0, unique("mid"));
    // From before the first cgroup to after the program has begun; the debug build takes some 30 ms.
    for step in 0..60 {
        let name = format!("{family}-{step}");
        let mut command = rig.run_command(&name, &[], &["wait"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(800 * step));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        killed += u32::from(status.code().is_none());
        wait_until_gone(&rig, &name);
    }
    rig.assert_clean(&family);
    assert_eq!(killed, 60, "every launcher was killed before its end");
}

#[test]
fn a_create_killed_in_the_middle_leaves_nothing_or_a_whole_container() {
    need!(Root);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let (mut unfinished, family) = (0, unique("cre"));
    for step in 0..50 {
        let id = format!("{family}-{step}");
        let mut command = rig.command();
        command.args(["create", "--bundle", text(&bundle), &id]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(700 * step));
        let _ = child.kill();
        let status = child.wait().unwrap();
        unfinished += u32::from(!status.success());
        if status.success() {
            assert!(rig.call(&["state", &id]).ok().contains("created"));
            rig.call(&["delete", &id]).ok();
        } else if rig.call(&["state", &id]).out.contains("created") {
            // Killed after the last word with the child, when the container is whole although nobody was told; or
            // just before, when the janitor is at work on it.
            rig.call(&["delete", "--force", &id]).ok();
        }
        wait_until_gone(&rig, &id);
    }
    rig.assert_clean(&family);
    assert!(
        unfinished > 5,
        "only {unfinished} creates were killed before their end"
    );
}
