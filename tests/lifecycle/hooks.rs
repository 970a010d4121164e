//! Hooks: order, namespaces, what they are given, and what their failure means.

use crate::need;
use crate::support::{Ran, Rig, finish, processes_with, text, unique, wait_fd};
use serde_json::{Value, json};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

const EARLY: [&str; 3] = ["prestart", "createRuntime", "createContainer"];

/// startContainer's program in the image: says that it ran, where, and what it was told.
pub fn start_hook(args: &[String]) -> i32 {
    let mut state = String::new();
    let _ = std::io::Read::read_to_string(&mut std::io::stdin(), &mut state);
    let me = std::process::id();
    let env: Vec<String> = std::env::vars().map(|(k, v)| format!("{k}={v}")).collect();
    println!("{} {me} {} {state}", args[0], env.join(","));
    args[1].parse().unwrap_or(9)
}

/// A hook that runs a shell script.
fn sh(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin", "MARK=yes"], "timeout": 60})
}

fn spec_with(rig: &Rig, hooks: Value) -> Value {
    let mut spec = rig.spec(&["wait"]);
    spec["annotations"] = json!({"some": "label"});
    spec["hooks"] = hooks;
    spec
}

/// `create`, `start`, `kill`, `delete`; what the program and startContainer printed.
fn life(rig: &Rig, spec: &Value, id: &str) -> (String, Vec<Ran>) {
    let out = rig.path("output");
    let bundle = rig.bundle(spec);
    let mut command = rig.command();
    command.args(["create", "--bundle", text(&bundle), id]);
    command.stdout(fs::File::create(&out).unwrap());
    assert!(command.status().unwrap().success());
    let started = rig.call(&["start", id]);
    if started.code != 0 {
        return (fs::read_to_string(out).unwrap(), vec![started]);
    }
    let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(id)).unwrap();
    rig.call(&["kill", id, "KILL"]).ok();
    assert!(wait_fd(pidfd.as_fd()));
    let deleted = rig.call(&["delete", id]);
    (fs::read_to_string(out).unwrap(), vec![started, deleted])
}

fn namespace(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    link.to_str().unwrap().into()
}

#[test]
fn each_kind_runs_in_order_with_the_state_in_its_namespaces() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let log = rig.path("log");
    let say = |point: &str| {
        let log = text(&log);
        sh(&format!(
            "echo {point} $(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/pid) $(readlink /proc/self/ns/net) $MARK $(cat) >> {log}"
        ))
    };
    let mut hooks = json!({});
    for point in EARLY.into_iter().chain(["poststart", "poststop"]) {
        hooks[point] = json!([say(point), say(&format!("{point}-second"))]);
    }
    let inside = json!({"path": "/payload", "args": ["payload", "start-hook", "first", "0"], "env": ["A=b"]});
    hooks["startContainer"] = json!([inside]);
    let spec = spec_with(&rig, hooks);
    let id = unique("hooks");
    let (out, rest) = life(&rig, &spec, &id);
    for ran in &rest {
        assert_eq!((ran.ok(), ran.err.as_str()), ("", ""));
    }
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|l| l.splitn(6, ' ').collect()).collect();
    let order: Vec<&str> = lines.iter().map(|l| l[0]).collect();
    let wanted: Vec<String> = [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
    ]
    .iter()
    .flat_map(|p| [p.to_string(), format!("{p}-second")])
    .collect();
    assert_eq!(order, wanted, "{log}");
    for line in &lines {
        let point = line[0].trim_end_matches("-second");
        let own = point == "createContainer";
        for (at, kind) in [(1, "mnt"), (2, "pid"), (3, "net")] {
            assert_eq!(line[at] != namespace(kind), own, "{kind} of {line:?}");
        }
        assert_eq!(line[4], "yes");
        let state: Value = serde_json::from_str(line[5]).unwrap();
        let status = match point {
            "poststart" => "running",
            "poststop" => "stopped",
            _ => "creating",
        };
        assert_eq!(state["status"], status, "{point}");
        assert_eq!(state["id"], id.as_str());
        assert_eq!(state["annotations"], json!({"some": "label"}));
        assert!(
            state["ociVersion"] == "1.3.0" && Path::new(state["bundle"].as_str().unwrap()).is_dir()
        );
        assert_eq!(state["pid"].is_u64(), point != "poststop", "{state}");
    }
    let line = out.lines().next().unwrap();
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    assert_eq!(words[0], "first");
    assert_ne!(words[1], "1", "beside the program, in its pid namespace");
    assert_eq!(words[2], "A=b", "its own environment and nothing else");
    let state: Value = serde_json::from_str(words[3]).unwrap();
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().unwrap() > 1);
    rig.assert_clean(&id);
}

