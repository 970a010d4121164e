//! Published ports, both ways the bytes can take, with each service's own client.

use crate::roots::packages;
use crate::service::{Launch, Service};
use crate::support::*;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Command;

const MODES: [&str; 2] = ["native", "forward"];

/// This thread, and all that it starts, in a network of its own.
fn alone() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    cofferdam::sys::fs::loopback_up().unwrap();
}

/// Why a test can't run, if its client is not there.
fn no_client(program: &str, package: &str) -> Option<String> {
    let there = Path::new(program).exists();
    (!there).then(|| format!("no {program}; apt-get install -y {package}"))
}

/// Asks until the service answers with this; fails when it ends before.
#[track_caller]
fn asks(service: &mut Service, client: &[&str], expected: &str) {
    service.until(&format!("{client:?} gets {expected:?}"), |_| {
        let mut command = Command::new(client[0]);
        let ran = command.args(&client[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.success() && said.contains(expected)).then_some(())
    });
}

fn published(what: &str, root: impl AsRef<Path>, mode: &str, port: &str) -> Launch {
    let launch = Launch::of(&format!("{what}-{mode}"), root);
    launch.flag("-p", port).flag("--publish-mode", mode)
}

#[test]
fn nginx_and_curl() {
    need!(Root, Landlock);
    let root = packages!("nginx", "nginx-light");
    alone();
    for mode in MODES {
        let launch = published("nginx", &root, mode, "8081:8080");
        let mut service = launch
            .file("/etc/nginx/nginx.conf", crate::nginx::CONFIG)
            .flag("--tmpfs", "/tmp:16m")
            .start(&["/usr/sbin/nginx"]);
        let curl = ["/usr/bin/curl", "-s", "http://127.0.0.1:8081/hello"];
        asks(&mut service, &curl, "hello from nginx");
        let many = "http://127.0.0.1:8081/doc/nginx-light/copyright";
        asks(
            &mut service,
            &["/usr/bin/curl", "-s", many, many, many],
            "Igor",
        );
        assert_eq!(service.stop(Signal::SIGTERM).0, 0, "{mode}");
    }
}

/// It is reached where it listens and nowhere else: refused at once, never left hanging.
#[test]
fn a_native_service_without_ipv6_is_refused_there_and_run_says_so() {
    need!(Root, Landlock);
    let root = packages!("nginx", "nginx-light");
    alone();
    let launch = published("nginx", &root, "native", "8081:8080");
    let mut service = launch
        .file("/etc/nginx/nginx.conf", crate::nginx::CONFIG)
        .flag("--tmpfs", "/tmp:16m")
        .start(&["/usr/sbin/nginx"]);
    let curl = ["/usr/bin/curl", "-s", "http://127.0.0.1:8081/hello"];
    asks(&mut service, &curl, "hello from nginx");
    let six = Command::new("/usr/bin/curl")
        .args(["-s", "-m", "60", "http://[::1]:8081/hello"])
        .status()
        .unwrap();
    // CURLE_COULDNT_CONNECT, and not CURLE_OPERATION_TIMEDOUT.
    assert_eq!(six.code(), Some(7));
    let printed = service.printed();
    let line = "[::]:8081 to 8080 inside, by the service's own socket, if it has one for IPv6";
    assert!(printed.contains(line), "{printed}");
    assert_eq!(service.stop(Signal::SIGTERM).0, 0);
}

#[test]
fn redis_and_its_cli() {
    need!(Root, Landlock);
    if let Some(why) = no_client("/usr/bin/redis-cli", "redis-tools") {
        return skip("published::redis_and_its_cli", "redis-cli", &why);
    }
    let root = packages!("redis", "redis-server");
    alone();
    for mode in MODES {
        let launch = published("redis", &root, mode, "127.0.0.1:6380:6379");
        let program = ["/usr/bin/redis-server", "--save", "", "--bind", "127.0.0.1"];
        let mut service = launch.flag("--nofile", "4096").start(&program);
        let cli = ["/usr/bin/redis-cli", "-h", "127.0.0.1", "-p", "6380"];
        let with = |words: &[&'static str]| [&cli[..], words].concat();
        asks(&mut service, &with(&["SET", "coffer", "dam"]), "OK");
        asks(&mut service, &with(&["GET", "coffer"]), "dam");
        asks(
            &mut service,
            &with(&["-r", "1000", "INCR", "turns"]),
            "1000",
        );
        assert_eq!(service.stop(Signal::SIGTERM).0, 0, "{mode}");
    }
}

#[test]
fn postgres_and_psql() {
    need!(Root, Landlock);
    if let Some(why) = no_client("/usr/bin/psql", "postgresql-client") {
        return skip("published::postgres_and_psql", "psql", &why);
    }
    let root = packages!("postgres", "postgresql-15", "dash");
    let store = Rig::new();
    let volume = crate::postgres::data(&root, &store);
    alone();
    for mode in MODES {
        let launch = published("postgres", &root, mode, "127.0.0.1:5433:5432");
        let postgres = format!("{}/postgres", crate::postgres::BIN);
        let settings = [
            "listen_addresses=127.0.0.1",
            "jit=off",
            "unix_socket_directories=",
        ];
        let settings = settings.iter().flat_map(|s| ["-c", s]);
        let program: Vec<&str> = [postgres.as_str(), "-D", "/data"]
            .into_iter()
            .chain(settings)
            .collect();
        let mut service = launch
            .flag("--profile", "workers")
            .flag("--volume", &volume)
            .flag("--tmpfs", "/tmp:16m")
            .excepted(crate::postgres::WORKERS.0, crate::postgres::WORKERS.1)
            .excepted(crate::postgres::SETSID.0, crate::postgres::SETSID.1)
            .start(&program);
        let psql = |sql| {
            let to = ["/usr/bin/psql", "-h", "127.0.0.1", "-p", "5433"];
            [&to[..], &["-U", "postgres", "-tAc", sql]].concat()
        };
        asks(&mut service, &psql("select 6 * 7"), "42");
        let much =
            "select length(string_agg(repeat('x', 1000), '')) from generate_series(1, 10000)";
        asks(&mut service, &psql(much), "10000000");
        assert_eq!(service.stop(Signal::SIGTERM).0, 0, "{mode}");
    }
}

#[test]
fn python_and_curl() {
    need!(Root, Landlock);
    if !Path::new("/usr/bin/python3").exists() {
        let why = "no /usr/bin/python3; apt-get install -y python3";
        return skip("published::python_and_curl", "python3", why);
    }
    alone();
    for mode in MODES {
        let launch = published("python", "/", mode, "8001:8000");
        let mut service = launch.start(&["/usr/bin/python3", "-m", "http.server", "8000"]);
        let curl = ["/usr/bin/curl", "-s", "http://127.0.0.1:8001/usr/"];
        asks(&mut service, &curl, "share/");
        assert_eq!(service.stop(Signal::SIGTERM).0, 143, "{mode}");
    }
}

#[test]
fn node_and_curl() {
    need!(Root, Landlock);
    let root = packages!("node", "nodejs", "libnode108");
    alone();
    for mode in MODES {
        let mut service = published("node", &root, mode, "8082:8080")
            .file("/srv/server.js", crate::node::SERVER)
            .excepted(crate::node::JIT.0, crate::node::JIT.1)
            .start(&["/usr/bin/node", "/srv/server.js"]);
        let curl = ["/usr/bin/curl", "-s", "http://127.0.0.1:8082/"];
        asks(&mut service, &curl, "says 5000050000");
        assert_eq!(service.stop(Signal::SIGTERM).0, 143, "{mode}");
    }
}
