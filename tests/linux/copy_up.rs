//! tmpcopyup: memory that begins as a copy of what it covers, and what of a hostile image does not come along.

use crate::need;
use crate::support::{Alive, Rig, older_than, text, tree_hash, unique};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

fn spec(rig: &Rig, args: &[&str], options: &[&str]) -> Value {
    let mut spec = rig.spec(args);
    let mut all = vec!["tmpcopyup"];
    all.extend(options);
    let mount = json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": all});
    spec["mounts"].as_array_mut().unwrap().push(mount);
    spec
}

fn file(path: &Path, contents: &str, mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What an image may have in a folder.
fn fill(rig: &Rig) -> PathBuf {
    let data = rig.rootfs().join("data");
    fs::create_dir_all(data.join("sub/deeper")).unwrap();
    fs::set_permissions(data.join("sub"), fs::Permissions::from_mode(0o1770)).unwrap();
    file(&data.join("sub/deeper/one"), &"1\n".repeat(50_000), 0o640);
    chown(data.join("sub/deeper/one"), Some(65532), Some(7)).unwrap();
    file(&data.join("setuid"), "x", 0o6755);
    symlink("/etc/passwd", data.join("link")).unwrap();
    symlink("/", data.join("way-out")).unwrap();
    nix::unistd::mkfifo(&data.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for n in 0..300 {
        file(
            &data.join(format!("many-{n}-{}", "n".repeat(100))),
            "",
            0o644,
        );
    }
    data
}

/// From outside.
fn inside(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root/data"))
}

#[track_caller]
fn compared(seen: &Path, image: &Path) {
    let meta = |path: &str| fs::symlink_metadata(seen.join(path)).unwrap();
    let one = meta("sub/deeper/one");
    let original = fs::metadata(image.join("sub/deeper/one")).unwrap();
    assert_eq!(one.mode() & 0o7777, 0o640);
    assert_eq!(one.mtime_nsec(), original.mtime_nsec());
    assert_eq!(
        fs::read(seen.join("sub/deeper/one")).unwrap(),
        fs::read(image.join("sub/deeper/one")).unwrap()
    );
    assert_ne!(one.dev(), original.dev(), "a copy");
    assert_eq!(meta("sub").mode() & 0o7777, 0o1770);
    assert_eq!(meta("setuid").mode() & 0o7777, 0o755);
    let link = |name: &str| fs::read_link(seen.join(name)).unwrap();
    assert_eq!(link("link"), Path::new("/etc/passwd"));
    assert_eq!(link("way-out"), Path::new("/"));
    assert!(fs::symlink_metadata(seen.join("pipe")).is_err());
    assert_eq!(fs::read_dir(seen).unwrap().count(), 300 + 4);
}

#[test]
fn memory_begins_as_a_copy_of_what_it_covers() {
    need!(Root);
    let rig = Rig::new();
    let image = fill(&rig);
    let before = tree_hash(&image);
    let id = unique("up");
    rig.create(&spec(&rig, &["wait"], &["size=4m", "mode=1777"]), &id)
        .ok();
    let pid = rig.pid(&id);
    compared(&inside(pid), &image);
    let owner = fs::metadata(inside(pid).join("sub/deeper/one")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (65532, 7));
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
    // Of its own: what is written stays there, and nothing of it is executed.
    let write = spec(&rig, &["write", "/data/new", "x"], &["mode=1777"]);
    assert_eq!(rig.through(&write).ok(), "");
    let read_only = spec(&rig, &["write", "/data/new", "x"], &["mode=1777", "ro"]);
    assert_eq!(rig.through(&read_only).out, "EROFS\n");
    let reads = spec(&rig, &["cat", "/data/setuid"], &["ro"]);
    assert_eq!(rig.through(&reads).ok(), "x");
    assert_eq!(tree_hash(&image), before, "the image was touched");
}

/// In a user namespace with ids of its own.
#[test]
fn ids_are_those_that_the_image_shows() {
    need!(Root);
    if older_than(6, 3) {
        // A tmpfs, which the rig's folder may be on, can't be id-mapped before.
        return;
    }
    let rig = Rig::new();
    let image = fill(&rig);
    let bundle = rig.bundle(&spec(&rig, &["wait"], &[]));
    let name = unique("ids");
    let mut command = rig.command();
    command.args(["run", "--bundle", text(&bundle), &name]);
    let alive = Alive::spawn(command);
    let pid = rig.pid(&name);
    compared(&inside(pid), &image);
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    let first: Vec<u32> = map.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let owner = fs::metadata(inside(pid).join("sub/deeper/one")).unwrap();
    assert_eq!(owner.uid(), first[1] + 65532, "{map}");
    drop(alive);
    rig.assert_clean(&name);
}

#[test]
fn what_does_not_fit_is_an_error_and_nothing_is_left() {
    need!(Root);
    let rig = Rig::new();
    let image = fill(&rig);
    let refused = |options: &[&str], words: &[&str]| {
        let id = unique("no");
        rig.create(&spec(&rig, &["exit", "0"], options), &id)
            .refused(1, &[&["/data"], words].concat());
        rig.assert_clean(&id);
    };
    refused(&["size=64k"], &["No space left on device", "size"]);
    refused(&["nr_inodes=20"], &["No space left on device"]);
    let deep = image.join("d/".repeat(40));
    fs::create_dir_all(deep).unwrap();
    refused(&[], &["File name too long", "32 folders deep"]);
}

/// Mounts below the folder are hidden by the memory, and not read: a volume's contents do not come along.
#[test]
fn another_mount_is_not_entered() {
    need!(Root);
    let rig = Rig::new();
    let volume = rig.path("volume");
    fs::create_dir(&volume).unwrap();
    file(&volume.join("theirs"), "x", 0o644);
    let data = rig.rootfs().join("data");
    fs::create_dir(data.join("in")).unwrap();
    file(&data.join("ours"), "x", 0o644);
    let mut spec = spec(&rig, &["wait"], &[]);
    let bind = json!({"destination": "/data/in", "type": "bind", "source": volume, "options": ["rbind", "ro"]});
    let mounts = spec["mounts"].as_array_mut().unwrap();
    let at = mounts.len() - 1;
    mounts.insert(at, bind);
    let id = unique("in");
    rig.create(&spec, &id).ok();
    let seen = inside(rig.pid(&id));
    assert!(seen.join("ours").exists());
    assert!(!seen.join("in/theirs").exists());
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}
