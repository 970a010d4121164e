//! Launcher vulnerabilities by their number: the trap of each advisory, and why it does not shut here.
//!
//! Where policy refuses the trap before anything is done, a second part gets it past policy (through the image,
//! which policy does not read, or by an exception), so that the mechanism below is tried as well.

use crate::support::*;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn status<'a>(text: &'a str, field: &str) -> &'a str {
    let line = text.lines().find_map(|l| l.strip_prefix(field));
    line.unwrap_or_else(|| panic!("no {field} in {text}"))
        .trim()
}

fn bind(source: &Path, target: &str) -> Value {
    json!({"destination": target, "type": "bind", "source": source, "options": ["bind", "ro"]})
}

pub fn add_mount(spec: &mut Value, mount: Value) {
    spec["mounts"].as_array_mut().unwrap().push(mount);
}

fn host_core_pattern() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/core_pattern").ok()
}

/// Replaces something of the root by a link.
fn relink(rig: &Rig, name: &str, to: &Path) {
    let at = rig.rootfs().join(name);
    let _ = fs::remove_dir(&at).or_else(|_| fs::remove_file(&at));
    symlink(to, at).unwrap();
}

/// libcontainer: volumes over /proc, a writable /proc, a root that is a link.
#[test]
fn cve_2015_3627_3629_3630_3631_volumes_over_proc() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    for target in [
        "/proc/self",
        "/proc/sys",
        "/proc/1/attr",
        "/proc/sysrq-trigger",
        "/sys/kernel",
        "/",
    ] {
        let mut spec = rig.spec(&["exit", "0"]);
        add_mount(&mut spec, bind(&canary.dir, target));
        rig.create(&spec, &unique("c"))
            .refused(1, &["SS-011/8.4.5", "/mounts/1/destination"]);
        rig.run_bundle(&spec)
            .refused(125, &["SS-011/8.4.5", "nothing is mounted over or below"]);
    }
    // A root that is a link is the folder it points to, and nothing is made in it.
    let link = rig.path("link");
    symlink(&canary.dir, &link).unwrap();
    let ran = rig.call(&[
        "run",
        "--rootfs",
        text(&link),
        &unique("t"),
        "--",
        "/payload",
    ]);
    ran.refused(127, &["/payload"]);
    canary.assert_alive();
}

/// runc, docker: `USER 1000` looked up as a name in the image.
#[test]
fn cve_2016_3697_numeric_user_is_never_a_name() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let ran = rig.run(
        &["--user", "1000"],
        &["cat", "/proc/self/status", "/etc/passwd"],
    );
    assert_eq!(status(ran.ok(), "Uid:"), "1000\t1000\t1000\t1000");
    assert!(
        ran.out.contains("1000:x:0:0"),
        "the trap is not set: {ran:?}"
    );
    rig.run(&["--user", "root"], &[])
        .refused_as_usage(&["root", "plain numbers"]);
}

/// runc, docker, crun, youki: inheritable and ambient capabilities survive into the program.
#[test]
fn cve_2016_8867_2022_24769_29162_27650_2025_27612_no_inheritable_capabilities() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let mut spec = rig.spec(&["threads"]);
    let asked = json!(["CAP_CHOWN", "CAP_NET_RAW", "CAP_SETUID"]);
    for set in [
        "bounding",
        "effective",
        "permitted",
        "inheritable",
        "ambient",
    ] {
        spec["process"]["capabilities"][set] = asked.clone();
    }
    let none = "0000000000000000";
    let ran = rig.through(&spec);
    let mut threads = 0;
    for text in ran.ok().split("--\n").filter(|t| !t.is_empty()) {
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(status(text, set), none, "{set} {ran:#?}");
        }
        assert_eq!(status(text, "NoNewPrivs:"), "1");
        threads += 1;
    }
    assert_eq!(threads, 3, "{ran:#?}");
    // Below policy: a capability by exception is in the whitelist, and still not inheritable or ambient.
    rig.except("8.1.5", "capabilities = [\"CHOWN\"]");
    let ran = rig.through(&spec);
    let first = ran.ok().split("--\n").next().unwrap();
    assert_eq!(status(first, "CapBnd:"), "0000000000000001");
    assert_eq!(status(first, "CapInh:"), none);
    assert_eq!(status(first, "CapAmb:"), none);
}

