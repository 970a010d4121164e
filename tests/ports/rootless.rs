//! An ordinary user publishes a port: no right of the host's, no program beside us.

use crate::host::{Running, alone, connect, is_reset, until};
use crate::need;
use crate::support::{Rig, exception, processes_with, skip, text, unique};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// uid 65534, with a folder that is its own: the launcher, a policy, the states.
fn user(rig: &Rig) -> PathBuf {
    let home = rig.path("user");
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    for folder in [home.clone(), home.join("state"), home.join("exceptions.d")] {
        std::fs::create_dir(&folder).unwrap();
        own(&folder);
    }
    std::fs::copy(env!("CARGO_BIN_EXE_cofferdam"), home.join("cofferdam")).unwrap();
    let allowed = exception("out", "8.5.4", "connect = [\"127.0.0.1:7000\"]");
    for (file, text) in [("policy.toml", ""), ("exceptions.d/out.toml", &allowed)] {
        let file = home.join(file);
        std::fs::write(&file, format!("version = 1\n{text}")).unwrap();
        own(&file);
    }
    home
}

fn command(home: &Path, words: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(home.join("cofferdam"));
    command.env_clear().arg("--root").arg(home.join("state"));
    command.arg("--policy").arg(home.join("policy.toml"));
    command.args(words).stdin(std::process::Stdio::null());
    command.uid(65534).gid(65534);
    command
}

/// Whether ordinary users can launch here; says so if not.
fn can(test: &str) -> bool {
    let off = |file: &str| std::fs::read_to_string(file).is_ok_and(|t| t.trim() == "0");
    let none = off("/proc/sys/user/max_user_namespaces")
        || off("/proc/sys/kernel/unprivileged_userns_clone");
    if none {
        skip(test, "userns", "user namespaces are off");
    }
    !none
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
    if !can("an_ordinary_user_publishes") {
        return;
    }
    for mode in ["forward", "native"] {
        alone();
        let (rig, name) = (Rig::new(), unique("user"));
        let port = format!("8080:{}", cofferdam::sample::PORT);
        let words = ["run", "-p", &port, "--publish-mode", mode, &name];
        let running = Running::named(name.clone(), command(&user(&rig), &words));
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

#[test]
fn an_ordinary_user_links_and_connects() {
    need!(Root, Landlock);
    if !can("an_ordinary_user_links") {
        return;
    }
    alone();
    let rig = Rig::new();
    let (home, root) = (user(&rig), rig.rootfs());
    let (db, web) = (unique("db"), unique("web"));
    let run = ["run", "--rootfs", text(&root)];
    let serve = [&db, "--", "/payload", "serve", "127.0.0.1:5432"];
    let words = [
        &run[..],
        &["--expose", "5432", "--permit-peer", &web],
        &serve,
    ]
    .concat();
    let _db = Running::named(db.clone(), command(&home, &words)).ready("ready");
    let outside = std::net::TcpListener::bind("127.0.0.1:7000").unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = outside.accept().unwrap();
        // Closed with something unread it would be a reset, which may overtake the answer.
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"outside").unwrap();
    });
    let link = format!("{db}:5432=store:5433");
    let ways = ["--link", &link, "--connect", "127.0.0.1:7000=7001"];
    for (name, at, answer) in [
        (&web, "127.0.0.1:5433", "127.0.0.1:"),
        (&web, "127.0.0.1:7001", "outside"),
        (&unique("stranger"), "127.0.0.1:5433", "ECONNRESET"),
    ] {
        let ask = [name, "--", "/payload", "ask", at, "who"];
        let words = [&run[..], &ways, &ask].concat();
        let asked = Running::named(name.clone(), command(&home, &words));
        let (_, said) = asked.finish();
        assert!(said.last().unwrap().starts_with(answer), "{said:?}");
    }
    server.join().unwrap();
}
