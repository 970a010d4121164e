//! Kept, copied, shown, checked; and not to be read by who wrote it.

use crate::beside::{events, kept, kill, logged, rig, status, until};
use crate::need;
use crate::support::{Alive, Rig, finish, text, unique, wait_fd};
use cofferdam::logs::Stream;
use serde_json::{Value, json};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Child;

/// Tries to read its own output back out of the pipe, and says what came of it.
pub fn steal() -> i32 {
    let meta = fs::metadata("/proc/self/fd/1").unwrap();
    eprintln!("mode {:o}", meta.mode());
    for path in [
        "/proc/self/fd/1",
        "/dev/stdout",
        "/dev/fd/1",
        "/proc/1/fd/1",
    ] {
        match fs::File::open(path) {
            Ok(_) => eprintln!("{path}: OPEN"),
            Err(e) => eprintln!("{path}: {:?}", e.kind()),
        }
    }
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    match fs::set_permissions("/proc/self/fd/1", mode) {
        Ok(()) => eprintln!("chmod: DONE"),
        Err(e) => eprintln!("chmod: {:?}", e.kind()),
    }
    // What nginx's and others' configurations do has to go on working.
    match fs::OpenOptions::new().write(true).open("/proc/self/fd/1") {
        Ok(_) => eprintln!("write: may"),
        Err(e) => eprintln!("write: {e}"),
    }
    0
}

#[test]
fn what_a_program_says_is_kept_copied_and_shown() {
    need!(Root);
    let rig = rig("");
    let name = unique("log");
    let ran = finish(rig.run_command(&name, &[], &["echo", "one", "two"]));
    assert_eq!((ran.ok(), ran.err.as_str()), ("one two\n", ""));
    let path = rig.path("spool").join(&name);
    assert_eq!(
        kept(&path, Stream::Stdout),
        (b"one two\n".to_vec(), Vec::new())
    );
    assert_eq!(rig.call(&["logs", &name]).ok(), "one two\n");
    let shown = rig.call(&["logs", "--json", &name]);
    let record: Value = serde_json::from_str(shown.ok().lines().next().unwrap()).unwrap();
    assert_eq!(
        (&record["text"], &record["stream"], &record["kind"]),
        (&json!("one two"), &json!("stdout"), &json!("line"))
    );
    assert!(
        rig.call(&["logs", "verify", &name])
            .ok()
            .contains("all of it is as it was written")
    );
    assert_eq!(status(&rig, &name)["bytes"], 8);
    rig.assert_clean(&name);
    // The next launch of the name goes behind it.
    finish(rig.run_command(&name, &[], &["echo", "three"])).ok();
    assert_eq!(rig.call(&["logs", &name]).ok(), "one two\nthree\n");
    assert_eq!(rig.call(&["logs", "--last", &name]).ok(), "three\n");
    assert_eq!(rig.call(&["logs", "--stream", "stderr", &name]).ok(), "");
    rig.call(&["logs", "nobody"])
        .refused(125, &["there is no log of nobody"]);
}

#[test]
fn a_caller_that_reads_late_has_all_of_it_before_it_is_told_of_the_end() {
    need!(Root);
    let rig = rig("");
    let name = unique("log");
    let mut command = rig.run_command(&name, &[], &["lines", "4000", "100"]);
    // More than its own pipe holds, less than the copy may be behind.
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let path = rig.path("spool").join(&name);
    until("all of its output", || {
        let said = path.exists().then(|| kept(&path, Stream::Stdout).0.len());
        (said == Some(400_000)).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(
        child.try_wait().unwrap().is_none(),
        "its output was not taken"
    );
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(0), 400_000));
}

