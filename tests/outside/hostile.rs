//! Pids that are none, that end, that are others'; names and paths full of escapes. A sentence each, never a crash.

use crate::containers::{Foreign, audit, has, waiting};
use crate::need;
use crate::support::*;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// Neither a crash nor a usage error.
#[track_caller]
fn assert_answered(ran: &Ran) {
    assert!(matches!(ran.code, 0 | 1 | 125), "{ran:#?}");
    assert!(!ran.err.contains("panicked"), "{ran:#?}");
    let plain = |c: char| !c.is_control() || c == '\n';
    assert!(
        ran.out.chars().all(plain) && ran.err.chars().all(plain),
        "{ran:#?}"
    );
}

#[test]
fn a_pid_that_is_none() {
    let rig = Rig::new();
    let ran = rig.call(&["audit", "--pid", "2147483647"]);
    ran.refused(125, &["there is no process 2147483647"]);
    for bad in ["0", "-1", "x", "99999999999"] {
        let ran = rig.call(&["audit", &format!("--pid={bad}")]);
        assert_eq!(ran.code, 125, "{ran:#?}");
    }
    let ran = rig.call(&["audit", "--pid", "1", "--all"]);
    assert_eq!(ran.code, 125, "{ran:#?}");
}

#[test]
fn a_zombie_and_a_thread_of_the_kernel() {
    let rig = Rig::new();
    let mut child = Command::new("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    // Not collected: it stays as it is once it has ended.
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let ran = rig.call(&["audit", "--pid", &child.id().to_string()]);
    ran.refused(125, &["a zombie", "nothing to look at"]);
    child.wait().unwrap();
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|n| n == "kthreadd\n") {
        let ran = rig.call(&["audit", "--pid", "2"]);
        ran.refused(125, &["thread of the kernel"]);
    }
}

#[test]
fn a_process_with_a_hostile_name_in_a_hostile_place() {
    need!(Root);
    let rig = Rig::new();
    let place = rig.path("a\nb\u{1b}[2J<i>");
    std::fs::create_dir(&place).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]);
    command.arg("mount -t tmpfs none \"$1\" && exec \"$2\" name '\\e[2J<b>'");
    command
        .arg("sh")
        .arg(&place)
        .arg(rig.rootfs().join("payload"));
    let mut unshare = Alive::spawn(command);
    let outer = unshare.child.id();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let pid = children.trim().to_string();
    for form in ["table", "json", "junit", "sarif", "oscal", "html"] {
        let ran = rig.call(&["audit", "--pid", &pid, "--format", form]);
        assert_answered(&ran);
        assert!(ran.out.len() > 1000, "{form}: {ran:#?}");
        if matches!(form, "html" | "junit") {
            assert!(
                !ran.out.contains("<b>") && !ran.out.contains("<i>"),
                "{form}"
            );
        }
    }
    let (_, report) = audit(&rig, &["--pid", &pid]);
    assert!(
        report.to_string().contains("<i>"),
        "the mount is told: {report:#}"
    );
    assert_answered(&rig.call(&["audit", "--all"]));
    unshare.child.kill().unwrap();
}

#[test]
fn anothers_process_is_not_assessed_where_it_can_not_be_seen() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("o");
    let alive = waiting(&rig, &name, &[]);
    let pid = rig.pid(&name).to_string();
    let binary = rig.path("cofferdam");
    std::fs::copy(env!("CARGO_BIN_EXE_cofferdam"), &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command
            .arg(&binary)
            .args(args)
            .env_clear()
            .stdin(Stdio::null());
        finish(command)
    };
    let ran = nobody(&["audit", "--pid", &pid, "--json"]);
    assert_answered(&ran);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let of = |id: &str| findings.iter().find(|f| f["id"] == id).unwrap();
    for id in [
        "observe/namespace-network",
        "observe/code",
        "observe/environment",
    ] {
        let finding = of(id);
        assert_eq!(finding["verdict"], "not-assessed", "{finding:#}");
        assert!(
            finding["why"].as_str().unwrap().contains("root"),
            "{finding:#}"
        );
    }
    // What everybody may read is judged.
    assert_eq!(of("observe/capabilities")["verdict"], "pass");
    assert_answered(&nobody(&["audit", "--all"]));
    assert_answered(&nobody(&["check", "host"]));
    drop(alive);
    rig.assert_clean(&name);
}

#[test]
fn processes_that_end_while_they_are_looked_at() {
    let rig = Rig::new();
    for _ in 0..20 {
        let mut children: Vec<_> = (0..8)
            .map(|_| Command::new("true").spawn().unwrap())
            .collect();
        let pid = children[7].id().to_string();
        assert_answered(&rig.call(&["audit", "--pid", &pid]));
        for child in &mut children {
            child.wait().unwrap();
        }
        assert_answered(&rig.call(&["audit", "--pid", &pid]));
    }
    assert_answered(&rig.call(&["audit", "--all"]));
}

#[test]
fn an_id_that_two_engines_have() {
    need!(Root);
    if !has("runc", "an_id_that_two_engines_have") {
        return;
    }
    let rig = Rig::new();
    let id = unique("twice");
    let alive = waiting(&rig, &id, &[]);
    let foreign = Foreign::start("runc", &rig, &id);
    let audit = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.arg("--root").arg(foreign.root());
        command.args(["audit", "--container", &id]).args(flags);
        finish(command)
    };
    let ran = audit(&[]);
    ran.refused(
        125,
        &[
            "2 containers are called",
            "runc (pid",
            "cofferdam (pid",
            "--engine",
        ],
    );
    assert_eq!(audit(&["--engine", "runc"]).code, 1);
    assert_eq!(audit(&["--engine", "cofferdam"]).code, 0);
    assert_eq!(audit(&["--engine", "podman"]).code, 125);
    let pid = foreign.pid().to_string();
    assert!(rig.call(&["audit", "--pid", &pid]).out.contains(&pid));
    drop(foreign);
    drop(alive);
    rig.assert_clean(&id);
}
