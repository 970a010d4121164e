//! The native path: the service's own socket is the host's, and the program can make nothing else of it.

use crate::host::{Running, alone, ask, is_reset, until};
use crate::need;
use crate::support::Rig;

fn native(rig: &Rig, args: &[&str]) -> Running {
    let flags = ["-p", "8080:80", "--publish-mode", "native"];
    Running::start(rig, &flags, args)
}

#[test]
fn the_service_s_socket_is_the_host_s_and_no_byte_passes_through_us() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let running = native(&rig, &["serve", "0.0.0.0:80"]);
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
    let said = running.said.join("\n");
    assert!(said.contains("by the service's own socket"), "{said}");
    // With everything of ours gone, what is established goes on.
    let mut open = crate::host::connect("127.0.0.1:8080");
    assert!(crate::host::line(&mut open, "who").starts_with("127.0.0.1:"));
    for pid in running.processes("cofferdam-ports") {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }
    assert!(crate::host::line(&mut open, "who").starts_with("127.0.0.1:"));
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
}

#[test]
fn an_ipv6_socket_serves_both_families() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let _running = native(&rig, &["serve", "[::]:80"]);
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
    assert_eq!(ask("[::1]:8080", "echo\nx"), "x");
}

#[test]
fn a_service_that_never_binds_is_refused_to_clients() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let _running = native(&rig, &["wait"]);
    assert!(is_reset("127.0.0.1:8080"));
    // The port is kept for it all the same.
    assert!(std::net::TcpListener::bind("0.0.0.0:8080").is_err());
}

/// Binds twice, closes and binds again, several with SO_REUSEPORT, in an epoll before it is bound.
#[test]
fn unusual_orders_of_binding_work_as_without_us() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let mut running = native(&rig, &["binds"]);
    let mut said = |word: &str| running.wait_for(word);
    assert!(said("twice").contains("EADDRINUSE"));
    assert!(said("undeclared").contains("EACCES"));
    assert!(said("any port").contains("EACCES"));
    assert!(said("unix").contains("OK"));
    assert!(said("udp").contains("OK"));
    assert!(
        said("options").contains("reuseaddr 1 nonblock true keepidle 77 nodelay 1 sndbuf 65536")
    );
    assert!(said("families").contains("OK OK v6only 1"));
    assert!(said("reuseport").contains("OK OK"));
    said("epoll ready");
    assert_eq!(ask("127.0.0.1:8080", ""), "by epoll");
    said("again ready");
    assert_eq!(ask("127.0.0.1:8080", ""), "again");
}

/// The trap: a socket of the host's, taken apart and made to reach out.
#[test]
fn a_socket_of_the_host_s_reaches_nothing_and_listens_nowhere_else() {
    need!(Root, Landlock);
    for mode in ["native", "listen"] {
        alone();
        let rig = Rig::new();
        let outside = std::net::TcpListener::bind("127.0.0.1:9").unwrap();
        outside.set_nonblocking(true).unwrap();
        let flags: &[&str] = match mode {
            "native" => &["-p", "8080:80", "--publish-mode", "native"],
            _ => &["--listen", "tcp://0.0.0.0:8080"],
        };
        let mut running = Running::start(&rig, flags, &["trap", mode]);
        let _client = until("the listener", || {
            std::net::TcpStream::connect("127.0.0.1:8080").ok()
        });
        for (what, errno) in [
            ("connect own", "EACCES"),
            ("connect accepted", "EACCES"),
            ("fast open accepted", "EPERM"),
            ("fast open message", "EPERM"),
            ("bind accepted", "EINVAL"),
            ("listen accepted", "EACCES"),
            ("connect listener", "EACCES"),
            ("fast open listener", "EPERM"),
            ("udp", "ENETUNREACH"),
        ] {
            let line = running.wait_for(what);
            assert_eq!(line, format!("{what}: {errno}"), "{mode}");
        }
        running.wait_for("over");
        let reached = outside.accept();
        assert!(
            reached.is_err(),
            "{mode}: the host was reached: {reached:?}"
        );
        // Nothing listens but what was declared, and the one of this test.
        let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        let listening: Vec<&str> = table
            .lines()
            .filter(|l| l.contains(" 0A "))
            .filter_map(|l| l.split_whitespace().nth(1))
            .filter(|at| !at.ends_with(":1F90") && !at.ends_with(":0009"))
            .collect();
        assert!(listening.is_empty(), "{mode}: {listening:?}");
    }
}

