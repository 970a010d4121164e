//! What the ports tell: who came in and who did not, in numbers that are those of the clients.

use crate::host::{Running, alone, ask, connect, is_reset, line};
use crate::need;
use crate::support::events::{in_file, spooled};
use crate::support::{Rig, text, unique};
use cofferdam::events::{Event, What};
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What is known of a port: taken, turned away, bytes in and out, open at the end.
#[derive(Debug, Default, PartialEq)]
struct Port {
    accepted: u64,
    refused: u64,
    open: u64,
    bytes: (u64, u64),
}

fn port(events: &[Event], number: u16) -> Port {
    let mut all = Port::default();
    for event in events {
        if let What::Port {
            port,
            accepted,
            refused,
            open,
            bytes_in,
            bytes_out,
        } = &event.what
            && *port == number
        {
            all.accepted += accepted;
            all.refused += refused;
            all.open = *open;
            all.bytes.0 += bytes_in;
            all.bytes.1 += bytes_out;
        }
    }
    all
}

/// How often somebody was turned away for a reason with these words.
fn turned_away(events: &[Event], number: u16, who: &str, words: &str) -> u64 {
    let count = |event: &Event| match &event.what {
        What::PortRefused {
            port,
            peer,
            why,
            count,
            ..
        } if *port == number && peer == who && why.contains(words) => *count,
        _ => 0,
    };
    events.iter().map(count).sum()
}

/// A container whose events go to a file.
struct Told {
    running: Running,
    file: PathBuf,
}

impl Told {
    fn start(rig: &Rig, name: &str, flags: &[&str], args: &[&str]) -> Self {
        let file = rig.path(&unique("events"));
        let flags = [&["--events", text(&file)], flags].concat();
        let command = rig.run_command(name, &flags, args);
        let running = Running::named(name.into(), command).ready("ready");
        Self { running, file }
    }

    /// Ends it; all that was told.
    fn end(self) -> Vec<Event> {
        let pid = nix::unistd::Pid::from_raw(self.running.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.running.finish();
        in_file(&self.file)
    }
}

/// A connection from this address; whether it gets through.
fn from(address: &str) -> bool {
    use cofferdam::sys::net::{RawAddress, bind, connect, socket};
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    let at = format!("{address}:0").parse().unwrap();
    bind(socket.as_fd(), &RawAddress::of(at)).unwrap();
    let to = RawAddress::of("127.0.0.1:8080".parse().unwrap());
    connect(socket.as_fd(), &to).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    use std::io::{Read, Write};
    let _ = stream.write_all(b"who\n");
    matches!(stream.read(&mut [0; 64]), Ok(1..))
}

#[test]
fn who_is_not_listed_gets_a_reset_and_is_told_as_often_as_it_came() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "8080:80", "--publish-from", "127.0.0.2"];
    let told = Told::start(&rig, &unique("p"), &flags, &["serve", "127.0.0.1:80"]);
    let refused = (0..30).filter(|_| !from("127.0.0.1")).count();
    assert_eq!(refused, 30);
    assert_eq!((0..3).filter(|_| from("127.0.0.2")).count(), 3);
    assert_eq!((0..2).filter(|_| !from("127.0.0.3")).count(), 2);
    let events = told.end();
    let seen = port(&events, 8080);
    assert_eq!((seen.accepted, seen.refused, seen.open), (3, 32, 0));
    // "who" and its line feed; "127.0.0.1:PORT" and its own.
    assert_eq!(seen.bytes.0, 12);
    assert!((3 * 12..=3 * 16).contains(&seen.bytes.1), "{seen:?}");
    let words = "not one that may come in";
    assert_eq!(turned_away(&events, 8080, "127.0.0.1", words), 30);
    assert_eq!(turned_away(&events, 8080, "127.0.0.3", words), 2);
    // Of a kind one at once, and the others in one count.
    let kinds =
        |e: &&Event| matches!(&e.what, What::PortRefused { peer, .. } if peer == "127.0.0.1");
    assert!(events.iter().filter(kinds).count() <= 3, "{events:#?}");
    // In front of the container's end, which is the last word.
    let last = events.last().unwrap();
    assert!(matches!(last.what, What::Exited { .. }), "{last:?}");
    assert!(events.iter().all(|e| e.unsent == 0));
}

