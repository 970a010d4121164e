//! The programs of the validation suite that look at namespaces, labels and recursive mounts.

use crate::linux_md::{KINDS, Other, all_but, own, with_namespaces};
use crate::programs_inside::compare;
use crate::suite::mount_at;
use crate::support::text;
use serde_json::json;
use std::fs;
use std::path::Path;

/// [validation/linux_ns_itype] no namespace listed: all of them are the runtime's
#[test]
fn linux_ns_itype() {
    let suite = suite!();
    let mut spec = with_namespaces(&suite, json!([]));
    spec["mounts"] = crate::suite::mounts();
    let one = suite.created(&spec);
    // The mount namespace apart: without one of its own a container's mounts would be the host's.
    for (_, kind) in KINDS.iter().filter(|(word, _)| *word != "mount") {
        assert_eq!(one.namespace(kind), own(kind), "{kind}");
    }
}

/// [validation/linux_ns_nopath] every namespace listed without a path: all of them are new
#[test]
fn linux_ns_nopath() {
    let suite = suite!();
    let mut list = all_but("");
    list.as_array_mut()
        .unwrap()
        .push(json!({ "type": "cgroup" }));
    list.as_array_mut().unwrap().push(json!({ "type": "user" }));
    let mut spec = with_namespaces(&suite, list);
    let maps = json!([{ "containerID": 0, "hostID": 1000, "size": 1000 }]);
    spec["linux"]["uidMappings"] = maps.clone();
    spec["linux"]["gidMappings"] = maps;
    let one = suite.created(&spec);
    for kind in KINDS.iter().map(|k| k.1).chain(["user"]) {
        assert_ne!(one.namespace(kind), own(kind), "{kind}");
    }
}

/// [validation/linux_ns_path] ipc, mount, network, pid and uts joined by path
#[test]
fn linux_ns_path() {
    let suite = suite!();
    for (word, kind, option) in [
        ("ipc", "ipc", "--ipc"),
        ("mount", "mnt", "--mount"),
        ("network", "net", "--net"),
        ("pid", "pid", "--pid"),
        ("uts", "uts", "--uts"),
    ] {
        let other = Other::with(option, kind);
        let mut spec = suite.spec(&["wait"]);
        for entry in spec["linux"]["namespaces"].as_array_mut().unwrap() {
            if entry["type"] == word {
                entry["path"] = json!(other.path(kind));
            }
        }
        let one = suite.created(&spec);
        assert_eq!(
            one.namespace(kind),
            fs::read_link(other.path(kind)).unwrap(),
            "{word}"
        );
    }
}

/// [validation/linux_ns_path_type] a path of another type
#[test]
fn linux_ns_path_type() {
    let suite = suite!();
    for (word, wrong) in [
        ("ipc", "mnt"),
        ("mount", "net"),
        ("network", "pid"),
        ("pid", "uts"),
        ("uts", "ipc"),
    ] {
        let mut spec = suite.spec(&["wait"]);
        for entry in spec["linux"]["namespaces"].as_array_mut().unwrap() {
            if entry["type"] == word {
                entry["path"] = json!(format!("/proc/{}/ns/{wrong}", std::process::id()));
            }
        }
        suite.refuses(&spec);
    }
}

/// [validation/linux_mount_label] a label: set where the kernel has SELinux, otherwise an error or of no effect
#[test]
fn linux_mount_label() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["mountLabel"] = json!("system_u:object_r:svirt_sandbox_file_t:s0:c715,c811");
    if Path::new("/sys/fs/selinux").join("enforce").exists() {
        compare(&suite, &spec);
    } else {
        crate::runtime_md::honoured_or_refused(&suite, &spec);
    }
}

/// [validation/linux_process_apparmor_profile] a profile: entered where the kernel has AppArmor, otherwise an error
#[test]
fn linux_process_apparmor_profile() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["apparmorProfile"] = json!("acme_secure_profile");
    suite.refuses(&spec);
}

/// [validation/mounts_recursive] the recursive options hold for the mounts below a bind mount
#[test]
fn mounts_recursive() {
    let suite = suite!();
    for (option, flag) in [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnosymfollow", "nosymfollow"),
        ("rnodiratime", "nodiratime"),
    ] {
        let outer = suite.rig.path(&format!("outer-{option}"));
        fs::create_dir_all(outer.join("below")).unwrap();
        let script = format!(
            "mount -t tmpfs below {} && exec \"$@\"",
            text(&outer.join("below"))
        );
        let mut spec = suite.spec(&["cat", "/proc/self/mountinfo"]);
        let options = ["rbind", option];
        let mount =
            json!({ "destination": "/mnt", "type": "bind", "source": outer, "options": options });
        spec["mounts"].as_array_mut().unwrap().push(mount);
        let seen = crate::runtime_md::output_after(&suite, &spec, &script);
        let below = mount_at(&seen, "/mnt/below").unwrap_or_else(|| panic!("{option}: {seen}"));
        assert!(below.options.contains(&flag), "{option}: {below:?}");
    }
}
