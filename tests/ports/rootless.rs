//! An ordinary user publishes a port: no right of the host's, no program beside us.

use crate::host::{Running, alone, connect, is_reset, until};
use crate::need;
use crate::support::{Rig, processes_with, skip, unique};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

/// uid 65534, where the launcher can be reached and the states are its own.
fn command(rig: &Rig, words: &[&str]) -> std::process::Command {
    let (binary, state) = (rig.path("cofferdam"), rig.path("state-of-user"));
    std::fs::copy(env!("CARGO_BIN_EXE_cofferdam"), &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(65534), Some(65534)).unwrap();
    let mut command = std::process::Command::new(binary);
    command.env_clear().arg("--root").arg(state).args(words);
    command.stdin(std::process::Stdio::null());
    command.uid(65534).gid(65534);
    command
}

/// One page of the sample, as soon as it serves.
fn page() -> String {
    until("the page", || {
        if is_reset("127.0.0.1:8080") {
            return None;
        }
        let mut stream = connect("127.0.0.1:8080");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        (!page.is_empty()).then_some(page)
    })
}

#[test]
fn an_ordinary_user_publishes_a_port_either_way() {
    need!(Root, Landlock);
    let off = |file: &str| std::fs::read_to_string(file).is_ok_and(|t| t.trim() == "0");
    if off("/proc/sys/user/max_user_namespaces")
        || off("/proc/sys/kernel/unprivileged_userns_clone")
    {
        return skip(
            "an_ordinary_user_publishes",
            "userns",
            "user namespaces are off",
        );
    }
    for mode in ["forward", "native"] {
        alone();
        let (rig, name) = (Rig::new(), unique("user"));
        let port = format!("8080:{}", cofferdam::sample::PORT);
        let words = ["run", "-p", &port, "--publish-mode", mode, &name];
        let running = Running::named(name.clone(), command(&rig, &words));
        let page = page();
        assert!(page.starts_with("HTTP/1."), "{mode}: {page}");
        // Whatever stands beside it has the user's rights at most.
        let mut looked_at = 0;
        for pid in running.processes("cofferdam-ports") {
            // One that only carried a question out may have ended since it was listed.
            let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
                continue;
            };
            looked_at += 1;
            let uids = status.lines().find(|l| l.starts_with("Uid:")).unwrap();
            assert!(
                !uids.split_whitespace().any(|id| id == "0"),
                "{mode}: {uids}"
            );
        }
        assert!(looked_at > 0, "{mode}: nobody keeps the port");
        drop(running);
        until("all of it gone", || {
            processes_with(&[&name]).is_empty().then_some(())
        });
        std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    }
}
