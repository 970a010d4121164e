//! Ordinary users with ranges of their own, mapped by newuidmap and newgidmap.

use crate::support::{Ran, Rig, finish, skip, unique};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A user made for the test, with the ranges that useradd gives.
struct User {
    name: String,
    uid: u32,
    gid: u32,
    /// First of the user's ranges: of ids, of group ids.
    ranges: (u32, u32),
}

impl User {
    /// Or why there can't be one.
    fn make() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("needs to make a user; run the tests with sudo".into());
        }
        if !std::path::Path::new("/usr/bin/newuidmap").exists() {
            return Err("no newuidmap; apt install uidmap".into());
        }
        let name = unique("coff");
        let made = Command::new("/usr/sbin/useradd")
            .args(["--no-create-home", "--shell", "/bin/false", &name])
            .output();
        match made {
            Ok(out) if out.status.success() => {}
            other => return Err(format!("useradd: {other:?}; apt install passwd")),
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd
            .lines()
            .find(|l| l.starts_with(&format!("{name}:")))
            .unwrap();
        let id = |at: usize| line.split(':').nth(at).unwrap().parse().unwrap();
        let (uid, gid) = (id(2), id(3));
        let first = |file: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(&format!("{name}:")));
            let first = line.and_then(|l| l.split(':').next()).map(str::to_string);
            first.and_then(|n| n.parse().ok())
        };
        let ranges = first("/etc/subuid").zip(first("/etc/subgid"));
        let user = Self {
            name,
            uid,
            gid,
            ranges: ranges.unwrap_or((0, 0)),
        };
        match ranges {
            Some(_) => Ok(user),
            None => {
                Err("useradd gives no ranges here; set SUB_UID_COUNT in /etc/login.defs".into())
            }
        }
    }

    fn call(&self, rig: &Rig, args: &[&str]) -> Ran {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .arg("--root")
            .arg(rig.path("state-of-user"));
        command
            .arg("--policy")
            .arg(rig.path("policy.toml"))
            .args(args);
        command.uid(self.uid).gid(self.gid).stdin(Stdio::null());
        finish(command)
    }

    fn rig(&self) -> Rig {
        let rig = Rig::new();
        let state = rig.path("state-of-user");
        std::fs::create_dir(&state).unwrap();
        std::os::unix::fs::chown(&state, Some(self.uid), Some(self.gid)).unwrap();
        rig
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/userdel").arg(&self.name).output();
    }
}

/// The binary where an ordinary user can reach it.
fn binary() -> PathBuf {
    static COPY: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let dir = COPY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let to = dir.path().join("cofferdam");
        // By another process: a copy open for writing here would be inherited by what other tests start (ETXTBSY).
        let mut copy = Command::new("/bin/cp");
        copy.arg(env!("CARGO_BIN_EXE_cofferdam")).arg(to);
        assert!(copy.status().unwrap().success());
        dir
    });
    dir.path().join("cofferdam")
}

/// A user, or the test is skipped.
macro_rules! user {
    ($test:literal) => {
        match User::make() {
            Ok(user) => user,
            Err(why) => return skip($test, "uidmap", &why),
        }
    };
}

#[test]
fn a_service_is_nobody_of_the_callers() {
    let user = user!("a_service_is_nobody_of_the_callers");
    let rig = user.rig();
    let root = rig.rootfs();
    let plan = user.call(
        &rig,
        &[
            "plan",
            "--rootfs",
            root.to_str().unwrap(),
            "p",
            "--",
            "/payload",
        ],
    );
    let (first, _) = user.ranges;
    let map = format!(
        "0+1 -> {}, 1+65535 -> {first} (written by /usr/bin/newuidmap)",
        user.uid
    );
    assert!(plan.ok().contains(&map), "{plan:?}");
    assert!(!plan.out.contains("only the own id"), "{plan:?}");
    let run = |args: &[&str]| {
        let name = unique("u");
        let mut all = vec![
            "run",
            "--rootfs",
            root.to_str().unwrap(),
            &name,
            "--",
            "/payload",
        ];
        all.extend(args);
        user.call(&rig, &all)
    };
    // The caller's groups are gone: newgidmap lets the kernel drop them.
    assert_eq!(run(&["ids"]).ok(), "65532 65532 []\n");
    let maps = run(&["cat", "/proc/self/uid_map", "/proc/self/gid_map"]);
    let words: Vec<u32> = maps
        .ok()
        .split_whitespace()
        .map(|w| w.parse().unwrap())
        .collect();
    let (uids, gids) = user.ranges;
    let want = [
        0, user.uid, 1, 1, uids, 65535, 0, user.gid, 1, 1, gids, 65535,
    ];
    assert_eq!(words, want);
    // A file that only the caller may read.
    let secret = root.join("data/secret");
    std::fs::write(&secret, "mine").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&secret, Some(user.uid), Some(user.gid)).unwrap();
    assert_eq!(run(&["cat", "/data/secret"]).out, "EACCES\n");
}

#[test]
fn the_maps_of_a_config_are_the_callers_or_refused() {
    let user = user!("the_maps_of_a_config_are_the_callers_or_refused");
    let rig = user.rig();
    let (uids, gids) = user.ranges;
    let mut spec = rig.spec(&["cat", "/proc/self/uid_map"]);
    let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
    all.push(json!({"type": "user"}));
    let map =
        |outside: u32, count: u32| json!([{"containerID": 0, "hostID": outside, "size": count}]);
    let run = |spec: &serde_json::Value| {
        let bundle = rig.bundle(spec);
        user.call(
            &rig,
            &["run", "--bundle", bundle.to_str().unwrap(), &unique("m")],
        )
    };
    spec["process"]["user"] = json!({"uid": 10, "gid": 10});
    spec["linux"]["uidMappings"] = map(uids + 100, 50);
    spec["linux"]["gidMappings"] = map(gids + 100, 50);
    let ran = run(&spec);
    let words: Vec<&str> = ran.ok().split_whitespace().collect();
    assert_eq!(words, ["0", (uids + 100).to_string().as_str(), "50"]);
    // The own id alone needs no helper, and denies setgroups.
    spec["process"]["user"] = json!({"uid": 5, "gid": 6});
    spec["process"]["args"] = json!(["/payload", "cat", "/proc/self/setgroups"]);
    spec["linux"]["uidMappings"] = json!([{"containerID": 5, "hostID": user.uid, "size": 1}]);
    spec["linux"]["gidMappings"] = json!([{"containerID": 6, "hostID": user.gid, "size": 1}]);
    assert_eq!(run(&spec).ok(), "deny\n");
    // Somebody else's ids: root's, and what lies just behind the range.
    for (outside, count) in [(0, 1), (uids + 65_000, 65_536)] {
        spec["linux"]["uidMappings"] = map(outside, count);
        run(&spec).refused(125, &["/linux/uidMappings/0", "/etc/subuid"]);
    }
    // A program that is nobody inside.
    spec["linux"]["uidMappings"] = map(uids, 5);
    run(&spec).refused(125, &["/process/user/uid", "5 is not among the ids"]);
}
