//! Published ports, forwarded: nothing is lost, nothing is added, every ending arrives as what it was.

use crate::host::{Running, alone, ask, connect, is_reset, line, until};
use crate::need;
use crate::support::Rig;
use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};

/// A service at port 80 inside, published at 8080.
fn service(rig: &Rig, flags: &[&str]) -> Running {
    let flags = [&["--publish", "8080:80"], flags].concat();
    Running::start(rig, &flags, &["serve", "127.0.0.1:80"])
}

#[test]
fn both_families_reach_the_service_and_the_launcher_says_where() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-mode", "forward"]);
    for at in ["127.0.0.1:8080", "[::1]:8080"] {
        assert_eq!(ask(at, "echo\nhello"), "hello", "{at}");
        assert!(line(&mut connect(at), "who").starts_with("127.0.0.1:"));
    }
    let said = running.said.join("\n");
    assert!(
        said.contains("TCP 0.0.0.0:8080 to 80 inside, forwarded"),
        "{said}"
    );
    let name = running.name.clone();
    drop(running);
    rig.assert_clean(&name);
    assert!(is_reset("127.0.0.1:8080"));
}

#[test]
fn one_address_is_one_address() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "127.0.0.2:8080:80", "--publish-mode", "forward"];
    let _running = Running::start(&rig, &flags, &["serve", "127.0.0.1:80"]);
    assert_eq!(ask("127.0.0.2:8080", "echo\nx"), "x");
    assert!(is_reset("127.0.0.1:8080") && is_reset("[::1]:8080"));
}

#[test]
fn a_service_on_ipv6_alone_is_found() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "8080:80", "--publish-mode", "forward"];
    let _running = Running::start(&rig, &flags, &["serve", "[::1]:80"]);
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
}

#[test]
fn an_end_of_sending_is_handed_on_and_the_answer_still_comes() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let _running = service(&rig, &["--publish-mode", "forward"]);
    let body = vec![3u8; 5_000_000];
    let mut stream = connect("127.0.0.1:8080");
    stream.write_all(b"sum\n").unwrap();
    stream.write_all(&body).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "5000000 15000000\n");
}

#[test]
fn resets_are_resets_in_both_directions() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let mut running = service(&rig, &["--publish-mode", "forward"]);
    let mut stream = connect("127.0.0.1:8080");
    stream.write_all(b"reset\n").unwrap();
    let end = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);

    let mut stream = connect("127.0.0.1:8080");
    assert!(line(&mut stream, "who").starts_with("127.0.0.1"));
    // Its answer says that the line has arrived: a reset could overtake it.
    assert_eq!(line(&mut stream, "ending"), "now\n");
    use std::os::fd::AsFd;
    cofferdam::sys::net::reset_on_close(stream.as_fd()).unwrap();
    drop(stream);
    let said = running.wait_for("ending");
    assert!(said.contains("ConnectionReset"), "{said}");

    let mut stream = connect("127.0.0.1:8080");
    assert_eq!(line(&mut stream, "ending"), "now\n");
    drop(stream);
    let said = running.wait_for("ending");
    assert!(said.contains("ending 0"), "{said}");
}

#[test]
fn what_was_said_before_a_reset_arrives_before_it() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let _running = service(&rig, &["--publish-mode", "forward"]);
    // A message, and as much as makes a stream of it.
    for size in [5, 100_000].repeat(20) {
        let mut stream = connect("127.0.0.1:8080");
        writeln!(stream, "answer-and-reset {size}").unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(answer.len(), size);
    }
}

#[test]
fn who_does_not_read_makes_the_service_wait_and_loses_nothing() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-mode", "forward"]);
    const MUCH: usize = 64 << 20;
    let mut lazy = connect("127.0.0.1:8080");
    writeln!(lazy, "flood {MUCH}").unwrap();
    // Others go on meanwhile.
    for _ in 0..20 {
        assert_eq!(ask("127.0.0.1:8080", "echo\nmeanwhile"), "meanwhile");
    }
    let kib = anonymous_kib(running.forwarders()[0]);
    assert!(kib < 8 << 10, "{kib} KiB for one slow reader");
    let mut block = vec![0; 65_536];
    for _ in 0..MUCH / block.len() {
        lazy.read_exact(&mut block).unwrap();
        assert!(block.iter().enumerate().all(|(n, b)| *b == (n % 251) as u8));
    }
    assert_eq!(lazy.read(&mut block).unwrap(), 0);
}

