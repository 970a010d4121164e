//! Mount points behind symbolic links of the image that lead nowhere: made where the link says, inside the root.

use crate::need;
use crate::support::{Rig, text};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn a_mount_point_behind_a_link_to_nowhere_is_made_where_it_leads() {
    need!(Root);
    let rig = Rig::new();
    let (file, folder) = (rig.path("file"), rig.path("folder"));
    fs::write(&file, "nameserver 10.0.0.1\n").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("in"), "in the folder\n").unwrap();
    let etc = rig.rootfs().join("etc");
    fs::create_dir_all(rig.rootfs().join("var")).unwrap();
    // As in images that come from a running system; climbing out of the root ends at the root.
    for (name, to) in [
        ("resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
        ("absolute", "/nowhere/at/all"),
        ("climbs", "../../../../../tmp/climbed"),
        ("twice", "resolv2"),
        ("resolv2", "/var/./deep//er/file"),
    ] {
        symlink(to, etc.join(name)).unwrap();
    }
    symlink("../gone/folder", etc.join("linked")).unwrap();
    for (target, real) in [
        ("/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
        ("/etc/absolute", "/nowhere/at/all"),
        ("/etc/climbs", "/tmp/climbed"),
        ("/etc/twice", "/var/deep/er/file"),
    ] {
        let volume = format!("{}:{target}", text(&file));
        let ran = rig.run(&["-v", &volume], &["cat", target, real]);
        assert_eq!(ran.ok(), "nameserver 10.0.0.1\n".repeat(2), "{target}");
    }
    let volume = format!("{}:/etc/linked/below", text(&folder));
    let ran = rig.run(&["-v", &volume], &["cat", "/gone/folder/below/in"]);
    assert_eq!(ran.ok(), "in the folder\n");
    // Below something of ours that can still get it.
    let volume = format!("{}:/etc/climbs", text(&file));
    let ran = rig.run(
        &["--tmpfs", "/tmp:64k", "-v", &volume],
        &["cat", "/etc/climbs"],
    );
    assert_eq!(ran.ok(), "nameserver 10.0.0.1\n");
    let made: Vec<_> = ["run", "nowhere", "gone", "tmp/climbed"]
        .iter()
        .filter(|p| rig.rootfs().join(p).exists())
        .collect();
    assert!(made.is_empty(), "made in the image: {made:?}");
}

/// An overlay of two layers can't be written: what is granted must be there.
#[test]
fn what_a_writable_root_lacks_is_made_in_it() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.7", "writable_root = true");
    let (file, root) = (rig.path("file"), rig.rootfs());
    fs::write(&file, "from the host\n").unwrap();
    symlink("../../../gone/place", root.join("etc/out")).unwrap();
    let mut spec = rig.spec(&["write", "/new", "x"]);
    spec["process"]["user"] = json!({"uid": 0, "gid": 0});
    spec["root"]["readonly"] = json!(false);
    let mounts = spec["mounts"].as_array_mut().unwrap();
    for target in ["/lacks/deep/folder", "/etc/out"] {
        mounts.push(json!({"destination": target, "type": "tmpfs", "options": ["size=64k"]}));
    }
    mounts.push(
        json!({"destination": "/lacks/file", "type": "bind", "source": file, "options": ["bind", "ro"]}),
    );
    for _ in 0..2 {
        rig.through(&spec).ok();
        assert_eq!(fs::read_to_string(root.join("new")).unwrap(), "x");
    }
    for (made, mode) in [
        ("lacks/deep/folder", 0o755),
        ("gone/place", 0o755),
        ("lacks/file", 0o644),
    ] {
        let meta = fs::symlink_metadata(root.join(made)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, mode, "{made}");
    }
    spec["process"]["args"] = json!(["/payload", "cat", "/lacks/file"]);
    assert_eq!(rig.through(&spec).ok(), "from the host\n");
    assert_eq!(fs::read_to_string(root.join("lacks/file")).unwrap(), "");
}

#[test]
fn links_into_the_kernels_places_and_loops_are_refused() {
    need!(Root);
    let rig = Rig::new();
    let file = rig.path("file");
    fs::write(&file, "x").unwrap();
    let etc = rig.rootfs().join("etc");
    for (name, to, words) in [
        ("dev", "/dev/nothing", "symbolic link"),
        ("proc", "../proc/nothing", "symbolic link"),
        ("loop", "loop", "symbolic links"),
        ("file", "passwd/below", "Not a directory"),
    ] {
        symlink(to, etc.join(name)).unwrap();
        let volume = format!("{}:/etc/{name}", text(&file));
        rig.run(&["-v", &volume], &["exit", "0"])
            .refused(125, &[words]);
    }
}
