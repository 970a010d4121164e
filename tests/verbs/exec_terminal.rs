//! exec with a terminal, under the exception that grants it: by console socket for engines, on the caller's otherwise.

use crate::exec::{journal, open_rig, process_file, running};
use crate::need;
use crate::support::terminal::{Shown, accept, is_canonical, until};
use crate::support::{Rig, finish, text, unique, wait_fd};
use cofferdam::sys::process;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

fn terminal_rig() -> Rig {
    let rig = Rig::new();
    rig.except("8.4.1", "exec = \"terminal\"");
    rig
}

/// As Docker asks for its containers, with or without a terminal of their own.
fn with_devpts(spec: &mut Value) {
    let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "gid=5"];
    let pts = json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options});
    spec["mounts"].as_array_mut().unwrap().push(pts);
}

fn asked(args: &[&str]) -> Value {
    json!({"args": args, "cwd": "/", "user": {"uid": 65532, "gid": 65532}, "terminal": true,
        "consoleSize": {"height": 24, "width": 81}})
}

#[test]
fn an_engine_gets_the_master_of_a_second_process_s_terminal() {
    need!(Root);
    let rig = terminal_rig();
    let id = running(&rig, with_devpts);
    let (at, pid_file) = (rig.path("console.sock"), rig.path("exec.pid"));
    let listener = UnixListener::bind(&at).unwrap();
    let file = process_file(&rig, &asked(&["/payload", "tty"]));
    let words = [
        "exec",
        "--process",
        text(&file),
        "--console-socket",
        text(&at),
        "--detach",
        "--pid-file",
        text(&pid_file),
        &id,
    ];
    let ran = rig.call(&words);
    assert_eq!((ran.ok(), ran.err.as_str()), ("", ""));
    let (master, name) = accept(&listener);
    assert_eq!(name, "/dev/pts/0");
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    let end = process::pidfd_open(pid).unwrap();
    let said = until(&master, "console false\r\n");
    assert!(
        said.starts_with(
            "[true, true, true] Ok(\"/dev/pts/0\") uid 65532 Ok((24, 81)) controlling true\r\n"
        ),
        "{said:?}"
    );
    let mut keys = File::from(master.try_clone().unwrap());
    keys.write_all(b"hello\n").unwrap();
    until(&master, "heard hello\r\n");
    // The interrupt key reaches whom the terminal controls, and that is not the first process.
    keys.write_all(b"\x03").unwrap();
    assert!(wait_fd(end.as_fd()));
    assert!(rig.pid(&id) > 0);
    let line = &journal(&rig, &id)[0];
    assert_eq!(line["result"], "verified");
    assert!(
        line["exceptions"].to_string().contains("a terminal"),
        "{line}"
    );
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn in_the_foreground_it_is_shown_on_the_callers() {
    need!(Root);
    let rig = terminal_rig();
    let id = running(&rig, with_devpts);
    // CRI-O: a file, no flag, the caller's streams are a terminal, the exit code is the process's.
    let mut bare = asked(&["/payload", "tty"]);
    bare.as_object_mut().unwrap().remove("consoleSize");
    let file = process_file(&rig, &bare);
    let mut command = rig.command();
    command.args(["exec", "--process", text(&file), &id]);
    let mut shown = Shown::on(command);
    let said = until(&shown.outer, "console false\r\n");
    assert!(
        said.contains("Ok((30, 100)) controlling true\r\n") && !said.contains("\r\r"),
        "{said:?}"
    );
    assert!(!is_canonical(&shown.other), "raw while it runs");
    let mut keys = File::from(shown.outer.try_clone().unwrap());
    keys.write_all(b"end\r").unwrap();
    assert_eq!(shown.child.wait().unwrap().code(), Some(3));
    assert!(is_canonical(&shown.other), "as it was before");
    // By flags, with input that is no terminal.
    let mut command = rig.command();
    let input = rig.path("input");
    fs::write(&input, "some words\n").unwrap();
    command.args(["exec", "-t", &id, "/payload", "tty"]);
    command.stdin(File::open(&input).unwrap());
    let ran = finish(command);
    assert_eq!(ran.code, 4, "the end of input was seen: {ran:?}");
    assert!(ran.out.contains("heard some words"), "{ran:?}");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn without_the_exception_for_it_no_terminal_goes_in() {
    need!(Root);
    for rig in [Rig::new(), open_rig()] {
        let id = running(&rig, with_devpts);
        let refused = ["SS-011/8.4.1", ": permission denied"];
        rig.call(&["exec", "-t", &id, "/payload", "tty"])
            .refused(255, &refused);
        rig.call(&["delete", "--force", &id]).ok();
        rig.assert_clean(&id);
    }
}

#[test]
fn what_can_t_be_given_is_said_and_nothing_runs() {
    need!(Root);
    let rig = terminal_rig();
    let id = running(&rig, with_devpts);
    let alone = format!("[{}]\n", rig.pid(&id));
    let file = process_file(&rig, &asked(&["/payload", "wait"]));
    let call = |words: &[&str], parts: &[&str]| {
        let pid_file = rig.path(&unique("pid"));
        let mut all = vec![
            "exec",
            "--process",
            text(&file),
            "--pid-file",
            text(&pid_file),
        ];
        all.extend(words);
        all.push(&id);
        rig.call(&all).refused(255, parts);
        assert!(!pid_file.exists(), "an engine would take it for started");
        assert_eq!(rig.call(&["ps", "-f", "json", &id]).out, alone);
    };
    call(&["-d"], &["without --console-socket"]);
    call(
        &["--console-socket", "/nowhere"],
        &["--console-socket without --detach"],
    );
    call(
        &["-d", "--console-socket", "/nowhere/console"],
        &["the console socket", "No such file"],
    );
    // Full: nobody accepts, and the queue is one long.
    let full = rig.path("full");
    let listener = UnixListener::bind(&full).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&full).unwrap();
    call(
        &["-d", "--console-socket", text(&full)],
        &["nobody accepts there"],
    );
    rig.call(&["delete", "--force", &id]).ok();
    // A container that was made without one has no place for it.
    let id = running(&rig, |_| ());
    rig.call(&["exec", "-t", &id, "/payload", "tty"])
        .refused(255, &["/process/terminal", "devpts", "/dev/pts"]);
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}
