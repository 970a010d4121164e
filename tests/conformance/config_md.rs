//! config.md: version, root, mounts and their options, hostname, annotations, unknown properties, invalid values.

use crate::suite::{Suite, mount_at};
use crate::support::{text, unique};
use serde_json::{Value, json};
use std::fs;

fn with_mount(suite: &Suite, mount: Value) -> Value {
    let mut spec = suite.spec(&["wait"]);
    spec["mounts"].as_array_mut().unwrap().push(mount);
    spec
}

fn mountinfo(suite: &Suite, spec: &Value) -> String {
    let seen = suite.inside(spec, &["cat:/proc/self/mountinfo"]);
    seen["cat:/proc/self/mountinfo"].as_str().unwrap().into()
}

fn volume(suite: &Suite) -> std::path::PathBuf {
    let dir = suite.rig.path(&unique("volume"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "mine").unwrap();
    dir
}

/// [config.md § Specification version] a version that is not semantic is an error; any 1.x is taken
#[test]
fn versions_are_semantic() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    for wrong in ["invalid", "1.0", ""] {
        spec["ociVersion"] = json!(wrong);
        suite.refuses(&spec);
    }
    for right in ["1.0.0", "1.0.2-dev", "1.2.1"] {
        spec["ociVersion"] = json!(right);
        suite.created(&spec);
    }
}

/// [config.md § Root] root.path names a folder that is there
#[test]
fn the_root_is_there() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["root"]["path"] = json!(suite.rig.path("absent"));
    suite.refuses(&spec);
    spec.as_object_mut().unwrap().remove("root");
    suite.refuses(&spec);
}

/// [config.md § Root] a read-only root can't be written, any other can
#[test]
fn a_root_is_read_only_when_it_says_so() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    assert_eq!(suite.inside(&spec, &["create:/"])["create:/"], "ok");
    spec["root"]["readonly"] = json!(true);
    assert_eq!(
        suite.inside(&spec, &["create:/etc"])["create:/etc"],
        "EROFS"
    );
}

/// [config.md § Mounts] entries are mounted in the listed order
#[test]
fn mounts_are_in_order() {
    let suite = suite!();
    let dir = volume(&suite);
    let mut spec = with_mount(
        &suite,
        json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs" }),
    );
    let list = spec["mounts"].as_array_mut().unwrap();
    list.push(
        json!({ "destination": "/mnt/below", "type": "bind", "source": dir, "options": ["bind"] }),
    );
    let seen = suite.inside(&spec, &["cat:/mnt/below/file", "ls:/mnt"]);
    assert_eq!(
        (&seen["cat:/mnt/below/file"], &seen["ls:/mnt"]),
        (&json!("mine"), &json!(["below"]))
    );
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "destination": "/mnt", "type": "tmpfs", "source": "over" }));
    assert_eq!(
        suite.inside(&spec, &["ls:/mnt"])["ls:/mnt"],
        json!([]),
        "the later lies on top"
    );
}

/// [config.md § Mounts] a relative destination is relative to the root
#[test]
fn a_relative_destination_begins_at_the_root() {
    let suite = suite!();
    let spec = with_mount(
        &suite,
        json!({ "destination": "mnt", "type": "tmpfs", "source": "tmpfs" }),
    );
    assert_eq!(
        mount_at(&mountinfo(&suite, &spec), "/mnt").unwrap().kind,
        "tmpfs"
    );
}

/// [config.md § Mounts] a bind mount's source is absolute or relative to the bundle; bind or rbind makes it one
#[test]
fn a_source_is_relative_to_the_bundle() {
    let suite = suite!();
    for option in ["bind", "rbind"] {
        let mount = json!({ "destination": "/mnt", "source": "beside", "options": [option] });
        let mut spec = with_mount(&suite, mount);
        spec["process"]["args"] = json!(["/payload", "cat", "/mnt/file"]);
        let bundle = suite.bundle(&spec);
        fs::create_dir(bundle.join("beside")).unwrap();
        fs::write(bundle.join("beside/file"), "mine").unwrap();
        let id = unique("beside");
        suite.create_from(&bundle, &id).ok();
        suite.call(&["delete", "--force", &id]).ok();
    }
}

/// [config.md § Mounts] without a source and without options a file system is mounted all the same
#[test]
fn a_source_is_optional() {
    let suite = suite!();
    let spec = with_mount(&suite, json!({ "destination": "/mnt", "type": "tmpfs" }));
    assert_eq!(
        mount_at(&mountinfo(&suite, &spec), "/mnt").unwrap().kind,
        "tmpfs"
    );
}

