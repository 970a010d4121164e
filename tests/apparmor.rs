//! The AppArmor template: `install --apparmor` puts it in place and takes it back, every launch without a profile of
//! its own takes it while it is loaded, and it holds. Where AppArmor is not in force, nothing of it is claimed.
//!
//! The kernel has one list of profiles for all: this is one test, in a program of its own, and leaves it as found.

#![allow(unsafe_code)] // the rig's payload

#[path = "support/mod.rs"]
mod support;

use cofferdam::host::{AppArmor, Host, TEMPLATE};
use serde_json::{Value, json};
use std::path::Path;
use support::{Alive, Ran, Rig, text, unique};

payload!(verb);

/// `limits`: what only the template denies, once seccomp, landlock and the mounts are out of the way.
fn verb(verb: &str, _: &[String]) -> Option<i32> {
    let said = |result: std::io::Result<()>| match result {
        Ok(()) => "OK".to_string(),
        Err(e) => support::payload::errno_name(e.raw_os_error().unwrap_or(0)),
    };
    (verb == "limits").then(|| {
        let hostname = std::fs::write("/proc/sys/kernel/hostname", "other");
        println!("set the host's name: {}", said(hostname));
        let none = None::<&str>;
        let flags = nix::mount::MsFlags::empty();
        let mounted = nix::mount::mount(none, "/tmp", Some("tmpfs"), flags, none);
        println!("mount: {}", said(mounted.map_err(Into::into)));
        println!("create: {}", said(std::fs::write("/tmp/file", "x")));
        0
    })
}

fn now() -> AppArmor {
    Host::probe().unwrap().apparmor
}

fn change(rig: &Rig, words: &[&str], file: &Path) -> Ran {
    rig.call(&[words, &["--apparmor", "--config", text(file)]].concat())
}

fn shipped() -> &'static str {
    include_str!("../profiles/apparmor/cofferdam-default")
}

/// The label as a program of the rig's sees it, by `run` and by `create` and `start`.
fn labels(rig: &Rig, spec: &Value) -> [String; 2] {
    let label = |out: String| out.trim_end_matches(['\n', '\0']).to_string();
    [
        label(rig.run_bundle(spec).out),
        label(rig.through(spec).out),
    ]
}

#[test]
fn the_template_is_installed_taken_held_and_removed() {
    need!(Root);
    let rig = Rig::new();
    let file = rig.path("cofferdam-default");
    let before = now();
    let dry = change(&rig, &["install", "--dry-run"], &file);
    assert!(dry.ok().contains("+profile cofferdam-default"), "{dry:?}");
    assert!(!file.exists() && now() == before);
    match before {
        AppArmor::Absent => not_in_force(&rig, &file),
        AppArmor::Confined { .. } => support::skip(
            "the_template_is_installed",
            "apparmor",
            "this program is confined itself; run the tests from an unconfined shell",
        ),
        _ if !Path::new("/usr/sbin/apparmor_parser").exists() => {
            change(&rig, &["install"], &file).refused(125, &["apt-get install apparmor"]);
            assert!(!file.exists());
            let why = "no apparmor_parser; apt-get install apparmor";
            support::skip("the_template_is_installed", "apparmor", why);
        }
        _ => {
            in_force(&rig, &file);
            if before == AppArmor::Template {
                change(&rig, &["install"], &file).ok();
            }
            assert_eq!(now(), before);
        }
    }
}

