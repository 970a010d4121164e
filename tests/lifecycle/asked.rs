//! What was asked is done or refused: nothing else is started, hidden or read in its place.

use crate::need;
use crate::support::{Ran, Rig, finish, text, unique};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

/// `run FLAGS NAME -- ARGS`, of the embedded root unless a flag names one.
fn run(rig: &Rig, flags: &[&str], args: &[&str]) -> Ran {
    let name = unique("asked");
    let ran = rig.call(&[&["run"], flags, &[&name], args].concat());
    rig.assert_clean(&name);
    ran
}

#[test]
fn the_sample_is_started_for_no_other_program() {
    need!(Root);
    let rig = Rig::new();
    let meant = run(&rig, &[], &["--", "/bin/true"]);
    meant.refused(125, &["no root for \"/bin/true\"", "--rootfs"]);
    let port = run(&rig, &["--expose", "9090", "--once"], &[]);
    port.refused(125, &["--expose", "8080", "--rootfs"]);
    let once = rig.run(&["--once"], &["exit", "0"]);
    once.refused(125, &["--once", "built-in sample"]);
    let ran = run(&rig, &["--expose", "8080", "--once"], &[]);
    assert!(ran.ok().contains("read my own root"), "{ran:?}");
}

#[test]
fn a_secret_is_a_file_of_a_size() {
    need!(Root);
    let rig = Rig::new();
    let fifo = rig.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let large = rig.path("large");
    fs::write(&large, vec![0; (4 << 20) + 1]).unwrap();
    // A FIFO would wait for its writer, and a device has no end.
    for source in [text(&fifo), "/dev/zero", text(rig.dir())] {
        let secret = format!("key={source}");
        let ran = rig.run(&["--secret", &secret], &["exit", "0"]);
        ran.refused(125, &["secret key", source, "not a regular file"]);
    }
    let secret = format!("key={}", text(&large));
    let ran = rig.run(&["--secret", &secret], &["exit", "0"]);
    ran.refused(125, &["the secret key", text(&large), "4 MiB"]);
    // What just fits is there, whole.
    fs::write(&large, vec![7; 4 << 20]).unwrap();
    let ran = rig.run(&["--secret", &secret], &["cat", "/run/secrets/key"]);
    assert_eq!(ran.ok().len(), 4 << 20);
}

#[test]
fn no_mount_hides_another() {
    need!(Root);
    let rig = Rig::new();
    let (key, root) = (rig.path("key"), rig.rootfs());
    fs::write(&key, "x").unwrap();
    fs::create_dir_all(root.join("usr/lib/x")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    let (data, sub) = (rig.path("data"), rig.path("sub"));
    for dir in [&data, &sub] {
        fs::create_dir(dir).unwrap();
    }
    let secret = format!("key={}", text(&key));
    let at = |dir, target: &str| format!("{}:{target}", text(dir));
    let taken = |flags: &[&str], place: &str| {
        let ran = rig.run(flags, &["exit", "0"]);
        ran.refused(125, &[place, "is taken", "mount each place once"]);
    };
    let over = ["--secret", &secret, "--tmpfs", "/run/secrets:1m"];
    taken(&over, "/run/secrets");
    let volume = at(&data, "/run/secrets");
    taken(&["--secret", &secret, "--volume", &volume], "/run/secrets");
    let (one, other) = (at(&data, "/lib/x"), at(&sub, "/usr/lib/x"));
    taken(&["--volume", &one, "--volume", &other], "/usr/lib/x");
    rig.run(&["--volume", &one], &["ls", "/usr/lib/x"]).ok();
}

#[test]
fn the_first_program_is_among_the_listed() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let loosened = |programs: &str| {
        let _ = fs::remove_dir_all(rig.path("exceptions.d"));
        let grant = format!("template = \"script\", programs = [{programs}]");
        rig.except("8.4.3", &grant);
        rig.run(&["--profile", "script"], &["exit", "0"])
    };
    let other = loosened("\"/bin/ls\"");
    other.refused(126, &["/payload", "not among the programs", "/bin/ls"]);
    loosened("\"/bin/ls\", \"/payload\"").ok();
    // By whatever name: what it leads to counts.
    symlink("/payload", rig.path("rootfs/by-name")).unwrap();
    loosened("\"/by-name\"").ok();
}

