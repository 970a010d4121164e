//! Terminals, where an exception lets one in: for engines by console socket, for `run` on the caller's own.

use crate::need;
use crate::support::terminal::{Shown, accept, is_canonical, until};
use crate::support::{Rig, finish, text, unique, wait_fd};
use cofferdam::sys::{process, terminal};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

fn spec(rig: &Rig, args: &[&str]) -> Value {
    let mut spec = rig.spec(args);
    spec["process"]["terminal"] = true.into();
    spec["process"]["consoleSize"] = json!({"height": 24, "width": 81});
    let options = [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        "gid=5",
    ];
    let pts = json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options});
    spec["mounts"].as_array_mut().unwrap().push(pts);
    spec
}

#[test]
fn an_engine_gets_the_master_of_the_programs_terminal() {
    need!(Root);
    for (control, grant) in [
        ("8.4.1", "terminal = true"),
        ("8.4.14", "template = \"compat\""),
    ] {
        let rig = Rig::new();
        rig.except(control, grant);
        let (id, at) = (unique("tty"), rig.path("console.sock"));
        let listener = UnixListener::bind(&at).unwrap();
        let bundle = rig.bundle(&spec(&rig, &["tty"]));
        let create = [
            "create",
            "--bundle",
            text(&bundle),
            "--console-socket",
            text(&at),
            &id,
        ];
        let created = rig.call(&create);
        assert_eq!((created.ok(), created.err.as_str()), ("", ""));
        let (master, name) = accept(&listener);
        assert_eq!(name, "/dev/pts/0");
        rig.call(&["start", &id]).ok();
        let pidfd = process::pidfd_open(rig.pid(&id)).unwrap();
        let said = until(&master, "console true\r\n");
        assert!(
            said.starts_with(
                "[true, true, true] Ok(\"/dev/pts/0\") uid 65532 Ok((24, 81)) controlling true\r\n"
            ),
            "{said:?}"
        );
        assert!(
            said.contains("on the console\r\n") && !said.contains("\r\r"),
            "{said:?}"
        );
        let mut keys = File::from(master.try_clone().unwrap());
        keys.write_all(b"hello\n").unwrap();
        until(&master, "heard hello\r\n");
        // The interrupt key reaches the one that the terminal controls: it has a handler for nothing, as pid 1.
        keys.write_all(b"end\n").unwrap();
        assert!(wait_fd(pidfd.as_fd()));
        rig.call(&["delete", &id]).ok();
        rig.assert_clean(&id);
    }
}

#[test]
fn without_an_exception_a_terminal_is_refused_and_said_so() {
    need!(Root);
    let rig = Rig::new();
    let ran = rig.create(&spec(&rig, &["tty"]), &unique("no"));
    ran.refused(1, &["SS-011/8.4.1", "/process/terminal"]);
    assert!(ran.err.ends_with(": permission denied\n"), "{ran:?}");
    let ran = rig.run(&["--tty"], &["tty"]);
    ran.refused(125, &["SS-011/8.4.1", "--tty"]);
    assert!(ran.err.ends_with(": permission denied\n"), "{ran:?}");
}

