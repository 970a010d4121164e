//! The programs of the validation suite that look from inside: each changes the config and has all of it compared.

use crate::config_process::field;
use crate::suite::{CAPABILITIES, Suite, mount_at};
use serde_json::{Value, json};
use std::fs;

const STATUS: &str = "cat:/proc/self/status";
const INFO: &str = "cat:/proc/self/mountinfo";

/// What the suite's own program inside compares, whatever the config is about.
#[track_caller]
pub fn compare(suite: &Suite, spec: &Value) -> Value {
    let mut questions = vec![
        STATUS,
        INFO,
        "env",
        "cwd",
        "args",
        "cat:/proc/sys/kernel/hostname",
        "create:/",
    ];
    questions.extend(["cat:/proc/self/limits", "cat:/proc/self/oom_score_adj"]);
    questions.extend([
        "link:/dev/fd",
        "link:/dev/stdin",
        "link:/dev/stdout",
        "link:/dev/stderr",
    ]);
    let devices = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"];
    let devices: Vec<String> = devices.iter().map(|d| format!("stat:/dev/{d}")).collect();
    questions.extend(devices.iter().map(String::as_str));
    let _ = fs::remove_file(suite.rig.rootfs().join("conformance-probe"));
    let seen = suite.inside(spec, &questions);
    let process = &spec["process"];
    assert_eq!(seen["cwd"], process["cwd"]);
    for pair in process["env"].as_array().unwrap() {
        let pair: Vec<&str> = pair.as_str().unwrap().splitn(2, '=').collect();
        assert!(
            seen["env"].as_array().unwrap().contains(&json!(pair)),
            "{pair:?}: {}",
            seen["env"]
        );
    }
    let status = &seen[STATUS];
    let uid = process["user"]["uid"].to_string();
    assert_eq!(field(status, "Uid:"), [uid.as_str(); 4].join(" "));
    let gid = process["user"]["gid"].to_string();
    assert_eq!(field(status, "Gid:"), [gid.as_str(); 4].join(" "));
    let asked = process["noNewPrivileges"].as_bool().unwrap_or(false);
    assert_eq!(
        field(status, "NoNewPrivs:") == "1",
        asked,
        "noNewPrivileges"
    );
    for (name, set) in [
        ("bounding", "CapBnd:"),
        ("permitted", "CapPrm:"),
        ("effective", "CapEff:"),
        ("inheritable", "CapInh:"),
        ("ambient", "CapAmb:"),
    ] {
        let wanted = bits(&process["capabilities"][name]);
        assert_eq!(field(status, set), format!("{wanted:016x}"), "{name}");
    }
    if let Some(name) = spec["hostname"].as_str() {
        assert_eq!(
            seen["cat:/proc/sys/kernel/hostname"]
                .as_str()
                .unwrap()
                .trim(),
            name
        );
    }
    for limit in process["rlimits"].as_array().into_iter().flatten() {
        if limit["type"] == "RLIMIT_NOFILE" {
            let wanted = format!("{} {}", limit["soft"], limit["hard"]);
            assert!(field(&seen["cat:/proc/self/limits"], "Max open files").starts_with(&wanted));
        }
    }
    if let Some(adj) = process["oomScoreAdj"].as_i64() {
        assert_eq!(
            seen["cat:/proc/self/oom_score_adj"]
                .as_str()
                .unwrap()
                .trim(),
            adj.to_string()
        );
    }
    if uid == "0" {
        let readonly = spec["root"]["readonly"].as_bool().unwrap_or(false);
        assert_eq!(seen["create:/"] == "ok", !readonly, "{}", seen["create:/"]);
    }
    for (link, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        assert_eq!(seen[format!("link:/dev/{link}")], to, "/dev/{link}");
    }
    for device in &devices {
        assert_eq!(seen[device.as_str()]["type"], "c", "{device}");
    }
    for mount in spec["mounts"].as_array().unwrap() {
        let at = mount["destination"].as_str().unwrap();
        let there = mount_at(seen[INFO].as_str().unwrap(), at)
            .unwrap_or_else(|| panic!("{at} is not mounted"));
        if mount["type"] != "bind" {
            assert_eq!(mount["type"], there.kind, "{at}");
        }
    }
    seen
}

/// A list of names as bits.
fn bits(names: &Value) -> u64 {
    let list = names.as_array().into_iter().flatten();
    list.map(|n| {
        1u64 << n
            .as_str()
            .unwrap()
            .parse::<caps::Capability>()
            .unwrap()
            .index()
    })
    .sum()
}