/// A set-user-id root program of the image gains nothing (B12).
#[test]
fn set_user_id_programs_of_the_image_gain_nothing() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let program = rig.rootfs().join("payload");
    fs::remove_file(&program).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    for ran in [
        rig.run(&[], &["cat", "/proc/self/status"]),
        rig.through(&rig.spec(&["cat", "/proc/self/status"])),
    ] {
        assert_eq!(status(ran.ok(), "Uid:"), "65532\t65532\t65532\t65532");
        assert_eq!(status(&ran.out, "Gid:"), "65532\t65532\t65532\t65532");
        assert_eq!(status(&ran.out, "CapEff:"), "0000000000000000");
    }
}

/// runc: a process of the container traces the launcher's half-built child and takes its descriptors.
#[test]
fn cve_2016_9962_not_dumpable_and_no_descriptors() {
    need!(Root, Landlock);
    let rig = Rig::new();
    // Something that a launcher would leak: an open host folder without close-on-exec.
    let dir = fs::File::open("/").unwrap();
    nix::fcntl::fcntl(
        &dir,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let id = unique("c");
    rig.create(&rig.spec(&["fds"]), &id).ok();
    let pid = rig.pid(&id);
    // The waiting child runs as 65532 on this host: a process of the same user may not look into it.
    for (verb, target) in [
        ("ls", "fd"),
        ("cat", "mem"),
        ("cat", "exe"),
        ("cat", "environ"),
        ("ls", "root"),
        ("ls", "cwd"),
    ] {
        let mut peer = Command::new(rig.rootfs().join("payload"));
        peer.args([verb, &format!("/proc/{pid}/{target}")])
            .uid(65532)
            .gid(65532);
        let ran = finish(peer);
        assert!(
            ["EACCES\n", "EPERM\n"].contains(&ran.out.as_str()),
            "{target}: {ran:?}"
        );
        assert_eq!(ran.code, 1);
    }
    let mut tracer = Command::new(rig.rootfs().join("payload"));
    tracer
        .args(["trace", &pid.to_string()])
        .uid(65532)
        .gid(65532);
    assert_eq!(finish(tracer).out, "EPERM\n");
    rig.call(&["delete", "--force", &id]).ok();
    // What the program itself has: three streams, and the folder it is reading them from.
    for ran in [rig.run(&[], &["fds"]), rig.through(&rig.spec(&["fds"]))] {
        assert_eq!(ran.ok(), "0\n1\n2\n", "{ran:?}");
    }
    drop(dir);
}

/// runc and others: the container overwrites the launcher's binary by /proc/self/exe.
#[test]
fn cve_2019_5736_the_launcher_is_not_reachable_as_exe() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let root = rig.rootfs();
    let script = |name: &str, text: &str| {
        fs::write(root.join(name), text).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("direct", "#!/proc/self/exe\n");
    script("chained", "#!/direct\n");
    symlink("/proc/self/exe", root.join("linked")).unwrap();
    symlink("/proc/1/exe", root.join("first")).unwrap();
    for program in [
        "/proc/self/exe",
        "/proc/1/exe",
        "/proc/self/root/payload",
        "/proc/thread-self/exe",
        "/x/../proc/self/exe",
    ] {
        let mut spec = rig.spec(&[]);
        spec["process"]["args"][0] = json!(program);
        rig.create(&spec, &unique("c"))
            .refused(1, &["/process/args/0", "SS-011/8.4.7"]);
    }
    // Below policy: the image leads there.
    for program in ["/direct", "/chained", "/linked", "/first"] {
        let ran = rig.call(&["run", "--rootfs", text(&root), &unique("t"), "--", program]);
        assert!([126, 127].contains(&ran.code), "{program}: {ran:#?}");
        assert!(ran.err.contains("exec:") && ran.out.is_empty(), "{ran:#?}");
        canary.assert_alive();
    }
    // The LD_PRELOAD variant: code that runs in whatever is started. The launcher is static and never started
    // inside; the program itself can open neither its own file nor the launcher's for writing.
    fs::write(root.join("evil.so"), "not a library").unwrap();
    let ran = rig.run(
        &["--env", "LD_PRELOAD=/evil.so", "--env", "LD_LIBRARY_PATH=/"],
        &["attempts", "file/write-launcher", "file/write-program"],
    );
    assert!(!ran.ok().contains("OK"), "{ran:?}");
    let mut command = rig.run_command(&unique("t"), &[], &["exit", "7"]);
    command.env("LD_PRELOAD", root.join("evil.so"));
    assert_eq!(finish(command).code, 7);
    // A created container waits as a process of the launcher's binary: nobody of its user may open that.
    let id = unique("c");
    rig.create(&rig.spec(&["exit", "0"]), &id).ok();
    let pid = rig.pid(&id);
    let mut peer = Command::new(root.join("payload"));
    peer.args(["write", &format!("/proc/{pid}/exe"), "owned"])
        .uid(65532)
        .gid(65532);
    assert_eq!(finish(peer).out, "EACCES\n");
    rig.call(&["delete", "--force", &id]).ok();
    canary.assert_alive();
}

/// runc, crun, youki: /proc or /sys of the image is a link or covered by a volume.
#[test]
fn cve_2019_16884_19921_2023_27561_28642_2025_54867_proc_is_the_kernels() {
    need!(Root, Landlock);
    for (place, to) in [
        ("proc", "/data"),
        ("proc", "../canary"),
        ("dev", "/data"),
        ("proc", "data/proc"),
    ] {
        let rig = Rig::new();
        let canary = Canary::plant(&rig);
        relink(&rig, place, Path::new(to));
        let before = tree_hash(&rig.rootfs());
        let wanted = [format!("/{place}"), "symbolic link".into()];
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        rig.create(&rig.spec(&["exit", "0"]), &unique("c"))
            .refused(1, &wanted);
        rig.run(&[], &["exit", "0"]).refused(125, &wanted);
        assert_eq!(tree_hash(&rig.rootfs()), before);
        canary.assert_alive();
    }
    // A volume of the image's over /proc, as the image's config or another container's volume would have it.
    let rig = Rig::new();
    let fake = rig.path("fake");
    fs::create_dir_all(fake.join("self/attr")).unwrap();
    fs::write(fake.join("self/attr/exec"), "").unwrap();
    let mut spec = rig.spec(&["exit", "0"]);
    spec["mounts"][0] = bind(&fake, "/proc");
    rig.create(&spec, &unique("c"))
        .refused(1, &["SS-011/8.4.5", "/mounts/0/destination"]);
    // A label that can't be set on this machine is an error and not a container without it.
    let mut spec = rig.spec(&["exit", "0"]);
    spec["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0");
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        rig.create(&spec, &unique("c"))
            .refused(1, &["/process/selinuxLabel"]);
    }
}

