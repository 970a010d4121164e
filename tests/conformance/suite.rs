//! The runtime under test, whichever it is, through the OCI verbs alone; and the config that the tests change.

use crate::support::{Ran, Rig, finish, text, unique};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Capabilities of the config that the validation suite begins with.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A runtime, its state folder, a fixture root.
pub struct Suite {
    /// Folders.
    pub rig: Rig,
    other: Option<PathBuf>,
}

impl Suite {
    /// The binary under test with the blanket exception, or the runtime that CONFORMANCE_RUNTIME names.
    pub fn new() -> Self {
        let rig = Rig::new();
        rig.except("8.4.14", "template = \"compat\"");
        for sub in ["sys", "mnt", "root"] {
            fs::create_dir(rig.rootfs().join(sub)).unwrap();
        }
        let other = std::env::var_os("CONFORMANCE_RUNTIME").map(PathBuf::from);
        Self { rig, other }
    }

    /// Whether it is ours: some tests look at what only ours says.
    pub fn ours(&self) -> bool {
        self.other.is_none()
    }

    /// The command, with the state folder and no input.
    pub fn command(&self) -> Command {
        let Some(other) = &self.other else {
            return self.rig.command();
        };
        let mut command = Command::new(other);
        command.arg("--root").arg(self.rig.state());
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// Runs it with these words.
    pub fn call(&self, words: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(words);
        finish(command)
    }

    /// The config: root with fourteen capabilities, the usual mounts, five new namespaces.
    pub fn spec(&self, args: &[&str]) -> Value {
        let mut words = vec!["/payload"];
        words.extend(args);
        let namespaces: Vec<Value> = ["pid", "network", "ipc", "uts", "mount"]
            .iter()
            .map(|t| json!({ "type": t }))
            .collect();
        json!({
            "ociVersion": "1.0.2",
            "hostname": "mrsdalloway",
            "root": { "path": self.rig.rootfs() },
            "process": {
                "args": words, "cwd": "/", "user": { "uid": 0, "gid": 0 },
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
                "capabilities": {
                    "bounding": CAPABILITIES, "permitted": CAPABILITIES, "effective": CAPABILITIES,
                    "inheritable": CAPABILITIES, "ambient": CAPABILITIES,
                },
            },
            "mounts": mounts(),
            "linux": {
                "namespaces": namespaces,
                "cgroupsPath": format!("/{}", unique("conformance")),
                "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            },
        })
    }

    /// A bundle folder.
    pub fn bundle(&self, spec: &Value) -> PathBuf {
        self.rig.bundle(spec)
    }

    /// `create`.
    pub fn create(&self, spec: &Value, id: &str) -> Ran {
        self.create_from(&self.bundle(spec), id)
    }

    /// `create` of a bundle that is there.
    pub fn create_from(&self, bundle: &Path, id: &str) -> Ran {
        self.call(&["create", "--bundle", text(bundle), id])
    }

    /// Creates a container of the config; fails unless it is made. It is gone when the value is dropped.
    #[track_caller]
    pub fn created(&self, spec: &Value) -> Container<'_> {
        let id = unique("oci");
        self.create(spec, &id).ok();
        Container { suite: self, id }
    }

    /// A container that was created by hand.
    pub fn adopt(&self, id: String) -> Container<'_> {
        Container { suite: self, id }
    }

    /// Create and start.
    #[track_caller]
    pub fn running(&self, spec: &Value) -> Container<'_> {
        let container = self.created(spec);
        self.call(&["start", &container.id]).ok();
        container
    }

    /// Fails unless `create` is an error that leaves no container.
    #[track_caller]
    pub fn refuses(&self, spec: &Value) -> Ran {
        let id = unique("no");
        let ran = self.create(spec, &id);
        let state = self.call(&["state", &id]);
        if ran.code == 0 {
            self.call(&["delete", "--force", &id]);
        }
        assert!(ran.code != 0, "created: {ran:#?}");
        assert!(!ran.err.contains("panicked"), "{ran:#?}");
        assert!(state.code != 0, "left behind: {state:#?}");
        ran
    }

    /// What the program inside answers to these questions.
    #[track_caller]
    pub fn inside(&self, spec: &Value, questions: &[&str]) -> Value {
        let mut spec = spec.clone();
        let mut words = vec!["/payload", "look"];
        words.extend(questions);
        spec["process"]["args"] = json!(words);
        let out = self.output(&spec);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out:?}"))
    }

    /// Creates, starts and deletes a container; what its program wrote.
    #[track_caller]
    pub fn output(&self, spec: &Value) -> String {
        let (id, out) = (unique("in"), self.rig.path(&unique("out")));
        let err = self.rig.path(&unique("err"));
        let mut command = self.command();
        command.args(["create", "--bundle", text(&self.bundle(spec)), &id]);
        command
            .stdout(fs::File::create(&out).unwrap())
            .stderr(fs::File::create(&err).unwrap());
        let made = command.status().unwrap();
        let said = || fs::read_to_string(&err).unwrap();
        assert!(made.success(), "{}{}", said(), spec);
        let container = Container { suite: self, id };
        self.call(&["start", &container.id]).ok();
        container.wait_for("stopped");
        let text = fs::read_to_string(&out).unwrap();
        assert!(!text.is_empty(), "no answer: {}", said());
        text
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let entries = fs::read_dir(self.rig.state())
            .into_iter()
            .flatten()
            .flatten();
        for id in entries.filter_map(|e| e.file_name().into_string().ok()) {
            let _ = self.command().args(["delete", "--force", &id]).output();
        }
    }
}

