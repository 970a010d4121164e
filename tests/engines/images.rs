//! Images from nothing: a static busybox, as a tar of its root and as an OCI archive.

use crate::host::Host;
use crate::support::*;
use cofferdam::digest::sha256_hex;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image's name everywhere.
pub const BUSYBOX: &str = "localhost/busybox:1";

/// A root of busybox and its links, as a tar.
pub fn busybox(host: &Host) -> PathBuf {
    let tar = host.shared("busybox.tar");
    if tar.exists() {
        return tar;
    }
    let root = host.shared("busybox");
    for sub in [
        "bin", "etc", "tmp", "proc", "dev", "sys", "data", "var", "run",
    ] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    let program = ["/usr/bin/busybox", "/bin/busybox"];
    let program = program.iter().find(|p| Path::new(p).exists()).unwrap();
    fs::copy(program, root.join("bin/busybox")).unwrap();
    let list = Command::new(program).arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines() {
        if applet != "busybox" {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    pack(&root, &tar);
    tar
}

/// The same as an OCI archive with one layer, named [`BUSYBOX`], whose command is `cmd`.
pub fn archive(host: &Host, cmd: &[&str]) -> PathBuf {
    let layer = fs::read(busybox(host)).unwrap();
    let layout = host.shared("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8], kind: &str| {
        let digest = sha256_hex(bytes);
        fs::write(blobs.join(&digest), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let layer = blob(&layer, "layer.v1.tar");
    let config = json!({"architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }, "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": cmd},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
    let config = blob(config.to_string().as_bytes(), "config.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let mut manifest = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
    manifest["annotations"] =
        json!({"io.containerd.image.name": BUSYBOX, "org.opencontainers.image.ref.name": "1"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let tar = host.shared("busybox-oci.tar");
    pack(&layout, &tar);
    tar
}

/// Gives Docker a tar as an image.
pub fn import(host: &Host, name: &str, tar: &Path, changes: &[&str]) {
    let mut words = vec!["docker", "import"];
    words.extend(changes.iter().flat_map(|change| ["-c", change]));
    words.extend([text(tar), name]);
    host.call(&words).ok();
}

/// A folder as a tar.
pub fn pack(root: &Path, tar: &Path) {
    let mut command = Command::new("tar");
    command.args(["-C", text(root), "--numeric-owner", "-cf", text(tar), "."]);
    finish(command).ok();
}

/// A copy of a tree that costs no space; what it is given later must replace files, never write into them.
pub fn linked(from: &Path, to: &Path) {
    let copied = |how: &str| {
        let mut command = Command::new("cp");
        command.args([how, "--no-target-directory", text(from), text(to)]);
        finish(command)
    };
    // Hard links end at a file system's edge.
    if copied("-al").code != 0 {
        let _ = fs::remove_dir_all(to);
        copied("-a").ok();
    }
}