#[test]
fn a_console_socket_that_is_none_is_an_error_and_nothing_is_left() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.1", "terminal = true");
    let bundle = rig.bundle(&spec(&rig, &["tty"]));
    let create = |path: &Path, words: &[&str]| {
        let id = unique("no");
        let args = [
            "create",
            "--bundle",
            text(&bundle),
            "--console-socket",
            text(path),
            &id,
        ];
        let mut all = vec!["cofferdam create failed", "the console socket"];
        all.extend(words);
        rig.call(&args).refused(1, &all);
        rig.assert_clean(&id);
    };
    create(&rig.path("absent"), &["No such file"]);
    fs::write(rig.path("file"), "").unwrap();
    create(&rig.path("file"), &["Connection refused"]);
    create(rig.dir(), &["Connection refused"]);
    let _datagram = UnixDatagram::bind(rig.path("datagram")).unwrap();
    create(&rig.path("datagram"), &["stream socket"]);
    drop(UnixListener::bind(rig.path("dead")).unwrap());
    create(&rig.path("dead"), &["Connection refused"]);
    // Full: nobody accepts, and the queue is one long.
    let full = rig.path("full");
    let listener = UnixListener::bind(&full).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&full).unwrap();
    create(&full, &["nobody accepts there"]);
    // Names that don't fit together.
    let id = unique("no");
    rig.create(&spec(&rig, &["tty"]), &id)
        .refused(1, &["process.terminal without --console-socket"]);
    let plain = rig.bundle(&rig.spec(&["exit", "0"]));
    rig.call(&[
        "create",
        "--bundle",
        text(&plain),
        "--console-socket",
        text(&full),
        &id,
    ])
    .refused(1, &["--console-socket without process.terminal"]);
    let mut no_pts = spec(&rig, &["tty"]);
    no_pts["mounts"].as_array_mut().unwrap().pop();
    rig.create(&no_pts, &id)
        .refused(1, &["/process/terminal", "devpts"]);
    // A path that is longer than an address may be.
    let long = rig.path(&"long".repeat(30));
    fs::create_dir(&long).unwrap();
    let folder = File::open(&long).unwrap();
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/s", folder.as_raw_fd())).unwrap();
    let at = long.join("s");
    let id = unique("long");
    rig.call(&[
        "create",
        "--bundle",
        text(&bundle),
        "--console-socket",
        text(&at),
        &id,
    ])
    .ok();
    accept(&listener);
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

/// `run --tty` on a terminal of our own.
fn shown(rig: &Rig, name: &str, args: &[&str]) -> Shown {
    Shown::on(rig.run_command(name, &["-t"], args))
}

#[test]
fn run_shows_the_terminal_on_the_callers() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.1", "terminal = true");
    let name = unique("run");
    let mut run = shown(&rig, &name, &["tty"]);
    let said = until(&run.outer, "console true\r\n");
    assert!(
        said.contains("uid 65532") || said.contains("uid 0"),
        "{said:?}"
    );
    assert!(
        said.contains("Ok((30, 100)) controlling true\r\n"),
        "{said:?}"
    );
    assert!(!said.contains("\r\r"), "{said:?}");
    assert!(!is_canonical(&run.other), "raw while it runs");
    terminal::set_size(run.outer.as_fd(), (40, 50)).unwrap();
    let pidfd = process::pidfd_open(run.child.id() as i32).unwrap();
    // Not our session's terminal, so the kernel has nobody to tell.
    process::pidfd_signal(pidfd.as_fd(), libc::SIGWINCH).unwrap();
    let inner = format!("/proc/{}/fd/0", rig.pid(&name));
    let changed = || File::open(&inner).is_ok_and(|f| terminal::size(f.as_fd()) == Ok((40, 50)));
    for _ in 0..500 {
        if changed() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut keys = File::from(run.outer.try_clone().unwrap());
    keys.write_all(b"size\r").unwrap();
    until(&run.outer, "(40, 50)\r\n");
    keys.write_all(b"end\r").unwrap();
    assert_eq!(run.child.wait().unwrap().code(), Some(3));
    assert!(is_canonical(&run.other), "as it was before");
    rig.assert_clean(&name);
}

#[test]
fn the_callers_terminal_is_put_back_when_it_ends_by_a_signal() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.1", "terminal = true");
    let name = unique("run");
    let mut run = shown(&rig, &name, &["wait"]);
    until(&run.outer, "ready");
    assert!(!is_canonical(&run.other));
    let pidfd = process::pidfd_open(run.child.id() as i32).unwrap();
    process::pidfd_signal(pidfd.as_fd(), libc::SIGTERM).unwrap();
    assert_eq!(run.child.wait().unwrap().code(), Some(128 + libc::SIGTERM));
    assert!(is_canonical(&run.other));
    rig.assert_clean(&name);
}

#[test]
fn input_that_is_no_terminal_is_typed_in_and_ends() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.1", "terminal = true");
    let input = rig.path("input");
    // More than a terminal's buffer, in lines: nothing may wait for us.
    fs::write(&input, "some words that are typed\n".repeat(4000)).unwrap();
    let mut command = rig.run_command(&unique("in"), &["-t"], &["tty"]);
    command.stdin(File::open(&input).unwrap());
    let ran = finish(command);
    assert_eq!(ran.code, 4, "the end of input was seen");
    assert_eq!(ran.out.matches("heard some words").count(), 4000);
}
