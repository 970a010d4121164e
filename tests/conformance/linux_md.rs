//! config-linux.md: namespaces, mappings, devices, sysctl, propagation, masked and read-only paths, personality.

use crate::config_process::field;
use crate::suite::{Suite, mount_at};
use crate::support::unique;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};

/// Kinds that can be new, inherited and joined: OCI's word and procfs's.
pub const KINDS: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
];

/// The namespace of this process.
pub fn own(kind: &str) -> PathBuf {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap()
}

/// A config with these namespaces, without what needs another one.
pub fn with_namespaces(suite: &Suite, list: Value) -> Value {
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["namespaces"] = list;
    spec.as_object_mut().unwrap().remove("hostname");
    // mqueue and sysfs want namespaces of their own, or are the host's.
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|m| m["type"] != "mqueue" && m["type"] != "sysfs");
    spec
}

/// The usual five, without one.
pub fn all_but(kind: &str) -> Value {
    let rest = ["pid", "network", "mount", "ipc", "uts"]
        .into_iter()
        .filter(|k| *k != kind);
    json!(rest.map(|t| json!({ "type": t })).collect::<Vec<_>>())
}

/// A process with a namespace of its own; killed when dropped.
pub struct Other(Child);

impl Other {
    /// `unshare OPTION`.
    pub fn with(option: &str, kind: &str) -> Self {
        let mut command = Command::new("unshare");
        command
            .args([option, "--fork", "--kill-child", "sleep", "1000"])
            .process_group(0);
        let other = Self(command.spawn().unwrap());
        for _ in 0..1000 {
            if fs::read_link(other.path(kind)).is_ok_and(|link| link != own(kind)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        other
    }

    /// Its namespace's file.
    pub fn path(&self, kind: &str) -> String {
        let name = if kind == "pid" {
            "pid_for_children"
        } else {
            kind
        };
        format!("/proc/{}/ns/{name}", self.0.id())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// [config-linux.md § Namespaces] a path is absolute
#[test]
fn a_namespaces_path_is_absolute() {
    let suite = suite!();
    let mut list = all_but("network");
    list.as_array_mut()
        .unwrap()
        .push(json!({ "type": "network", "path": "proc/self/ns/net" }));
    suite.refuses(&with_namespaces(&suite, list));
}

/// [config-linux.md § Namespaces] with a path the process is put into that namespace
#[test]
fn a_path_is_joined() {
    let suite = suite!();
    for (word, kind, option) in [
        ("ipc", "ipc", "--ipc"),
        ("network", "net", "--net"),
        ("uts", "uts", "--uts"),
        ("pid", "pid", "--pid"),
    ] {
        let other = Other::with(option, kind);
        let mut list = all_but(word);
        list.as_array_mut()
            .unwrap()
            .push(json!({ "type": word, "path": other.path(kind) }));
        let one = suite.created(&with_namespaces(&suite, list));
        assert_eq!(
            one.namespace(kind),
            fs::read_link(other.path(kind)).unwrap(),
            "{word}"
        );
    }
}

/// [config-linux.md § Namespaces] a path of another type is an error
#[test]
fn a_path_of_another_type_is_an_error() {
    let suite = suite!();
    for (word, other) in [
        ("network", "uts"),
        ("ipc", "net"),
        ("uts", "ipc"),
        ("pid", "net"),
    ] {
        let mut list = all_but(word);
        let path = format!("/proc/{}/ns/{other}", std::process::id());
        list.as_array_mut()
            .unwrap()
            .push(json!({ "type": word, "path": path }));
        suite.refuses(&with_namespaces(&suite, list));
    }
}

/// [config-linux.md § Namespaces] without a path a new one is made
#[test]
fn without_a_path_it_is_new() {
    let suite = suite!();
    let mut list = all_but("");
    list.as_array_mut()
        .unwrap()
        .push(json!({ "type": "cgroup" }));
    let one = suite.created(&with_namespaces(&suite, list));
    for (_, kind) in KINDS {
        assert_ne!(one.namespace(kind), own(kind), "{kind}");
    }
}

/// [config-linux.md § Namespaces] a type that is not listed is the runtime's
#[test]
fn what_is_not_listed_is_inherited() {
    let suite = suite!();
    for (word, kind) in [
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("pid", "pid"),
        ("cgroup", "cgroup"),
    ] {
        let one = suite.created(&with_namespaces(&suite, all_but(word)));
        assert_eq!(one.namespace(kind), own(kind), "{word}");
    }
}

/// [config-linux.md § Namespaces] the same type twice is an error
#[test]
fn a_type_twice_is_an_error() {
    let suite = suite!();
    let mut list = all_but("");
    list.as_array_mut().unwrap().push(json!({ "type": "uts" }));
    suite.refuses(&with_namespaces(&suite, list));
}

/// [config-linux.md § User namespace mappings] they are the ones of the new user namespace
#[test]
fn mappings_are_written() {
    let suite = suite!();
    let seen = mapped(&suite);
    for file in ["cat:/proc/self/uid_map", "cat:/proc/self/gid_map"] {
        let words: Vec<&str> = seen[file].as_str().unwrap().split_whitespace().collect();
        assert_eq!(words, ["0", "100000", "1000"], "{file}");
    }
}

/// What a container with a user namespace sees of its mappings.
pub fn mapped(suite: &Suite) -> Value {
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "type": "user" }));
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }]);
    spec["linux"]["uidMappings"] = maps.clone();
    spec["linux"]["gidMappings"] = maps;
    suite.inside(&spec, &["cat:/proc/self/uid_map", "cat:/proc/self/gid_map"])
}

