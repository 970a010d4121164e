//! The other tests on other kernels: pure cgroup v2 with all controllers, AppArmor, systemd, older landlock.
//!
//! `machine` boots Debian's kernels under QEMU without KVM; the test programs, which are static, are copied in and run
//! there by their own names and paths. 6.12 with both inits is part of every run; the others by
//! `cargo test --test vm -- --ignored`. The image is kept in the target folder.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One at a time makes an image: the second finds the tree that the first unpacked.
static IMAGE: Mutex<()> = Mutex::new(());

const MACHINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/machine");

/// Why no machine can be had here.
fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root; run the tests with sudo".into());
    }
    let needs = Command::new(MACHINE).arg("needs").output().unwrap();
    let why = String::from_utf8_lossy(&needs.stderr).trim().to_string();
    (!needs.status.success()).then_some(why)
}

/// The test programs as cargo has just built them: (name, path).
fn programs() -> Vec<(String, PathBuf)> {
    let built = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the tests don't build: {said}");
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let path = PathBuf::from(message["executable"].as_str()?);
            let name = message["target"]["name"].as_str()?.to_string();
            Some((name, path))
        })
        .collect()
}

/// A folder with the programs, the launcher at its own path below `tree`, and the command.
fn cargo_hold(tests: &[Part]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tree = |path: &str| {
        folder
            .path()
            .join("tree")
            .join(path.trim_start_matches('/'))
    };
    let launcher = tree(env!("CARGO_BIN_EXE_cofferdam"));
    fs::create_dir_all(launcher.parent().unwrap()).unwrap();
    strip(Path::new(env!("CARGO_BIN_EXE_cofferdam")), &launcher);
    let built = programs();
    // AppArmor is in force there: what is launched has its profile, as on a host that is set up.
    let mut script = format!(
        "cp -a /t/tree/. /\nworst=0\n{} install --apparmor || worst=1\n",
        env!("CARGO_BIN_EXE_cofferdam")
    );
    for part in tests {
        let (_, path) = built
            .iter()
            .find(|(name, _)| name == part.program)
            .unwrap_or_else(|| panic!("cargo built no test {}", part.program));
        strip(path, &folder.path().join(part.program));
        script += &format!(
            "echo \"== {0}\"\n/t/{0} --test-threads 1 {1} || worst=1\n",
            part.program, part.arguments
        );
    }
    script += "exit $worst\n";
    let mut file = fs::File::create(folder.path().join("command")).unwrap();
    file.write_all(script.as_bytes()).unwrap();
    folder
}

/// Without debug information: a tenth to copy.
fn strip(from: &Path, to: &Path) {
    let done = Command::new("strip").arg("-o").arg(to).arg(from).status();
    if !done.is_ok_and(|s| s.success()) {
        fs::copy(from, to).unwrap();
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A test program, and what is said to it.
#[derive(Clone, Copy)]
struct Part {
    program: &'static str,
    arguments: &'static str,
}

/// Runs the parts on a machine; each must pass, and none may be skipped for want of a right.
fn on(kernel: &str, systemd: bool, parts: &[Part]) {
    if let Some(why) = missing() {
        let required = std::env::var("REQUIRE").unwrap_or_default();
        let forced = required.split(',').any(|r| r == "all" || r == "vm");
        assert!(
            !forced,
            "REQUIRE={required}, but there is no machine: {why}"
        );
        let _ = writeln!(std::io::stderr(), "SKIP vm {kernel}: {why}");
        return;
    }
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/vm");
    let alone = IMAGE.lock().unwrap_or_else(|broken| broken.into_inner());
    let made = Command::new(MACHINE)
        .args(["image", kernel, cache])
        .output()
        .unwrap();
    drop(alone);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let image = String::from_utf8_lossy(&made.stdout).trim().to_string();
    let hold = cargo_hold(parts);
    let mut boot = Command::new(MACHINE);
    // Under translation, beside other work on two processors: a bound for what hangs, not for what is slow.
    boot.env("MACHINE_SECONDS", "1800");
    boot.arg("boot");
    if systemd {
        boot.arg("--systemd");
    }
    let ran = boot.arg(image).arg(hold.path()).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(
        ran.status.success(),
        "{kernel}: exit {:?}\n{out}\n{err}",
        ran.status.code()
    );
    let passed = out.matches("test result: ok").count();
    assert_eq!(passed, parts.len(), "{kernel}: not all parts ended\n{out}");
    assert!(
        !out.contains("SKIP"),
        "{kernel}: something was skipped\n{out}"
    );
}

/// What is worth the time there: all that touches the kernel. A race needs two processors.
const WHOLE: [Part; 7] = [
    Part {
        program: "apparmor",
        arguments: "",
    },
    Part {
        program: "events",
        // The one that sets the clock.
        arguments: "--ignored clock::",
    },
    Part {
        program: "verbs",
        arguments: "events:: update:: pause:: a_second_process_has exec_terminal::",
    },
    Part {
        program: "systemd",
        arguments: "without_systemd",
    },
    Part {
        program: "cgroup",
        arguments: "--skip a_hundred_cycles",
    },
    Part {
        program: "lifecycle",
        // What is long under translation and nothing of the kernel's own; an old kernel is played by a filter.
        arguments: "--skip step:: --skip records_are_added_up --skip many_lives_leave_nothing --skip old_kernel::",
    },
    Part {
        program: "attack",
        arguments: "--skip race:: --skip a_program_that_changes_under_the_launcher",
    },
];

/// Where systemd owns the tree: its own cgroup driver, and the cgroups and the lives again.
const LIVES: [Part; 3] = [
    Part {
        program: "systemd",
        arguments: "--skip without_systemd",
    },
    Part {
        program: "cgroup",
        arguments: "--skip a_hundred_cycles",
    },
    Part {
        program: "lifecycle",
        arguments: "oci:: run:: rootless::",
    },
];

#[test]
fn linux_6_12_with_a_plain_init() {
    on("6.12", false, &WHOLE);
}

#[test]
fn linux_6_12_with_systemd() {
    on("6.12", true, &LIVES);
}

#[test]
#[ignore = "ten minutes; cargo test --test vm -- --ignored"]
fn linux_6_1() {
    on("6.1", false, &WHOLE);
}

#[test]
#[ignore = "ten minutes; cargo test --test vm -- --ignored"]
fn the_newest_kernel_with_systemd() {
    let mut parts = WHOLE.to_vec();
    parts.retain(|part| part.program != LIVES[0].program);
    parts.push(LIVES[0]);
    on("new", true, &parts);
}
