//! Bad input: whatever is wrong, the launcher says so in one sentence that names the place, with the right code,
//! and leaves nothing behind: no state, no cgroup, no process, no mount, no file in the root.
#![allow(unsafe_code)]

#[macro_use]
mod support;

payload!();

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use support::*;

/// A rig whose root is watched: dropping it checks that nothing was made or left.
struct Watched {
    rig: Rig,
    before: String,
}

impl Watched {
    fn new() -> Self {
        Self::with(Rig::new())
    }

    fn with(rig: Rig) -> Self {
        let before = tree_hash(&rig.rootfs());
        Self { rig, before }
    }

    /// `create` answers 1 and `run` and `plan` answer 125, each with these words; nothing is left.
    #[track_caller]
    fn refuses(&self, config: &[u8], parts: &[&str]) {
        let (bundle, id) = (self.rig.raw_bundle(config), unique("bad"));
        let at = text(&bundle);
        self.call(&["create", "--bundle", at, &id], 1, &id, parts);
        // For `run` and `plan` the place may be named by the flag that sets it.
        self.call(&["run", "--bundle", at, &id], 125, &id, &[]);
        self.call(&["plan", "--bundle", at, &id], 125, &id, &[]);
    }

    #[track_caller]
    fn refuses_spec(&self, spec: &Value, parts: &[&str]) {
        self.refuses(spec.to_string().as_bytes(), parts);
    }

    #[track_caller]
    fn call(&self, args: &[&str], code: i32, id: &str, parts: &[&str]) {
        println!("{args:?}"); // shown when it fails
        self.rig.call(args).refused(code, parts);
        self.assert_untouched(id);
    }

    /// `run --rootfs ROOTFS FLAGS NAME -- ARGS`.
    #[track_caller]
    fn run(&self, flags: &[&str], args: &[&str], code: i32, parts: &[&str]) {
        let id = unique("bad");
        let root = self.rig.rootfs();
        let words = [&["run", "--rootfs", text(&root)], flags, &[&id, "--"], args].concat();
        self.call(&words, code, &id, parts);
    }

    #[track_caller]
    fn assert_untouched(&self, id: &str) {
        self.rig.assert_clean(id);
        assert_eq!(
            tree_hash(&self.rig.rootfs()),
            self.before,
            "the root was written to"
        );
    }
}

fn set(spec: &Value, pointer: &str, value: Value) -> Value {
    let mut spec = spec.clone();
    let (above, key) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(above).unwrap()[key] = value;
    spec
}

#[test]
fn configs_that_are_no_json() {
    need!(Root);
    let w = Watched::new();
    let good = w.rig.spec(&["exit", "0"]).to_string();
    w.refuses(b"", &["config.json", "(document)", "line 1 column 0"]);
    w.refuses(b"\0\0\0", &["(document)", "line 1"]);
    w.refuses(b"null", &["config.json"]);
    w.refuses(b"[]", &["config.json"]);
    w.refuses(b"{}", &["config.json: /ociVersion: missing", "1.3.0"]);
    w.refuses(format!("{good} x").as_bytes(), &["(document)", "trailing"]);
    w.refuses(&[good.as_bytes(), b"\0"].concat(), &["(document)"]);
    w.refuses(
        &good.replace("/payload", "/pay\u{1}load").into_bytes(),
        &["/process/args/0", "control character"],
    );
    let mut bytes = good.clone().into_bytes();
    let at = good.find("/payload").unwrap();
    bytes[at + 2] = 0xff;
    w.refuses(&bytes, &["/process/args/0", "column"]);
    w.refuses("[".repeat(200_000).as_bytes(), &["config.json"]);
    w.refuses(
        format!("{{\"ociVersion\":\"1.0.0\",\"x\":{}", "[".repeat(200_000)).as_bytes(),
        &["config.json: /x/0", "/0...", "line 1 column"],
    );
    // One byte too many, and exactly as many as are allowed.
    let pad = |n: usize| format!("{good}{}", " ".repeat(n - good.len()));
    w.refuses(
        pad((1 << 20) + 1).as_bytes(),
        &["config.json", "at most 1048576"],
    );
    let bundle = w.rig.raw_bundle(pad(1 << 20).as_bytes());
    w.rig.call(&["plan", "--bundle", text(&bundle)]).ok();
    // The same key twice: two readers could see two configs.
    let twice = good.replacen(
        "\"process\":",
        "\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}},\"process\":",
        1,
    );
    w.refuses(twice.as_bytes(), &["duplicate field"]);
}

