//! What is found of containers: ours by default, ours with an exception, plain runc's and crun's.

use crate::need;
use crate::support::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `audit ARGS --json`, as data: (exit code, report).
pub fn audit(rig: &Rig, args: &[&str]) -> (i32, Value) {
    let ran = rig.call(&[&["audit", "--json"], args].concat());
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:#?}"));
    (ran.code, report)
}

/// Ids of the findings of the first subject with this verdict.
pub fn with(report: &Value, verdict: &str) -> BTreeSet<String> {
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let of = findings.iter().filter(|f| f["verdict"] == verdict);
    of.map(|f| f["id"].as_str().unwrap().into()).collect()
}

/// A container of ours whose program waits.
pub fn waiting(rig: &Rig, name: &str, flags: &[&str]) -> Alive {
    let mut command = rig.run_command(name, flags, &["wait"]);
    // Where the tests' own errors go, a file perhaps, is not what is judged.
    command.stderr(std::process::Stdio::null());
    Alive::spawn(command)
}

#[test]
fn the_default_launch_fails_nothing_and_no_control_is_left_out() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let name = unique("o");
    let alive = waiting(&rig, &name, &["--expose", "8080"]);
    let (code, report) = audit(&rig, &["--container", &name]);
    assert_eq!(with(&report, "fail"), BTreeSet::new(), "{report:#}");
    assert_eq!(code, 0);
    let passed = with(&report, "pass");
    for id in [
        "capabilities",
        "no-new-privileges",
        "seccomp",
        "namespace-network",
        "namespace-mount",
        "root-read-only",
        "limit-memory",
        "limit-threads",
        "one-process",
        "code",
        "set-uid",
        "filter-mounts",
        "filter-exec",
        "interfaces",
        "listening",
        "declared",
        "user",
        "raw-sockets",
        "terminal",
        "logs",
        "environment",
        "kernel-files",
    ] {
        assert!(
            passed.contains(&format!("observe/{id}")),
            "{id}: {report:#}"
        );
    }
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    for control in cofferdam::controls::catalogue() {
        let named = |f: &&Value| {
            f["controls"]
                .as_array()
                .unwrap()
                .contains(&control.text.into())
        };
        assert!(findings.iter().any(|f| named(&f)), "{}", control.text);
    }
    for finding in findings.iter().filter(|f| f["verdict"] == "not-assessed") {
        assert!(
            finding["why"].as_str().is_some_and(|w| w.len() > 10),
            "{finding:#}"
        );
    }
    // The same by its process, by a part of its name it is none.
    let pid = rig.pid(&name).to_string();
    assert_eq!(audit(&rig, &["--pid", &pid]).0, 0);
    let none = rig.call(&["audit", "--container", &name[..3]]);
    none.refused(125, &["no container", "audit --all"]);
    drop(alive);
    rig.assert_clean(&name);
}

#[test]
fn what_an_exception_allows_is_waived_and_without_it_fails() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.5.2", "template = \"workers\"");
    let name = unique("o");
    let alive = Alive::spawn(rig.run_command(&name, &["--profile", "workers"], &["fork"]));
    let (code, report) = audit(&rig, &["--container", &name]);
    let waived = with(&report, "waived");
    assert_eq!(code, 0, "{report:#}");
    let expected = ["observe/filter-processes", "observe/one-process"];
    assert_eq!(waived, expected.map(String::from).into(), "{report:#}");
    // Another policy that is named judges it, too.
    let other = rig.path("other/policy.toml");
    std::fs::create_dir(other.parent().unwrap()).unwrap();
    std::fs::write(&other, "version = 1\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command
        .arg("--root")
        .arg(rig.state())
        .arg("--policy")
        .arg(&other);
    command.args(["audit", "--json", "--container", &name]);
    let ran = finish(command);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, with(&report, "fail")), (1, waived));
    drop(alive);
    rig.assert_clean(&name);
}

/// A container by another runtime; dropping it removes it.
pub struct Foreign {
    runtime: &'static str,
    root: PathBuf,
    /// Its id.
    pub id: String,
}

impl Foreign {
    /// `RUNTIME spec`, then `run -d` with the rig's root and a program that waits.
    pub fn start(runtime: &'static str, rig: &Rig, id: &str) -> Self {
        let bundle = rig.path(&unique("foreign"));
        std::fs::create_dir(&bundle).unwrap();
        let foreign = Self {
            runtime,
            root: rig.path(&format!("{runtime}-root")),
            id: id.into(),
        };
        let mut spec = Command::new(runtime);
        spec.arg("spec").current_dir(&bundle);
        finish(spec).ok();
        let config = bundle.join("config.json");
        let mut spec: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        spec["process"]["args"] = serde_json::json!(["/payload", "wait"]);
        spec["process"]["terminal"] = false.into();
        spec["root"]["path"] = text(&rig.rootfs()).into();
        std::fs::write(&config, spec.to_string()).unwrap();
        std::fs::create_dir_all(rig.rootfs().join("sys")).unwrap();
        let mut run = foreign.command();
        run.args(["run", "-d", "--bundle", text(&bundle), id]);
        // Its program keeps what it gets: a pipe here would never end.
        run.stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        assert!(run.status().unwrap().success(), "{runtime} run");
        foreign
    }

