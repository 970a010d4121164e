//! What can't be: one sentence that names the item, and nothing is left behind.

use crate::host::alone;
use crate::need;
use crate::support::{Rig, unique};

/// `run FLAGS` is refused with 125 and a sentence that has each of these in it.
#[track_caller]
fn refused(rig: &Rig, flags: &[&str], parts: &[&str]) {
    let name = unique("bad");
    let root = rig.rootfs();
    let run = ["run", "--rootfs", root.to_str().unwrap()];
    let words = [&run[..], flags, &[&name, "--", "/payload", "exit", "0"]].concat();
    println!("{flags:?}");
    rig.call(&words).refused(125, parts);
    rig.assert_clean(&name);
}

#[test]
fn words_that_make_no_sense() {
    let rig = Rig::new();
    for (flag, value, part) in [
        ("--publish", "0:80", "port 0"),
        ("--publish", "8080:0", "port 0"),
        ("--publish", "8080-8090:80", "range"),
        ("--publish", "80", "8080:80"),
        ("--publish", "8080:80/sctp", "/udp"),
        ("--publish", "host:8080:80", "not an address"),
        ("--publish", "8080:99999", "65535"),
        ("--publish-mode", "fast", "native"),
        ("--publish-from", "10.0.0.1/8", "first address"),
        ("--publish-rate", "0", "1000000"),
        ("--publish-proxy", "v3", "v2"),
        ("--listen", "tcp://0.0.0.0:0", "port 0"),
        ("--listen", "unix:here", "absolute"),
        ("--listen", "udp://0.0.0.0:53", "tcp://"),
        ("--link", "db", "PEER:PORT"),
        ("--link", "../db:1", "names"),
        ("--link", "db:1,wait=forever", "seconds"),
        ("--connect", "example.com=1", "HOST:PORT"),
        ("--network", "host", "8.1.3"),
        ("--network", "cni:../x", "cni:NAME"),
        ("--permit-peer", "a/b", "name"),
    ] {
        refused(&rig, &[flag, value], &[flag, part]);
    }
}

#[test]
fn what_policy_does_not_let_through() {
    need!(Root);
    let rig = Rig::new();
    refused(
        &rig,
        &["-p", "8080:80", "-p", "8080:81"],
        &["8.2.4", "port 8080 of the host", "twice"],
    );
    refused(
        &rig,
        &["-p", "8080:80", "-p", "0.0.0.0:8080:80"],
        &["8.2.4", "twice"],
    );
    refused(
        &rig,
        &["-p", "8080:80", "-p", "8081:81"],
        &["8.5.5", "2 ports", "max_ports"],
    );
    refused(
        &rig,
        &["-p", "8080:80", "--expose", "81"],
        &["8.5.5", "2 ports"],
    );
    refused(
        &rig,
        &["-p", "8080:80", "--listen", "tcp://0.0.0.0:8080"],
        &["--listen", "twice"],
    );
    refused(
        &rig,
        &["--link", "a:1=x:5", "--link", "b:2=y:5"],
        &["--link", "127.0.0.1:5", "twice"],
    );
    refused(
        &rig,
        &["--link", "a:1=x:80", "--expose", "80"],
        &["8.5.4", "binds that port itself"],
    );
    refused(
        &rig,
        &["--connect", "192.0.2.1:25=2525"],
        &["8.5.4", "connect = [\"192.0.2.1:25\"]"],
    );
    refused(
        &rig,
        &["--network", "cni:site"],
        &["8.1.3", "the network site"],
    );
    refused(
        &rig,
        &["-p", "53:53/udp", "--publish-mode", "native"],
        &["8.1.3", "UDP is always forwarded"],
    );
    for flags in [
        ["--publish-from", "::1"],
        ["--publish-limit", "5"],
        ["--link", "a:1=x:2"],
    ] {
        let flags = [&["-p", "8080:80", "--publish-mode", "native"][..], &flags].concat();
        refused(
            &rig,
            &flags,
            &["--publish-mode native", "use auto or forward"],
        );
    }
    refused(
        &rig,
        &["--listen", "tcp://0.0.0.0:80", "--link", "a:1=x:2"],
        &["--listen", "8.1.3"],
    );
}

#[test]
fn a_port_in_use_is_told_at_the_start() {
    need!(Root);
    alone();
    let rig = Rig::new();
    let _taken = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
    refused(
        &rig,
        &["-p", "8080:80"],
        &["--publish", "0.0.0.0:8080 is in use on this host"],
    );
    refused(
        &rig,
        &["-p", "127.0.0.1:8080:80"],
        &["127.0.0.1:8080 is in use"],
    );
    refused(
        &rig,
        &["--listen", "tcp://127.0.0.1:8080"],
        &["--listen", "in use"],
    );
    let _taken = std::net::UdpSocket::bind("127.0.0.1:5353").unwrap();
    refused(&rig, &["-p", "5353:53/udp"], &["--publish", "in use"]);
    refused(
        &rig,
        &["-p", "192.0.2.7:8080:80"],
        &["--publish", "no interface of this host"],
    );
    // Of several nothing stays.
    rig.except("8.5.5", "max_ports = 2");
    refused(
        &rig,
        &["-p", "8081:80", "-p", "8080:81"],
        &["8080 is in use"],
    );
    std::net::TcpListener::bind("0.0.0.0:8081").unwrap();
}

#[test]
fn sockets_that_can_t_be_listened_at() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let file = rig.path("file");
    std::fs::write(&file, "x").unwrap();
    let at = |path: &std::path::Path| format!("unix:{}", path.display());
    refused(&rig, &["--listen", &at(&file)], &["--listen", "file"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
    let live = rig.path("live");
    let _listener = std::os::unix::net::UnixListener::bind(&live).unwrap();
    refused(&rig, &["--listen", &at(&live)], &["--listen", "in use"]);
    refused(
        &rig,
        &["--listen", &at(&rig.path("no/such"))],
        &["--listen", "No such file"],
    );
    refused(
        &rig,
        &["--listen", "inherit"],
        &["--listen inherit", "LISTEN_FDS"],
    );
}

#[test]
fn annotations_are_read_as_strictly() {
    need!(Root);
    let rig = Rig::new();
    for (key, value, part) in [
        ("publish", "0:80", "port 0"),
        ("publish", "8080:80 8080:81", "twice"),
        ("publish-mode", "fast", "native"),
        ("link", "db", "PEER:PORT"),
        ("connect", "192.0.2.1:25=2525", "8.5.4"),
        ("permit-peers", "a/b", "name"),
        ("listen", "tcp://0.0.0.0:80", "known are"),
    ] {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["annotations"] = serde_json::json!({format!("org.cofferdam.{key}"): value});
        let id = unique("bad");
        rig.create(&spec, &id).refused(1, &[part]);
        rig.assert_clean(&id);
    }
}