/// [config.md § Linux mount options] ro, nosuid, nodev, noexec and their opposites
#[test]
fn flags_of_a_mount() {
    let suite = suite!();
    let dir = volume(&suite);
    let bind = |options: &[&str]| {
        let mut all = vec!["bind"];
        all.extend(options);
        with_mount(
            &suite,
            json!({ "destination": "/mnt", "type": "bind", "source": dir, "options": all }),
        )
    };
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        let seen = mountinfo(&suite, &bind(&[flag]));
        assert!(
            mount_at(&seen, "/mnt").unwrap().options.contains(&flag),
            "{flag}: {seen}"
        );
    }
    for (flag, opposite) in [
        ("ro", "rw"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("noexec", "exec"),
    ] {
        let seen = mountinfo(&suite, &bind(&[flag, opposite]));
        assert!(
            !mount_at(&seen, "/mnt").unwrap().options.contains(&flag),
            "{opposite}: {seen}"
        );
    }
}

/// [config.md § Linux mount options] access times: noatime, nodiratime, relatime, strictatime, atime and the no forms
#[test]
fn access_times_of_a_mount() {
    let suite = suite!();
    let tmpfs = |options: &[&str]| {
        with_mount(
            &suite,
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": options }),
        )
    };
    for flag in ["noatime", "relatime", "nodiratime"] {
        let seen = mountinfo(&suite, &tmpfs(&[flag]));
        assert!(
            mount_at(&seen, "/mnt").unwrap().options.contains(&flag),
            "{flag}: {seen}"
        );
    }
    let seen = mountinfo(&suite, &tmpfs(&["strictatime"]));
    let options = mount_at(&seen, "/mnt").unwrap().options;
    assert!(
        !options.contains(&"relatime") && !options.contains(&"noatime"),
        "{options:?}"
    );
    for flag in ["atime", "diratime", "norelatime", "nostrictatime"] {
        suite.created(&tmpfs(&[flag]));
    }
}

/// [config.md § Linux mount options] async, sync, dirsync, lazytime, iversion, silent, loud, defaults and remount are known
#[test]
fn the_other_options_are_known() {
    let suite = suite!();
    for option in [
        "async",
        "defaults",
        "dirsync",
        "iversion",
        "lazytime",
        "loud",
        "noiversion",
        "nolazytime",
        "silent",
        "sync",
        "rw",
    ] {
        let mount =
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": [option] });
        suite.created(&with_mount(&suite, mount));
    }
    let mut spec = with_mount(
        &suite,
        json!({ "destination": "/mnt", "type": "tmpfs", "source": "t" }),
    );
    let again = json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": ["remount", "ro"] });
    spec["mounts"].as_array_mut().unwrap().push(again);
    let seen = mountinfo(&suite, &spec);
    let mount = mount_at(&seen, "/mnt").unwrap();
    assert!(
        mount.options.contains(&"ro") || mount.super_options.contains(&"ro"),
        "{mount:?}"
    );
}

/// [config.md § Linux mount options] sync, dirsync and lazytime are in force on the file system
#[test]
fn synchronous_writes() {
    let suite = suite!();
    for option in ["sync", "dirsync", "lazytime"] {
        let mount =
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": [option] });
        let seen = mountinfo(&suite, &with_mount(&suite, mount));
        assert!(
            mount_at(&seen, "/mnt")
                .unwrap()
                .super_options
                .contains(&option),
            "{option}: {seen}"
        );
    }
}

/// [config.md § Linux mount options] private, slave, shared, unbindable and their recursive forms
#[test]
fn propagation_of_a_mount() {
    let suite = suite!();
    let dir = volume(&suite);
    for option in [
        "private",
        "rprivate",
        "slave",
        "rslave",
        "shared",
        "rshared",
        "unbindable",
        "runbindable",
    ] {
        let mount = json!({ "destination": "/mnt", "type": "bind", "source": dir, "options": ["rbind", option] });
        let seen = mountinfo(&suite, &with_mount(&suite, mount));
        let found = mount_at(&seen, "/mnt").unwrap().propagation.join(" ");
        let wanted = match option.trim_start_matches('r') {
            "shared" => "shared:",
            "unbindable" => "unbindable",
            _ => "",
        };
        assert!(found.contains(wanted), "{option}: {found:?}");
        assert_eq!(
            found.contains("shared:"),
            wanted == "shared:",
            "{option}: {found:?}"
        );
    }
}

/// [config.md § Linux mount options] rro and its kin hold for the mounts below, too
#[test]
fn recursive_flags() {
    let suite = suite!();
    let outer = volume(&suite);
    fs::create_dir(outer.join("below")).unwrap();
    let script = format!(
        "mount -t tmpfs below {} && exec \"$@\"",
        text(&outer.join("below"))
    );
    let mount = json!({ "destination": "/mnt", "type": "bind", "source": outer, "options": ["rbind", "rro"] });
    let mut spec = with_mount(&suite, mount);
    spec["process"]["args"] = json!(["/payload", "look", "create:/mnt/below"]);
    let seen = crate::runtime_md::output_after(&suite, &spec, &script);
    assert!(seen.contains("EROFS"), "{seen}");
}

