//! Links: one container reaches a declared port of another, and nobody else does.

use crate::host::{PATIENCE, Running, alone, connect, is_reset, line, until};
use crate::need;
use crate::support::{Rig, unique};
use std::io::{Read, Write};
use std::process::Stdio;

/// A service at port 5432 inside that `peer` may link to.
fn database(rig: &Rig, name: &str, peer: &str) -> Running {
    let flags = ["--expose", "5432", "--permit-peer", peer];
    let command = rig.run_command(name, &flags, &["serve", "127.0.0.1:5432"]);
    Running::named(name.into(), command).ready("ready")
}

/// One question over a link, from a container of this name.
fn asked(rig: &Rig, name: &str, link: &str) -> String {
    let command = rig.run_command(name, &["--link", link], &["ask", "127.0.0.1:5433", "who"]);
    let (code, said) = Running::named(name.into(), command).finish();
    assert_eq!(code, 0, "{said:?}");
    assert!(!rig.state().join(name).exists());
    said.last().cloned().unwrap_or_default()
}

#[test]
fn a_permitted_peer_gets_through_and_another_gets_a_reset() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let (db, web) = (unique("db"), unique("web"));
    let _db = database(&rig, &db, &web);
    let link = format!("{db}:5432=store:5433");
    let answer = asked(&rig, &web, &link);
    assert!(answer.starts_with("127.0.0.1:"), "{answer}");
    assert_eq!(asked(&rig, &unique("stranger"), &link), "ECONNRESET");
    // Nothing is on the host's interfaces.
    assert!(is_reset("127.0.0.1:5432") && is_reset("127.0.0.1:5433"));
}

#[test]
fn only_a_declared_port_of_the_peer_is_reached() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let (db, web) = (unique("db"), unique("web"));
    let _db = database(&rig, &db, &web);
    assert_eq!(
        asked(&rig, &web, &format!("{db}:5431=store:5433")),
        "ECONNRESET"
    );
}

#[test]
fn a_peer_that_is_not_there_is_waited_for_as_long_as_was_said() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let (db, web) = (unique("db"), unique("web"));
    assert_eq!(
        asked(&rig, &web, &format!("{db}:5432=store:5433")),
        "ECONNRESET"
    );
    assert_eq!(
        asked(&rig, &web, &format!("{db}:5432=store:5433,wait=1")),
        "ECONNRESET"
    );
    let link = format!("{db}:5432=store:5433,wait=60");
    let command = rig.run_command(&web, &["--link", &link], &["ask", "127.0.0.1:5433", "who"]);
    let waiting = Running::named(web.clone(), command);
    until("the link's forwarder", || {
        (!waiting.forwarders().is_empty()).then_some(())
    });
    let _db = database(&rig, &db, &web);
    let (_, said) = waiting.finish();
    assert!(said.last().unwrap().starts_with("127.0.0.1:"), "{said:?}");
}

#[test]
fn links_outlive_the_restart_of_either_side() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let (db, web) = (unique("db"), unique("web"));
    let link = format!("{db}:5432=store:5433,wait=60");
    let start_web = || {
        let mut command =
            rig.run_command(&web, &["--link", &link], &["ask-often", "127.0.0.1:5433"]);
        command.stdin(Stdio::piped());
        Running::named(web.clone(), command).ready("ready")
    };
    let ask = |running: &mut Running| {
        running
            .child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"who\n")
            .unwrap();
        running.wait_for("got ")
    };
    let first = database(&rig, &db, &web);
    let mut running = start_web();
    assert!(ask(&mut running).contains("127.0.0.1:"));
    drop(first);
    rig_without(&rig, &db);
    let _second = database(&rig, &db, &web);
    assert!(
        ask(&mut running).contains("127.0.0.1:"),
        "after the target's restart"
    );
    drop(running);
    rig_without(&rig, &web);
    let mut running = start_web();
    assert!(
        ask(&mut running).contains("127.0.0.1:"),
        "after the caller's restart"
    );
}

/// Waits until a name is free again.
fn rig_without(rig: &Rig, name: &str) {
    until("the name is free", || {
        (!rig.state().join(name).exists()).then_some(())
    });
}

#[test]
fn the_folder_of_the_peers_is_nobody_else_s() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let folder = rig.path("state-links");
    std::fs::create_dir(&folder).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let name = unique("x");
    let ran =
        crate::support::finish(rig.run_command(&name, &["--link", "db:1=x:2"], &["exit", "0"]));
    ran.refused(125, &["state-links", "0700"]);
    rig.assert_clean(&name);
}

#[test]
fn an_external_address_that_an_exception_names_appears_inside() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    rig.except("8.5.4", "connect = [\"localhost:7000\"]");
    let outside = std::net::TcpListener::bind("127.0.0.1:7000").unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = outside.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        write!(stream, "outside heard {text}").unwrap();
    });
    let name = unique("out");
    let flags = ["--connect", "localhost:7000=7001"];
    let command = rig.run_command(&name, &flags, &["ask", "127.0.0.1:7001", "hello"]);
    let (code, said) = Running::named(name.clone(), command).finish();
    assert_eq!(
        (code, said.last().unwrap().as_str()),
        (0, "outside heard hello"),
        "{said:?}"
    );
    server.join().unwrap();
    rig.assert_clean(&name);
    // And nothing else does.
    let _other = std::net::TcpListener::bind("127.0.0.1:7002").unwrap();
    let command = rig.run_command(&name, &flags, &["ask", "127.0.0.1:7002", "hello"]);
    let (_, said) = Running::named(name, command).finish();
    assert_eq!(said.last().unwrap(), "EACCES");
}

#[test]
fn a_published_service_can_be_linked_to_as_well() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let (db, web) = (unique("db"), unique("web"));
    let flags = ["-p", "8080:5432", "--permit-peer", &web];
    let command = rig.run_command(&db, &flags, &["serve", "127.0.0.1:5432"]);
    let _db = Running::named(db.clone(), command).ready("ready");
    assert!(line(&mut connect("127.0.0.1:8080"), "who").starts_with("127."));
    assert!(asked(&rig, &web, &format!("{db}:5432=x:5433")).starts_with("127."));
}
