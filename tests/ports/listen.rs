//! Socket activation: the program finds its sockets open, and can do nothing else with them.

use crate::host::{Running, alone, ask, is_reset};
use crate::need;
use crate::support::Rig;
use std::io::Read;

#[test]
fn the_program_finds_its_sockets_as_sd_listen_fds_says() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    rig.except("8.5.5", "max_ports = 3");
    let path = rig.path("activated.sock");
    let unix = format!("unix:{}", path.display());
    let flags = [
        "--listen",
        "tcp://127.0.0.1:8080",
        "--listen",
        &unix,
        "--listen",
        "tcp://[::1]:8081",
    ];
    let running = Running::start(&rig, &flags, &["listen-fds"]);
    let said = running.said.join("\n");
    for part in [
        "3 1 tcp-8080:activated.sock:tcp-8081",
        "pid 1",
        "fd 3 domain 2",
        "fd 4 domain 1",
        "fd 5 domain 10",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
    assert_eq!(ask("[::1]:8081", "echo\nx"), "x");
    assert!(is_reset("127.0.0.1:8081"));
    let mut text = String::new();
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello over unix\n");
    let name = running.name.clone();
    drop(running);
    rig.assert_clean(&name);
    // What was left of the path makes room for the next one.
    let _running = Running::start(&rig, &["--listen", &unix], &["listen-fds"]);
}

/// As a socket unit would start the launcher.
#[test]
fn a_launcher_that_was_activated_hands_on_what_it_has() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let root = rig.rootfs();
    let script = format!(
        "import os, socket\n\
         s = socket.create_server(('127.0.0.1', 8080))\n\
         os.dup2(os.dup(s.fileno()), 3) if s.fileno() != 3 else os.set_inheritable(3, True)\n\
         os.environ.update(LISTEN_FDS='1', LISTEN_FDNAMES='web', LISTEN_PID=str(os.getpid()))\n\
         os.execv({0:?}, [{0:?}, '--root', {1:?}, '--policy', {2:?}, 'run', '--listen', 'inherit', '--rootfs', {3:?}, 'activated', '--', '/payload', 'listen-fds'])\n",
        env!("CARGO_BIN_EXE_cofferdam"),
        rig.state(),
        rig.path("policy.toml"),
        root,
    );
    let mut command = std::process::Command::new("python3");
    command
        .args(["-c", &script])
        .stdin(std::process::Stdio::null());
    let running = Running::named("activated".into(), command).ready("ready");
    assert!(
        running.said.join("\n").contains("1 1 web"),
        "{:?}",
        running.said
    );
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
}