#[test]
fn a_hook_has_its_own_environment_arguments_and_no_descriptor() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    for point in EARLY {
        let (environ, fds) = (
            rig.path(&format!("env-{point}")),
            rig.path(&format!("fds-{point}")),
        );
        let copy = json!({"path": "/bin/cp", "args": ["anything", "/proc/self/environ", environ], "env": ["B=2", "A=1", "A=1"]});
        let list = sh(&format!("ls -l /proc/self/fd > {}", text(&fds)));
        let spec = spec_with(&rig, json!({point: [copy, list]}));
        let id = unique("env");
        let mut command = rig.command();
        command.env("LEAK", "yes");
        command.args(["create", "--bundle", text(&rig.bundle(&spec)), &id]);
        finish(command).ok();
        assert_eq!(fs::read(&environ).unwrap(), b"B=2\0A=1\0A=1\0", "{point}");
        // 0, 1, 2, and the folder that ls reads.
        let fds = fs::read_to_string(&fds).unwrap();
        assert_eq!(fds.lines().count(), 5, "{point}: {fds}");
    }
}

#[test]
fn a_failure_in_front_of_the_program_ends_the_launch() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    for point in EARLY {
        let stopped = rig.path(&format!("stopped-{point}"));
        let hooks = json!({
            point: [sh("echo out; echo some trouble >&2; exit 3")],
            "poststop": [sh(&format!("cat > {}", text(&stopped)))],
        });
        let id = unique("fail");
        rig.create(&spec_with(&rig, hooks), &id).refused(
            1,
            &[
                &format!("the {point} hook \"/bin/sh\": ended with exit code 3"),
                "some trouble",
            ],
        );
        rig.assert_clean(&id);
        let state: Value = serde_json::from_slice(&fs::read(stopped).unwrap()).unwrap();
        assert_eq!(state["status"], "stopped", "{point}");
        // A hook that isn't there.
        let hooks = json!({point: [{"path": "/nonesuch"}]});
        rig.create(&spec_with(&rig, hooks), &id).refused(
            1,
            &[&format!("the {point} hook \"/nonesuch\""), "No such file"],
        );
        rig.assert_clean(&id);
    }
    let hook = |code: &str| json!({"startContainer": [{"path": "/payload", "args": ["payload", "start-hook", "x", code]}]});
    let id = unique("fail");
    let (out, rest) = life(&rig, &spec_with(&rig, hook("4")), &id);
    rest[0].refused(
        1,
        &["the startContainer hook number 0 ended with exit code 4"],
    );
    assert!(!out.contains("ready"), "the program ran: {out}");
    assert!(rig.call(&["state", &id]).ok().contains("stopped"));
    rig.call(&["delete", &id]).ok();
    rig.assert_clean(&id);
    let ran = rig.run_bundle(&spec_with(&rig, hook("5")));
    assert_eq!(ran.code, 125, "{ran:?}");
    assert!(ran.err.contains("ended with exit code 5"), "{ran:?}");
}

#[test]
fn a_failure_behind_the_program_is_a_warning() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let second = rig.path("second");
    let hooks = json!({
        "poststart": [sh("exit 1"), sh(&format!("echo start >> {}", text(&second)))],
        "poststop": [sh("kill -SEGV $$"), sh(&format!("echo stop >> {}", text(&second)))],
    });
    let (id, log) = (unique("warn"), rig.path("log.json"));
    let spec = spec_with(&rig, hooks);
    rig.create(&spec, &id).ok();
    let logged = |args: &[&str]| {
        let mut all = vec!["--log", text(&log), "--log-format", "json"];
        all.extend(args);
        rig.call(&all)
    };
    assert_eq!(logged(&["start", &id]).ok(), "");
    assert_eq!(logged(&["delete", "--force", &id]).ok(), "");
    let log = fs::read_to_string(&log).unwrap();
    let entries: Vec<Value> = log
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(entries.len(), 2, "{log}");
    for (entry, words) in entries
        .iter()
        .zip(["the poststart hook", "killed by SIGSEGV"])
    {
        assert_eq!(entry["level"], "warning");
        assert!(entry["msg"].as_str().unwrap().contains(words), "{log}");
    }
    assert_eq!(fs::read_to_string(&second).unwrap(), "start\nstop\n");
    rig.assert_clean(&id);
    let mut once = spec.clone();
    once["process"]["args"] = json!(["/payload", "exit", "7"]);
    let ran = rig.run_bundle(&once);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.err.contains("warning: the poststop hook"), "{ran:?}");
}

#[test]
fn a_hook_that_hangs_forks_or_floods_is_no_danger() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    for point in EARLY {
        // It hangs, with a child that ignores what it can: both end.
        let mark = unique("hang");
        let mut hook = sh(&format!(
            "(trap '' TERM HUP; exec -a {mark} sleep 1000) & : {mark}; sleep 1000"
        ));
        hook["path"] = "/bin/bash".into();
        hook["timeout"] = 1.into();
        let id = unique("hang");
        rig.create(&spec_with(&rig, json!({point: [hook]})), &id)
            .refused(1, &["still ran after 1 s, so it was killed"]);
        for _ in 0..500 {
            if processes_with(&[&mark]).is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(processes_with(&[&mark]), Vec::<i32>::new(), "{point}");
        rig.assert_clean(&id);
        // 10 MiB of output, nothing read, and a child that keeps the streams.
        let quiet =
            sh("head -c 10485760 /dev/zero; head -c 10485760 /dev/zero >&2; sleep 3 & exit 0");
        rig.create(&spec_with(&rig, json!({point: [quiet]})), &id)
            .ok();
        rig.call(&["delete", "--force", &id]).ok();
        rig.assert_clean(&id);
    }
}

