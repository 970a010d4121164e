//! What the flags of exec mean, as runc reads them: ids, capabilities, variables.

use crate::exec::{open_rig, process_file, running};
use crate::need;
use crate::support::{Rig, text};
use serde_json::json;

fn compat_rig() -> Rig {
    let rig = open_rig();
    rig.except("8.4.14", "template = \"compat\"");
    rig
}

fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let value = status.lines().find_map(|l| l.strip_prefix(name));
    value.unwrap_or("(none)").trim_start_matches(':').trim()
}

/// config.md, capabilities: a set that is not given is empty.
#[test]
fn a_capability_of_exec_comes_alone_where_the_container_has_none() {
    need!(Root);
    let rig = compat_rig();
    let id = running(&rig, |spec| {
        let process = spec["process"].as_object_mut().unwrap();
        process.remove("capabilities");
        process.insert("user".into(), json!({"uid": 1000, "gid": 1000}));
    });
    let with = [
        "exec",
        "-c",
        "CAP_CHOWN",
        &id,
        "/payload",
        "cat",
        "/proc/self/status",
    ];
    let status = rig.call(&with);
    let (none, chown) = ("0".repeat(16), format!("{:016x}", 1));
    assert_eq!(line(status.ok(), "CapBnd"), chown, "{status:?}");
    for set in ["CapInh", "CapAmb", "CapPrm", "CapEff"] {
        assert_eq!(line(&status.out, set), none, "{set}: {status:?}");
    }
    rig.call(&["delete", "--force", &id]).ok();
}

/// getenv(3) takes the first, so that only one may be there; as in runc and crun it is the last.
#[test]
fn the_last_of_two_variables_of_one_name_is_there_alone() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, |spec| {
        spec["process"]["env"] = json!([
            "X=1",
            "PATH=/nowhere",
            "Y=1",
            "PATH=/:/bin",
            "XX=3",
            "HOME=/"
        ]);
    });
    let said = rig.call(&["exec", "-e", "X=2", &id, "payload", "env"]);
    assert_eq!(
        said.ok(),
        "Y=1\nPATH=/:/bin\nXX=3\nHOME=/\nX=2\n",
        "{said:?}"
    );
    rig.call(&["delete", "--force", &id]).ok();
    // The program itself is found by the last PATH, and sees no other.
    let mut spec = rig.spec(&["env"]);
    spec["process"]["env"] = json!(["HOME=/", "PATH=/nowhere", "A=1", "PATH=/"]);
    spec["process"]["args"] = json!(["payload", "env"]);
    let said = rig.through(&spec);
    assert_eq!(said.ok(), "HOME=/\nA=1\nPATH=/\n", "{said:?}");
}

#[test]
fn a_user_without_a_group_keeps_the_container_s_group() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, |spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 77});
    });
    for (user, gid) in [("5", "77"), ("5:6", "6")] {
        let status = rig.call(&[
            "exec",
            "-u",
            user,
            &id,
            "/payload",
            "cat",
            "/proc/self/status",
        ]);
        assert!(line(status.ok(), "Uid").starts_with("5\t"), "{status:?}");
        let group = format!("{gid}\t");
        assert!(
            line(&status.out, "Gid").starts_with(&group),
            "{user}: {status:?}"
        );
    }
    rig.call(&["delete", "--force", &id]).ok();
}

/// config.md, Linux Process: a name that can't be mapped is a warning.
#[test]
fn an_unknown_capability_is_left_out_and_noted() {
    need!(Root);
    let rig = compat_rig();
    let id = running(&rig, |spec| {
        spec["process"]["user"] = json!({"uid": 0, "gid": 0});
        let names = json!(["CAP_KILL", "CAP_FOO\u{7}"]);
        spec["process"]["capabilities"] =
            json!({"bounding": names, "permitted": names, "effective": names});
    });
    let record = std::fs::read_to_string(rig.state().join(&id).join("record.json")).unwrap();
    assert!(
        record.contains("CAP_FOO") && record.contains("knows no such"),
        "{record}"
    );
    let process = json!({"args": ["/payload", "cat", "/proc/self/status"], "cwd": "/", "user": {},
        "capabilities": {"bounding": ["CAP_BAR", "CAP_KILL"], "permitted": ["CAP_BAR"]}});
    let file = process_file(&rig, &process);
    let status = rig.call(&["exec", "--process", text(&file), &id]);
    let kill = format!("{:016x}", 1 << 5);
    assert_eq!(line(status.ok(), "CapBnd"), kill, "{status:?}");
    let journal = std::fs::read_to_string(rig.state().join(&id).join("exec.jsonl")).unwrap();
    assert!(
        journal.contains("CAP_BAR") && !journal.contains("CAP_FOO"),
        "{journal}"
    );
    rig.call(&["delete", "--force", &id]).ok();
}

/// As runc has it: the container's first process does not say where another user lives.
#[test]
fn a_second_process_has_the_home_of_its_user() {
    need!(Root);
    let rig = open_rig();
    let passwd = "a:x:1000:0::/home/a:/bin/sh\nb:x:1001:0::/home/b:/bin/sh\n";
    std::fs::write(rig.path("rootfs/etc/passwd"), passwd).unwrap();
    let id = running(&rig, |spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let home = |args: &[&str]| {
        let said = rig.call(&[&["exec"], args, &[&id, "/payload", "env"]].concat());
        let lines = said.ok().lines().filter_map(|l| l.strip_prefix("HOME="));
        lines.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(home(&[]), ["/home/a"]);
    assert_eq!(home(&["-u", "1001"]), ["/home/b"]);
    assert_eq!(home(&["-u", "1001", "-e", "HOME=/x"]), ["/x"]);
    rig.call(&["delete", "--force", &id]).ok();
}