#[test]
fn what_is_there_now_is_shown_and_checked_while_more_comes() {
    need!(Root);
    const QUOTA: usize = 256 << 20;
    let rig = rig(&format!("quota = \"{QUOTA}\""));
    let name = unique("log");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["flood"]));
    // A reader after the end would go on until the spool is full.
    let shown = rig.call(&["logs", &name]).out.len();
    assert!(shown < QUOTA / 2, "{shown} bytes");
    rig.call(&["logs", "status", &name]).ok();
    let checked = rig.call(&["logs", "verify", &name]);
    assert_eq!(checked.code, 0, "{checked:?}");
    rig.call(&["explain", &name]).ok();
    kill(alive.child.id() as i32, libc::SIGTERM);
    assert_eq!(alive.end(), 0);
}

#[test]
fn a_changed_byte_and_a_missing_segment_are_found() {
    need!(Root);
    let rig = rig("quota = \"2MiB\"");
    let name = unique("log");
    finish(rig.run_command(&name, &[], &["lines", "8000", "100"])).ok();
    let path = rig.path("spool").join(&name);
    rig.call(&["logs", "verify", &name]).ok();
    let segment = path.join("000000000002.seg");
    let whole = fs::read(&segment).unwrap();
    let mut other = whole.clone();
    let at = other.len() / 2;
    other[at] ^= 1;
    fs::write(&segment, &other).unwrap();
    assert_eq!(rig.call(&["logs", "verify", &name]).code, 1);
    // Whoever fits the checksum too is found by the chain: the next segment has the old one's hash.
    fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    let found = rig.call(&["logs", "verify", &name]);
    assert!(
        found.out.contains("is not the one that it was chained to"),
        "{found:?}"
    );
    fs::remove_file(&segment).unwrap();
    let found = rig.call(&["logs", "verify", &name]);
    assert!(
        found.out.contains("segments 2 to 2 are missing"),
        "{found:?}"
    );
    assert_eq!(found.code, 1);
}

