//! Traps for `exec`: a second process comes from the host into a container that is hostile already.
//!
//! CVE-2016-9962 (traced before it is locked in), CVE-2019-5736 (the launcher by way of /proc/self/exe),
//! CVE-2024-21626 (a descriptor of the host as working directory), CVE-2019-16884 (a /proc of the image's own).

use crate::race::during;
use crate::support::*;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

/// A rig whose containers may be joined.
fn open_rig() -> Rig {
    let rig = Rig::new();
    rig.except("8.4.1", "exec = \"no-terminal\"");
    rig
}

/// A running container, with a writable volume at /data.
fn running(rig: &Rig, args: &[&str], change: impl Fn(&mut Value)) -> String {
    let id = unique("hostile");
    let mut spec = rig.spec(args);
    change(&mut spec);
    rig.create(&spec, &id).ok();
    rig.call(&["start", &id]).ok();
    id
}

fn end(rig: &Rig, id: &str) {
    rig.call(&["delete", "--force", id]).ok();
    rig.assert_clean(id);
}

#[test]
fn the_launcher_can_not_be_named_as_a_program() {
    need!(Root, Landlock);
    let rig = open_rig();
    let canary = Canary::plant(&rig);
    let root = rig.rootfs();
    fs::write(root.join("script"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(root.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/proc/self/exe", root.join("link")).unwrap();
    symlink("/proc/self/fd/1024", root.join("descriptor")).unwrap();
    symlink("/script", root.join("twice")).unwrap();
    symlink("../../../../proc/self/exe", root.join("climbs")).unwrap();
    let id = running(&rig, &["wait"], |_| {});
    for program in [
        "/script",
        "/link",
        "/descriptor",
        "/twice",
        "/climbs",
        "/proc/self/exe",
        "/proc/thread-self/exe",
        "../proc/1/exe",
    ] {
        let ran = rig.call(&["exec", &id, program, "--version"]);
        ran.refused(255, &["exec failed: "]);
        assert!(!ran.out.contains("cofferdam version"), "{ran:?}");
    }
    canary.assert_alive();
    end(&rig, &id);
}

#[test]
fn a_descriptor_of_the_host_is_no_working_directory() {
    need!(Root, Landlock);
    let rig = open_rig();
    let canary = Canary::plant(&rig);
    for number in 3..12 {
        let link = rig.rootfs().join(format!("cwd{number}"));
        symlink(format!("/proc/self/fd/{number}"), link).unwrap();
    }
    symlink("/proc/self/cwd", rig.rootfs().join("cwd")).unwrap();
    symlink("/proc/1/root/../..", rig.rootfs().join("out")).unwrap();
    let id = running(&rig, &["wait"], |_| {});
    let host = rig.dir().to_path_buf();
    for cwd in (3..12)
        .map(|n| format!("/cwd{n}"))
        .chain(["/cwd".into(), "/out".into()])
    {
        let mut command = rig.command();
        command.args([
            "exec",
            "--cwd",
            &cwd,
            &id,
            "/payload",
            "cat",
            "canary/secret",
            "../../etc/hostname",
        ]);
        let dir = std::ffi::CString::new(text(&host)).unwrap();
        // SAFETY: open is async-signal-safe; the descriptor stays open across exec, as an engine's may.
        unsafe {
            command.pre_exec(move || {
                libc::open(dir.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
                Ok(())
            });
        }
        finish(command).refused(255, &["exec failed: "]);
    }
    // And none is handed on.
    let mut command = rig.command();
    command.args(["exec", &id, "/payload", "fds"]);
    let dir = std::ffi::CString::new(text(&host)).unwrap();
    // SAFETY: as above.
    unsafe {
        command.pre_exec(move || {
            for _ in 0..4 {
                libc::open(dir.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
            }
            Ok(())
        });
    }
    assert_eq!(finish(command).ok(), "0\n1\n2\n");
    canary.assert_alive();
    end(&rig, &id);
}

/// Looks for processes that are not of the image, and says what it could do to them: nothing.
pub fn hunt() {
    println!("ready");
    let me = std::process::id().to_string();
    let (mut met, mut caught) = (0u64, std::collections::BTreeSet::new());
    report(met, &caught);
    loop {
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == me || !name.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let of = |file: &str| format!("/proc/{name}/{file}");
            let comm = fs::read_to_string(of("comm")).unwrap_or_default();
            if comm.trim() != "cofferdam" {
                continue;
            }
            met += 1;
            let prizes = [
                // Opening it asks for the right to trace; tracing itself would hold the program up later.
                ("exe", fs::File::open(of("exe")).is_ok()),
                (
                    "exe-link",
                    fs::read_link(of("exe")).is_ok_and(|p| p.ends_with("cofferdam")),
                ),
                (
                    "mem",
                    fs::File::options().write(true).open(of("mem")).is_ok(),
                ),
                ("root", fs::read_dir(of("root/")).is_ok()),
                ("cwd", fs::read_dir(of("cwd/")).is_ok()),
                // Root may list their numbers; what they are is another matter.
                (
                    "fd",
                    (0..8).any(|n| fs::read_link(of(&format!("fd/{n}"))).is_ok()),
                ),
                (
                    "environ",
                    fs::read(of("environ")).is_ok_and(|e| !e.is_empty()),
                ),
                ("maps", fs::read(of("maps")).is_ok_and(|e| !e.is_empty())),
            ];
            // What was the launcher a moment ago may be the program by now: only what is still the launcher counts.
            let still = fs::read_to_string(of("comm")).unwrap_or_default();
            if still.trim() == "cofferdam" {
                caught.extend(prizes.iter().filter(|(_, won)| *won).map(|(what, _)| *what));
            }
            report(met, &caught);
        }
    }
}

fn report(met: u64, caught: &std::collections::BTreeSet<&str>) {
    let _ = fs::write("/tmp/new", format!("met {met} caught {caught:?}\n"));
    let _ = fs::rename("/tmp/new", "/tmp/report");
}

#[test]
fn nobody_inside_can_look_into_the_newcomer() {
    need!(Root, Landlock);
    // Root, as engines run most images; and a user like the newcomer's own. Under compat neither landlock nor
    // seccomp stands between them: what is left is that the newcomer is not dumpable.
    for (uid, compat) in [(0, false), (65532, false), (0, true)] {
        let rig = open_rig();
        let canary = Canary::plant(&rig);
        if compat {
            rig.except("8.4.14", "template = \"compat\"");
        }
        let id = running(&rig, &["hunt"], |spec| {
            spec["process"]["user"] = json!({"uid": uid, "gid": uid});
            let tmp = json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "nodev", "noexec", "mode=1777", "size=1m"]});
            let mounts = spec["mounts"].as_array_mut().unwrap();
            mounts.retain(|m| m["destination"] != "/tmp");
            mounts.push(tmp);
            if compat {
                return;
            }
            // Everything that a policy may let through is asked for.
            let caps = json!([
                "CAP_SYS_PTRACE",
                "CAP_DAC_OVERRIDE",
                "CAP_DAC_READ_SEARCH",
                "CAP_SETUID"
            ]);
            spec["process"]["capabilities"] =
                json!({"bounding": caps, "effective": caps, "permitted": caps});
        });
        for _ in 0..40 {
            let ran = rig.call(&["exec", &id, "/payload", "exit", "0"]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        let report = rig.call(&["exec", &id, "/payload", "cat", "/tmp/report"]);
        let report = report.ok();
        // hidepid shows them to root alone.
        assert!(
            uid != 0 || !report.starts_with("met 0 "),
            "it has seen no newcomer: {report:?}"
        );
        assert!(report.ends_with("caught {}\n"), "uid {uid}: {report}");
        end(&rig, &id);
        canary.assert_alive();
    }
}

/// Kills whatever it may, again and again.
pub fn massacre() {
    println!("ready");
    loop {
        // SAFETY: plain integers; the first process of a pid namespace is not hit by its own -1.
        unsafe { libc::kill(-1, libc::SIGKILL) };
    }
}

#[test]
fn a_container_that_kills_newcomers_holds_nobody_up() {
    need!(Root, Landlock);
    let rig = open_rig();
    let id = running(&rig, &["massacre"], |spec| {
        spec["process"]["user"] = json!({"uid": 0, "gid": 0});
    });
    for _ in 0..20 {
        let ran = rig.call(&["exec", &id, "/payload", "exit", "4"]);
        assert!([4, 137, 255].contains(&ran.code), "{ran:?}");
        if ran.code == 255 {
            ran.refused(255, &["exec failed: "]);
        }
    }
    end(&rig, &id);
}

#[test]
fn a_proc_of_the_image_s_own_is_not_believed() {
    need!(Root, Landlock);
    let rig = open_rig();
    let root = rig.rootfs();
    for sub in [
        "self/attr",
        "self/fd",
        "self/ns",
        "thread-self/attr",
        "sys/fs",
    ] {
        fs::create_dir_all(root.join("proc").join(sub)).unwrap();
    }
    for file in [
        "self/attr/exec",
        "self/attr/current",
        "thread-self/attr/exec",
        "self/status",
        "self/mountinfo",
        "mounts",
    ] {
        fs::write(root.join("proc").join(file), "Threads: 1\n").unwrap();
    }
    symlink("/payload", root.join("proc/self/exe")).unwrap();
    let before = tree_hash(&root);
    let id = running(&rig, &["wait"], |spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.retain(|m| m["destination"] != "/proc");
    });
    let ran = rig.call(&["exec", &id, "/payload", "exit", "5"]);
    assert!(ran.code == 5 || ran.err.contains("exec failed"), "{ran:?}");
    assert_eq!(tree_hash(&root), before, "a file of the image was written");
    end(&rig, &id);
}

#[test]
fn a_program_that_changes_under_the_launcher() {
    need!(Root, Landlock);
    let rig = open_rig();
    let canary = Canary::plant(&rig);
    let volume = rig.path("volume");
    fs::create_dir_all(&volume).unwrap();
    symlink("/payload", volume.join("a")).unwrap();
    symlink("/proc/self/exe", volume.join("b")).unwrap();
    let id = running(&rig, &["wait"], |spec| {
        let bind = json!({"destination": "/data", "type": "bind", "source": text(&volume), "options": ["rbind", "ro"]});
        spec["mounts"].as_array_mut().unwrap().push(bind);
    });
    let exec = || {
        let ran = rig.call(&["exec", &id, "/data/a", "exit", "0"]);
        assert!([0, 255].contains(&ran.code), "{ran:?}");
        assert!(!ran.out.contains("cofferdam"), "{ran:?}");
        Ran {
            code: if ran.code == 255 { 1 } else { ran.code },
            ..ran
        }
    };
    let (starts, good) = during(&rig, &canary, &volume.join("a"), &volume.join("b"), exec);
    assert!(good > 0 && good < starts, "{good} of {starts}");
    end(&rig, &id);
}