#[test]
fn a_hook_ends_with_its_launcher() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    for point in EARLY {
        let (id, started) = (unique("gone"), rig.path(&format!("started-{point}")));
        let hook = sh(&format!("echo $$ > {}; exec sleep 1000", text(&started)));
        let bundle = rig.bundle(&spec_with(&rig, json!({point: [hook]})));
        let mut command = rig.command();
        command.args(["create", "--bundle", text(&bundle), &id]);
        let mut launcher = command.spawn().unwrap();
        while !fs::read_to_string(&started).is_ok_and(|t| t.ends_with('\n')) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let sleepers = || {
            let all = processes_with(&["sleep\u{0}1000"]);
            all.into_iter()
                .filter(|p| parent_is(*p, launcher.id()))
                .collect::<Vec<_>>()
        };
        let mine = if point == "createContainer" {
            Vec::new()
        } else {
            sleepers()
        };
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        rig.assert_clean(&id);
        for pid in mine {
            for _ in 0..500 {
                if !Path::new(&format!("/proc/{pid}")).exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{point}");
        }
    }
}

fn parent_is(pid: i32, parent: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|s| s.contains(&format!("PPid:\t{parent}\n")))
}

#[test]
fn policy_says_which_program_may_be_a_hook() {
    need!(Root);
    let rig = Rig::new();
    let (hook, ran) = (rig.path("hook"), rig.path("ran"));
    fs::write(&hook, format!("#!/bin/sh\ncat >> {}\n", text(&ran))).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(
        rig.path("policy.toml"),
        format!("version = 1\nhooks = [{hook:?}]\n"),
    )
    .unwrap();
    for point in [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
    ] {
        let spec = spec_with(&rig, json!({point: [{"path": hook}]}));
        let id = unique("listed");
        let (_, rest) = life(&rig, &spec, &id);
        assert!(rest.iter().all(|r| r.code == 0), "{point}: {rest:?}");
        assert!(fs::read_to_string(&ran).unwrap().contains(&id), "{point}");
    }
    let spec = |path: &Path| spec_with(&rig, json!({"prestart": [{"path": path}]}));
    // The image's own programs stay out, whoever lists them.
    let start = spec_with(&rig, json!({"startContainer": [{"path": hook}]}));
    rig.create(&start, &unique("no"))
        .refused(1, &["SS-011/8.2.1", "SS-011/8.4.3", "permission denied"]);
    // Listed, but somebody else's to change.
    std::os::unix::fs::chown(&hook, Some(1000), None).unwrap();
    rig.create(&spec(&hook), &unique("no"))
        .refused(1, &["belongs to uid 1000"]);
    std::os::unix::fs::chown(&hook, Some(0), None).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    rig.create(&spec(&hook), &unique("no"))
        .refused(1, &["has mode 0777"]);
}

/// Docker up to 25: prestart, /proc/<dockerd>/exe libnetwork-setkey.
#[test]
fn an_engines_own_program_is_judged_by_its_file() {
    need!(Root);
    let rig = Rig::new();
    let trace = rig.path("trace");
    let mut engine = std::process::Command::new("/bin/sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let exe = format!("/proc/{}/exe", engine.id());
    while fs::read_link(&exe).unwrap() == std::env::current_exe().unwrap() {}
    let file = fs::canonicalize(&exe).unwrap();
    let policy = |entry: &str| {
        fs::write(
            rig.path("policy.toml"),
            format!("version = 1\nhooks = [{entry:?}]\n"),
        )
        .unwrap()
    };
    let spec = |word: &str| {
        spec_with(
            &rig,
            json!({"prestart": [{"path": exe, "args": [word, "0.01"]}]}),
        )
    };
    policy(&format!("{} libnetwork-setkey", text(&file)));
    let id = unique("engine");
    rig.create(&spec("libnetwork-setkey"), &id).ok();
    rig.create(&spec("other"), &unique("no"))
        .refused(1, &["SS-011/8.2.1", text(&file)]);
    policy("/usr/sbin/dockerd libnetwork-setkey");
    rig.create(&spec("libnetwork-setkey"), &unique("no"))
        .refused(1, &["SS-011/8.2.1", &format!("it leads to {file:?}")]);
    policy(&exe);
    rig.create(&spec("x"), &unique("no"))
        .refused(1, &["SS-011/8.2.1"]);
    assert!(!trace.exists());
    engine.kill().unwrap();
    engine.wait().unwrap();
}
