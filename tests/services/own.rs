//! Static programs: busybox, the embedded sample, and a threaded server of ours (this test binary).

use crate::roots::packages;
use crate::service::{Launch, Service};
use crate::support::*;
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

/// `/payload serve PORT`: a thread a connection.
pub fn verbs(verb: &str, args: &[String]) -> Option<i32> {
    if verb != "serve" {
        return None;
    }
    let listener = TcpListener::bind(("127.0.0.1", args[0].parse().unwrap())).unwrap();
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
    Some(0)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    write!(
        stream,
        "HTTP/1.0 200 OK\r\n\r\n{threads} threads, asked {line}"
    )
}

#[test]
fn a_threaded_static_program() {
    need!(Root, Landlock);
    let fixture = Rig::new();
    let launch = Launch::of("threads", fixture.rootfs()).flag("--expose", "8080");
    let mut service = launch.start(&["/payload", "serve", "8080"]);
    // Open connections keep their threads.
    let held: Vec<TcpStream> = (0..8).map(|_| service.connect(8080)).collect();
    let page = service.until("eight threads wait", |s| {
        let mut stream = s.try_connect(8080).ok()?;
        stream.write_all(b"GET /x HTTP/1.0\r\n\r\n").ok()?;
        let page = std::io::read_to_string(stream).ok()?;
        page.contains("10 threads").then_some(page)
    });
    assert!(page.ends_with("asked GET /x HTTP/1.0\r\n"), "{page}");
    drop(held);
    service.assert_contained(8080, 1..=1);
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
}

/// The README's first command.
#[test]
fn the_embedded_sample() {
    need!(Root, Landlock);
    let (rig, name) = (Rig::new(), unique("sample"));
    let mut command = rig.command();
    command.args(["run", "--record", text(&rig.path("record.json")), &name]);
    let mut service = Service::of(rig, name, command, Vec::new());
    let page = service.get(8080, "/");
    assert!(
        page.contains("I am process 1 with ids 65532 65532 65532 65532"),
        "{page}"
    );
    let (can, cannot): (Vec<&str>, Vec<&str>) = page
        .lines()
        .filter(|l| l.starts_with("  "))
        .partition(|l| l.ends_with(" YES"));
    assert_eq!((can.len(), cannot.len()), (2, 11), "{page}");
    service.assert_contained(8080, 1..=1);
    let (code, printed) = service.stop(Signal::SIGINT);
    assert_eq!(code, 130, "{printed}");
}

/// Under the default a busybox server must be one process: httpd on its standard input, as inetd starts it.
#[test]
fn busybox_answers_on_standard_input() {
    need!(Root, Landlock);
    let root = packages!("busybox", "busybox-static");
    let launch = Launch::of("busybox", root);
    let mut command = launch.command(&["/bin/busybox", "httpd", "-i", "-h", "/usr/share/doc"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut asks = child.stdin.take().unwrap();
    asks.write_all(b"GET /busybox-static/copyright HTTP/1.0\r\n\r\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        page.starts_with("HTTP/1.") && page.contains("200 OK"),
        "{page}"
    );
    assert!(page.contains("debianized"), "{page}");
    launch.rig.assert_clean(&launch.name);
}

/// Its httpd forks for each connection: not under the default, where it accepts and closes.
#[test]
fn busybox_httpd_under_workers() {
    need!(Root, Landlock);
    let root = packages!("busybox", "busybox-static");
    let program = [
        "/bin/busybox",
        "httpd",
        "-f",
        "-p",
        "8080",
        "-h",
        "/usr/share/doc",
    ];
    let launch = |what| Launch::of(what, &root).flag("--expose", "8080");
    let granted = launch("busybox-workers").excepted("SS-011/8.5.2", "{ template = \"workers\" }");
    let mut service = granted.flag("--profile", "workers").start(&program);
    let page = service.get(8080, "/busybox-static/copyright");
    assert!(page.contains("debianized"), "{page}");
    service.assert_contained(8080, 1..=3);
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
    let mut service = launch("busybox-default").start(&program);
    assert_eq!(service.get(8080, "/busybox-static/copyright"), "");
    service.assert_contained(8080, 1..=1);
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
}
