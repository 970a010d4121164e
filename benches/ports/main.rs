//! A published port beside the same server on the host and beside the peers: requests a second (wrk, 16 connections)
//! and bytes a second (one download); and the forwarder's memory, idle and after ten thousand connections.
//!
//! `relay-floor` is a loop of recv and send that does nothing else: what two TCP connections in the place of one cost here.
//! Where the processors are busy with client, server and kernel, no forwarder gets above it.
//!
//! Each round asks every contestant in turn (A B C A B C …), in a network namespace of the bench's own. Read the last
//! column, the ratio to `host`. `cargo bench --bench ports -- [ROUNDS]`; needs root, wrk and curl; docker-proxy and
//! socat where they are installed.

mod memory;
mod relay;
mod server;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Contestant {
    name: &'static str,
    port: u16,
    children: Vec<Child>,
    requests: Vec<f64>,
    bytes: Vec<f64>,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|a| a == "serve") {
        return server::serve(args.get(2).map_or("", String::as_str));
    }
    if args.get(1).is_some_and(|a| a == "relay") {
        let at = |n: usize| args.get(n).map_or("", String::as_str);
        return relay::relay(at(2), at(3));
    }
    if !nix::unistd::geteuid().is_root() || !there("wrk") || !there("curl") {
        println!("SKIP ports: needs root, wrk and curl (apt-get install wrk curl)");
        return;
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
    cofferdam::sys::fs::loopback_up().expect("lo");
    let rounds = args
        .iter()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(3);
    let work = tempfile::tempdir().expect("a temporary folder");
    let root = work.path().join("root");
    for folder in ["proc", "dev"] {
        std::fs::create_dir_all(root.join(folder)).expect("a root");
    }
    let me = std::env::current_exe().expect("this program");
    std::fs::copy(me, root.join("server")).expect("the server");
    std::fs::write(work.path().join("policy.toml"), "version = 1\n").expect("a policy");
    let mut field = contestants(work.path(), &root);
    let memory = forwarders_memory(&field);
    for round in 0..=rounds {
        for one in &mut field {
            let (requests, bytes) = (wrk(one.port), download(one.port));
            if round > 0 {
                one.requests.push(requests);
                one.bytes.push(bytes);
            }
        }
    }
    report(&mut field);
    for (when, (anonymous, own)) in &memory {
        println!("ports/forwarder_anonymous_kib_{when} {anonymous}");
        println!("ports/forwarder_private_dirty_kib_{when} {own}");
    }
    for child in field.iter_mut().flat_map(|f| &mut f.children) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Before anything else has passed through it, and after ten thousand connections.
fn forwarders_memory(field: &[Contestant]) -> Vec<(&'static str, memory::Memory)> {
    let Some(forwarded) = field.iter().find(|f| f.name == "forwarded") else {
        return Vec::new();
    };
    let launcher = forwarded.children.first().map(Child::id);
    let Some(pid) = launcher.and_then(memory::forwarder) else {
        return Vec::new();
    };
    let idle = memory::of(pid).map(|m| ("idle", m));
    memory::ten_thousand(forwarded.port);
    let after = memory::of(pid).map(|m| ("after_10000", m));
    idle.into_iter().chain(after).collect()
}

fn there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn contestants(work: &Path, root: &Path) -> Vec<Contestant> {
    let ours = |name: &'static str, port: u16, flags: &[&str], at: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.arg("--root").arg(work.join("state"));
        command.arg("--policy").arg(work.join("policy.toml"));
        command.args(["run", "--cpus", "8", "--rootfs"]).arg(root);
        command
            .args(flags)
            .args([name, "--", "/server", "serve", at]);
        started(name, port, vec![command])
    };
    let mut server = Command::new(root.join("server"));
    server.args(["serve", "0.0.0.0:8001"]);
    let mut field = vec![
        started("host", 8001, vec![server]),
        ours(
            "native",
            8002,
            &["-p", "127.0.0.1:8002:80", "--publish-mode", "native"],
            "0.0.0.0:80",
        ),
        ours("listen", 8003, &["--listen", "tcp://127.0.0.1:8003"], "fd"),
        ours(
            "forwarded",
            8004,
            &["-p", "127.0.0.1:8004:80", "--publish-mode", "forward"],
            "0.0.0.0:80",
        ),
    ];
    let mut floor = Command::new(root.join("server"));
    floor.args(["relay", "127.0.0.1:8007", "127.0.0.1:8001"]);
    field.push(started("relay-floor", 8007, vec![floor]));
    let proxy = "/usr/sbin/docker-proxy";
    if Path::new(proxy).exists() {
        let mut command = Command::new(proxy);
        command.args([
            "-proto",
            "tcp",
            "-host-ip",
            "127.0.0.1",
            "-host-port",
            "8005",
        ]);
        command.args(["-container-ip", "127.0.0.1", "-container-port", "8001"]);
        // It says on descriptor 3 that it is ready.
        let mut shell = Command::new("sh");
        let words: Vec<&str> = command.get_args().filter_map(|a| a.to_str()).collect();
        shell.args([
            "-c",
            &format!("exec {proxy} {} 3>/dev/null", words.join(" ")),
        ]);
        field.push(started("docker-proxy", 8005, vec![shell]));
    }
    if there("socat") {
        let mut command = Command::new("socat");
        command.args([
            "TCP-LISTEN:8006,fork,reuseaddr,nodelay",
            "TCP:127.0.0.1:8001,nodelay",
        ]);
        field.push(started("socat", 8006, vec![command]));
    }
    field
}