/// [config-linux.md § Offset for Time Namespace] the clocks of a new time namespace are set off
#[test]
fn clocks_are_set_off() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "type": "time" }));
    spec["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 10_000_000 } });
    let seen = suite.inside(&spec, &["cat:/proc/uptime"]);
    let uptime: f64 = seen["cat:/proc/uptime"]
        .as_str()
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(uptime > 10_000_000.0, "{uptime}");
}

/// [config-linux.md § Devices] listed devices are there, with number, mode and owner
#[test]
fn devices_are_made() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["devices"] = json!([
        { "path": "/dev/test1", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 1, "gid": 2 },
        { "path": "/dev/test2", "type": "b", "major": 8, "minor": 666, "fileMode": 0o640, "uid": 0, "gid": 0 },
        { "path": "/dev/test3", "type": "p", "fileMode": 0o600 },
    ]);
    let seen = suite.inside(
        &spec,
        &["stat:/dev/test1", "stat:/dev/test2", "stat:/dev/test3"],
    );
    assert_eq!(
        seen["stat:/dev/test1"],
        json!({ "type": "c", "major": 10, "minor": 229, "mode": 0o666, "uid": 1, "gid": 2 })
    );
    let second = &seen["stat:/dev/test2"];
    assert_eq!(
        (&second["type"], &second["minor"], &second["mode"]),
        (&json!("b"), &json!(666), &json!(0o640))
    );
    assert_eq!(
        (
            &seen["stat:/dev/test3"]["type"],
            &seen["stat:/dev/test3"]["mode"]
        ),
        (&json!("p"), &json!(0o600))
    );
}

/// [config-linux.md § Devices] a device may lie anywhere, outside /dev too
#[test]
fn a_device_lies_anywhere() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let device = json!({ "path": "/mnt/deep/zero", "type": "c", "major": 1, "minor": 5 });
    spec["linux"]["devices"] = json!([device]);
    let seen = suite.inside(&spec, &["stat:/mnt/deep/zero"]);
    assert_eq!(seen["stat:/mnt/deep/zero"]["minor"], 5);
}