/// [validation/default] the config that the suite begins with, all of it
#[test]
fn default() {
    let suite = suite!();
    compare(&suite, &suite.spec(&["wait"]));
}

/// [validation/hostname] another name
#[test]
fn hostname() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["hostname"] = json!("hostname-specific");
    compare(&suite, &spec);
}

/// [validation/mounts] a further tmpfs of one page
#[test]
fn mounts() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let options = ["nosuid", "strictatime", "mode=755", "size=1k"];
    let mount =
        json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options });
    spec["mounts"].as_array_mut().unwrap().push(mount);
    compare(&suite, &spec);
}

/// [validation/process] another working directory and further variables
#[test]
fn process() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["cwd"] = json!("/tmp");
    spec["process"]["env"]
        .as_array_mut()
        .unwrap()
        .extend([json!("testa=valuea"), json!("testb=123")]);
    compare(&suite, &spec);
}

/// [validation/process_capabilities] four sets with one capability, ambient without
#[test]
fn process_capabilities() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let one = ["CAP_NET_RAW"];
    spec["process"]["capabilities"] =
        json!({ "bounding": one, "permitted": one, "effective": one });
    compare(&suite, &spec);
    assert_eq!(CAPABILITIES.len(), 14);
}

/// [validation/process_capabilities_fail] a name that no kernel has is not there inside, and the rest is
#[test]
fn process_capabilities_fail() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    for set in ["permitted", "effective", "inheritable", "ambient"] {
        spec["process"]["capabilities"][set] = json!([]);
    }
    spec["process"]["capabilities"]["bounding"] = json!(["CAP_TEST", "CAP_KILL"]);
    let one = suite.running(&spec);
    let status = std::fs::read_to_string(format!("/proc/{}/status", one.pid())).unwrap();
    assert!(status.contains("CapBnd:\t0000000000000020\n"), "{status}");
    if suite.ours() {
        let record = suite.rig.state().join(&one.id).join("record.json");
        let record = std::fs::read_to_string(record).unwrap();
        assert!(record.contains("CAP_TEST"), "{record}");
    }
}

/// [validation/process_oom_score_adj] a score
#[test]
fn process_oom_score_adj() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["oomScoreAdj"] = json!(500);
    compare(&suite, &spec);
}

/// [validation/process_rlimits] limits of several kinds
#[test]
fn process_rlimits() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let giga = 1u64 << 30;
    let kinds = ["AS", "CORE", "DATA", "FSIZE", "STACK"];
    let mut list: Vec<Value> = kinds
        .iter()
        .map(|k| json!({ "type": format!("RLIMIT_{k}"), "hard": 2 * giga, "soft": giga }))
        .collect();
    list.push(json!({ "type": "RLIMIT_NOFILE", "hard": 4000, "soft": 3000 }));
    spec["process"]["rlimits"] = json!(list);
    let seen = compare(&suite, &spec);
    assert!(
        field(&seen["cat:/proc/self/limits"], "Max address space")
            .starts_with("1073741824 2147483648")
    );
}

/// [validation/process_rlimits_fail] a kind that there is not
#[test]
fn process_rlimits_fail() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_TEST", "soft": 1024, "hard": 1024 }]);
    suite.refuses(&spec);
}

/// [validation/process_user] groups and umask of root, and another user
#[test]
fn process_user() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["user"] =
        json!({ "uid": 10, "gid": 10, "additionalGids": [5, 10], "umask": 0o022 });
    let seen = compare(&suite, &spec);
    assert_eq!(field(&seen[STATUS], "Umask:"), "0022");
    assert!(field(&seen[STATUS], "Groups:").contains('5'));
}

/// [validation/root_readonly_true] a root that can't be written
#[test]
fn root_readonly_true() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["root"]["readonly"] = json!(true);
    compare(&suite, &spec);
}