/// runc: 70 KiB strings and 64 Ki id maps wrap a 16-bit length.
#[test]
fn cve_2021_43784_lengths_do_not_wrap() {
    need!(Root);
    let rig = Rig::new();
    let long = "a".repeat(70 << 10);
    let mut spec = rig.spec(&["exit", "0"]);
    add_mount(
        &mut spec,
        json!({"destination": "/data", "type": "bind", "source": format!("/{long}"), "options": ["bind"]}),
    );
    rig.create(&spec, &unique("c"))
        .refused(1, &["/mounts/1/source"]);
    let mut spec = rig.spec(&["exit", "0"]);
    add_mount(
        &mut spec,
        json!({"destination": format!("/{long}"), "type": "tmpfs"}),
    );
    rig.create(&spec, &unique("c"))
        .refused(1, &["/mounts/1/destination"]);
    let mut spec = rig.spec(&["exit", "0"]);
    let one = json!({"containerID": 0, "hostID": 0, "size": 1});
    spec["linux"]["uidMappings"] = Value::Array(vec![one; 20_000]);
    let bundle = rig.raw_bundle(spec.to_string().as_bytes());
    rig.call(&["create", "--bundle", text(&bundle), &unique("c")])
        .refused(1, &["/linux/uidMappings"]);
}

/// runc: a device list without a deny-all is a blacklist.
#[test]
fn ghsa_g54h_m393_cpwq_devices_are_a_whitelist() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let mut spec = rig.spec(&["devices"]);
    spec["process"]["user"] = json!({"uid": 0, "gid": 0});
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
    }
    add_mount(
        &mut spec,
        json!({"destination": "/tmp", "type": "tmpfs", "options": ["mode=1777"]}),
    );
    for devices in [
        json!([]),
        json!([{"allow": false, "type": "b", "major": 8, "minor": 0, "access": "rwm"}]),
        json!([{"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rwm"}]),
    ] {
        spec["linux"]["resources"]["devices"] = devices.clone();
        let ran = rig.through(&spec);
        let made: Vec<&str> = ran.ok().lines().filter(|l| !l.ends_with("EPERM")).collect();
        // A listed device may be made; every other attempt ends in the device cgroup.
        let allowed = devices.to_string().contains("200");
        let wanted: Vec<&str> = if allowed { vec!["c 10:200 OK"] } else { vec![] };
        assert_eq!(made, wanted, "{devices}: {ran:#?}");
        assert!(ran.out.lines().count() > 50, "{ran:#?}");
    }
}

