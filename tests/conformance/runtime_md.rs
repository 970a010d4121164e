//! runtime.md: state, lifecycle, errors, the five operations.

use crate::suite::Suite;
use crate::support::{text, unique};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A config whose program writes a line into the root file system.
fn sounding(suite: &Suite) -> serde_json::Value {
    suite.spec(&["sound", "/sounded", "called"])
}

fn sounded(suite: &Suite) -> String {
    fs::read_to_string(suite.rig.rootfs().join("sounded")).unwrap_or_default()
}

/// [runtime.md § Scope] whoever created a container can use every operation on it
#[test]
fn the_creator_can_do_it_all() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["wait"]));
    assert_eq!(one.status(), "running");
    one.stop();
    suite.call(&["delete", &one.id]).ok();
}

/// [runtime.md § State] version, id, status, pid and bundle are there
#[test]
fn the_state_has_its_properties() {
    let suite = suite!();
    let id = unique("state");
    let bundle = suite.bundle(&suite.spec(&["wait"]));
    suite.create_from(&bundle, &id).ok();
    let state: serde_json::Value = serde_json::from_str(suite.call(&["state", &id]).ok()).unwrap();
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    assert_eq!(
        (&state["id"], &state["status"]),
        (&json!(id), &json!("created"))
    );
    assert_eq!(state["bundle"], text(&bundle));
    let pid = state["pid"].as_i64().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
}

/// [runtime.md § State] the annotations of the config are in the state
#[test]
fn the_state_has_the_annotations() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["annotations"] = json!({ "com.example.some": "label" });
    let one = suite.created(&spec);
    assert_eq!(one.state()["annotations"]["com.example.some"], "label");
}

/// [runtime.md § State] an id is unique among the containers of the host
#[test]
fn an_id_is_given_once() {
    let suite = suite!();
    let spec = suite.spec(&["wait"]);
    let one = suite.created(&spec);
    let mut other = spec.clone();
    other["linux"]["cgroupsPath"] = json!(format!("/{}", unique("conformance")));
    assert_ne!(suite.create(&other, &one.id).code, 0);
    assert_eq!(one.status(), "created", "the first is as it was");
}

/// [runtime.md § State] the JSON form has the listed names and types
#[test]
fn the_state_is_json_of_the_listed_form() {
    let suite = suite!();
    let one = suite.created(&suite.spec(&["wait"]));
    let state = one.state();
    for name in ["ociVersion", "id", "status", "bundle"] {
        assert!(state[name].is_string(), "{name}: {state}");
    }
    assert!(state["pid"].is_i64(), "{state}");
    let notes = &state["annotations"];
    assert!(notes.is_null() || notes.is_object(), "{state}");
}

/// [runtime.md § State] on Linux the pid is there for created and running containers, as the host sees it
#[test]
fn the_pid_is_the_hosts() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["wait"]));
    let status = fs::read_to_string(format!("/proc/{}/status", one.pid())).unwrap();
    let inner = status.lines().find(|l| l.starts_with("NSpid:")).unwrap();
    assert_eq!(
        inner.split_whitespace().last(),
        Some("1"),
        "the first of its pid namespace: {inner}"
    );
}

/// [runtime.md § Lifecycle] create makes the environment that the config describes
#[test]
fn create_makes_the_environment() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["resources"]["pids"] = json!({ "limit": 77 });
    let one = suite.created(&spec);
    assert_eq!(
        one.cgroup("pids", "pids.max", "pids.max"),
        "77",
        "limits stand before start"
    );
    for kind in ["pid", "net", "ipc", "uts", "mnt"] {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(one.namespace(kind), host, "{kind}");
    }
}

/// [runtime.md § Lifecycle] an environment that can't be made is an error
#[test]
fn what_cannot_be_made_is_an_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["mounts"].as_array_mut().unwrap().push(
        json!({ "destination": "/mnt", "type": "bind", "source": "/no/such/source", "options": ["bind"] }),
    );
    suite.refuses(&spec);
}