    fn command(&self) -> Command {
        // crun refuses a hybrid layout of cgroups: the unified mount is hidden from both alike.
        let hide = "umount -l /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", hide, "sh", self.runtime]);
        command.arg("--root").arg(&self.root);
        command
    }

    /// Its first process.
    pub fn pid(&self) -> i32 {
        let mut command = self.command();
        command.args(["state", &self.id]);
        let state: Value = serde_json::from_str(finish(command).ok()).unwrap();
        state["pid"].as_i64().unwrap() as i32
    }

    /// Where its state is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let mut command = self.command();
        let _ = command.args(["delete", "-f", &self.id]).output();
    }
}

/// Whether a program is installed; else the test is skipped.
pub fn has(program: &str, test: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let there = path
        .split(':')
        .any(|dir| Path::new(dir).join(program).exists());
    if !there {
        skip(
            test,
            program,
            &format!("no {program}; apt-get install {program}"),
        );
    }
    there
}

/// What neither runtime's own configuration does, on any host.
const PLAIN: [&str; 16] = [
    "capabilities",
    "core-files",
    "filter-exec",
    "filter-families",
    "filter-modules",
    "filter-mounts",
    "filter-namespaces",
    "filter-netlink",
    "filter-processes",
    "filter-raw-sockets",
    "filter-set-uid",
    "filter-tracing",
    "limit-memory",
    "seccomp",
    "set-uid",
    "user",
];

/// What depends on the host's cgroups, kernel and security modules, and on the runtime's release.
const DEPENDS: [&str; 15] = [
    "limit-swap",
    "limit-disk",
    "limit-cpu",
    "limit-threads",
    "memory-files",
    "kernel-files",
    "template",
    "namespace-cgroup",
    "writable-code",
    "writable-devices",
    "open-files",
    "devices",
    "age",
    "capability-trace",
    "writable-places",
];

fn plain(runtime: &'static str, test: &str) {
    if !has(runtime, test) {
        return;
    }
    let rig = Rig::new();
    let foreign = Foreign::start(runtime, &rig, &unique("plain"));
    let root = foreign.root().to_path_buf();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command
        .arg("--root")
        .arg(&root)
        .arg("--policy")
        .arg(rig.path("policy.toml"));
    command.args([
        "audit",
        "--json",
        "--container",
        &foreign.id,
        "--engine",
        runtime,
    ]);
    let ran = finish(command);
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:#?}"));
    let mut failed = with(&report, "fail");
    for id in DEPENDS {
        failed.remove(&format!("observe/{id}"));
    }
    let expected: BTreeSet<String> = PLAIN.iter().map(|id| format!("observe/{id}")).collect();
    assert_eq!(failed, expected, "{report:#}");
    assert_eq!(ran.code, 1);
    // What they do right is said, too.
    let passed = with(&report, "pass");
    for id in [
        "namespace-network",
        "namespace-pid",
        "no-new-privileges",
        "root-read-only",
        "one-process",
        "declared",
    ] {
        assert!(
            passed.contains(&format!("observe/{id}")),
            "{id}: {report:#}"
        );
    }
}

#[test]
fn plain_runc_has_its_known_gaps() {
    need!(Root);
    plain("runc", "plain_runc_has_its_known_gaps");
}

#[test]
fn plain_crun_has_its_known_gaps() {
    need!(Root);
    plain("crun", "plain_crun_has_its_known_gaps");
}

#[test]
fn all_containers_of_the_host_in_one_table_the_worst_first() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("o");
    let alive = waiting(&rig, &name, &[]);
    let (_, report) = audit(&rig, &["--all"]);
    let subjects = report["subjects"].as_array().unwrap();
    assert!(
        subjects.iter().any(|s| s["name"] == name.as_str()),
        "{report:#}"
    );
    let fails = |s: &Value| {
        let all = s["findings"].as_array().unwrap();
        all.iter().filter(|f| f["verdict"] == "fail").count()
    };
    let counts: Vec<usize> = subjects.iter().map(fails).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    let table = rig.call(&["audit", "--all"]);
    let row = table.out.lines().find(|l| l.contains(&name));
    assert!(
        row.is_some_and(|l| l.trim_start().starts_with("0 ")),
        "{table:#?}"
    );
    drop(alive);
    rig.assert_clean(&name);
}