#[test]
fn a_volume_takes_unix_sockets_away_or_leads_through_the_forwarder() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let volume = format!("{}:/data:rw", rig.path("").display());
    let plan = |mode: &str| {
        let root = rig.rootfs();
        let run = [
            "plan",
            "--rootfs",
            root.to_str().unwrap(),
            "-p",
            "8080:80",
            "-v",
            &volume,
        ];
        rig.call(&[&run[..], &["--publish-mode", mode, "x", "--", "/payload"]].concat())
            .ok()
            .to_string()
    };
    assert!(plan("auto").contains("forwarded"));
    let native = plan("native");
    assert!(
        native.contains("no unix socket, for a volume could lead to another container"),
        "{native}"
    );
}

/// Loopback, metadata address, gateway, neighbour, abstract socket, undeclared port, UDP, raw, a listener handed over:
/// from a container whose port is published, on a host that has all of these.
#[test]
fn a_published_container_reaches_nothing_of_the_host_s() {
    need!(Root, Landlock);
    for mode in ["native", "forward"] {
        alone();
        let ip = |words: &[&str]| {
            let done = std::process::Command::new("ip").args(words).status();
            assert!(done.unwrap().success(), "ip {words:?}");
        };
        for address in ["10.99.0.1/32", "10.99.0.2/32", "169.254.169.254/32"] {
            ip(&["addr", "add", address, "dev", "lo"]);
        }
        let rig = Rig::new();
        let outside: Vec<_> = ["0.0.0.0:9", "169.254.169.254:80"]
            .iter()
            .map(|at| {
                let tcp = std::net::TcpListener::bind(at).unwrap();
                let udp = std::net::UdpSocket::bind(at).unwrap();
                tcp.set_nonblocking(true).unwrap();
                udp.set_nonblocking(true).unwrap();
                (tcp, udp)
            })
            .collect();
        let name = crate::support::unique("abstract");
        use std::os::linux::net::SocketAddrExt;
        let unix = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let unix = std::os::unix::net::UnixListener::bind_addr(&unix).unwrap();
        unix.set_nonblocking(true).unwrap();
        let flags = ["-p", "8080:80", "--publish-mode", mode];
        let mut running = Running::start(&rig, &flags, &["reach", &name]);
        for (what, errno) in [
            ("loopback", "EACCES"),
            ("udp loopback", ""),
            // The port that it serves is one that it may connect to where that is inside: there, no way leads out.
            (
                "metadata",
                if mode == "native" {
                    "EACCES"
                } else {
                    "ENETUNREACH"
                },
            ),
            ("udp metadata", "ENETUNREACH"),
            ("gateway", "EACCES"),
            ("udp gateway", "ENETUNREACH"),
            ("neighbour", "EACCES"),
            ("udp neighbour", "ENETUNREACH"),
            ("undeclared", "EACCES"),
            ("raw", "EPERM"),
            ("packet", "EPERM"),
            ("abstract", "ECONNREFUSED"),
            ("handed over", "OK"),
            ("connect copy", "EACCES"),
            ("fast open copy", "E"),
        ] {
            let line = running.wait_for(&format!("{what}: "));
            assert!(
                line.starts_with(&format!("{what}: {errno}")),
                "{mode}: {line}"
            );
        }
        for (tcp, udp) in &outside {
            let reached = (tcp.accept().is_err(), udp.recv(&mut [0; 8]).is_err());
            assert_eq!(
                reached,
                (true, true),
                "{mode}: the host was reached at {tcp:?}"
            );
        }
        assert!(
            unix.accept().is_err(),
            "{mode}: the abstract socket was reached"
        );
    }
}