fn anonymous_kib(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}

#[test]
fn ten_thousand_connections_leak_nothing() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-mode", "forward"]);
    assert_eq!(ask("127.0.0.1:8080", "echo\nfirst"), "first");
    let forwarder = running.forwarders()[0];
    let open = || {
        std::fs::read_dir(format!("/proc/{forwarder}/fd"))
            .unwrap()
            .count()
    };
    let (before, memory) = (open(), anonymous_kib(forwarder));
    for n in 0..10_000 {
        let stream = connect("127.0.0.1:8080");
        if n % 2 == 0 {
            // A reset leaves no TIME_WAIT: ports of this host are not what is tested.
            use std::os::fd::AsFd;
            cofferdam::sys::net::reset_on_close(stream.as_fd()).unwrap();
        }
    }
    until("all of them closed", || {
        (open() <= before + 16).then_some(())
    });
    assert_eq!(ask("127.0.0.1:8080", "echo\nlast"), "last");
    // 105 bytes of each would be seen; how many are open at once decides the rest.
    let grown = anonymous_kib(forwarder).saturating_sub(memory);
    assert!(grown < 1024, "{grown} KiB more, of {memory}");
}

/// Two ports of the host lead to one inside: the service's own socket could be at one of them only.
#[test]
fn two_ports_may_lead_to_one_inside() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let two = ["-p", "127.0.0.1:8080:80", "-p", "[::1]:8081:80"];
    let running = Running::start(&rig, &two, &["serve", "0.0.0.0:80"]);
    for at in ["127.0.0.1:8080", "[::1]:8081"] {
        assert_eq!(ask(at, "echo\nx"), "x", "{at}");
    }
    let said = running.said.join("\n");
    assert_eq!(said.matches("80 inside, forwarded").count(), 2, "{said}");
    let root = rig.rootfs();
    let run = ["run", "--rootfs", root.to_str().unwrap()];
    let native = ["--publish-mode", "native", "x", "--", "/payload"];
    let refused = rig.call(&[&run[..], &two, &native].concat());
    refused.refused(125, &["--publish-mode", "port 80 inside", "more than once"]);
}

#[test]
fn many_at_once_do_not_mix() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let _running = service(&rig, &["--publish-mode", "forward"]);
    let mut all: Vec<_> = (0..200).map(|_| connect("127.0.0.1:8080")).collect();
    for stream in &mut all {
        stream.write_all(b"echo\n").unwrap();
    }
    for round in 0..20 {
        for (n, stream) in all.iter_mut().enumerate() {
            let word = format!("{round}-{n}!");
            stream.write_all(word.as_bytes()).unwrap();
        }
        for (n, stream) in all.iter_mut().enumerate() {
            let word = format!("{round}-{n}!");
            let mut back = vec![0; word.len()];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, word.as_bytes());
        }
    }
}

#[test]
fn sources_limits_and_rates_turn_away_with_a_reset() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-from", "127.0.0.2"]);
    assert!(is_reset("127.0.0.1:8080"));
    let from: std::net::SocketAddr = "127.0.0.2:0".parse().unwrap();
    let socket = cofferdam::sys::net::socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    use cofferdam::sys::net::{RawAddress, bind};
    use std::os::fd::AsFd;
    bind(socket.as_fd(), &RawAddress::of(from)).unwrap();
    let to = RawAddress::of("127.0.0.1:8080".parse().unwrap());
    cofferdam::sys::net::connect(socket.as_fd(), &to).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    assert!(line(&mut stream, "who").starts_with("127.0.0.1"));
    drop((stream, running));

    let running = service(&rig, &["--publish-limit", "2"]);
    let (mut a, mut b) = (connect("127.0.0.1:8080"), connect("127.0.0.1:8080"));
    assert!(line(&mut a, "who").starts_with("127.") && line(&mut b, "who").starts_with("127."));
    assert!(is_reset("127.0.0.1:8080"));
    drop(a);
    until("room again", || (!is_reset("127.0.0.1:8080")).then_some(()));
    drop((b, running));

    let _running = service(&rig, &["--publish-rate", "5"]);
    let refused = (0..50).filter(|_| is_reset("127.0.0.1:8080")).count();
    assert!(refused > 0, "fifty at once, five a second");
    until("a second later", || {
        (!is_reset("127.0.0.1:8080")).then_some(())
    });
}