#[test]
fn limits_and_rates_are_told_with_their_counts() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "127.0.0.1:8080:80", "--publish-limit", "2"];
    let told = Told::start(&rig, &unique("p"), &flags, &["serve", "127.0.0.1:80"]);
    let (mut a, mut b) = (connect("127.0.0.1:8080"), connect("127.0.0.1:8080"));
    assert!(line(&mut a, "who").starts_with("127.") && line(&mut b, "who").starts_with("127."));
    assert_eq!((0..5).filter(|_| is_reset("127.0.0.1:8080")).count(), 5);
    let events = told.end();
    let seen = port(&events, 8080);
    assert_eq!((seen.accepted, seen.refused), (2, 5));
    assert_eq!(turned_away(&events, 8080, "127.0.0.1", "at once"), 5);

    let flags = ["-p", "127.0.0.1:8080:80", "--publish-rate", "5"];
    let told = Told::start(&rig, &unique("p"), &flags, &["serve", "127.0.0.1:80"]);
    let refused = (0..50).filter(|_| is_reset("127.0.0.1:8080")).count() as u64;
    assert!(refused > 0, "fifty at once, five a second");
    let events = told.end();
    let seen = port(&events, 8080);
    assert_eq!((seen.accepted, seen.refused), (50 - refused, refused));
    assert_eq!(turned_away(&events, 8080, "127.0.0.1", "a second"), refused);
}

#[test]
fn a_service_that_does_not_listen_is_told() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "8080:80", "--publish-mode", "forward"];
    let told = Told::start(&rig, &unique("p"), &flags, &["wait"]);
    assert!((0..4).all(|_| is_reset("127.0.0.1:8080")));
    let events = told.end();
    assert_eq!(port(&events, 8080).refused, 4);
    let words = "does not serve it: Connection refused";
    assert_eq!(turned_away(&events, 8080, "127.0.0.1", words), 4);
}

#[test]
fn datagrams_have_clients_and_bytes() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let flags = ["-p", "127.0.0.1:5353:53/udp"];
    let told = Told::start(&rig, &unique("p"), &flags, &["udp", "127.0.0.1:53"]);
    for _ in 0..7 {
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(crate::host::PATIENCE))
            .unwrap();
        client.send_to(b"twelve bytes", "127.0.0.1:5353").unwrap();
        assert_eq!(client.recv(&mut [0; 64]).unwrap(), 12);
    }
    let seen = port(&told.end(), 5353);
    assert_eq!((seen.accepted, seen.bytes), (7, (84, 84)));
}

/// On both sides: where the stranger was turned away, and where it came from.
#[test]
fn a_peer_that_is_not_permitted_gets_a_reset_and_an_event() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let (db, web, stranger) = (unique("db"), unique("web"), unique("stranger"));
    let flags = ["--expose", "5432", "--permit-peer", &web];
    let told = Told::start(&rig, &db, &flags, &["serve", "127.0.0.1:5432"]);
    let link = format!("{db}:5432=store:5433");
    let asked = |name: &str| {
        let file = rig.path(&unique("events"));
        let flags = ["--link", &link, "--events", text(&file)];
        let command = rig.run_command(name, &flags, &["ask", "127.0.0.1:5433", "who"]);
        let (_, said) = Running::named(name.into(), command).finish();
        (said.last().cloned().unwrap(), in_file(&file))
    };
    let (answer, events) = asked(&web);
    assert!(answer.starts_with("127.0.0.1:"), "{answer}");
    let seen = port(&events, 5433);
    assert_eq!((seen.accepted, seen.refused), (1, 0));
    for _ in 0..2 {
        let (answer, events) = asked(&stranger);
        assert_eq!(answer, "ECONNRESET");
        let target = format!("container {db} port 5432");
        assert_eq!(turned_away(&events, 5433, &target, "does not permit"), 1);
    }
    let events = told.end();
    let seen = port(&events, 5432);
    assert_eq!((seen.accepted, seen.refused), (1, 2));
    let who = format!("container {stranger}");
    assert_eq!(turned_away(&events, 5432, &who, "not a permitted peer"), 2);
    let controls = |e: &Event| format!("{:?}", e.controls);
    let refusal = |e: &&Event| matches!(e.what, What::PortRefused { .. });
    let first = events.iter().find(refusal).unwrap();
    assert!(controls(first).contains("8_5_4"), "{first:?}");
}

