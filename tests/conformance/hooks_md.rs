//! config.md § POSIX-platform Hooks, and the places of hooks in runtime.md's lifecycle.

use crate::suite::Suite;
use crate::support::{text, unique};
use serde_json::{Value, json};
use std::fs;

/// The kinds that run outside, in the order of a life.
pub const OUTSIDE: [&str; 5] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "poststart",
    "poststop",
];

/// A hook that runs a shell script on the host.
pub fn sh(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"], "timeout": 60 })
}

/// A hook that appends a line to a file of the rig.
pub fn say(suite: &Suite, what: &str) -> Value {
    sh(&format!(
        "echo \"{what}\" >> {}",
        text(&suite.rig.path("said"))
    ))
}

/// What the hooks said.
pub fn said(suite: &Suite) -> Vec<String> {
    let log = fs::read_to_string(suite.rig.path("said")).unwrap_or_default();
    log.lines().map(String::from).collect()
}

/// A config with these hooks, whose program ends at once.
fn hooked(suite: &Suite, hooks: Value) -> Value {
    let mut spec = suite.spec(&["sound", "/sounded", "called"]);
    spec["hooks"] = hooks;
    spec
}

/// A whole life; how far it came: the verbs that succeeded.
pub fn life(suite: &Suite, spec: &Value) -> Vec<&'static str> {
    let id = unique("life");
    let mut done = Vec::new();
    if suite.create(spec, &id).code == 0 {
        done.push("create");
        if suite.call(&["start", &id]).code == 0 {
            done.push("start");
        }
        for _ in 0..500 {
            if suite.call(&["state", &id]).out.contains("\"stopped\"") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if suite.call(&["delete", &id]).code == 0 {
            done.push("delete");
        }
    }
    suite.call(&["delete", "--force", &id]);
    done
}

fn namespace_of(kind: &str) -> String {
    text(&fs::read_link(format!("/proc/self/ns/{kind}")).unwrap()).into()
}

/// [config.md § Hooks] within a kind they run in the listed order
#[test]
fn hooks_run_in_order() {
    let suite = suite!();
    let mut hooks = json!({});
    for kind in OUTSIDE {
        hooks[kind] = json!([
            say(&suite, &format!("{kind} 1")),
            say(&suite, &format!("{kind} 2"))
        ]);
    }
    life(&suite, &hooked(&suite, hooks));
    let wanted: Vec<String> = OUTSIDE
        .iter()
        .flat_map(|k| [format!("{k} 1"), format!("{k} 2")])
        .collect();
    assert_eq!(said(&suite), wanted);
}

/// [config.md § Hooks] the state is on their standard input
#[test]
fn hooks_are_given_the_state() {
    let suite = suite!();
    let mut hooks = json!({});
    for kind in OUTSIDE {
        hooks[kind] = json!([sh(&format!("cat > {}", text(&suite.rig.path(kind))))]);
    }
    let mut spec = hooked(&suite, hooks);
    spec["annotations"] = json!({ "some": "label" });
    life(&suite, &spec);
    for (kind, status) in OUTSIDE
        .into_iter()
        .zip(["creating", "creating", "creating", "running", "stopped"])
    {
        let state: Value =
            serde_json::from_str(&fs::read_to_string(suite.rig.path(kind)).unwrap()).unwrap();
        let right =
            state["status"] == status || (status == "creating" && state["status"] == "created");
        assert!(right, "{kind}: {state}");
        assert!(
            state["id"].is_string() && state["bundle"].is_string(),
            "{kind}: {state}"
        );
        assert_eq!(state["annotations"]["some"], "label", "{kind}");
    }
}

/// [config.md § Hooks] a path that is not absolute is an error
#[test]
fn a_hooks_path_is_absolute() {
    let suite = suite!();
    for kind in OUTSIDE {
        suite.refuses(&hooked(&suite, json!({ kind: [{ "path": "true" }] })));
    }
}

/// [config.md § Hooks] a timeout is greater than zero
#[test]
fn a_hooks_timeout_is_greater_than_zero() {
    let suite = suite!();
    for timeout in [0, -1] {
        suite.refuses(&hooked(
            &suite,
            json!({ "prestart": [{ "path": "/bin/true", "timeout": timeout }] }),
        ));
    }
}