#[test]
fn every_name_of_a_container_is_a_hosts() {
    need!(Root);
    let rig = Rig::new();
    for name in ["a+b".to_string(), format!("x{}", "y".repeat(120))] {
        let name = name + &unique("-");
        let ran = finish(rig.run_command(&name, &[], &["host-name"]));
        let host = name.replace('+', "-");
        assert_eq!(ran.ok().trim(), &host[..host.len().min(64)]);
        rig.assert_clean(&name);
    }
}

#[test]
fn an_exception_is_spoken_of_where_it_does_not_reach() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.1.4", "limits = { memory = \"32GiB\" }");
    rig.except("8.5.5", "max_ports = 2");
    let ran = rig.run(&["--memory", "33g"], &["exit", "0"]);
    ran.refused(125, &["--memory", "policy allows: 32GiB"]);
    let ports = ["--expose", "1024", "--expose", "1025", "--expose", "1026"];
    let ran = rig.run(&ports, &["exit", "0"]);
    ran.refused(125, &["at most 2"]);
    let id = unique("over");
    let entry = crate::support::exception(&id, "8.5.1", "root_user = true");
    let (approved, expires) = ("2020-01-01", "2020-06-01");
    let dated = entry.lines().map(|line| match line {
        l if l.starts_with("approved") => format!("approved = {approved}\n"),
        l if l.starts_with("expires") => format!("expires = {expires}\n"),
        l => format!("{l}\n"),
    });
    let text = format!("version = 1\n{}", dated.collect::<String>());
    fs::write(rig.path("exceptions.d/over.toml"), text).unwrap();
    let ran = rig.run(&["--user", "0"], &["exit", "0"]);
    ran.refused(125, &["--user", &id, expires]);
}

#[test]
fn the_launchers_own_states_are_no_volume() {
    need!(Root);
    let rig = Rig::new();
    for source in [rig.state(), rig.state().join("x")] {
        let volume = format!("{}:/data:rw", text(&source));
        let ran = rig.run(&["--volume", &volume], &["exit", "0"]);
        ran.refused(125, &["--volume", text(&source), "policy keeps it closed"]);
    }
}

#[test]
fn a_launcher_with_a_set_uid_bit_does_nothing() {
    need!(Root);
    let rig = Rig::new();
    let launcher = rig.path("launcher");
    fs::copy(env!("CARGO_BIN_EXE_cofferdam"), &launcher).unwrap();
    let root = rig.state();
    for bit in [0o4755, 0o2755] {
        fs::set_permissions(&launcher, fs::Permissions::from_mode(bit)).unwrap();
        for verb in [
            &["list"][..],
            &["kill", "x"],
            &["spec"],
            &["generate", "/tmp/x"],
        ] {
            let mut command = std::process::Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            command
                .arg(&launcher)
                .args(["--root", text(&root)])
                .args(verb);
            command.current_dir(rig.dir()).stdin(Stdio::null());
            finish(command).refused(125, &["set-uid", "8.2.1", "chmod"]);
        }
    }
    assert!(!rig.path("config.json").exists());
}

/// An image links its log to /dev/stdout, which it opens anew; it must not read back what it said.
#[test]
fn a_pipe_of_the_callers_is_opened_again_for_writing_alone() {
    need!(Root);
    let rig = Rig::new();
    for uid in ["65532", "0"] {
        if uid == "0" {
            rig.except("8.5.1", "root_user = true");
        }
        let mut command = rig.run_command(
            &unique("again"),
            &["--user", uid],
            &["reopen", "/dev/stdout", "/dev/stderr"],
        );
        let ran = command.output().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(out.contains("said to /dev/stdout"), "{uid}: {out} {err}");
        assert!(err.contains("said to /dev/stderr"), "{uid}: {out} {err}");
        let denied = out.matches("Permission denied").count();
        assert_eq!(denied, 2, "{uid}: {out} {err}");
    }
}

/// What the host is called.
pub fn host_name() -> i32 {
    let name = nix::unistd::gethostname().unwrap();
    println!("{}", name.to_string_lossy());
    0
}

/// Opens each for writing and says something, then for reading.
pub fn reopen(paths: &[String]) -> i32 {
    use std::io::Write;
    for path in paths {
        match fs::OpenOptions::new().write(true).open(path) {
            Ok(mut file) => drop(writeln!(file, "said to {path}")),
            Err(why) => println!("can't say: {why}"),
        }
        match fs::File::open(path) {
            Ok(_) => println!("{path} is open for reading"),
            Err(why) => println!("reading: {why}"),
        }
    }
    0
}

