//! What a user's flags do to a real service: limits, users, volumes, streams.

use crate::roots::packages;
use crate::service::Launch;
use crate::support::*;
use std::io::Write;
use std::process::Stdio;

fn python(what: &str, root: &std::path::Path, code: &str) -> (Launch, Vec<String>) {
    let program = ["/usr/bin/python3", "-c", code];
    (Launch::of(what, root), program.map(str::to_string).to_vec())
}

fn ended(launch: &Launch, program: &[String]) -> Ran {
    let words: Vec<&str> = program.iter().map(String::as_str).collect();
    let ran = launch.ended(&words);
    launch.rig.assert_clean(&launch.name);
    ran
}

#[test]
fn more_memory_than_granted_ends_it_with_a_sentence() {
    need!(Root, Landlock);
    let root = packages!("python", "python3");
    let (launch, program) = python("oom", &root, "x = bytearray(200 << 20); print(len(x))");
    let launch = launch.flag("--memory", "64m");
    let ran = ended(&launch, &program);
    assert_eq!(ran.code, 137, "{ran:#?}");
    assert!(
        ran.err.contains("memory limit") && ran.err.contains("--memory"),
        "{ran:#?}"
    );
    let launch = python("enough", &root, "").0.flag("--memory", "400m");
    assert_eq!(ended(&launch, &program).ok(), "209715200\n");
}

#[test]
fn as_many_descriptors_as_granted() {
    need!(Root, Landlock);
    let root = packages!("python", "python3");
    let code = "
import os, resource
print(resource.getrlimit(resource.RLIMIT_NOFILE))
fds = []
try:
    while True: fds.append(os.open('/dev/null', 0))
except OSError as e:
    print(len(fds) > 4000, e.strerror)";
    let (launch, program) = python("nofile", &root, code);
    let ran = ended(&launch.flag("--nofile", "4096"), &program);
    assert_eq!(ran.ok(), "(4096, 4096)\nTrue Too many open files\n");
}

#[test]
fn as_many_threads_as_granted() {
    need!(Root, Landlock);
    let root = packages!("python", "python3");
    let code = "
import threading
gate, threads = threading.Event(), []
try:
    for _ in range(100):
        t = threading.Thread(target=gate.wait); t.start(); threads.append(t)
except RuntimeError as e: print(e, len(threads))
gate.set()";
    let (launch, program) = python("pids", &root, code);
    let ran = ended(&launch.flag("--pids", "20"), &program);
    assert_eq!(ran.ok(), "can't start new thread 19\n");
}

#[test]
fn another_user_owns_what_it_writes_in_a_volume() {
    need!(Root, Landlock);
    use std::os::unix::fs::MetadataExt;
    let root = packages!("python", "python3");
    let store = Rig::new();
    let data = store.path("data");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(1000), Some(1001)).unwrap();
    let code = "
import os
print(os.getuid(), os.getgid(), os.getgroups(), os.stat('/usr').st_uid, os.stat('/var/lib/x').st_uid)
open('/var/lib/x/f', 'w').write('x')
try: open('/usr/f', 'w')
except OSError as e: print(e.strerror)";
    let (launch, program) = python("user", &root, code);
    // No such folder is in the root: a place to mount on is made over it, never in it.
    let launch = launch.flag("--volume", &format!("{}:/var/lib/x:rw", text(&data)));
    let ran = ended(&launch.flag("--user", "1000:1001"), &program);
    assert_eq!(ran.ok(), "1000 1001 [] 0 1000\nRead-only file system\n");
    let file = std::fs::metadata(data.join("f")).unwrap();
    assert_eq!((file.uid(), file.gid()), (1000, 1001));
    assert!(!root.join("var/lib/x").exists());
}

#[test]
fn streams_and_exit_codes_are_the_programs() {
    need!(Root, Landlock);
    let root = packages!("python", "python3");
    let code = "import sys; t = sys.stdin.read(); print(t.upper()); print(len(t), file=sys.stderr); sys.exit(42)";
    let (launch, program) = python("streams", &root, code);
    let words: Vec<&str> = program.iter().map(String::as_str).collect();
    let mut command = launch.command(&words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(42), "{output:?}");
    assert_eq!(
        (&*output.stdout, &*output.stderr),
        (&b"THROUGH\n"[..], &b"7\n"[..]),
        "{output:?}"
    );
    let (launch, program) = python("signal", &root, "import ctypes; ctypes.string_at(0)");
    let ran = ended(&launch, &program);
    assert_eq!(ran.code, 139, "{ran:#?}");
    for (program, code) in [
        ("/usr/bin/absent", 127),
        ("/etc/python3.11/sitecustomize.py", 126),
        ("/usr/share", 126),
    ] {
        let launch = Launch::of("not-a-program", &root);
        let ran = ended(&launch, &[program.to_string()]);
        ran.refused(code, &[program]);
    }
}

/// What images and distributions make of resolv.conf: a link, whose target counts inside and nowhere else.
#[test]
fn a_file_over_a_link_in_the_root() {
    need!(Root, Landlock);
    let fixture = Rig::new();
    let inside = fixture.rootfs().join("run/resolvconf");
    std::fs::create_dir_all(&inside).unwrap();
    let link = fixture.rootfs().join("etc/resolv.conf");
    std::os::unix::fs::symlink("/run/resolvconf/resolv.conf", &link).unwrap();
    let run = |what| {
        let launch = Launch::of(what, fixture.rootfs());
        let launch = launch.file("/etc/resolv.conf", "nameserver 192.0.2.53\n");
        let ran = launch.ended(&["/payload", "cat", "/etc/resolv.conf"]);
        launch.rig.assert_clean(&launch.name);
        ran
    };
    assert_eq!(run("dangling").ok(), "nameserver 192.0.2.53\n");
    assert!(!inside.join("resolv.conf").exists());
    std::fs::write(inside.join("resolv.conf"), "").unwrap();
    assert_eq!(run("link").ok(), "nameserver 192.0.2.53\n");
}