#[test]
fn a_target_that_is_missing_is_told() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let db = unique("db");
    let file = rig.path("events");
    let link = format!("{db}:5432=store:5433");
    let flags = ["--link", &link, "--events", text(&file)];
    let web = unique("web");
    let command = rig.run_command(&web, &flags, &["ask", "127.0.0.1:5433", "who"]);
    let (_, said) = Running::named(web, command).finish();
    assert_eq!(said.last().unwrap(), "ECONNRESET");
    let events = in_file(&file);
    let target = format!("container {db} port 5432");
    assert_eq!(turned_away(&events, 5433, &target, "not there"), 1);
}

/// Nobody of the launcher's is left by then: the last counts must come before the spool is closed.
#[test]
fn under_an_engine_the_last_counts_are_in_the_spool() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let spool = rig.with_spool();
    for _ in 0..5 {
        let mut spec = rig.spec(&["serve", "127.0.0.1:8000"]);
        spec["annotations"] = serde_json::json!({
            "org.cofferdam.publish": "8080:8000",
            "org.cofferdam.publish-mode": "forward",
        });
        let id = unique("oci");
        rig.create(&spec, &id).ok();
        rig.call(&["start", &id]).ok();
        let mut resets = 0;
        crate::host::until("the service", || {
            let reset = is_reset("127.0.0.1:8080");
            resets += u64::from(reset);
            (!reset).then_some(())
        });
        for _ in 0..10 {
            assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
        }
        rig.call(&["delete", "--force", &id]).ok();
        let events = crate::host::until("the last word", || {
            let all = spooled(&spool.join(&id));
            let is_last = |e: &Event| matches!(e.what, What::Exited { .. });
            all.iter().any(is_last).then_some(all)
        });
        let seen = port(&events, 8080);
        assert_eq!((seen.accepted, seen.refused), (11, resets), "{events:#?}");
    }
}

/// No byte of them passes through us: at each heartbeat the kernel is asked what is established.
#[test]
fn connections_of_native_ports_are_told_as_the_kernel_counts_them() {
    need!(Root, Landlock);
    let published = vec!["-p", "8080:80", "--publish-mode", "native"];
    let handed = ["--listen", "tcp://127.0.0.1:8080"];
    let handed = [&handed[..], &["--listen", "tcp://[::1]:8080"]].concat();
    for (flags, args) in [
        (published, &["serve", "[::]:80"][..]),
        (handed, &["listen-fds"]),
    ] {
        alone();
        let rig = Rig::new();
        rig.except("8.5.5", "max_ports = 2");
        let spool = rig.with_spool();
        let policy = rig.path("policy.toml");
        let faster = std::fs::read_to_string(&policy).unwrap() + "heartbeat = \"1s\"\n";
        std::fs::write(&policy, faster).unwrap();
        let name = unique("p");
        let command = rig.run_command(&name, &flags, args);
        let _running = Running::named(name.clone(), command);
        let served = |at: &str| {
            crate::host::until("a connection", || {
                let mut stream = std::net::TcpStream::connect(at).ok()?;
                stream
                    .set_read_timeout(Some(crate::host::PATIENCE))
                    .unwrap();
                let answer = line(&mut stream, "who");
                (!answer.is_empty()).then_some(stream)
            })
        };
        let four = ["127.0.0.1:8080"; 3].map(served);
        let six = ["[::1]:8080"; 2].map(served);
        // Somebody else's, at the same port of another address.
        let other = std::net::TcpListener::bind("127.0.0.2:8080").ok();
        let _others = other.as_ref().map(|_| connect("127.0.0.2:8080"));
        assert_eq!(other.is_some(), flags.contains(&"--listen"));
        let told = |number| {
            crate::host::until(&format!("{number} established"), || {
                let all = spooled(&spool.join(&name));
                let is = |e: &Event| matches!(e.what, What::PortNative { port: 8080, established } if established == number);
                all.iter().any(is).then_some(())
            });
        };
        told(5);
        drop(four);
        told(2);
        drop(six);
        told(0);
    }
}