#[test]
fn every_truncation_is_an_error_and_no_change_is_a_crash() {
    need!(Root);
    let w = Watched::new();
    let id = unique("cut");
    let good = w.rig.spec(&["exit", "0"]).to_string().into_bytes();
    let bundle = w.rig.raw_bundle(b"");
    let config = bundle.join("config.json");
    for at in (0..good.len()).step_by(29) {
        fs::write(&config, &good[..at]).unwrap();
        w.rig
            .call(&["plan", "--bundle", text(&bundle), &id])
            .refused(125, &["config.json"]);
    }
    // A fixed sequence of changed bytes: any answer but a crash, and one sentence when it is no.
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = seed as usize % bytes.len();
            bytes[at] = (seed >> 32) as u8;
        }
        fs::write(&config, &bytes).unwrap();
        let ran = w.rig.call(&["plan", "--bundle", text(&bundle), &id]);
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert!([0, 125, 126, 127].contains(&ran.code), "{ran:#?} {shown}");
        assert!(
            ran.code == 0 || ran.err.trim_end().lines().count() == 1,
            "{ran:#?} {shown}"
        );
    }
    w.assert_untouched(&id);
}

#[test]
fn values_that_are_wrong_are_named_by_their_pointer() {
    need!(Root);
    let w = Watched::new();
    let spec = w.rig.spec(&["exit", "0"]);
    let long = "a".repeat(70 << 10);
    let cases = [
        ("/ociVersion", json!("2.0.0"), "/ociVersion"),
        ("/ociVersion", json!(1), "/ociVersion"),
        (
            "/process/user/uid",
            json!(4_294_967_296u64),
            "/process/user/uid",
        ),
        (
            "/process/user/uid",
            json!(4_294_967_295u64),
            "/process/user",
        ),
        ("/process/user/uid", json!(-1), "/process/user/uid"),
        ("/process/user/uid", json!("1"), "/process/user/uid"),
        ("/process/user/uid", json!(1.5), "/process/user/uid"),
        ("/process/args", json!([]), "/process/args"),
        ("/process/args", json!("/payload"), "/process/args"),
        (
            "/process/args",
            json!(["/payload", "a\0b"]),
            "/process/args/1",
        ),
        (
            "/process/args",
            json!([format!("/{long}")]),
            "/process/args/0",
        ),
        ("/process/env", json!(["A=b\0c"]), "/process/env/0"),
        ("/process/env", json!(["novalue"]), "/process/env/0"),
        (
            "/process/execCPUAffinity",
            json!({"initial": "0-"}),
            "/process/execCPUAffinity",
        ),
        (
            "/process/execCPUAffinity",
            json!({"final": "0,\u{661}"}),
            "/process/execCPUAffinity",
        ),
        ("/process/cwd", json!("relative"), "/process/cwd"),
        ("/process/cwd", json!("/a\0b"), "/process/cwd"),
        ("/process/cwd", json!(format!("/{long}")), "/process/cwd"),
        ("/root/path", json!(""), "/root/path"),
        ("/root/path", json!("a\0b"), "/root/path"),
        ("/hostname", json!("a\0b"), "/hostname"),
        ("/hostname", json!(long), "/hostname"),
        (
            "/linux/resources",
            json!({"memory": {"limit": 1e30}}),
            "/linux/resources/memory/limit",
        ),
        (
            "/linux/resources",
            json!({"memory": {"limit": u64::MAX}}),
            "/linux/resources/memory/limit",
        ),
        (
            "/linux/resources",
            json!({"unified": {"../x": "1"}}),
            "/linux/resources/unified",
        ),
        (
            "/linux/cgroupsPath",
            json!("/../../x"),
            "/linux/cgroupsPath",
        ),
        ("/linux/cgroupsPath", json!("a\0b"), "/linux/cgroupsPath"),
        (
            "/linux/sysctl",
            json!({"net/../kernel/core_pattern": "x"}),
            "/linux/sysctl",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "bogus"}]),
            "/linux/namespaces/0/type",
        ),
        (
            "/linux/maskedPaths",
            json!(["relative"]),
            "/linux/maskedPaths/0",
        ),
        (
            "/linux/maskedPaths",
            json!(["/../x"]),
            "/linux/maskedPaths/0",
        ),
        (
            "/mounts/0/destination",
            json!("/a/../../b"),
            "/mounts/0/destination",
        ),
        ("/mounts/0/type", json!("ext4"), "/mounts/0"),
        ("/mounts/0/options", json!(["bogus"]), "/mounts/0/options"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_BOGUS", "soft": 1, "hard": 1}]),
            "/process/rlimits/0/type",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]),
            "/process/rlimits/0",
        ),
    ];
    let mut wrong = Vec::new();
    for (pointer, value, named) in cases {
        let shown: String = value.to_string().chars().take(80).collect();
        let spec = set(&spec, pointer, value);
        let refused = std::panic::AssertUnwindSafe(|| w.refuses_spec(&spec, &[named]));
        if std::panic::catch_unwind(refused).is_err() {
            wrong.push(format!("{pointer} {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Numbers that no type of JSON's readers holds.
    for huge in [
        "18446744073709551616",
        "99999999999999999999999999",
        "1e400",
    ] {
        let bad = spec
            .to_string()
            .replacen("\"uid\":65532", &format!("\"uid\":{huge}"), 1);
        w.refuses(bad.as_bytes(), &["/process/user/uid"]);
    }
    let mut without = spec.clone();
    without.as_object_mut().unwrap().remove("root");
    w.refuses_spec(&without, &["/root", "missing"]);
    without = spec.clone();
    without.as_object_mut().unwrap().remove("process");
    w.refuses_spec(&without, &["/process"]);
}

#[test]
fn giants_are_refused() {
    need!(Root);
    let w = Watched::new();
    let spec = w.rig.spec(&["exit", "0"]);
    let many: Vec<Value> = (0..64 << 10)
        .map(|n| json!({"destination": format!("/d{n}"), "type": "tmpfs"}))
        .collect();
    w.refuses_spec(
        &set(&spec, "/mounts", Value::Array(many)),
        &["at most 1048576"],
    );
    let many: Vec<Value> = (0..15_000)
        .map(|n| json!({"destination": format!("/d{n}"), "type": "tmpfs"}))
        .collect();
    w.refuses_spec(&set(&spec, "/mounts", Value::Array(many)), &["/mounts"]);
    let one = json!({"containerID": 0, "hostID": 100_000, "size": 1});
    let mut maps = set(&spec, "/linux/uidMappings", Value::Array(vec![one; 10_000]));
    maps["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "user"}));
    w.refuses_spec(&maps, &["/linux/uidMappings"]);
    // One argument beyond what the kernel takes in one piece (128 KiB).
    let long = "a".repeat(200 << 10);
    w.refuses_spec(
        &set(&spec, "/process/args", json!(["/payload", "echo", long])),
        &["/process/args"],
    );
}

#[test]
fn config_files_that_are_no_files() {
    need!(Root);
    let w = Watched::new();
    let id = unique("bad");
    let dir = w.rig.path("empty");
    fs::create_dir(&dir).unwrap();
    let at = text(&dir);
    w.call(
        &["create", "--bundle", at, &id],
        1,
        &id,
        &["config.json", "No such file"],
    );
    fs::create_dir(dir.join("config.json")).unwrap();
    w.call(&["create", "--bundle", at, &id], 1, &id, &["config.json"]);
    fs::remove_dir(dir.join("config.json")).unwrap();
    nix::unistd::mkfifo(&dir.join("config.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    w.call(
        &["create", "--bundle", at, &id],
        1,
        &id,
        &["config.json", "not a regular file"],
    );
    fs::remove_file(dir.join("config.json")).unwrap();
    symlink("/dev/zero", dir.join("config.json")).unwrap();
    w.call(
        &["create", "--bundle", at, &id],
        1,
        &id,
        &["config.json", "not a regular file"],
    );
    w.call(
        &["create", "--bundle", "/nonesuch", &id],
        1,
        &id,
        &["/nonesuch/config.json"],
    );
}

#[test]
fn ids_that_are_paths_or_giants() {
    need!(Root);
    let w = Watched::new();
    let bundle = w.rig.bundle(&w.rig.spec(&["exit", "0"]));
    let canary = Canary::plant(&w.rig);
    let long = "a".repeat(300);
    let escape = format!("../{}", canary.dir.file_name().unwrap().to_str().unwrap());
    for id in [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a b",
        "ü",
        "a\nb",
        "a\tb",
        &long,
        &escape,
        "../state/x",
    ] {
        w.rig
            .call(&["create", "--bundle", text(&bundle), "--", id])
            .refused(1, &["invalid container id"]);
        for verb in ["start", "state", "kill", "delete"] {
            w.rig
                .call(&[verb, "--", id])
                .refused(1, &["does not exist"]);
        }
        let ran = w
            .rig
            .call(&["run", "--rootfs", text(&w.rig.rootfs()), "--", id]);
        assert_eq!(ran.code, 125, "{ran:?}");
        // --force is no way around the check.
        let ran = w.rig.call(&["delete", "--force", "--", id]);
        assert!(ran.code == 0 || ran.code == 1, "{ran:?}");
        canary.assert_alive();
        w.assert_untouched("no-such-id");
    }
}

#[test]
fn flags_that_are_half_right() {
    need!(Root);
    let w = Watched::new();
    let cases: &[(&str, &[&str])] = &[
        (
            "--user",
            &[
                "",
                " 1",
                "1 ",
                "+1",
                "-1",
                "01",
                "0x1",
                "1:",
                ":1",
                "1:2:3",
                "root",
                "1,2",
                "4294967295",
                "4294967296",
                "1\n",
                "１",
            ],
        ),
        (
            "--memory",
            &[
                "",
                "0",
                "-1",
                "1e3",
                "64 m",
                "1.5g",
                "99999999999999999999",
                "16e",
            ],
        ),
        (
            "--cpus",
            &["", "0", "-1", "1e1", "1,5", "nan", "99999999999999999999"],
        ),
        ("--pids", &["", "-1", "x", "1.5", "99999999999999999999"]),
        ("--nofile", &["", "-1", "x", "18446744073709551616"]),
        (
            "--volume",
            &[
                "",
                "/a",
                "a:/b",
                "/a:b",
                "/a:/b:rx",
                "/a:/b:rw:x",
                "/a:/../b",
                ":",
            ],
        ),
        (
            "--tmpfs",
            &["", "/a", "a:1m", "/a:", "/a:0", "/a:-1", "/../a:1m"],
        ),
        ("--env", &["", "NOVALUE", "=x"]),
        ("--secret", &["", "x", "a/b=/etc/hostname", "x=relative"]),
        (
            "--expose",
            &["", "0", "65536", "-1", "80/udp", "http", "080"],
        ),
        ("--profile", &["", "none", "DEFAULT", "default "]),
        ("--workdir", &["", "relative", "/a/../b"]),
        ("--label", &["", "x", "=y"]),
    ];
    for (flag, values) in cases {
        for value in *values {
            w.run(
                &[&format!("{flag}={value}")],
                &["/payload", "exit", "0"],
                125,
                &[flag],
            );
        }
    }
    // Values that are well formed, and beyond what may be.
    for (flag, value, part) in [
        ("--user", "0", "SS-011"),
        ("--memory", "1000", "--memory"),
        ("--memory", "1t", "--memory"),
        ("--pids", "99999999", "--pids"),
        ("--nofile", "3", "--nofile"),
        ("--tmpfs", "/proc/x:1m", "nothing is mounted over or below"),
        ("--tmpfs", "/:1m", "nothing is mounted over or below"),
        ("--volume", "/:/data", "SS-011/8.5.1"),
        ("--volume", "/proc:/data", "SS-011/8.5.1"),
        ("--volume", "/etc:/data", "SS-011/8.5.1"),
        ("--profile", "compat", "exception"),
    ] {
        w.run(&[flag, value], &["/payload", "exit", "0"], 125, &[part]);
    }
}

#[test]
fn sources_and_folders_that_are_not_there() {
    need!(Root, Landlock);
    let w = Watched::new();
    let go = &["/payload", "exit", "0"];
    w.run(
        &["--volume", "/nonesuch/x:/data"],
        go,
        125,
        &["/nonesuch/x"],
    );
    w.run(
        &["--secret", "key=/nonesuch/key"],
        go,
        125,
        &["/nonesuch/key"],
    );
    w.run(
        &["--workdir", "/payload"],
        go,
        125,
        &["--workdir", "not a directory"],
    );
    w.run(
        &["--volume", "/etc/hostname:/data"],
        go,
        125,
        &["/data", "not a directory"],
    );
    let id = unique("bad");
    w.call(
        &["run", "--rootfs", "/nonesuch", &id, "--", "/payload"],
        125,
        &id,
        &["/nonesuch"],
    );
    let file = w.rig.rootfs().join("payload");
    w.call(
        &["run", "--rootfs", text(&file), &id, "--", "/payload"],
        125,
        &id,
        &["payload", "directory"],
    );
    w.call(
        &["run", "--rootfs", text(&w.rig.rootfs()), &id],
        125,
        &id,
        &["no program"],
    );
    let spec = set(&w.rig.spec(&["exit", "0"]), "/root/path", json!("missing"));
    w.refuses_spec(&spec, &["missing", "No such file"]);
}

#[test]
fn programs_that_are_none() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let root = rig.rootfs();
    let make = |name: &str, contents: &[u8], mode: u32| {
        fs::write(root.join(name), contents).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut elf = fs::read(root.join("payload")).unwrap();
    elf.truncate(4096);
    let (elf, mut other) = (elf.clone(), elf);
    other[18] = 0xb7; // AArch64
    other[19] = 0;
    make("plain", b"hello\n", 0o755);
    make("empty", b"", 0o755);
    make("locked", &elf, 0o644);
    make("other", &other, 0o755);
    make("short", &elf[..20], 0o755);
    make("script", b"#!/nonesuch/sh\n", 0o755);
    make("relative", b"#!payload exit 0\n", 0o755);
    make("bare", b"#!\n", 0o755);
    make("blank", b"#!   \n", 0o755);
    make(
        "long",
        format!("#!/{}\n", "a".repeat(5000)).as_bytes(),
        0o755,
    );
    make("loop", b"#!/loop\n", 0o755);
    make("nul", b"#!/pay\0load\n", 0o755);
    make("deep0", b"#!/payload exit\n", 0o755);
    for n in 1..=6 {
        make(
            &format!("deep{n}"),
            format!("#!/deep{}\n", n - 1).as_bytes(),
            0o755,
        );
    }
    symlink("/gone", root.join("dangling")).unwrap();
    symlink("round", root.join("round")).unwrap();
    nix::unistd::mkfifo(
        &root.join("fifo"),
        nix::sys::stat::Mode::from_bits_truncate(0o777),
    )
    .unwrap();
    let w = Watched::with(rig);
    for (program, code) in [
        ("/nonesuch", 127),
        ("nonesuch", 127),
        ("/dangling", 127),
        ("/payload/x", 127),
        ("/script", 127),
        ("/data", 126),
        ("/plain", 126),
        ("/empty", 126),
        ("/locked", 126),
        ("/other", 126),
        ("/short", 126),
        ("/bare", 126),
        ("/blank", 126),
        ("/loop", 126),
        ("/deep6", 126),
        ("/round", 126),
        ("/fifo", 126),
    ] {
        w.run(
            &[],
            &[program],
            code,
            &["unable to start container process: exec: "],
        );
        let spec = set(&w.rig.spec(&[]), "/process/args", json!([program]));
        let id = unique("bad");
        let bundle = w.rig.bundle(&spec);
        w.call(
            &["create", "--bundle", text(&bundle), &id],
            1,
            &id,
            &["exec: "],
        );
    }
    for program in ["/relative", "/long", "/nul"] {
        let id = unique("bad");
        let ran = w
            .rig
            .call(&["run", "--rootfs", text(&w.rig.rootfs()), &id, "--", program]);
        assert!([126, 127].contains(&ran.code), "{program}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
        w.assert_untouched(&id);
    }
}

#[test]
fn state_folders_of_others() {
    need!(Root, Landlock);
    let w = Watched::new();
    let bundle = w.rig.bundle(&w.rig.spec(&["exit", "0"]));
    let at = text(&bundle).to_string();
    let with = |state: &Path, parts: &[&str]| {
        let (id, state) = (unique("bad"), text(state).to_string());
        for (verb, code) in [("create", 1), ("run", 125)] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
            command.args([
                "--root",
                &state,
                "--policy",
                text(&w.rig.path("policy.toml")),
            ]);
            command.args([verb, "--bundle", &at, &id]);
            finish(command).refused(code, parts);
        }
        w.assert_untouched(&id);
    };
    let folder = |name: &str| {
        let dir = w.rig.path(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let theirs = folder("theirs");
    std::os::unix::fs::chown(&theirs, Some(65532), None).unwrap();
    with(&theirs, &["belongs to uid 65532"]);
    let open = folder("open");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    with(&open, &["mode 777"]);
    let link = w.rig.path("statelink");
    symlink(&theirs, &link).unwrap();
    with(&link, &["statelink"]);
    let file = w.rig.path("statefile");
    fs::write(&file, "").unwrap();
    with(&file, &["statefile"]);
    with(Path::new("/proc/nonesuch/state"), &["/proc/nonesuch"]);
    // An entry that another user has put into a folder of ours, and a state that makes no sense.
    let id = unique("bad");
    fs::create_dir(w.rig.state().join(&id)).unwrap();
    fs::write(w.rig.state().join(&id).join("state.json"), "{").unwrap();
    for verb in ["state", "start", "kill", "delete"] {
        w.rig
            .call(&[verb, &id])
            .refused(1, &["is damaged", "--force"]);
    }
    w.rig
        .call(&["create", "--bundle", &at, &id])
        .refused(1, &["already exists"]);
    w.rig.call(&["delete", "--force", &id]).ok();
    w.assert_untouched(&id);
}

#[test]
fn a_full_disk_under_the_state_folder() {
    need!(Root, Landlock);
    let w = Watched::new();
    let bundle = w.rig.bundle(&w.rig.spec(&["exit", "0"]));
    for (options, id) in [
        ("size=4k", unique("full")),
        ("size=1m,nr_inodes=2", unique("full")),
    ] {
        for (verb, code) in [("create", 1), ("run", 125)] {
            // In a mount namespace of its own, that of this command.
            let script = format!(
                "mount -t tmpfs -o mode=700,{options} none {state} && \
                 {bin} --root {state} --policy {policy} {verb} --bundle {bundle} {id}; code=$?; \
                 ls -A {state}; exit $code",
                state = text(&w.rig.state()),
                bin = env!("CARGO_BIN_EXE_cofferdam"),
                policy = text(&w.rig.path("policy.toml")),
                bundle = text(&bundle),
            );
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
            let ran = finish(command);
            ran.refused(code, &["No space left on device", text(&w.rig.state())]);
            assert_eq!(ran.out, "", "left in the state folder");
            w.assert_untouched(&id);
        }
    }
}

#[test]
fn two_launches_with_one_id() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let id = unique("twice");
    let mut alive = Alive::spawn(rig.run_command(&id, &[], &["wait"]));
    let pid = rig.pid(&id);
    finish(rig.run_command(&id, &[], &["exit", "0"])).refused(125, &["already exists"]);
    rig.create(&rig.spec(&["exit", "0"]), &id)
        .refused(1, &["already exists"]);
    rig.call(&["start", &id]).refused(1, &["already running"]);
    rig.call(&["delete", &id])
        .refused(1, &[&id, "not stopped: running"]);
    assert_eq!(rig.pid(&id), pid);
    assert!(
        alive.child.try_wait().unwrap().is_none(),
        "the first was disturbed"
    );
    drop(alive);
    rig.assert_clean(&id);
    // Deleted by force under its launcher: that one notices, and leaves the id's next owner alone.
    let alive = Alive::spawn(rig.run_command(&id, &[], &["wait"]));
    rig.call(&["delete", "--force", &id]).ok();
    rig.create(&rig.spec(&["wait"]), &id).ok();
    assert_eq!(alive.end(), 137);
    assert!(rig.pid(&id) > 0);
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
    // At the same moment: exactly one wins, and what it made is whole.
    let id = unique("twice");
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = rig.command();
            command.args(["create", "--bundle", text(&bundle), &id]);
            std::thread::spawn(move || finish(command))
        })
        .collect();
    let ran: Vec<Ran> = children.into_iter().map(|c| c.join().unwrap()).collect();
    assert_eq!(ran.iter().filter(|r| r.code == 0).count(), 1, "{ran:#?}");
    for lost in ran.iter().filter(|r| r.code != 0) {
        lost.refused(1, &["already exists"]);
    }
    rig.call(&["start", &id]).ok();
    rig.call(&["start", &id]).refused(1, &["already running"]);
    rig.call(&["delete", &id]).refused(1, &["not stopped"]);
    rig.call(&["delete", "--force", &id]).ok();
    rig.call(&["state", &id]).refused(1, &["does not exist"]);
    rig.assert_clean(&id);
}

#[test]
fn verbs_for_nobody() {
    need!(Root);
    let w = Watched::new();
    for verb in ["start", "state", "kill", "delete"] {
        w.call(
            &[verb, "no-such-one"],
            1,
            "no-such-one",
            &["container does not exist"],
        );
    }
    w.rig.call(&["delete", "--force", "no-such-one"]).ok();
    let id = unique("sig");
    let bundle = w.rig.bundle(&w.rig.spec(&["wait"]));
    w.rig.call(&["create", "--bundle", text(&bundle), &id]).ok();
    for signal in ["", "0x9", "SIGBOGUS", "-1", "65", "999999999999", "9 "] {
        w.rig
            .call(&["kill", &id, "--", signal])
            .refused(1, &["signal"]);
    }
    w.rig.call(&["delete", "--force", &id]).ok();
    w.assert_untouched(&id);
    for words in [
        &["bogus"][..],
        &[],
        &["create"],
        &["start", "a", "b"],
        &["state", "--bogus", "x"],
    ] {
        let ran = w.rig.call(words);
        let code = if words == ["bogus"] { 3 } else { 1 };
        assert!(ran.code == code || ran.code == 125, "{words:?}: {ran:?}");
        assert!(
            ran.out.is_empty() && !ran.err.is_empty(),
            "{words:?}: {ran:?}"
        );
    }
}

#[test]
fn policies_that_do_not_load() {
    need!(Root);
    let w = Watched::new();
    let path = w.rig.path("policy.toml");
    let go = &["/payload", "exit", "0"];
    let place = |at: &str| format!("{}{at}", text(&path));
    for (contents, at, part) in [
        ("version = 1\nbogus = 2\n", ":2:1", "bogus"),
        ("version = 2\n", ":1:", "version"),
        ("version = \n", ":1:", ""),
        (
            "version = 1\n[limits]\nmemory = { default = \"lots\" }\n",
            ":3:",
            "",
        ),
        ("version = 1\nversion = 1\n", ":2:", "duplicate"),
    ] {
        fs::write(&path, contents).unwrap();
        w.run(&[], go, 125, &[&place(at), part]);
    }
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    w.run(&[], go, 125, &[text(&path), "1 MiB"]);
    fs::write(&path, b"version = 1 # \xff\n").unwrap();
    w.run(&[], go, 125, &[text(&path), "UTF-8"]);
    fs::write(&path, "version = 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    w.run(&[], go, 125, &[text(&path), "writable for others"]);
    fs::remove_file(&path).unwrap();
    w.run(&[], go, 125, &[text(&path)]);
    symlink("/dev/zero", &path).unwrap();
    w.run(&[], go, 125, &[text(&path)]);
}

#[test]
fn places_that_can_not_be_written() {
    need!(Root, Landlock);
    let w = Watched::new();
    let go = &["/payload", "exit", "0"];
    w.run(
        &["--record", "/nonesuch/record"],
        go,
        125,
        &["/nonesuch/record"],
    );
    w.run(&["--record", "/dev/full"], go, 125, &["/dev/full"]);
    w.run(&["--record", "77"], go, 125, &["77"]);
    let id = unique("bad");
    let bundle = w.rig.bundle(&w.rig.spec(&["exit", "0"]));
    w.call(
        &[
            "create",
            "--pid-file",
            "/nonesuch/pid",
            "--bundle",
            text(&bundle),
            &id,
        ],
        1,
        &id,
        &["/nonesuch/pid"],
    );
    w.call(
        &["create", "--pid-file", "/", "--bundle", text(&bundle), &id],
        1,
        &id,
        &["pid file"],
    );
}