/// [runtime.md § Lifecycle] the program does not run before start
#[test]
fn nothing_runs_before_start() {
    let suite = suite!();
    let one = suite.created(&sounding(&suite));
    assert_eq!(
        (one.status().as_str(), sounded(&suite).as_str()),
        ("created", "")
    );
}

/// [runtime.md § Lifecycle] changes of config.json after create have no effect
#[test]
fn later_changes_of_the_config_have_no_effect() {
    let suite = suite!();
    let id = unique("later");
    let bundle = suite.bundle(&sounding(&suite));
    suite.create_from(&bundle, &id).ok();
    let changed = suite.spec(&["sound", "/sounded", "changed"]);
    fs::write(bundle.join("config.json"), changed.to_string()).unwrap();
    suite.call(&["start", &id]).ok();
    for _ in 0..500 {
        if !sounded(&suite).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(sounded(&suite), "called\n");
}

/// [runtime.md § Lifecycle] delete undoes what create did
#[test]
fn delete_undoes_create() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["wait"]));
    let folder = one.cgroup_folder("memory");
    assert!(folder.is_dir());
    one.stop();
    suite.call(&["delete", &one.id]).ok();
    assert!(!folder.exists(), "{folder:?}");
    assert_ne!(suite.call(&["state", &one.id]).code, 0);
}

/// [runtime.md § Errors] a failed operation leaves everything as it was
#[test]
fn a_failed_create_leaves_nothing() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let path = unique("conformance-failed");
    spec["linux"]["cgroupsPath"] = json!(format!("/{path}"));
    spec["process"]["args"] = json!(["/no/such/program"]);
    suite.refuses(&spec);
    let left = suite.rig.leftovers(&path);
    assert!(left.iter().all(|l| !l.contains(&path)), "{left:#?}");
}

/// [runtime.md § Query State] without an id it is an error
#[test]
fn state_needs_an_id() {
    let suite = suite!();
    assert_ne!(suite.call(&["state"]).code, 0);
}

/// [runtime.md § Query State] for a container that does not exist it is an error
#[test]
fn state_of_nobody_is_an_error() {
    let suite = suite!();
    assert_ne!(suite.call(&["state", "nobody-of-that-name"]).code, 0);
}

/// [runtime.md § Query State] it gives the state of the section State
#[test]
fn state_says_where_in_its_life_a_container_is() {
    let suite = suite!();
    let one = suite.created(&suite.spec(&["wait"]));
    assert_eq!(one.status(), "created");
    suite.call(&["start", &one.id]).ok();
    assert_eq!(one.status(), "running");
    one.stop();
    assert_eq!(one.status(), "stopped");
}

/// [runtime.md § Create] without a bundle or an id it is an error
#[test]
fn create_needs_a_bundle_and_an_id() {
    let suite = suite!();
    let bundle = suite.bundle(&suite.spec(&["wait"]));
    assert_ne!(suite.call(&["create", "--bundle", text(&bundle)]).code, 0);
    assert_ne!(
        suite.call(&["create", &unique("nowhere")]).code,
        0,
        "no config.json here"
    );
}

/// [runtime.md § Create] an id that is taken or not valid is an error, and no container is made
#[test]
fn create_refuses_an_id_that_is_not_valid() {
    let suite = suite!();
    let bundle = suite.bundle(&suite.spec(&["wait"]));
    for id in ["../x", "a/b", "a b", ".."] {
        assert_ne!(suite.create_from(&bundle, id).code, 0, "{id}");
        assert_ne!(suite.call(&["state", id]).code, 0, "{id}");
    }
}

/// [runtime.md § Create] the properties of the config are applied, but for process
#[test]
fn create_applies_the_config() {
    let suite = suite!();
    let one = suite.created(&suite.spec(&["wait"]));
    let rig = suite.rig.rootfs();
    let root = fs::metadata(format!("/proc/{}/root/payload", one.pid())).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(
        root.ino(),
        fs::metadata(rig.join("payload")).unwrap().ino(),
        "its root is the bundle's"
    );
}