/// [config-linux.md § Devices] a file at a device's path that does not match is an error
#[test]
fn a_file_in_a_devices_place_is_an_error() {
    let suite = suite!();
    fs::write(suite.rig.rootfs().join("tmp/taken"), "file").unwrap();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["devices"] =
        json!([{ "path": "/tmp/taken", "type": "c", "major": 1, "minor": 5 }]);
    suite.refuses(&spec);
    assert_eq!(
        fs::read_to_string(suite.rig.rootfs().join("tmp/taken")).unwrap(),
        "file"
    );
}

/// [config-linux.md § Default Devices] null, zero, full, random, urandom, tty and ptmx are there and work
#[test]
fn the_default_devices_are_there() {
    let suite = suite!();
    let names = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"];
    let questions: Vec<String> = names.iter().map(|n| format!("stat:/dev/{n}")).collect();
    let mut questions: Vec<&str> = questions.iter().map(String::as_str).collect();
    questions.extend([
        "read:/dev/zero",
        "read:/dev/urandom",
        "write:/dev/null=x",
        "write:/dev/full=x",
    ]);
    let seen = suite.inside(&suite.spec(&["wait"]), &questions);
    for (name, minor) in [
        ("null", 3),
        ("zero", 5),
        ("full", 7),
        ("random", 8),
        ("urandom", 9),
    ] {
        let at = &seen[format!("stat:/dev/{name}")];
        assert_eq!(
            (&at["type"], &at["major"], &at["minor"]),
            (&json!("c"), &json!(1), &json!(minor)),
            "{name}"
        );
    }
    assert_eq!(
        (
            &seen["stat:/dev/tty"]["major"],
            &seen["stat:/dev/ptmx"]["type"]
        ),
        (&json!(5), &json!("c"))
    );
    assert_eq!(
        (&seen["read:/dev/zero"], &seen["read:/dev/urandom"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&seen["write:/dev/null=x"], &seen["write:/dev/full=x"]),
        (&json!("ok"), &json!("ENOSPC"))
    );
}

/// [config-linux.md § Default Devices] /dev/console is the terminal, when there is one
#[test]
fn the_console_is_the_terminal() {
    use std::io::Read;
    let suite = suite!();
    let mut spec = suite.spec(&["look", "stat:/dev/console", "tty"]);
    spec["process"]["terminal"] = json!(true);
    let (at, id) = (suite.rig.path("console"), unique("tty"));
    let listener = std::os::unix::net::UnixListener::bind(&at).unwrap();
    let bundle = suite.bundle(&spec);
    let text = crate::support::text;
    suite
        .call(&[
            "create",
            "--bundle",
            text(&bundle),
            "--console-socket",
            text(&at),
            &id,
        ])
        .ok();
    let (socket, _) = listener.accept().unwrap();
    let (mut byte, mut fds) = ([0u8; 1], [-1; cofferdam::sys::socket::MOST]);
    use std::os::fd::AsRawFd;
    cofferdam::sys::socket::receive_fds(socket.as_raw_fd(), &mut byte, &mut fds).unwrap();
    let mut master = fs::File::from(cofferdam::sys::process::own(fds[0]));
    suite.call(&["start", &id]).ok();
    let mut said = String::new();
    let mut bytes = [0u8; 4096];
    while let Ok(n) = master.read(&mut bytes) {
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
        if n == 0 || said.contains('\n') {
            break;
        }
    }
    suite.call(&["delete", "--force", &id]).ok();
    let seen: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(
        (&seen["tty"], &seen["stat:/dev/console"]["major"]),
        (&json!(true), &json!(136)),
        "{said}"
    );
}

/// [config-linux.md § Sysctl] parameters of the container's namespaces are set
#[test]
fn kernel_parameters_are_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1", "kernel.msgmax": "4096" });
    let seen = suite.inside(
        &spec,
        &[
            "cat:/proc/sys/net/ipv4/ip_forward",
            "cat:/proc/sys/kernel/msgmax",
        ],
    );
    assert_eq!(seen["cat:/proc/sys/net/ipv4/ip_forward"], "1\n");
    assert_eq!(seen["cat:/proc/sys/kernel/msgmax"], "4096\n");
}