/// [config.md § Linux mount options] an option that the runtime does not know goes to the file system
#[test]
fn unknown_options_are_the_file_systems() {
    let suite = suite!();
    let options = ["size=1m", "nr_inodes=64", "mode=711", "uid=7", "gid=8"];
    let mount =
        json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": options });
    let seen = suite.inside(
        &with_mount(&suite, mount),
        &["stat:/mnt", "cat:/proc/self/mountinfo"],
    );
    let at = &seen["stat:/mnt"];
    assert_eq!(
        (&at["mode"], &at["uid"], &at["gid"]),
        (&json!(0o711), &json!(7), &json!(8))
    );
    let info = seen["cat:/proc/self/mountinfo"].as_str().unwrap();
    assert!(
        mount_at(info, "/mnt")
            .unwrap()
            .super_options
            .contains(&"size=1024k"),
        "{info}"
    );
    let nonsense =
        json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": ["nonsense=1"] });
    suite.refuses(&with_mount(&suite, nonsense));
}

/// [config.md § Linux mount options] idmap without mappings and without a user namespace is an error
#[test]
fn idmap_needs_mappings() {
    let suite = suite!();
    let dir = volume(&suite);
    for option in ["idmap", "ridmap"] {
        let mount = json!({ "destination": "/mnt", "type": "bind", "source": dir, "options": ["bind", option] });
        suite.refuses(&with_mount(&suite, mount));
    }
}

/// [config.md § Linux mount options] a mount's own mappings are used for it
#[test]
fn a_mount_has_mappings_of_its_own() {
    let suite = suite!();
    let dir = volume(&suite);
    let maps = json!([{ "containerID": 0, "hostID": 4000, "size": 100 }]);
    let mount = json!({
        "destination": "/mnt", "type": "bind", "source": dir, "options": ["bind", "idmap"],
        "uidMappings": maps, "gidMappings": maps,
    });
    let seen = suite.inside(&with_mount(&suite, mount), &["stat:/mnt/file"]);
    assert_eq!(seen["stat:/mnt/file"]["uid"], 4000, "root's file on disk");
}

/// [config.md § POSIX-platform Mounts] uidMappings and gidMappings come together
#[test]
fn mappings_come_in_pairs() {
    let suite = suite!();
    let dir = volume(&suite);
    let mount = json!({
        "destination": "/mnt", "type": "bind", "source": dir, "options": ["bind", "idmap"],
        "uidMappings": [{ "containerID": 0, "hostID": 4000, "size": 100 }],
    });
    suite.refuses(&with_mount(&suite, mount));
}

/// [config.md § Hostname] it is what the program sees
#[test]
fn the_hostname_is_set() {
    let suite = suite!();
    let seen = suite.inside(&suite.spec(&["wait"]), &["cat:/proc/sys/kernel/hostname"]);
    assert_eq!(seen["cat:/proc/sys/kernel/hostname"], "mrsdalloway\n");
}

/// [config.md § Domainname] it is what the program sees
#[test]
fn the_domainname_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["domainname"] = json!("foobarbaz.test");
    let seen = suite.inside(&spec, &["cat:/proc/sys/kernel/domainname"]);
    assert_eq!(seen["cat:/proc/sys/kernel/domainname"], "foobarbaz.test\n");
}

/// [config.md § Annotations] unknown keys are no error, and values may be empty
#[test]
fn unknown_annotations_are_no_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["annotations"] = json!({ "org.some.unknown": "", "x": "y" });
    suite.created(&spec);
}

/// [config.md § Annotations] they are a map of strings to strings
#[test]
fn annotations_are_strings() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    for wrong in [json!({ "key": 1 }), json!(["key"]), json!("key")] {
        spec["annotations"] = wrong;
        suite.refuses(&spec);
    }
}

/// [config.md § Annotations] a key is not empty
#[test]
fn annotation_keys_are_not_empty() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["annotations"] = json!({ "": "nothing" });
    suite.refuses(&spec);
}

/// [config.md § Extensibility] unknown properties are ignored
#[test]
fn unknown_properties_are_ignored() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["unknown"] = json!("unknown");
    spec["process"]["unknown"] = json!({ "deep": [1] });
    spec["linux"]["resources"]["unknown"] = json!(1);
    spec["mounts"][0]["unknown"] = json!(true);
    suite.created(&spec);
}

/// [config.md § Valid values] invalid and unsupported values are errors
#[test]
fn invalid_values_are_errors() {
    let suite = suite!();
    let good = suite.spec(&["wait"]);
    for (pointer, value) in [
        ("/process/cwd", json!(7)),
        ("/linux/namespaces/0/type", json!("nonsense")),
        ("/process/user/uid", json!("root")),
        ("/mounts/0/type", json!("nonsensefs")),
        ("/root/readonly", json!("yes")),
    ] {
        let mut spec = good.clone();
        match spec.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => spec["root"]["readonly"] = value,
        }
        suite.refuses(&spec);
    }
}