/// [runtime.md § Create] afterwards the status is created
#[test]
fn create_ends_in_created() {
    let suite = suite!();
    assert_eq!(
        suite.created(&suite.spec(&["exit", "0"])).status(),
        "created"
    );
}

/// [runtime.md § Start] without an id it is an error
#[test]
fn start_needs_an_id() {
    let suite = suite!();
    assert_ne!(suite.call(&["start"]).code, 0);
}

/// [runtime.md § Start] a container that is not created can't be started, and it has no effect
#[test]
fn start_twice_is_an_error() {
    let suite = suite!();
    assert_ne!(suite.call(&["start", "nobody-of-that-name"]).code, 0);
    let one = suite.running(&sounding(&suite));
    one.wait_for("stopped");
    assert_ne!(suite.call(&["start", &one.id]).code, 0);
    assert_eq!(
        (one.status().as_str(), sounded(&suite).as_str()),
        ("stopped", "called\n")
    );
}

/// [runtime.md § Start] it runs the program of the config
#[test]
fn start_runs_the_program() {
    let suite = suite!();
    let one = suite.running(&sounding(&suite));
    one.wait_for("stopped");
    assert_eq!(sounded(&suite), "called\n");
}

/// [runtime.md § Start] without process it is an error
#[test]
fn start_needs_a_process() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec.as_object_mut().unwrap().remove("process");
    let id = unique("empty");
    if suite.create(&spec, &id).code == 0 {
        assert_ne!(suite.call(&["start", &id]).code, 0);
        suite.call(&["delete", "--force", &id]).ok();
    }
}

/// [runtime.md § Start] afterwards the status is running
#[test]
fn start_ends_in_running() {
    let suite = suite!();
    assert_eq!(suite.running(&suite.spec(&["wait"])).status(), "running");
}

/// [runtime.md § Kill] without an id it is an error
#[test]
fn kill_needs_an_id() {
    let suite = suite!();
    assert_ne!(suite.call(&["kill"]).code, 0);
}

/// [runtime.md § Kill] a container that is neither created nor running can't be signalled, and it has no effect
#[test]
fn kill_of_the_stopped_is_an_error() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["exit", "0"]));
    one.wait_for("stopped");
    assert_ne!(suite.call(&["kill", &one.id, "KILL"]).code, 0);
    assert_eq!(one.status(), "stopped");
    assert_ne!(suite.call(&["kill", "nobody-of-that-name", "KILL"]).code, 0);
}

