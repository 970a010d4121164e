//! `install` and `uninstall`: what they change in an engine's configuration, what they leave, what they refuse; and
//! that the engines read what they wrote.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with our binary where only root can replace it, and an engine's file.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { dir };
        // By another process: a descriptor that writes to it, inherited by a neighbour's fork, would make it busy.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_cofferdam"))
            .arg(place.binary())
            .status();
        assert!(copied.unwrap().success());
        place
    }

    fn binary(&self) -> PathBuf {
        self.dir.path().join("cofferdam")
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    fn call(&self, words: &[&str]) -> Output {
        let mut command = Command::new(self.binary());
        command.args(words).arg("--config").arg(self.file());
        command.output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let done = self.call(words);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
}

/// The files have to be root's, or an engine would run what others can replace.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIP install: not root; run the tests with sudo");
        assert!(!std::env::var("REQUIRE").is_ok_and(|r| r == "all"));
    }
    root
}

fn has(program: &str) -> bool {
    let there = std::env::var("PATH").unwrap_or_default();
    let found = there
        .split(':')
        .any(|d| Path::new(d).join(program).exists());
    if !found {
        eprintln!("SKIP install: no {program}; apt-get install {program}");
        assert!(!std::env::var("REQUIRE").is_ok_and(|r| r == "all"));
    }
    found
}

const DAEMON: &str = "{\n    \"log-level\": \"warn\",\n    \"default-runtime\": \"runc\",\n    \"runtimes\": {\n        \"kata\": {\"path\": \"/usr/bin/kata\"}\n    }\n}\n";

#[test]
fn docker_gets_a_runtime_and_the_rest_stays() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    fs::write(place.file(), DAEMON).unwrap();
    let shown = place.ok(&["install", "--engine", "docker", "--dry-run"]);
    assert!(shown.contains("+        \"cofferdam\": {"), "{shown}");
    assert!(shown.contains("nothing was changed"), "{shown}");
    assert_eq!(place.text(), DAEMON);

    place.ok(&["install", "--engine", "docker", "--default"]);
    let now: Value = serde_json::from_str(&place.text()).unwrap();
    assert_eq!(
        now["runtimes"]["cofferdam"]["path"],
        place.binary().to_str().unwrap()
    );
    assert_eq!(now["runtimes"]["kata"]["path"], "/usr/bin/kata");
    assert_eq!(now["default-runtime"], "cofferdam");
    assert!(
        place
            .text()
            .starts_with("{\n    \"log-level\": \"warn\",\n")
    );
    let again = place.ok(&["install", "--engine", "docker", "--default"]);
    assert!(again.contains("already so"), "{again}");

    place.ok(&["uninstall", "--engine", "docker"]);
    assert_eq!(place.text(), DAEMON);
}

#[test]
fn a_file_that_was_not_there_goes_again() {
    if !is_root() {
        return;
    }
    for engine in ["docker", "containerd", "podman", "crio"] {
        let place = Place::new();
        place.ok(&["install", "--engine", engine, "--default"]);
        assert!(
            place.text().contains(place.binary().to_str().unwrap()),
            "{engine}"
        );
        place.ok(&["uninstall", "--engine", engine]);
        assert!(!place.file().exists(), "{engine}: {}", place.text());
    }
}

#[test]
fn what_cannot_be_parsed_is_left_alone() {
    if !is_root() {
        return;
    }
    let broken = [
        ("docker", "{\"runtimes\": {,}}", "can't be parsed"),
        ("docker", "{\"runtimes\": []}", "/runtimes is not an object"),
        ("docker", "[]", "is not an object"),
        ("containerd", "version = 2\n[plugins", "can't be parsed"),
        (
            "containerd",
            "version = 2\nplugins = 3\n",
            "plugins is not a table",
        ),
        (
            "containerd",
            "oom_score = 0\n",
            "no version: versions 2 and 3 are known",
        ),
    ];
    for (engine, text, why) in broken {
        let place = Place::new();
        fs::write(place.file(), text).unwrap();
        let refused = place.call(&["install", "--engine", engine]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(125), "{text}");
        assert!(said.contains(why), "{text}: {said}");
        assert_eq!(place.text(), text);
        assert_eq!(
            fs::read_dir(place.dir.path()).unwrap().count(),
            2,
            "{text}: a file beside it"
        );
    }
}