/// A container that is deleted with force in the end.
pub struct Container<'a> {
    suite: &'a Suite,
    /// Its id.
    pub id: String,
}

impl Container<'_> {
    /// What `state` prints.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(self.suite.call(&["state", &self.id]).ok()).unwrap()
    }

    /// Its first process, as the host sees it.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().unwrap() as i32
    }

    /// Its status.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().into()
    }

    /// Waits until `state` says so.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        for _ in 0..1000 {
            if self.status() == status {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} is never {status}, but {}", self.id, self.status());
    }

    /// Kills it and waits for its end.
    #[track_caller]
    pub fn stop(&self) {
        self.suite.call(&["kill", &self.id, "KILL"]).ok();
        self.wait_for("stopped");
    }

    /// The namespace of its first process.
    #[track_caller]
    pub fn namespace(&self, kind: &str) -> PathBuf {
        fs::read_link(format!("/proc/{}/ns/{kind}", self.pid())).unwrap()
    }

    /// A file of its cgroup: `v1` in a v1 hierarchy of `controller`, `v2` in the unified one.
    #[track_caller]
    pub fn cgroup(&self, controller: &str, v1: &str, v2: &str) -> String {
        let at = self.cgroup_folder(controller);
        let file = at.join(if at.join(v1).exists() { v1 } else { v2 });
        let read = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        read.trim().into()
    }

    /// The folder of its cgroup for a controller.
    #[track_caller]
    pub fn cgroup_folder(&self, controller: &str) -> PathBuf {
        let table = fs::read_to_string(format!("/proc/{}/cgroup", self.pid())).unwrap();
        let lines = table.lines().map(|l| l.splitn(3, ':').collect::<Vec<_>>());
        let mut unified = None;
        for line in lines {
            let below = line[2].trim_start_matches('/');
            if line[1].split(',').any(|c| c == controller) {
                let own = Path::new("/sys/fs/cgroup").join(controller);
                let shared = Path::new("/sys/fs/cgroup").join(line[1]);
                return if own.exists() { own } else { shared }.join(below);
            }
            if line[1].is_empty() {
                let hybrid = Path::new("/sys/fs/cgroup/unified");
                let mount = if hybrid.exists() {
                    hybrid
                } else {
                    Path::new("/sys/fs/cgroup")
                };
                unified = Some(mount.join(below));
            }
        }
        unified.unwrap_or_else(|| panic!("no cgroup for {controller}: {table}"))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self
            .suite
            .command()
            .args(["delete", "--force", &self.id])
            .output();
    }
}

/// The mounts of the config that the validation suite begins with.
pub fn mounts() -> Value {
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
          "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }
    ])
}

/// Whether a v1 or v2 controller is there at all.
pub fn has_controller(name: &str) -> bool {
    let v2 = ["", "unified/"].map(|at| {
        let file = format!("/sys/fs/cgroup/{at}cgroup.controllers");
        fs::read_to_string(file).unwrap_or_default()
    });
    let v2 = v2.join(" ");
    Path::new("/sys/fs/cgroup")
        .join(name)
        .join("cgroup.procs")
        .exists()
        || v2.split_whitespace().any(|c| c == name)
}

/// A line of a mountinfo text: (root, options, optional fields, type, source, super options) of the last mount at `at`.
pub fn mount_at<'a>(mountinfo: &'a str, at: &str) -> Option<Mounted<'a>> {
    mountinfo.lines().rev().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        (left[4] == at).then(|| Mounted {
            options: left[5].split(',').collect(),
            propagation: left[6..].to_vec(),
            kind: right[0],
            super_options: right[2].split(',').collect(),
        })
    })
}

/// A mount.
#[derive(Debug)]
pub struct Mounted<'a> {
    /// ro, nosuid and the like.
    pub options: Vec<&'a str>,
    /// shared:1 and the like.
    pub propagation: Vec<&'a str>,
    /// File system.
    pub kind: &'a str,
    /// Of the file system.
    pub super_options: Vec<&'a str>,
}