/// [runtime.md § Kill] the signal reaches the container's process
#[test]
fn kill_sends_the_signal() {
    let suite = suite!();
    for (name, number) in [("USR1", "10"), ("SIGTERM", "15"), ("12", "12")] {
        let one = suite.running(&suite.spec(&["catch", number]));
        // The program blocks the signal before it waits: until then a signal would be lost for a pid 1.
        let mask = 1u64 << (number.parse::<u32>().unwrap() - 1);
        for _ in 0..500 {
            let status = fs::read_to_string(format!("/proc/{}/status", one.pid())).unwrap();
            let line = status
                .lines()
                .find(|l| l.starts_with("SigBlk:"))
                .unwrap()
                .to_string();
            let blocked = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
            if blocked & mask != 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        suite.call(&["kill", &one.id, name]).ok();
        one.wait_for("stopped");
    }
}

/// [runtime.md § Kill] once the process has ended, however, the status is stopped
#[test]
fn an_ended_process_is_a_stopped_container() {
    let suite = suite!();
    let ended = suite.running(&suite.spec(&["exit", "3"]));
    ended.wait_for("stopped");
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["cgroupsPath"] = json!(format!("/{}", unique("conformance")));
    let killed = suite.running(&spec);
    killed.stop();
    assert_eq!(killed.status(), "stopped");
}

/// [runtime.md § Delete] without an id it is an error
#[test]
fn delete_needs_an_id() {
    let suite = suite!();
    assert_ne!(suite.call(&["delete"]).code, 0);
    assert_ne!(suite.call(&["delete", "nobody-of-that-name"]).code, 0);
}

/// [runtime.md § Delete] a container that is not stopped can't be deleted, and it has no effect
#[test]
fn delete_of_the_living_is_an_error() {
    let suite = suite!();
    let one = suite.created(&suite.spec(&["wait"]));
    assert_ne!(suite.call(&["delete", &one.id]).code, 0, "created");
    assert_eq!(one.status(), "created");
    suite.call(&["start", &one.id]).ok();
    assert_ne!(suite.call(&["delete", &one.id]).code, 0, "running");
    assert_eq!(one.status(), "running");
}

/// [runtime.md § Delete] what create made is deleted
#[test]
fn delete_deletes_what_was_created() {
    let suite = suite!();
    let one = suite.running(&suite.spec(&["exit", "0"]));
    one.wait_for("stopped");
    suite.call(&["delete", &one.id]).ok();
    let left: Vec<_> = fs::read_dir(suite.rig.state())
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// [runtime.md § Delete] what the container uses but did not make stays
#[test]
fn delete_keeps_what_was_there_before() {
    let suite = suite!();
    let volume = suite.rig.path("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "mine").unwrap();
    let mut spec = suite.spec(&["exit", "0"]);
    spec["mounts"].as_array_mut().unwrap().push(
        json!({ "destination": "/mnt", "type": "bind", "source": volume, "options": ["rbind", "rw"] }),
    );
    let one = suite.running(&spec);
    one.wait_for("stopped");
    suite.call(&["delete", &one.id]).ok();
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "mine");
    assert!(suite.rig.rootfs().join("payload").exists());
}

/// [runtime.md § Delete] its id can be used again
#[test]
fn a_deleted_id_is_free() {
    let suite = suite!();
    let (id, bundle) = (unique("again"), suite.bundle(&suite.spec(&["wait"])));
    for _ in 0..2 {
        suite.create_from(&bundle, &id).ok();
        suite.call(&["delete", "--force", &id]).ok();
    }
}

/// [bundle.md § Filesystem Bundle] config.json in the bundle's root, root.path relative to it
#[test]
fn a_bundle_is_a_folder_with_its_root_inside() {
    let suite = suite!();
    let mut spec = suite.spec(&["echo", "here"]);
    spec["root"]["path"] = json!("rootfs");
    let bundle = suite.bundle(&spec);
    suite.rig.make_rootfs(&bundle.join("rootfs"));
    fs::create_dir(bundle.join("rootfs/sys")).unwrap();
    let id = unique("relative");
    suite.create_from(&bundle, &id).ok();
    suite.call(&["start", &id]).ok();
    suite.call(&["delete", "--force", &id]).ok();
}

/// Where the kernel lacks a thing, a container is made without it, or not at all.
pub fn honoured_or_refused(suite: &Suite, spec: &serde_json::Value) {
    let id = unique("either");
    let ran = suite.create(spec, &id);
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    assert_eq!(
        suite.call(&["state", &id]).code == 0,
        ran.code == 0,
        "{ran:?}"
    );
    suite.call(&["delete", "--force", &id]);
}

/// A container's output, created by a runtime that a shell script ran before, in a mount namespace of its own.
pub fn output_after(suite: &Suite, spec: &serde_json::Value, script: &str) -> String {
    let (id, bundle, out) = (
        unique("after"),
        suite.bundle(spec),
        suite.rig.path(&unique("out")),
    );
    let inner = suite.command();
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command
        .args(["create", "--bundle", text(&bundle), &id])
        .stdout(fs::File::create(&out).unwrap());
    command.stderr(fs::File::create(suite.rig.path("err")).unwrap());
    let made = command.status().unwrap();
    assert!(
        made.success(),
        "{}",
        fs::read_to_string(suite.rig.path("err")).unwrap()
    );
    suite.call(&["start", &id]).ok();
    for _ in 0..500 {
        if suite.call(&["state", &id]).out.contains("\"stopped\"") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    suite.call(&["delete", "--force", &id]).ok();
    fs::read_to_string(out).unwrap()
}
