//! The programs of the validation suite that walk through a container's life, and the semantics that were chosen.

use crate::hooks_md::{OUTSIDE, life, said, say, sh};
use crate::suite::Suite;
use crate::support::{text, unique};
use serde_json::{Value, json};
use std::fs;

fn sounding(suite: &Suite) -> Value {
    suite.spec(&["sound", "/sounded", "process called"])
}

fn sounded(suite: &Suite) -> String {
    fs::read_to_string(suite.rig.rootfs().join("sounded")).unwrap_or_default()
}

fn with_hooks(suite: &Suite, hooks: Value) -> Value {
    let mut spec = sounding(suite);
    spec["hooks"] = hooks;
    spec
}

/// [validation/create] no id, no bundle, an id twice, and what `state` says of it
#[test]
fn create() {
    let suite = suite!();
    let bundle = suite.bundle(&suite.spec(&["wait"]));
    assert_ne!(suite.create_from(&bundle, "").code, 0);
    assert_ne!(suite.call(&["create", &unique("nowhere")]).code, 0);
    let id = unique("create");
    suite.create_from(&bundle, &id).ok();
    assert_ne!(suite.create_from(&bundle, &id).code, 0);
    assert!(suite.call(&["state", &id]).ok().contains("\"created\""));
    suite.call(&["delete", "--force", &id]).ok();
}

/// [validation/start] no id, nobody, once, twice, and a config without process
#[test]
fn start() {
    let suite = suite!();
    assert_ne!(suite.call(&["start"]).code, 0);
    assert_ne!(suite.call(&["start", "nobody-of-that-name"]).code, 0);
    let one = suite.created(&sounding(&suite));
    assert_eq!(sounded(&suite), "");
    suite.call(&["start", &one.id]).ok();
    one.wait_for("stopped");
    assert_eq!(sounded(&suite), "process called\n");
    assert_ne!(suite.call(&["start", &one.id]).code, 0);
    assert_eq!(sounded(&suite), "process called\n");
    suite.call(&["delete", &one.id]).ok();
    let mut spec = sounding(&suite);
    spec.as_object_mut().unwrap().remove("process");
    let id = unique("empty");
    let made = suite.create(&spec, &id);
    assert_ne!(suite.call(&["start", &id]).code, 0, "{made:?}");
}

/// [validation/state] no id, nobody, a created container
#[test]
fn state() {
    let suite = suite!();
    assert_ne!(suite.call(&["state"]).code, 0);
    assert_ne!(suite.call(&["state", "nobody-of-that-name"]).code, 0);
    let one = suite.created(&suite.spec(&["wait"]));
    assert_eq!(one.state()["id"], one.id.as_str());
}

/// [validation/kill] no id, nobody, a created, a running, a stopped container
#[test]
fn kill() {
    let suite = suite!();
    assert_ne!(suite.call(&["kill", "", "KILL"]).code, 0);
    assert_ne!(suite.call(&["kill", "nobody-of-that-name", "KILL"]).code, 0);
    let created = suite.created(&suite.spec(&["wait"]));
    created.stop();
    suite.call(&["delete", &created.id]).ok();
    let running = suite.running(&suite.spec(&["wait"]));
    running.stop();
    assert_ne!(
        suite.call(&["kill", &running.id, "KILL"]).code,
        0,
        "stopped"
    );
}

/// [validation/kill_no_effect] a stopped container is as it was
#[test]
fn kill_no_effect() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["exit", "0"]));
    one.wait_for("stopped");
    let before = one.state();
    assert_ne!(suite.call(&["kill", &one.id, "KILL"]).code, 0);
    assert_eq!(one.state(), before);
}

/// [validation/killsig] signals by name and number
#[test]
fn killsig() {
    let suite = suite!();
    for signal in ["TERM", "SIGUSR1", "USR2", "1"] {
        // A pid 1 without a handler takes only KILL; this one is seen to get the signal by its file.
        let mut spec = suite.spec(&["wait"]);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}", unique("conformance")));
        let one = suite.running(&spec);
        suite.call(&["kill", &one.id, signal]).ok();
        one.stop();
    }
}

/// [validation/delete] no id, a created, a running container: errors without effect
#[test]
fn delete() {
    let suite = suite!();
    assert_ne!(suite.call(&["delete", ""]).code, 0);
    let one = suite.created(&suite.spec(&["wait"]));
    assert_ne!(suite.call(&["delete", &one.id]).code, 0, "created");
    assert_eq!(one.status(), "created");
    suite.call(&["start", &one.id]).ok();
    assert_ne!(suite.call(&["delete", &one.id]).code, 0, "running");
    assert_eq!(one.status(), "running");
}