/// runc rootless, kernel: a writable cgroup file system, release_agent.
#[test]
fn cve_2023_25809_2022_0492_cgroups_are_read_only_or_absent() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let ran = rig.run(&[], &["find", "release_agent", "cgroup.procs"]);
    assert_eq!(ran.ok(), "", "nothing of cgroups by default");
    let mut spec = rig.spec(&["find", "release_agent", "cgroup.procs", "notify_on_release"]);
    add_mount(
        &mut spec,
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["rw"]}),
    );
    add_mount(
        &mut spec,
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}),
    );
    let ran = rig.through(&spec);
    let found: Vec<&str> = ran.ok().lines().collect();
    assert!(!found.is_empty(), "the trap is not set: {ran:#?}");
    for line in found {
        assert!(
            line.ends_with(" EROFS") || line.ends_with(" EACCES"),
            "{line}"
        );
    }
    // As uid 0, with nothing of policy in the way: still read-only.
    rig.except("8.4.14", "template = \"compat\"");
    spec["process"]["user"] = json!({"uid": 0, "gid": 0});
    spec["mounts"][1]["options"] = json!(["ro"]);
    spec["mounts"][2]["options"] = json!(["ro"]);
    let ran = rig.through(&spec);
    for line in ran.ok().lines() {
        assert!(line.ends_with(" EROFS"), "{line}");
    }
}

/// runc: a leaked descriptor of a host folder as the working directory.
#[test]
fn cve_2024_21626_no_working_directory_outside() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let dir = fs::File::open("/").unwrap();
    nix::fcntl::fcntl(
        &dir,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    for fd in 3..=20 {
        let mut spec = rig.spec(&["cwd"]);
        spec["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}"));
        rig.create(&spec, &unique("c"))
            .refused(1, &["/process/cwd", "CVE-2024-21626"]);
        let mut spec = rig.spec(&["cwd"]);
        spec["process"]["args"][0] = json!(format!("/proc/self/fd/{fd}/../../bin/sh"));
        rig.create(&spec, &unique("c"))
            .refused(1, &["/process/args/0"]);
    }
    // Below policy: the image's own link leads there. What the launcher sees before is the image's own folder of
    // that name; what the child sees is the kernel's magic link, which its lookup does not follow.
    for fd in [3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20] {
        for (link, to) in [
            ("cwd", format!("/proc/self/fd/{fd}")),
            ("sh", format!("/proc/self/fd/{fd}/payload")),
        ] {
            let at = rig.rootfs().join(link);
            let _ = fs::remove_file(&at);
            symlink(to, at).unwrap();
        }
        let fake = rig.rootfs().join(format!("proc/self/fd/{fd}"));
        fs::create_dir_all(&fake).unwrap();
        fs::hard_link(rig.rootfs().join("payload"), fake.join("payload")).unwrap();
        let ran = rig.run(&["--workdir", "/cwd"], &["cwd"]);
        assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{ran:?}");
        assert!(
            ran.err.contains("--workdir") || ran.err.contains("working"),
            "{ran:?}"
        );
        let root = rig.rootfs();
        let ran = rig.call(&[
            "run",
            "--rootfs",
            text(&root),
            &unique("t"),
            "--",
            "/sh",
            "cwd",
        ]);
        assert!(
            [125, 126, 127].contains(&ran.code) && ran.out.is_empty(),
            "{ran:?}"
        );
    }
    drop(dir);
}