/// [config-linux.md § Rootfs Mount Propagation] the root is what it says; anything else is an error
#[test]
fn the_root_propagates_as_it_says() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    for (mode, wanted) in [
        ("shared", "shared:"),
        ("slave", ""),
        ("private", ""),
        ("unbindable", "unbindable"),
    ] {
        spec["linux"]["rootfsPropagation"] = json!(mode);
        let seen = suite.inside(&spec, &["cat:/proc/self/mountinfo"]);
        let info = seen["cat:/proc/self/mountinfo"].as_str().unwrap();
        let found = mount_at(info, "/").unwrap().propagation.join(" ");
        assert!(
            found.contains(wanted) && (found.contains("shared:") == (mode == "shared")),
            "{mode}: {found:?}"
        );
    }
    spec["linux"]["rootfsPropagation"] = json!("nonsense");
    suite.refuses(&spec);
}

/// [config-linux.md § Masked Paths] a masked file reads as empty, a masked folder has nothing in it
#[test]
fn masked_paths_cannot_be_read() {
    let suite = suite!();
    let root = suite.rig.rootfs();
    fs::create_dir(root.join("hidden")).unwrap();
    fs::write(root.join("hidden/file"), "secret").unwrap();
    fs::write(root.join("secret"), "secret").unwrap();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["maskedPaths"] = json!(["/hidden", "/secret", "/proc/keys", "/absent"]);
    let seen = suite.inside(&spec, &["read:/hidden", "read:/secret", "read:/proc/keys"]);
    for (question, answer) in seen.as_object().unwrap() {
        assert_eq!(answer, &json!(0), "{question}");
    }
}

/// [config-linux.md § Masked Paths] they are absolute
#[test]
fn masked_paths_are_absolute() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["maskedPaths"] = json!(["tmp"]);
    suite.refuses(&spec);
}

/// [config-linux.md § Readonly Paths] what lies there can't be written
#[test]
fn read_only_paths_cannot_be_written() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["readonlyPaths"] = json!(["/tmp", "/proc/sys", "/absent"]);
    let seen = suite.inside(
        &spec,
        &[
            "create:/tmp",
            "write:/proc/sys/kernel/hostname=x",
            "create:/etc",
        ],
    );
    assert_eq!(
        (&seen["create:/tmp"], &seen["create:/etc"]),
        (&json!("EROFS"), &json!("ok"))
    );
    assert_eq!(seen["write:/proc/sys/kernel/hostname=x"], "EROFS");
}

/// [config-linux.md § Readonly Paths] they are absolute
#[test]
fn read_only_paths_are_absolute() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["readonlyPaths"] = json!(["tmp"]);
    suite.refuses(&spec);
}

/// [config-linux.md § Personality] LINUX32 makes uname say a 32-bit processor
#[test]
fn a_personality_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["personality"] = json!({ "domain": "LINUX32" });
    let seen = suite.inside(&spec, &["cat:/proc/self/personality"]);
    assert_eq!(
        seen["cat:/proc/self/personality"].as_str().unwrap().trim(),
        "00000008"
    );
}

/// [config-linux.md § Memory policy] it is set, and unknown modes are errors
#[test]
fn a_memory_policy_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "0" });
    let seen = suite.inside(
        &spec,
        &["cat:/proc/self/numa_maps", "cat:/proc/self/status"],
    );
    let maps = seen["cat:/proc/self/numa_maps"].as_str().unwrap();
    assert!(maps.contains("bind:0") || maps == "ENOENT", "{maps}");
    assert!(field(&seen["cat:/proc/self/status"], "Mems_allowed_list:").contains('0'));
    spec["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_NONSENSE" });
    suite.refuses(&spec);
}

/// [config-linux.md § Network devices] a device that is not there is an error
#[test]
fn a_missing_network_device_is_an_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["netDevices"] = json!({ "no-such-dev0": { "name": "eth0" } });
    suite.refuses(&spec);
}