/// [config.md § Hooks] a hook that is not done in time is aborted
#[test]
fn a_slow_hook_is_aborted() {
    let suite = suite!();
    let slow = json!({ "path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1 });
    suite.refuses(&hooked(&suite, json!({ "createRuntime": [slow] })));
}

/// [config.md § Prestart] in the runtime's namespaces, resolved there
#[test]
fn prestart_runs_outside() {
    let suite = suite!();
    let hook = say(&suite, "$(readlink /proc/self/ns/mnt)");
    suite.created(&hooked(&suite, json!({ "prestart": [hook] })));
    assert_eq!(said(&suite), [namespace_of("mnt")]);
}

/// [config.md § Prestart] during create, before createRuntime
#[test]
fn prestart_comes_before_create_runtime() {
    let suite = suite!();
    let hooks =
        json!({ "createRuntime": [say(&suite, "second")], "prestart": [say(&suite, "first")] });
    suite.created(&hooked(&suite, hooks));
    assert_eq!(said(&suite), ["first", "second"], "during create");
}

/// [config.md § CreateRuntime Hooks] in the runtime's namespaces, resolved there
#[test]
fn create_runtime_runs_outside() {
    let suite = suite!();
    let hook = say(&suite, "$(readlink /proc/self/ns/mnt)");
    suite.created(&hooked(&suite, json!({ "createRuntime": [hook] })));
    assert_eq!(said(&suite), [namespace_of("mnt")]);
}

/// [config.md § CreateRuntime Hooks] during create: the namespaces are there, the root is not yet changed
#[test]
fn create_runtime_finds_the_namespaces() {
    let suite = suite!();
    let script = "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); readlink /proc/$pid/ns/net";
    let hook = sh(&format!("({script}) >> {}", text(&suite.rig.path("said"))));
    let one = suite.created(&hooked(&suite, json!({ "createRuntime": [hook] })));
    assert_eq!(said(&suite), [text(&one.namespace("net"))]);
}

/// [config.md § CreateContainer Hooks] in the container's namespaces, the path resolved in the runtime's
#[test]
fn create_container_runs_in_the_namespaces() {
    let suite = suite!();
    let hook = say(
        &suite,
        "$(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/net)",
    );
    let one = suite.created(&hooked(&suite, json!({ "createContainer": [hook] })));
    let wanted = format!(
        "{} {}",
        text(&one.namespace("mnt")),
        text(&one.namespace("net"))
    );
    assert_eq!(said(&suite), [wanted]);
}

/// [config.md § CreateContainer Hooks] during create, after createRuntime, before the root is changed
#[test]
fn create_container_comes_after_create_runtime() {
    let suite = suite!();
    let hooks = json!({ "createContainer": [say(&suite, "second")], "createRuntime": [say(&suite, "first")] });
    suite.created(&hooked(&suite, hooks));
    assert_eq!(said(&suite), ["first", "second"]);
}

/// [config.md § StartContainer Hooks] in the container's namespaces, the path resolved inside
#[test]
fn start_container_runs_inside() {
    let suite = suite!();
    let hook = json!({ "path": "/payload", "args": ["payload", "sound", "/first", "inside"] });
    life(&suite, &hooked(&suite, json!({ "startContainer": [hook] })));
    assert_eq!(
        fs::read_to_string(suite.rig.rootfs().join("first")).unwrap(),
        "inside\n"
    );
}

/// [config.md § StartContainer Hooks] during start, before the program
#[test]
fn start_container_comes_before_the_program() {
    let suite = suite!();
    let hook = json!({ "path": "/payload", "args": ["payload", "sound", "/sounded", "hook"] });
    let id = unique("start");
    suite
        .create(&hooked(&suite, json!({ "startContainer": [hook] })), &id)
        .ok();
    let sounded = || fs::read_to_string(suite.rig.rootfs().join("sounded")).unwrap_or_default();
    assert_eq!(sounded(), "", "not during create");
    suite.call(&["start", &id]).ok();
    for _ in 0..500 {
        if sounded().lines().count() == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    suite.call(&["delete", "--force", &id]).ok();
    assert_eq!(sounded(), "hook\ncalled\n");
}

/// [config.md § Poststart] in the runtime's namespaces, resolved there
#[test]
fn poststart_runs_outside() {
    let suite = suite!();
    let hook = say(&suite, "$(readlink /proc/self/ns/mnt)");
    suite.running(&hooked(&suite, json!({ "poststart": [hook] })));
    assert_eq!(said(&suite), [namespace_of("mnt")]);
}

/// [config.md § Poststart] after the program began, before start returns
#[test]
fn poststart_comes_before_start_returns() {
    let suite = suite!();
    let hooks = json!({ "poststart": [say(&suite, "started")] });
    let one = suite.created(&hooked(&suite, hooks));
    assert!(said(&suite).is_empty(), "not during create");
    suite.call(&["start", &one.id]).ok();
    assert_eq!(said(&suite), ["started"]);
}

/// [config.md § Poststop] in the runtime's namespaces, resolved there
#[test]
fn poststop_runs_outside() {
    let suite = suite!();
    let hook = say(&suite, "$(readlink /proc/self/ns/mnt)");
    life(&suite, &hooked(&suite, json!({ "poststop": [hook] })));
    assert_eq!(said(&suite), [namespace_of("mnt")]);
}

/// [config.md § Poststop] after the container is deleted, before delete returns
#[test]
fn poststop_comes_before_delete_returns() {
    let suite = suite!();
    let one = suite.running(&hooked(
        &suite,
        json!({ "poststop": [say(&suite, "gone")] }),
    ));
    one.wait_for("stopped");
    assert!(said(&suite).is_empty(), "not when the program ends");
    suite.call(&["delete", &one.id]).ok();
    assert_eq!(said(&suite), ["gone"]);
}

fn a_failure_ends_the_life(suite: &Suite, kind: &str) {
    let hooks =
        json!({ kind: [sh("exit 3"), say(suite, "next")], "poststop": [say(suite, "poststop")] });
    assert_eq!(
        life(suite, &hooked(suite, hooks)),
        [""; 0],
        "{kind}: create is an error"
    );
    assert!(
        !suite.rig.rootfs().join("sounded").exists(),
        "{kind}: the program never ran"
    );
    assert_eq!(
        said(suite),
        ["poststop"],
        "{kind}: the life goes on with its end"
    );
}

/// [runtime.md § Lifecycle] prestart hooks are invoked; a failure is an error, and the container is stopped and deleted
#[test]
fn a_failed_prestart_hook() {
    let suite = suite!();
    a_failure_ends_the_life(&suite, "prestart");
}

/// [runtime.md § Lifecycle] createRuntime hooks are invoked; a failure is an error, and the container is stopped and deleted
#[test]
fn a_failed_create_runtime_hook() {
    let suite = suite!();
    a_failure_ends_the_life(&suite, "createRuntime");
}

/// [runtime.md § Lifecycle] createContainer hooks are invoked; a failure is an error, and the container is stopped and deleted
#[test]
fn a_failed_create_container_hook() {
    let suite = suite!();
    a_failure_ends_the_life(&suite, "createContainer");
}

/// [runtime.md § Lifecycle] startContainer hooks are invoked; a failure is an error of start, and the program never runs
#[test]
fn a_failed_start_container_hook() {
    let suite = suite!();
    let fails = json!({ "path": "/payload", "args": ["payload", "exit", "3"] });
    let hooks = json!({ "startContainer": [fails], "poststop": [say(&suite, "poststop")] });
    let done = life(&suite, &hooked(&suite, hooks));
    assert!(
        done.contains(&"create") && !done.contains(&"start"),
        "{done:?}"
    );
    assert!(!suite.rig.rootfs().join("sounded").exists());
    assert_eq!(said(&suite), ["poststop"]);
}

/// [runtime.md § Lifecycle] poststart hooks are invoked; a failure is a warning, the rest goes on
#[test]
fn a_failed_poststart_hook() {
    let suite = suite!();
    let hooks = json!({ "poststart": [sh("exit 3"), say(&suite, "next")] });
    assert_eq!(
        life(&suite, &hooked(&suite, hooks)),
        ["create", "start", "delete"]
    );
    assert_eq!(said(&suite), ["next"]);
    assert!(suite.rig.rootfs().join("sounded").exists());
}

/// [runtime.md § Lifecycle] poststop hooks are invoked; a failure is a warning, the rest goes on
#[test]
fn a_failed_poststop_hook() {
    let suite = suite!();
    let hooks = json!({ "poststop": [sh("exit 3"), say(&suite, "next")] });
    assert_eq!(
        life(&suite, &hooked(&suite, hooks)),
        ["create", "start", "delete"]
    );
    assert_eq!(said(&suite), ["next"]);
}