/// runc: mount points are made on the host.
#[test]
fn cve_2024_45310_2025_24965_nothing_is_made_in_the_image() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    symlink(&canary.dir, rig.rootfs().join("out")).unwrap();
    let before = tree_hash(&rig.rootfs());
    let ran = rig.run(
        &[
            "--tmpfs",
            "/new/deep/dir:1m",
            "--volume",
            &format!("{}:/new/file", text(&canary.dir.join("secret"))),
        ],
        &["cat", "/new/file"],
    );
    assert_eq!(ran.ok(), SECRET);
    assert_eq!(tree_hash(&rig.rootfs()), before, "the root was written to");
    // Through the image's link out of the root: inside it, or refused, never there.
    let ran = rig.run(&["--tmpfs", "/out/new:1m"], &["ls", "/"]);
    assert!(ran.code == 125 || ran.code == 0, "{ran:?}");
    assert_eq!(tree_hash(&rig.rootfs()), before);
    canary.assert_alive();
    // A target that is missing in a volume is refused, not made.
    let volume = rig.path("volume");
    fs::create_dir(&volume).unwrap();
    let ran = rig.run(
        &[
            "--volume",
            &format!("{}:/data", text(&volume)),
            "--tmpfs",
            "/data/new:1m",
        ],
        &["exit", "0"],
    );
    ran.refused(125, &["/data/new", "does not exist in the volume"]);
    assert_eq!(fs::read_dir(&volume).unwrap().count(), 0);
}

/// krun: the launcher writes into the root. It starts from one that nobody can write.
#[test]
fn cve_2025_24965_a_root_on_a_read_only_mount() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let script = format!(
        "mount --bind {root} {root} && mount -o remount,bind,ro {root} && exec {bin} --root {state} --policy {policy} \
         run --rootfs {root} --tmpfs /new:1m {id} -- /payload exit 5",
        root = text(&rig.rootfs()),
        bin = env!("CARGO_BIN_EXE_cofferdam"),
        state = text(&rig.state()),
        policy = text(&rig.path("policy.toml")),
        id = unique("t"),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let ran = finish(command);
    assert_eq!(ran.code, 5, "{ran:?}");
}

/// runc, youki: /dev/null of the image is a link, and masking binds what it points to.
#[test]
fn cve_2025_31133_62161_masks_are_never_the_images_null() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let before = host_core_pattern();
    symlink(
        "/proc/sys/kernel/core_pattern",
        rig.rootfs().join("dev/null"),
    )
    .unwrap();
    fs::write(rig.rootfs().join("etc/shadow"), SECRET).unwrap();
    fs::write(rig.rootfs().join("data/file"), SECRET).unwrap();
    let mut spec = rig.spec(&["masks", "/etc/shadow", "/data"]);
    spec["linux"]["maskedPaths"] = json!(["/etc/shadow", "/data", "/proc/kcore", "/nonesuch"]);
    spec["linux"]["readonlyPaths"] = json!(["/proc/sys", "/etc"]);
    let ran = rig.through(&spec);
    assert!(ran.ok().contains("/etc/shadow is empty"), "{ran:?}");
    assert!(ran.out.contains("/data is empty"), "{ran:?}");
    assert!(!ran.out.contains(SECRET), "{ran:?}");
    // Under compat as root, too: the whole procfs is there, and the mask is not a door to it.
    rig.except("8.4.14", "template = \"compat\"");
    spec["process"]["user"] = json!({"uid": 0, "gid": 0});
    let ran = rig.through(&spec);
    assert!(ran.ok().contains("/etc/shadow is empty"), "{ran:?}");
    assert_eq!(host_core_pattern(), before);
    canary.assert_alive();
}

/// runc: /dev/console is bound from /dev/pts/N, which the image has replaced.
#[test]
fn cve_2025_52565_no_terminal_and_no_pts_of_the_image() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    symlink(&canary.dir, rig.rootfs().join("dev/pts")).unwrap();
    symlink(canary.dir.join("console"), rig.rootfs().join("dev/console")).unwrap();
    symlink(canary.dir.join("ptmx"), rig.rootfs().join("dev/ptmx")).unwrap();
    let mut spec = rig.spec(&["ls", "/dev"]);
    spec["process"]["terminal"] = json!(true);
    rig.create(&spec, &unique("c"))
        .refused(1, &["SS-011/8.4.1", "/process/terminal"]);
    // Without a terminal: the image's folder is covered as a whole.
    let ran = rig.run(&[], &["ls", "/dev"]);
    assert_eq!(
        ran.ok(),
        "fd\nfull\nnull\nrandom\nstderr\nstdin\nstdout\nurandom\nzero\n"
    );
    canary.assert_alive();
}

