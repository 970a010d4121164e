//! Device nodes outside /dev: where policy lets one in, it is the device that was asked for, at that place alone, and
//! does what the device cgroup allows.

use crate::support::payload::errno_name;
use crate::support::{Rig, text, tree_hash, unique};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;

const PLACE: &str = "/srv/deep/zero";

/// Zeroes at [`PLACE`], readable and writable to all.
fn with_node(rig: &Rig) -> Value {
    let mut spec = rig.spec(&["node", PLACE]);
    spec["linux"]["devices"] =
        json!([{ "path": PLACE, "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 }]);
    spec
}

/// The payload's verb: what the node is, and what can be done with it.
pub fn look(path: &str) {
    let meta = std::fs::metadata(path).unwrap();
    let (major, minor) = (
        nix::sys::stat::major(meta.rdev()),
        nix::sys::stat::minor(meta.rdev()),
    );
    println!("{:o} {major}:{minor}", meta.mode());
    let said = |result: std::io::Result<()>| match result {
        Ok(()) => "OK".to_string(),
        Err(error) => errno_name(error.raw_os_error().unwrap_or(0)),
    };
    let mut byte = [1u8];
    let read = |mut file: std::fs::File| std::io::Read::read_exact(&mut file, &mut byte);
    println!("read {}", said(std::fs::File::open(path).and_then(read)));
    let write = |mut file: std::fs::File| std::io::Write::write_all(&mut file, b"x");
    let open = std::fs::OpenOptions::new().write(true).open(path);
    println!("write {}", said(open.and_then(write)));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    println!("chmod {}", said(std::fs::set_permissions(path, mode)));
    println!("remove {}", said(std::fs::remove_file(path)));
}

#[test]
fn by_default_there_is_no_node_outside_dev() {
    need!(Root);
    let rig = Rig::new();
    let ran = rig.create(&with_node(&rig), &unique("no"));
    ran.refused(
        1,
        &[
            "/linux/devices/0",
            "device nodes lie below /dev",
            "SS-011/8.5.1",
        ],
    );
    // Its exception is for its path.
    rig.except("8.5.1", "devices = [\"/srv/other\"]");
    rig.create(&with_node(&rig), &unique("no"))
        .refused(1, &["device nodes lie below /dev"]);
}

#[test]
fn with_an_exception_the_node_is_there_and_the_image_untouched() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.5.1", &format!("devices = [\"{PLACE}\"]"));
    let before = tree_hash(&rig.rootfs());
    let spec = with_node(&rig);
    let bundle = rig.bundle(&spec);
    let plan = rig.call(&["plan", "--engine", "--bundle", text(&bundle), "p"]);
    let line = format!("{PLACE}: the device c 1:5 (ro nosuid noexec)");
    assert!(plan.ok().contains(&line), "{plan:#?}");
    let ran = rig.through(&spec);
    let wanted = "20666 1:5\nread OK\nwrite OK\nchmod EROFS\nremove E";
    assert!(ran.ok().starts_with(wanted), "{ran:#?}");
    assert_eq!(tree_hash(&rig.rootfs()), before);
}

#[test]
fn it_does_only_what_the_device_cgroup_allows() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let mut spec = with_node(&rig);
    // A number that no driver has: what the cgroup lets through is ENXIO. The five of /dev are always let through.
    spec["linux"]["devices"][0]["major"] = json!(240);
    for (access, read, write) in [
        ("m", "ENXIO", "ENXIO"),
        ("w", "ENXIO", "EPERM"),
        ("r", "EPERM", "ENXIO"),
        ("rw", "EPERM", "EPERM"),
    ] {
        spec["linux"]["resources"]["devices"] =
            json!([{ "allow": false, "type": "c", "major": 240, "minor": 5, "access": access }]);
        let ran = rig.through(&spec);
        let wanted = format!("20666 240:5\nread {read}\nwrite {write}\n");
        assert!(ran.ok().starts_with(&wanted), "{access}: {ran:#?}");
    }
}

#[test]
fn a_node_is_put_over_nothing_but_itself() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let refused = |spec: &Value, parts: &[&str]| rig.create(spec, &unique("no")).refused(1, parts);
    let place = |path: &str| {
        let mut spec = with_node(&rig);
        spec["linux"]["devices"][0]["path"] = json!(path);
        spec
    };
    for path in ["/", "/dev", "/proc/zero", "/sys/kernel/zero"] {
        refused(
            &place(path),
            &["/linux/devices/0", "device nodes lie below /dev"],
        );
    }
    // A link to the kernel's places is no way round.
    std::os::unix::fs::symlink("/proc", rig.rootfs().join("sly")).unwrap();
    refused(&place("/sly/zero"), &["symbolic link"]);
    refused(
        &place("/etc/passwd"),
        &["/linux/devices/0", "something else there"],
    );
    refused(
        &place("/etc"),
        &["/linux/devices/0", "something else there"],
    );
    let at = rig.rootfs().join("data/node");
    let make = |minor| {
        let _ = std::fs::remove_file(&at);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        let number = nix::sys::stat::makedev(1, minor);
        nix::sys::stat::mknod(&at, nix::sys::stat::SFlag::S_IFCHR, mode, number).unwrap();
    };
    make(3);
    refused(&place("/data/node"), &["something else there"]);
    make(5);
    let mut spec = place("/data/node");
    spec["process"]["args"][2] = json!("/data/node");
    let ran = rig.through(&spec);
    assert!(ran.ok().starts_with("20666 1:5\nread OK\n"), "{ran:#?}");
    std::fs::remove_file(&at).unwrap();
    // Nothing is made in a folder of the host's.
    let volume = rig.path("volume");
    std::fs::create_dir(&volume).unwrap();
    crate::cve::add_mount(
        &mut spec,
        json!({"destination": "/data", "type": "bind", "source": volume, "options": ["bind", "rw"]}),
    );
    refused(&spec, &["/linux/devices/0", "volume at /data"]);
    assert_eq!(std::fs::read_dir(&volume).unwrap().count(), 0);
}

#[test]
fn in_a_root_that_may_be_written_it_is_there_the_second_time_too() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let mut spec = with_node(&rig);
    spec["root"]["readonly"] = json!(false);
    for _ in 0..2 {
        let ran = rig.through(&spec);
        assert!(
            ran.ok().starts_with("20666 1:5\nread OK\nwrite OK\n"),
            "{ran:#?}"
        );
        let left = std::fs::metadata(rig.rootfs().join(&PLACE[1..])).unwrap();
        assert!(left.is_file() && left.len() == 0, "{left:?}");
    }
}