/// [validation/delete_resources] its cgroups are gone
#[test]
fn delete_resources() {
    let suite = suite!();
    let mut spec = suite.spec(&["exit", "0"]);
    spec["linux"]["resources"]["pids"] = json!({ "limit": 10 });
    let one = suite.created(&spec);
    let folder = one.cgroup_folder("pids");
    suite.call(&["start", &one.id]).ok();
    one.wait_for("stopped");
    suite.call(&["delete", &one.id]).ok();
    assert!(!folder.exists(), "{folder:?}");
}

/// [validation/delete_only_create_resources] a cgroup that somebody else made, and moved it to, stays
#[test]
fn delete_only_create_resources() {
    let suite = suite!();
    let one = suite.created(&suite.spec(&["exit", "0"]));
    let folder = one
        .cgroup_folder("pids")
        .parent()
        .unwrap()
        .join(unique("conformance-mine"));
    assert!(
        folder.with_file_name("cgroup.procs").exists(),
        "{folder:?} would be no cgroup"
    );
    fs::create_dir(&folder).unwrap();
    let moved = fs::write(folder.join("cgroup.procs"), one.pid().to_string());
    suite.call(&["start", &one.id]).ok();
    one.wait_for("stopped");
    let deleted = suite.call(&["delete", &one.id]);
    let there = folder.exists();
    fs::remove_dir(&folder).unwrap();
    assert!(moved.is_ok() && there, "{moved:?} {there}");
    deleted.ok();
}