/// runc, youki: writes to procfs are led elsewhere.
#[test]
fn cve_2025_52881_62596_2022_0811_kernel_parameters_go_where_they_should() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let before = host_core_pattern();
    let port = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    for (key, value) in [
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil"),
        ("kernel.shm_rmid_forced", "1\nkernel.core_pattern=|/evil"),
        ("kernel.core_pattern", "|/evil"),
        ("kernel/core_pattern", "|/evil"),
        ("net.ipv4.ip_forward/../../../kernel/core_pattern", "|/evil"),
        ("net..ipv4.ip_forward", "1"),
        ("vm.overcommit_memory", "1"),
    ] {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["linux"]["sysctl"] = json!({key: value});
        rig.create(&spec, &unique("c"))
            .refused(1, &["/linux/sysctl"]);
    }
    // Below policy: an image whose /proc holds a fake tree, and a link in it. What is written goes to the kernel's.
    let fake = rig.rootfs().join("proc/sys/net/ipv4");
    fs::create_dir_all(&fake).unwrap();
    symlink(
        "../../kernel/core_pattern",
        fake.join("ip_unprivileged_port_start"),
    )
    .unwrap();
    let tree = tree_hash(&rig.rootfs());
    let mut spec = rig.spec(&["bind", "81"]);
    spec["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "81"});
    spec["annotations"] = json!({"org.cofferdam.expose": "81"});
    let ran = rig.through(&spec);
    assert_eq!(ran.ok(), "OK\n", "the parameter had no effect: {ran:?}");
    spec["annotations"] = json!({});
    let undeclared = if older_than(6, 7) { "OK\n" } else { "EACCES\n" };
    assert_eq!(rig.through(&spec).out, undeclared, "not declared");
    assert_eq!(tree_hash(&rig.rootfs()), tree);
    assert_eq!(host_core_pattern(), before);
    assert_eq!(
        fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap(),
        port
    );
}

/// runc, crun: /dev of the image is a link out of the root, and nodes are made through it.
#[test]
fn cve_2026_41579_47766_dev_is_never_through_a_link() {
    need!(Root, Landlock);
    for relative in [false, true] {
        let rig = Rig::new();
        let canary = Canary::plant(&rig);
        let name = canary.dir.file_name().unwrap();
        let to = if relative {
            Path::new("..").join(name)
        } else {
            canary.dir.clone()
        };
        relink(&rig, "dev", &to);
        let root = tree_hash(&rig.rootfs());
        rig.create(&rig.spec(&["exit", "0"]), &unique("c"))
            .refused(1, &["/dev", "symbolic link"]);
        rig.run(&[], &["exit", "0"])
            .refused(125, &["/dev", "symbolic link"]);
        canary.assert_alive();
        assert_eq!(tree_hash(&rig.rootfs()), root);
        // With everything allowed that policy knows.
        rig.except("8.4.14", "template = \"compat\"");
        rig.create(&rig.spec(&["exit", "0"]), &unique("c"))
            .refused(1, &["/dev", "symbolic link"]);
        canary.assert_alive();
    }
}

/// crun: the last component of a mount target is not resolved.
#[test]
fn cve_2019_18837_the_last_component_stays_inside() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let name = canary.dir.file_name().unwrap().to_str().unwrap();
    symlink(
        format!("../../../{name}/resolv.conf"),
        rig.rootfs().join("etc/resolv.conf"),
    )
    .unwrap();
    symlink(canary.dir.join("secret"), rig.rootfs().join("etc/hosts")).unwrap();
    let ours = rig.path("ours");
    fs::write(&ours, "nameserver 192.0.2.1\n").unwrap();
    let root = tree_hash(&rig.rootfs());
    for target in ["/etc/resolv.conf", "/etc/hosts"] {
        let volume = format!("{}:{target}", text(&ours));
        let ran = rig.run(&["--volume", &volume], &["cat", target]);
        // Inside at the place the link names there, or refused.
        assert!(
            ran.code == 125 || ran.out == "nameserver 192.0.2.1\n",
            "{ran:?}"
        );
        assert!(!ran.out.contains(SECRET));
        canary.assert_alive();
        assert_eq!(tree_hash(&rig.rootfs()), root);
    }
}

