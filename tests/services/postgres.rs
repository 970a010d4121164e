//! PostgreSQL: a process a session, so it needs `workers`; each leads a session of its own, so it needs `setsid`.

use crate::roots::packages;
use crate::service::{Launch, Service};
use crate::support::*;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

pub const BIN: &str = "/usr/lib/postgresql/15/bin";
pub const WORKERS: (&str, &str) = ("SS-011/8.5.2", "{ template = \"workers\" }");
pub const SETSID: (&str, &str) = ("SS-011/8.5.1", "{ seccomp_groups = [\"setsid\"] }");

/// As much of the protocol (version 3) as a query without parameters takes.
struct Session(TcpStream);

impl Session {
    fn open(service: &mut Service) -> Self {
        // The port is served before the database is ready to answer.
        service.until("it takes sessions", |s| {
            let mut stream = s.try_connect(5432).ok()?;
            let words = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
            let length = (words.len() as u32 + 4).to_be_bytes();
            stream.write_all(&[&length[..], words].concat()).ok()?;
            let mut session = Self(stream);
            session.answer().ok().map(|_| session)
        })
    }

    /// The rows' first columns, or what the server said.
    fn query(&mut self, sql: &str) -> Result<Vec<String>, String> {
        let length = (sql.len() as u32 + 5).to_be_bytes();
        let message = [b"Q", &length[..], sql.as_bytes(), b"\0"].concat();
        self.0.write_all(&message).unwrap();
        self.answer()
    }

    /// Up to ReadyForQuery.
    fn answer(&mut self) -> Result<Vec<String>, String> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).map_err(|e| e.to_string())?;
            let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).map_err(|e| e.to_string())?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match head[0] {
                b'D' => {
                    let size = u32::from_be_bytes(body[2..6].try_into().unwrap()) as usize;
                    rows.push(text(&body[6..6 + size]));
                }
                b'E' => error = Some(text(&body)),
                b'Z' => return error.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }
}

/// A data folder that belongs to the container's user, filled by initdb in a container of its own.
pub fn data(root: &Path, store: &Rig) -> String {
    let data = store.path("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&data, Some(65532), Some(65532)).unwrap();
    let volume = format!("{}:/data:rw", text(&data));
    let programs = format!(
        "{{ template = \"script\", programs = [\"{BIN}/initdb\", \"{BIN}/postgres\", \"/bin/sh\"] }}"
    );
    let initdb = format!("{BIN}/initdb");
    let ran = Launch::of("initdb", root)
        .excepted("SS-011/8.4.3", &programs)
        .excepted(SETSID.0, SETSID.1)
        .flag("--profile", "script")
        .flag("--volume", &volume)
        .flag("--tmpfs", "/tmp:16m")
        .file("/etc/passwd", "postgres:x:65532:65532::/data:/bin/false\n")
        .ended(&[
            &initdb,
            "-D",
            "/data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-locale",
            "-E",
            "UTF8",
            "-N",
        ]);
    ran.ok();
    assert_eq!(fs::metadata(data.join("PG_VERSION")).unwrap().uid(), 65532);
    volume
}

#[test]
fn answers_queries_under_workers() {
    need!(Root, Landlock);
    let root = packages!("postgres", "postgresql-15", "dash");
    let store = Rig::new();
    let volume = data(&root, &store);
    let postgres = format!("{BIN}/postgres");
    let program = [
        postgres.as_str(),
        "-D",
        "/data",
        "-k",
        "/tmp",
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "jit=off",
    ];
    let launch = |what| {
        let launch = Launch::of(what, &root)
            .flag("--profile", "workers")
            .flag("--expose", "5432");
        launch
            .flag("--volume", &volume)
            .flag("--tmpfs", "/tmp:16m")
            .excepted(WORKERS.0, WORKERS.1)
    };
    // What is missing is said, by postgres itself.
    let without = launch("postgres-no-setsid").ended(&program);
    assert_eq!(without.code, 1, "{without:#?}");
    assert!(
        without
            .err
            .contains("setsid() failed: Operation not permitted"),
        "{without:#?}"
    );

    let mut service = launch("postgres")
        .excepted(SETSID.0, SETSID.1)
        .start(&program);
    let mut session = Session::open(&mut service);
    let sum = "create table t as select generate_series(1, 1000) n; select sum(n) from t";
    assert_eq!(session.query(sum).unwrap(), ["500500"]);
    // Two more processes share the work.
    let parallel = "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; \
                    set force_parallel_mode = on; select count(*) from t";
    assert_eq!(session.query(parallel).unwrap(), ["1000"]);
    for (attack, why) in [
        ("copy t to program 'cat'", "could not execute command"),
        ("copy t to '/usr/x'", "Read-only file system"),
        ("copy t to '/dev/x'", "Read-only file system"),
        ("load '/data/PG_VERSION'", "could not"),
    ] {
        let said = session.query(attack).unwrap_err();
        assert!(said.contains(why), "{attack}: {said}");
    }
    assert_eq!(session.query("select count(*) from t").unwrap(), ["1000"]);
    // The postmaster, six helpers and this session.
    service.assert_contained(5432, 5..=10);
    drop(session);
    let (code, printed) = service.stop(Signal::SIGTERM);
    assert_eq!(code, 0, "{printed}");
    assert!(
        printed.contains("database system is shut down"),
        "{printed}"
    );
}