#[test]
fn a_service_cannot_read_its_log_back() {
    need!(Root);
    let rig = rig("");
    // In a user namespace, as an ordinary user of it.
    let inside = rig.run(&[], &["steal"]);
    // Without one, as an ordinary user and as root without capabilities, through `create`.
    let mut spec = rig.spec(&["steal"]);
    let plain = rig.through(&spec);
    spec["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    rig.except("8.5.1", "root_user = true");
    let root = rig.through(&spec);
    for ran in [&inside, &plain, &root] {
        if ran.code != 0 && ran.err.contains("root_user") {
            continue;
        }
        assert!(ran.err.contains("mode 10222"), "{ran:?}");
        assert!(
            !ran.err.contains("OPEN") && !ran.err.contains("DONE"),
            "{ran:?}"
        );
        assert!(ran.err.contains("write: may"), "{ran:?}");
    }
    assert!(inside.err.contains("PermissionDenied"), "{inside:?}");
}

#[test]
fn under_the_oci_verbs_the_engine_gets_a_copy() {
    need!(Root);
    let rig = rig("");
    let ran = rig.through(&rig.spec(&["echo", "to", "both"]));
    assert_eq!(ran.ok(), "to both\n");
    let spools: Vec<_> = fs::read_dir(rig.path("spool")).unwrap().flatten().collect();
    assert_eq!(spools.len(), 1);
    assert_eq!(kept(&spools[0].path(), Stream::Stdout).0, b"to both\n");
}

#[test]
fn a_container_ends_when_the_engine_has_its_output() {
    need!(Root);
    let rig = rig("");
    for _ in 0..5 {
        let (id, bundle) = (unique("c"), rig.bundle(&rig.spec(&["lines", "600", "100"])));
        let (from, into) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        // Its slots hold pages that are not full.
        cofferdam::sys::pipe::enlarge(&from, 1 << 20).unwrap();
        let mut create = rig.command();
        create
            .args(["create", "--bundle", text(&bundle), &id])
            .stdout(into);
        assert!(create.status().unwrap().success());
        drop(create);
        let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
        rig.call(&["start", &id]).ok();
        assert!(wait_fd(pidfd.as_fd()), "it does not end");
        // As conmon does: what is in the pipe now is all that it will ever see.
        assert_eq!(cofferdam::sys::pipe::waiting(&from), Ok(60_000));
        rig.call(&["delete", "--force", &id]).ok();
    }
}

/// Calls `logger` as containerd's shim does; the write ends of both streams, the ready pipe, and the process.
fn as_containerd(rig: &Rig, id: &str) -> (OwnedFd, OwnedFd, OwnedFd, Child) {
    let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let (out, out_in) = pipe();
    let (err, err_in) = pipe();
    let (ready, ready_in) = pipe();
    let mut command = rig.command();
    command
        .arg("logger")
        .env("CONTAINER_ID", id)
        .env("CONTAINER_NAMESPACE", "ns");
    let fds = [out, err, ready_in];
    let numbers = fds.each_ref().map(AsRawFd::as_raw_fd);
    // SAFETY: only dup2 between fork and exec: it is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            // Above the targets first.
            let high = numbers.map(|n| libc::fcntl(n, libc::F_DUPFD, 100));
            for (to, from) in high.iter().enumerate() {
                libc::dup2(*from, 3 + to as i32);
                libc::close(*from);
            }
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    drop(fds);
    (out_in, err_in, ready, child)
}

#[test]
fn containerd_has_a_logger() {
    need!(Root);
    let rig = rig("");
    let (out, err, ready, mut child) = as_containerd(&rig, "c1");
    // The program may run when it is closed.
    assert_eq!(nix::unistd::read(&ready, &mut [0; 1]), Ok(0));
    nix::unistd::write(&out, b"to out\nunfinished").unwrap();
    nix::unistd::write(&err, b"to err\n").unwrap();
    drop((out, err));
    assert!(child.wait().unwrap().success());
    let path = rig.path("spool/ns.c1");
    assert_eq!(kept(&path, Stream::Stdout).0, b"to out\nunfinished");
    assert_eq!(kept(&path, Stream::Stderr).0, b"to err\n");
    // Without a spool it goes on all the same: the service must not hang.
    fs::write(rig.path("policy.toml"), "version = 1\n").unwrap();
    let (out, err, ready, mut child) = as_containerd(&rig, "c2");
    assert_eq!(nix::unistd::read(&ready, &mut [0; 1]), Ok(0));
    for _ in 0..100 {
        nix::unistd::write(&out, &[b'x'; 4096]).unwrap();
    }
    drop((out, err));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_terminal_is_refused_where_logs_are_required() {
    need!(Root);
    let rig = rig("");
    rig.except("8.4.1", "terminal = true");
    rig.run(&["-t"], &["exit", "0"])
        .refused(125, &["8.4.2", "can't be logged"]);
    logged(&rig, &rig.path("spool"), "required = false");
    let ran = rig.run(&["-t"], &["exit", "3"]);
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn no_container_is_shown_the_spool() {
    need!(Root);
    let rig = rig("");
    let volume = format!("{}:/data", rig.path("spool").display());
    finish(rig.run_command(&unique("x"), &[], &["exit", "0"])).ok();
    rig.run(&["-v", &volume], &["exit", "0"])
        .refused(125, &["8.5.1"]);
}

#[test]
fn without_a_section_nothing_is_started() {
    need!(Root);
    let rig = Rig::new();
    assert_eq!(rig.run(&[], &["echo", "x"]).ok(), "x\n");
    assert!(!rig.path("spool").exists());
    let plan = rig.call(&["plan", "--json"]);
    assert!(
        serde_json::from_str::<Value>(plan.ok())
            .unwrap()
            .get("monitor")
            .is_none()
    );
}

#[test]
fn its_life_ends_when_policy_says_so() {
    need!(Root);
    let rig = rig("[lifetime]\nmax = \"1s\"\ngrace = \"1s\"");
    let name = unique("log");
    let ran = finish(rig.run_command(&name, &[], &["flood"]));
    assert_eq!(ran.code, 124, "{}", ran.err);
    let told = events(&rig.path("spool").join(&name));
    assert!(
        told.iter().any(|e| e["kind"] == "lifetime-reached"),
        "{told:?}"
    );
    // One that does not heed TERM is killed.
    assert_eq!(rig.run(&[], &["wait"]).code, 124);
}