/// containerd-shim: an abstract socket of the host is reached from inside.
#[test]
fn cve_2020_15257_abstract_sockets_are_out_of_reach() {
    need!(Root, Landlock);
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let rig = Rig::new();
    let name = unique("cofferdam-shim");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let mut peer = Command::new(rig.rootfs().join("payload"));
    peer.args(["abstract", &name]).uid(65532).gid(65532);
    assert_eq!(finish(peer).out, "OK\n", "the trap is not set");
    assert_eq!(
        rig.run(&[], &["abstract", &name]).out,
        "ECONNREFUSED\n",
        "a network namespace of its own"
    );
    // The layer below: with the host's network by exception, landlock's scope still closes it.
    let mut spec = rig.spec(&["abstract", &name]);
    let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|n| n["type"] != "network");
    rig.except("8.1.3", "namespaces = [\"network\"]");
    let ran = rig.through(&spec);
    let closed = if older_than(6, 12) { "OK\n" } else { "EPERM\n" };
    assert_eq!(ran.out, closed, "{ran:?}");
}

/// Hooks and annotations: the author of a config.json runs code on the host.
#[test]
fn hooks_and_annotations_run_nothing_on_the_host() {
    need!(Root);
    let rig = Rig::new();
    let trace = rig.path("hooked");
    let hook = json!([{"path": "/usr/bin/touch", "args": ["touch", &trace]}]);
    for point in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["hooks"] = json!({point: hook});
        rig.create(&spec, &unique("c"))
            .refused(1, &["SS-011/8.2.1", &format!("/hooks/{point}")]);
        assert!(!trace.exists(), "{point} ran");
    }
    for key in [
        "org.systemd.property.ExecStartPre",
        "run.oci.handler",
        "run.oci.hooks.stdout",
        "org.criu.config",
    ] {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["annotations"] = json!({key: "['/usr/bin/touch', '/tmp/x']"});
        rig.create(&spec, &unique("c"))
            .refused(1, &["SS-011/8.2.1", "/annotations"]);
    }
}

/// Namespaces of the host, by absence or by path (B08), and capabilities written in ways that others accept (B11).
#[test]
fn namespaces_of_the_host_are_refused_and_odd_capabilities_give_nothing() {
    need!(Root);
    let rig = Rig::new();
    for kind in ["network", "pid", "ipc", "uts", "cgroup"] {
        let file = match kind {
            "network" => "net",
            other => other,
        };
        let mut spec = rig.spec(&["exit", "0"]);
        let list = spec["linux"]["namespaces"].as_array_mut().unwrap();
        for entry in list.iter_mut().filter(|n| n["type"] == kind) {
            entry["path"] = json!(format!("/proc/1/ns/{file}"));
        }
        rig.create(&spec, &unique("c"))
            .refused(1, &["SS-011/8.1.3", "/linux/namespaces"]);
    }
    // The policy's list of places is about names; a process of the host has the host's namespace under any number.
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let mut spec = rig.spec(&["exit", "0"]);
        let list = spec["linux"]["namespaces"].as_array_mut().unwrap();
        for entry in list.iter_mut().filter(|n| n["type"] == kind) {
            entry["path"] = json!(format!("/proc/{}/ns/{file}", std::process::id()));
        }
        rig.create(&spec, &unique("c"))
            .refused(1, &["SS-011/8.1.3", "launcher's own"]);
    }
    for capability in ["ALL", "CAP_NONESUCH", "-CHOWN", "CHOWN,ALL"] {
        let mut spec = rig.spec(&["cat", "/proc/self/status"]);
        for set in [
            "bounding",
            "permitted",
            "effective",
            "inheritable",
            "ambient",
        ] {
            spec["process"]["capabilities"][set] = json!([capability]);
        }
        let status = rig.through(&spec);
        for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
            let none = format!("{set}:\t{:016x}\n", 0);
            assert!(status.ok().contains(&none), "{capability}: {status:?}");
        }
    }
}

/// The class of `exec`, `attach`, `checkpoint`: five vulnerabilities live only there.
#[test]
fn exec_attach_checkpoint_update_are_closed() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let id = unique("t");
    let alive = Alive::spawn(rig.run_command(&id, &[], &["wait"]));
    for verb in [
        &["exec", &id, "/bin/sh"][..],
        &["attach", &id],
        &["checkpoint", &id],
    ] {
        let ran = rig.call(verb);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(!ran.err.is_empty());
    }
    drop(alive);
    rig.assert_clean(&id);
}