fn started(name: &'static str, port: u16, commands: Vec<Command>) -> Contestant {
    let quiet = |mut c: Command| {
        c.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let children = commands.into_iter().filter_map(|c| quiet(c).ok()).collect();
    for _ in 0..600 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Contestant {
        name,
        port,
        children,
        requests: Vec::new(),
        bytes: Vec::new(),
    }
}

fn output(program: &str, args: &[&str]) -> String {
    let done = Command::new(program)
        .args(args)
        .stderr(Stdio::null())
        .output();
    done.map_or(String::new(), |o| {
        String::from_utf8_lossy(&o.stdout).into_owned()
    })
}

fn wrk(port: u16) -> f64 {
    let url = format!("http://127.0.0.1:{port}/");
    let text = output("wrk", &["-t", "1", "-c", "16", "-d", "2s", &url]);
    let line = text.lines().find_map(|l| l.strip_prefix("Requests/sec:"));
    line.and_then(|l| l.trim().parse().ok()).unwrap_or(0.0)
}

fn download(port: u16) -> f64 {
    let url = format!("http://127.0.0.1:{port}/flood");
    let text = output(
        "curl",
        &["-s", "-o", "/dev/null", "-w", "%{speed_download}", &url],
    );
    text.trim().parse().unwrap_or(0.0)
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(0.0)
}

fn report(field: &mut [Contestant]) {
    println!(
        "{:<14}{:>12}{:>8}{:>12}{:>8}",
        "", "requests/s", "ratio", "Gbit/s", "ratio"
    );
    let first = field
        .first_mut()
        .map(|f| (median(&mut f.requests), median(&mut f.bytes)));
    let (host_requests, host_bytes) = first.unwrap_or((1.0, 1.0));
    for one in field.iter_mut() {
        let (requests, bytes) = (median(&mut one.requests), median(&mut one.bytes));
        let (r, b) = (requests / host_requests, bytes / host_bytes);
        println!(
            "{:<14}{requests:>12.0}{r:>8.2}{:>12.2}{b:>8.2}",
            one.name,
            bytes * 8.0 / 1e9
        );
        println!("ports/{}_requests_to_host {r:.3}", one.name);
        println!("ports/{}_bytes_to_host {b:.3}", one.name);
    }
}