#[test]
fn a_binary_that_others_can_replace_is_not_given_to_an_engine() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = place.call(&["install", "--engine", "podman"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(125));
    assert!(said.contains("others than root could replace it"), "{said}");
    assert!(!place.file().exists());
}

#[test]
fn containerd_reads_what_was_written_and_comments_stay() {
    if !is_root() || !has("containerd") {
        return;
    }
    let place = Place::new();
    let before = "# ours\nversion = 2\n\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    # the bridge\n    [plugins.\"io.containerd.grpc.v1.cri\".cni]\n      bin_dir = \"/usr/lib/cni\"\n";
    fs::write(place.file(), before).unwrap();
    place.ok(&["install", "--engine", "containerd", "--default"]);
    assert!(
        place.text().contains("    # the bridge\n"),
        "{}",
        place.text()
    );
    let dump = Command::new("containerd")
        .arg("--config")
        .arg(place.file())
        .args(["config", "dump"])
        .output()
        .unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    let dump: toml::Table = dump.parse().unwrap();
    let containerd = &dump["plugins"]["io.containerd.grpc.v1.cri"]["containerd"];
    let handler = &containerd["runtimes"]["cofferdam"];
    assert_eq!(
        handler["runtime_type"].as_str(),
        Some("io.containerd.runc.v2")
    );
    assert_eq!(
        handler["options"]["BinaryName"].as_str(),
        place.binary().to_str()
    );
    assert_eq!(
        containerd["default_runtime_name"].as_str(),
        Some("cofferdam")
    );
    place.ok(&["uninstall", "--engine", "containerd"]);
    assert_eq!(place.text(), before);
}

#[test]
fn podman_reads_what_was_written() {
    if !is_root() || !has("podman") {
        return;
    }
    let place = Place::new();
    place.ok(&["install", "--engine", "podman", "--default"]);
    let dir = |name: &str| place.dir.path().join(name);
    let info = Command::new("podman")
        .env("CONTAINERS_CONF", place.file())
        .arg("--root")
        .arg(dir("storage"))
        .arg("--runroot")
        .arg(dir("run"))
        .args(["--storage-driver", "vfs", "info", "--format"])
        .arg("{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&info.stdout).trim().to_string();
    let want = format!("cofferdam {}", place.binary().display());
    assert_eq!(said, want, "{}", String::from_utf8_lossy(&info.stderr));
}

/// The snippets are what install writes for a binary in /usr/local/sbin, and each parses.
#[test]
fn the_snippets_are_the_same_texts() {
    let read = |name: &str| {
        let path = format!("{}/profiles/engines/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).unwrap()
    };
    let place = "/usr/local/sbin/cofferdam";
    let docker: Value = serde_json::from_str(&read("docker.json")).unwrap();
    assert_eq!(docker["runtimes"]["cofferdam"]["path"], place);
    for (file, keys) in [
        ("podman.conf", &["engine", "runtimes", "cofferdam"][..]),
        (
            "crio.conf",
            &["crio", "runtime", "runtimes", "cofferdam", "runtime_path"],
        ),
        (
            "containerd.toml",
            &[
                "plugins",
                "io.containerd.grpc.v1.cri",
                "containerd",
                "runtimes",
                "cofferdam",
                "options",
                "BinaryName",
            ],
        ),
        (
            "containerd2.toml",
            &[
                "plugins",
                "io.containerd.cri.v1.runtime",
                "containerd",
                "runtimes",
                "cofferdam",
                "options",
                "BinaryName",
            ],
        ),
    ] {
        let text: toml::Table = read(file).parse().unwrap();
        let root = toml::Value::Table(text);
        let found = keys.iter().try_fold(&root, |at, key| at.get(key));
        let found = found.map(|f| f.as_array().map_or(f, |a| &a[0]));
        assert_eq!(found.and_then(toml::Value::as_str), Some(place), "{file}");
    }
    assert!(read("kubernetes/runtimeclass.yaml").contains("\nhandler: cofferdam\n"));
}