#[test]
fn an_id_that_a_dead_launcher_left_says_how_it_is_freed() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("half");
    fs::create_dir(rig.state().join(&name)).unwrap();
    let ran = finish(rig.run_command(&name, &[], &["exit", "0"]));
    ran.refused(125, &["already exists", "delete --force"]);
    rig.call(&["delete", "--force", &name]).ok();
    finish(rig.run_command(&name, &[], &["exit", "0"])).ok();
    rig.assert_clean(&name);
}

/// The kernel hides the one below, and nothing is left to allow there.
#[test]
fn a_mount_may_lie_under_a_later_one() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let mut spec = rig.spec(&["write", "/tmp/x", "y"]);
    let tmpfs =
        |at: &str| serde_json::json!({"destination": at, "type": "tmpfs", "source": "tmpfs"});
    let mounts = spec["mounts"].as_array_mut().unwrap();
    mounts.retain(|m| m["destination"] != "/tmp");
    mounts.extend([tmpfs("/tmp/a"), tmpfs("/tmp")]);
    rig.through(&spec).ok();
}

#[test]
fn a_share_of_the_memory_is_that_share() {
    need!(Root);
    let rig = Rig::new();
    let mut spec = rig.spec(&["cat", "/proc/self/mountinfo"]);
    let options = ["nosuid", "nodev", "noexec", "size=1%"];
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({
            "destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options
        }));
    let ran = rig.through(&spec);
    let line = ran.ok().lines().find(|l| l.contains(" /data ")).unwrap();
    let kib = line.split("size=").nth(1).unwrap();
    let kib: u64 = kib.split('k').next().unwrap().parse().unwrap();
    let memory = nix::sys::sysinfo::sysinfo().unwrap().ram_total() / 1024;
    let share = memory / 100; // in whole pages
    assert!(kib.abs_diff(share) < 8, "{line}, of {memory} KiB");
}

#[test]
fn the_home_is_the_images_where_nothing_is_asked() {
    need!(Root);
    let rig = Rig::new();
    let passwd = rig.path("rootfs/etc/passwd");
    fs::write(&passwd, "web:x:65532:0::/srv/web:/bin/sh\n").unwrap();
    let home = |ran: &Ran| {
        let lines = ran.ok().lines().filter_map(|l| l.strip_prefix("HOME="));
        lines.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(home(&rig.run(&[], &["env"])), ["/srv/web"]);
    assert_eq!(home(&rig.run(&["--user", "7"], &["env"])), ["/"]);
    let asked = rig.run(&["--env", "HOME=/asked"], &["env"]);
    assert_eq!(home(&asked), ["/asked"]);
    let spec = rig.spec(&["env"]);
    assert_eq!(home(&rig.through(&spec)), ["/srv/web"]);
    // What is no file of a few users is nobody's word, and holds nobody up.
    fs::remove_file(&passwd).unwrap();
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(home(&rig.run(&[], &["env"])), ["/"]);
}

/// Lists that were made under other runtimes have execve alone. What is denied by name stays denied.
#[test]
fn a_filter_that_allows_execve_lets_the_program_start_and_nothing_else() {
    need!(Root);
    let rig = Rig::new();
    // A part of this program: it runs on machines that have nothing else of ours, too.
    let shipped = include_bytes!("../../profiles/seccomp/default.json");
    let shipped: serde_json::Value = serde_json::from_slice(shipped).unwrap();
    let rules = shipped["syscalls"].as_array().unwrap();
    let names = rules.iter().flat_map(|r| r["names"].as_array().unwrap());
    let names: Vec<&str> = names.filter_map(|n| n.as_str()).collect();
    let names = names.into_iter().filter(|n| *n != "execveat");
    let names: Vec<&str> = names.chain(["execve"]).collect();
    let filter = |more: serde_json::Value| {
        let allowed = serde_json::json!({"names": names, "action": "SCMP_ACT_ALLOW"});
        let mut spec = rig.spec(&["exit", "0"]);
        spec["linux"]["seccomp"] = serde_json::json!({
            "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allowed, more]
        });
        spec
    };
    let other = serde_json::json!({"names": ["getpid"], "action": "SCMP_ACT_ALLOW"});
    rig.through(&filter(other)).ok();
    let denied = serde_json::json!({"names": ["execveat"], "action": "SCMP_ACT_KILL"});
    let ran = rig.create(&filter(denied), &unique("denied"));
    ran.refused(1, &["/linux/seccomp/syscalls", "execveat is not allowed"]);
}