/// [validation/config_updates_without_affect] a config that changes after create
#[test]
fn config_updates_without_affect() {
    let suite = suite!();
    let (id, bundle) = (unique("update"), suite.bundle(&sounding(&suite)));
    suite.create_from(&bundle, &id).ok();
    let before = suite.call(&["state", &id]).out;
    fs::write(
        bundle.join("config.json"),
        suite.spec(&["sound", "/sounded", "no"]).to_string(),
    )
    .unwrap();
    suite.call(&["start", &id]).ok();
    for _ in 0..500 {
        if suite.call(&["state", &id]).out.contains("\"stopped\"") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(before.contains("created"));
    assert_eq!(sounded(&suite), "process called\n");
    suite.call(&["delete", &id]).ok();
}

/// [validation/misc_props] unknown annotations and properties, and a version that is none
#[test]
fn misc_props() {
    let suite = suite!();
    let mut spec = suite.spec(&["exit", "0"]);
    spec["annotations"] = json!({ format!("org.{}", unique("some")): "" });
    assert_eq!(life(&suite, &spec), ["create", "start", "delete"]);
    spec["unknown"] = json!("unknown");
    assert_eq!(life(&suite, &spec), ["create", "start", "delete"]);
    spec["ociVersion"] = json!("invalid");
    suite.refuses(&spec);
}

/// [validation/pidfile] it has the pid that `state` gives, in the bundle or elsewhere
#[test]
fn pidfile() {
    let suite = suite!();
    let (id, file) = (unique("pid"), suite.rig.path("pid"));
    let bundle = suite.bundle(&suite.spec(&["wait"]));
    suite
        .call(&[
            "create",
            "--bundle",
            text(&bundle),
            "--pid-file",
            text(&file),
            &id,
        ])
        .ok();
    let state: Value = serde_json::from_str(suite.call(&["state", &id]).ok()).unwrap();
    assert_eq!(
        fs::read_to_string(file).unwrap().trim(),
        state["pid"].to_string()
    );
    suite.call(&["delete", "--force", &id]).ok();
}

/// [validation/hooks] two of prestart, poststart and poststop, programs of the bundle, in order
#[test]
fn hooks() {
    let suite = suite!();
    let program = suite.rig.rootfs().join("payload");
    let log = suite.rig.path("said");
    let one = |what: &str| json!({ "path": program, "args": ["payload", "sound", log, what] });
    let mut hooks = json!({});
    for kind in ["prestart", "poststart", "poststop"] {
        hooks[kind] = json!([one(&format!("{kind}1")), one(&format!("{kind}2"))]);
    }
    assert_eq!(
        life(&suite, &with_hooks(&suite, hooks)),
        ["create", "start", "delete"]
    );
    assert_eq!(
        said(&suite),
        [
            "prestart1",
            "prestart2",
            "poststart1",
            "poststart2",
            "poststop1",
            "poststop2"
        ]
    );
}

/// [validation/hooks_stdin] each kind is given the state: id, pid, bundle, annotations
#[test]
fn hooks_stdin() {
    let suite = suite!();
    let mut hooks = json!({});
    for kind in ["prestart", "poststart", "poststop"] {
        hooks[kind] = json!([sh(&format!("cat > {}", text(&suite.rig.path(kind))))]);
    }
    let mut spec = with_hooks(&suite, hooks);
    spec["annotations"] = json!({ "org.opencontainers.runtime-tools": "hook stdin test" });
    assert_eq!(life(&suite, &spec), ["create", "start", "delete"]);
    for kind in ["prestart", "poststart", "poststop"] {
        let state: Value =
            serde_json::from_str(&fs::read_to_string(suite.rig.path(kind)).unwrap()).unwrap();
        assert_eq!(state["annotations"], spec["annotations"], "{kind}");
        assert!(
            kind == "poststop" || state["pid"].as_i64().unwrap() > 0,
            "{kind}"
        );
    }
}

/// [validation/prestart] it is called before the program, and not again at start
#[test]
fn prestart() {
    let suite = suite!();
    let program = suite.rig.rootfs().join("payload");
    let file = suite.rig.rootfs().join("sounded");
    let hook = json!({ "path": program, "args": ["payload", "sound", file, "pre-start called"] });
    assert_eq!(
        life(&suite, &with_hooks(&suite, json!({ "prestart": [hook] }))),
        ["create", "start", "delete"]
    );
    assert_eq!(sounded(&suite), "pre-start called\nprocess called\n");
}

/// [validation/prestart_fail] a failure: the program does not run
#[test]
fn prestart_fail() {
    let suite = suite!();
    let hooks = json!({ "prestart": [sh("exit 1")], "poststop": [say(&suite, "poststop")] });
    let done = life(&suite, &with_hooks(&suite, hooks));
    assert!(!done.contains(&"start"), "{done:?}");
    assert_eq!(
        (sounded(&suite).as_str(), said(&suite).as_slice()),
        ("", ["poststop".to_string()].as_slice())
    );
}

/// [validation/poststart] it is called after the program began
#[test]
fn poststart() {
    let suite = suite!();
    let hooks = json!({ "poststart": [say(&suite, "post-start called")] });
    assert_eq!(
        life(&suite, &with_hooks(&suite, hooks)),
        ["create", "start", "delete"]
    );
    assert_eq!(
        (sounded(&suite).as_str(), said(&suite).len()),
        ("process called\n", 1)
    );
}

/// [validation/poststart_fail] a failure is a warning, and the next one is called
#[test]
fn poststart_fail() {
    let suite = suite!();
    let hooks = json!({ "poststart": [sh("exit 1"), say(&suite, "second")] });
    assert_eq!(
        life(&suite, &with_hooks(&suite, hooks)),
        ["create", "start", "delete"]
    );
    assert_eq!(
        (sounded(&suite).as_str(), said(&suite)[0].as_str()),
        ("process called\n", "second")
    );
}

/// [validation/poststop] it is called by delete, and not before
#[test]
fn poststop() {
    let suite = suite!();
    let hooks = json!({ "poststop": [say(&suite, "post-stop called")] });
    let one = suite.running(&with_hooks(&suite, hooks));
    one.wait_for("stopped");
    assert!(said(&suite).is_empty());
    suite.call(&["delete", &one.id]).ok();
    assert_eq!(said(&suite).len(), 1);
}

/// [validation/poststop_fail] a failure is a warning, and the next one is called
#[test]
fn poststop_fail() {
    let suite = suite!();
    let hooks = json!({ "poststop": [sh("exit 1"), say(&suite, "second")] });
    assert_eq!(
        life(&suite, &with_hooks(&suite, hooks)),
        ["create", "start", "delete"]
    );
    assert_eq!(said(&suite), ["second"]);
    assert_eq!(OUTSIDE.len(), 5);
}

/// [issue § Semantics] options are taken after the id, too
#[test]
fn options_after_the_id() {
    let suite = suite!();
    let bundle = suite.bundle(&suite.spec(&["wait"]));
    let id = unique("after");
    if !suite.ours() {
        return;
    }
    suite.call(&["create", &id, "--bundle", text(&bundle)]).ok();
    suite.call(&["kill", &id, "KILL", "--all"]).ok();
    suite.call(&["delete", &id, "--force"]).ok();
}

/// [issue § Semantics] rprivate and mounts without a source are taken
#[test]
fn what_engines_write_is_taken() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let list = spec["mounts"].as_array_mut().unwrap();
    list.push(json!({ "destination": "/mnt", "type": "tmpfs", "options": ["rprivate", "nosuid"] }));
    list.push(json!({ "destination": "/data", "type": "bind", "source": "/etc", "options": ["rbind", "rprivate", "ro"] }));
    suite.created(&spec);
}

/// [issue § Semantics] run ends when its program does, with its code, however many signals are lost
#[test]
fn run_ends_with_its_program() {
    let suite = suite!();
    for code in [0, 7] {
        let mut spec = suite.spec(&["exit", &code.to_string()]);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}", unique("conformance")));
        let bundle = suite.bundle(&spec);
        let mut command = std::process::Command::new("env");
        let inner = suite.command();
        // SIGCHLD is ignored by whoever calls us: a wait that counts on it would never end.
        command
            .args(["--ignore-signal=CHLD"])
            .arg(inner.get_program())
            .args(inner.get_args());
        command.args(["run", "--bundle", text(&bundle), &unique("run")]);
        assert_eq!(crate::support::finish(command).code, code);
    }
}