/// [validation/linux_devices] a character device, a block device and a pipe
#[test]
fn linux_devices() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["devices"] = json!([
        { "path": "/dev/test1", "type": "c", "major": 10, "minor": 666, "fileMode": 0o666, "uid": 0, "gid": 0 },
        { "path": "/dev/test2", "type": "b", "major": 8, "minor": 666, "fileMode": 0o666, "uid": 0, "gid": 0 },
        { "path": "/dev/test3", "type": "p", "major": 8, "minor": 666, "fileMode": 0o666, "uid": 0, "gid": 0 },
    ]);
    compare(&suite, &spec);
    let seen = suite.inside(
        &spec,
        &["stat:/dev/test1", "stat:/dev/test2", "stat:/dev/test3"],
    );
    for (at, kind) in [("1", "c"), ("2", "b"), ("3", "p")] {
        let there = &seen[format!("stat:/dev/test{at}")];
        assert_eq!(
            (&there["type"], &there["mode"]),
            (&json!(kind), &json!(0o666)),
            "{there}"
        );
        assert!(kind == "p" || there["minor"] == 666, "{there}");
    }
}

/// [validation/linux_sysctl] a parameter of the network namespace
#[test]
fn linux_sysctl() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
    compare(&suite, &spec);
    let seen = suite.inside(&spec, &["cat:/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(seen["cat:/proc/sys/net/ipv4/ip_forward"], "1\n");
}

/// [validation/linux_seccomp] a call that fails beside calls that do not
#[test]
fn linux_seccomp() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["getcwd"], "action": "SCMP_ACT_ERRNO" }],
    });
    let seen = suite.inside(&spec, &["cwd", STATUS]);
    assert_eq!(
        (
            seen["cwd"].as_str(),
            field(&seen[STATUS], "NoNewPrivs:").as_str()
        ),
        (Some("EPERM"), "0")
    );
}

/// [validation/linux_masked_paths] files and folders of the root, and a link's target
#[test]
fn linux_masked_paths() {
    let suite = suite!();
    let root = suite.rig.rootfs();
    fs::create_dir_all(root.join("masked-dir/sub")).unwrap();
    fs::write(root.join("masked-file"), "secret").unwrap();
    fs::write(root.join("masked-dir/sub/file"), "secret").unwrap();
    std::os::unix::fs::symlink("masked-file", root.join("masked-link")).unwrap();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["maskedPaths"] = json!(["/masked-dir", "/masked-file"]);
    compare(&suite, &spec);
    let seen = suite.inside(
        &spec,
        &["read:/masked-dir", "read:/masked-file", "read:/masked-link"],
    );
    assert!(seen.as_object().unwrap().values().all(|v| v == 0), "{seen}");
}

/// [validation/linux_readonly_paths] files and folders of the root
#[test]
fn linux_readonly_paths() {
    let suite = suite!();
    let root = suite.rig.rootfs();
    fs::create_dir_all(root.join("readonly-dir/sub")).unwrap();
    fs::write(root.join("readonly-file"), "text").unwrap();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["readonlyPaths"] = json!(["/readonly-dir", "/readonly-file"]);
    compare(&suite, &spec);
    let seen = suite.inside(
        &spec,
        &[
            "create:/readonly-dir",
            "create:/readonly-dir/sub",
            "write:/readonly-file=x",
        ],
    );
    assert!(
        seen.as_object().unwrap().values().all(|v| v == "EROFS"),
        "{seen}"
    );
}

/// [validation/linux_rootfs_propagation] a privileged container with each propagation
#[test]
fn linux_rootfs_propagation() {
    let suite = suite!();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = u64::from_str_radix(&field(&json!(own), "CapBnd:"), 16).unwrap();
    let all: Vec<String> = caps::all()
        .iter()
        .filter(|c| bounding & (1 << c.index()) != 0)
        .map(ToString::to_string)
        .collect();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["capabilities"] = json!({ "bounding": all, "permitted": all, "effective": all, "inheritable": all, "ambient": all });
    for mode in ["shared", "slave", "private", "unbindable"] {
        spec["linux"]["rootfsPropagation"] = json!(mode);
        compare(&suite, &spec);
    }
}

/// [validation/linux_uid_mappings] a user namespace with a range of users
#[test]
fn linux_uid_mappings() {
    let suite = suite!();
    let seen = crate::linux_md::mapped(&suite);
    let words: Vec<&str> = seen["cat:/proc/self/uid_map"]
        .as_str()
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(words, ["0", "100000", "1000"]);
}

/// [validation/linux_gid_mappings] a user namespace with a range of groups
#[test]
fn linux_gid_mappings() {
    let suite = suite!();
    let seen = crate::linux_md::mapped(&suite);
    let words: Vec<&str> = seen["cat:/proc/self/gid_map"]
        .as_str()
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(words, ["0", "100000", "1000"]);
}