fn not_in_force(rig: &Rig, file: &Path) {
    let done = change(rig, &["install"], file);
    assert!(done.ok().contains("AppArmor is not in force"), "{done:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), shipped());
    assert_eq!(now(), AppArmor::Absent);
    let plan = rig.call(&["plan", "p"]);
    assert!(!plan.ok().contains("AppArmor") && !plan.out.contains("apparmor"));
    let again = change(rig, &["install"], file);
    assert!(again.ok().contains("nothing to change"), "{again:?}");
    change(rig, &["uninstall"], file).ok();
    assert!(!file.exists());
}

fn in_force(rig: &Rig, file: &Path) {
    let mut spec = rig.spec(&["cat", "/proc/self/attr/current"]);
    if now() == AppArmor::Template {
        std::fs::write(file, shipped()).unwrap();
        change(rig, &["uninstall"], file).ok();
    }
    assert_eq!(now(), AppArmor::NoTemplate);
    let missing = rig.call(&["plan", "p"]);
    assert!(
        missing.ok().contains("cofferdam install --apparmor"),
        "{missing:?}"
    );
    let bare = labels(rig, &spec);
    assert!(bare.iter().all(|l| l == "unconfined"), "{bare:?}");
    assert_eq!(host_finding(rig), "fail");

    let done = change(rig, &["install"], file);
    assert!(done.ok().contains("in the kernel"), "{done:?}");
    assert_eq!(
        (now(), host_finding(rig).as_str()),
        (AppArmor::Template, "pass")
    );
    let again = change(rig, &["install"], file);
    assert!(again.ok().contains("nothing to change"), "{again:?}");
    let plan = rig.call(&["plan", "p"]);
    assert!(
        plan.ok()
            .contains("the profile cofferdam-default, from exec on"),
        "{plan:?}"
    );
    let wanted = format!("{TEMPLATE} (enforce)");
    let taken = labels(rig, &spec);
    assert!(taken.iter().all(|l| *l == wanted), "{taken:?}");

    // From outside, of the first process and of one beside it.
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let id = unique("held");
    let alive = Alive::spawn(rig.run_command(&id, &[], &["wait"]));
    let seen = std::fs::read_to_string(format!("/proc/{}/attr/current", rig.pid(&id))).unwrap();
    assert_eq!(seen.trim(), wanted);
    let beside = rig.call(&["exec", &id, "/payload", "cat", "/proc/self/attr/current"]);
    assert_eq!(beside.ok().trim(), wanted);
    drop(alive);

    // An engine's "unconfined" is no way out of it, and what is not ours is not looked for.
    spec["process"]["apparmorProfile"] = json!("unconfined");
    let asked = labels(rig, &spec);
    assert!(asked.iter().all(|l| *l == wanted), "{asked:?}");
    a_label_that_is_not_there_is_seen(rig);
    holds_alone(rig);

    change(rig, &["uninstall"], file).ok();
    assert!(!file.exists());
    assert_eq!(now(), AppArmor::NoTemplate);
}

/// The launcher looks again when the program has begun: one that should have the template and has not is killed.
fn a_label_that_is_not_there_is_seen(rig: &Rig) {
    rig.except("8.4.14", "template = \"compat\"");
    let id = unique("bare");
    rig.create(&rig.spec(&["wait"]), &id).ok();
    let file = rig.state().join(&id).join("state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(state["apparmor"], Value::Null);
    state["apparmor"] = json!(TEMPLATE);
    std::fs::write(&file, state.to_string()).unwrap();
    let pid = rig.pid(&id);
    let parts = ["another AppArmor label", "SS-011/8.4.14", "unconfined"];
    rig.call(&["start", &id]).refused(1, &parts);
    assert!(!support::processes_with(&[text(&rig.state())]).contains(&pid));
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

/// With everything else open, what the template denies is denied, and only with it.
fn holds_alone(rig: &Rig) {
    let mut spec = rig.spec(&["limits"]);
    spec["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
    spec["process"]["apparmorProfile"] = json!(TEMPLATE);
    spec["linux"]["seccomp"] = Value::Null;
    spec["linux"]["readonlyPaths"] = json!([]);
    spec["linux"]["maskedPaths"] = json!([]);
    spec["mounts"] = json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" },
    ]);
    let with = rig.through(&spec);
    let wanted = "set the host's name: EACCES\nmount: EACCES\ncreate: OK\n";
    assert_eq!(with.ok(), wanted, "{with:?}");
    spec["process"]["apparmorProfile"] = Value::Null;
    let without = rig.through(&spec);
    assert_eq!(without.ok(), wanted.replace("EACCES", "OK"), "{without:?}");
}

fn host_finding(rig: &Rig) -> String {
    let report = rig.call(&["check", "host", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let is = |f: &&Value| f["id"] == "host/apparmor-template";
    let finding = findings.iter().find(is).unwrap();
    finding["verdict"].as_str().unwrap().to_string()
}