#[test]
fn the_client_is_named_by_a_proxy_header() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-proxy", "v1"]);
    let mut stream = connect("127.0.0.1:8080");
    let me = stream.local_addr().unwrap();
    let answer = line(&mut stream, "who");
    let header = format!(
        "unknown \"PROXY TCP4 127.0.0.1 127.0.0.1 {} 8080\"\n",
        me.port()
    );
    assert_eq!(answer, header);
    drop(running);

    let flags = ["-p", "8080:80", "--publish-proxy", "v2"];
    let _running = Running::start(&rig, &flags, &["serve-hex", "127.0.0.1:80", "30"]);
    let mut stream = connect("127.0.0.1:8080");
    let me = stream.local_addr().unwrap().port();
    let answer = line(&mut stream, "x");
    let ends = format!("0d0a0d0a000d0a515549540a2111000c7f0000017f000001{me:04x}1f90780a\n");
    assert_eq!(answer, ends);
}

#[test]
fn datagrams_find_their_way_in_and_back() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "5353:53/udp"];
    let running = Running::start(&rig, &flags, &["udp", "127.0.0.1:53"]);
    for (own, at) in [("127.0.0.1:0", "127.0.0.1:5353"), ("[::1]:0", "[::1]:5353")] {
        let clients: Vec<UdpSocket> = (0..20).map(|_| UdpSocket::bind(own).unwrap()).collect();
        for (n, client) in clients.iter().enumerate() {
            client
                .set_read_timeout(Some(crate::host::PATIENCE))
                .unwrap();
            client.connect(at).unwrap();
            client.send(format!("to {n}").as_bytes()).unwrap();
        }
        for (n, client) in clients.iter().enumerate() {
            let mut buffer = [0; 100];
            let got = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..got], format!("to {n}").as_bytes());
        }
    }
    let name = running.name.clone();
    drop(running);
    rig.assert_clean(&name);
}

#[test]
fn the_table_of_datagram_clients_is_bounded() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "127.0.0.1:5353:53/udp"];
    let running = Running::start(&rig, &flags, &["udp", "127.0.0.1:53"]);
    let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let clients: Vec<UdpSocket> = (0..3000).map(|_| socket()).collect();
    for client in &clients {
        client.send_to(b"x", "127.0.0.1:5353").unwrap();
    }
    let last = socket();
    last.set_read_timeout(Some(std::time::Duration::from_secs(1)))
        .unwrap();
    until("an answer", || {
        last.send_to(b"last", "127.0.0.1:5353").unwrap();
        let mut buffer = [0; 10];
        last.recv(&mut buffer).is_ok().then_some(())
    });
    let forwarder = running.forwarders()[0];
    let open = std::fs::read_dir(format!("/proc/{forwarder}/fd"))
        .unwrap()
        .count();
    assert!(open < 1100, "{open} descriptors");
}

#[test]
fn a_forwarder_that_is_killed_comes_back_and_no_port_is_dropped() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-mode", "forward"]);
    for _ in 0..3 {
        let forwarder = running.forwarders()[0];
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(forwarder),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        // The socket was never closed: this waits in its queue until there is a forwarder again.
        assert_eq!(ask("127.0.0.1:8080", "echo\nagain"), "again");
    }
}

#[test]
fn the_forwarder_is_jailed() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = service(&rig, &["--publish-mode", "forward"]);
    let forwarder = running.forwarders()[0];
    let status = std::fs::read_to_string(format!("/proc/{forwarder}/status")).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            status.contains(&format!("{set}:\t0000000000000000")),
            "{set}: {status}"
        );
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let own = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(own(&forwarder.to_string()), own("thread-self"));
}

#[test]
fn a_container_that_an_engine_made_has_its_ports_until_it_is_deleted() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let mut spec = rig.spec(&["serve", "127.0.0.1:8000"]);
    spec["annotations"] = serde_json::json!({"org.cofferdam.publish": "8080:8000"});
    let id = crate::support::unique("oci");
    rig.create(&spec, &id).ok();
    assert!(is_reset("127.0.0.1:8080"), "it has not been started");
    rig.call(&["start", &id]).ok();
    until("the service", || {
        (!is_reset("127.0.0.1:8080")).then_some(())
    });
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
    until("the port is free", || {
        std::net::TcpListener::bind("0.0.0.0:8080").ok()
    });
}
