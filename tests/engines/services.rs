//! The README's table "image and profile": each image as its maker starts it, under both site policies, by Docker.
//!
//! An image is a root of Debian packages with what their maintainer scripts would have written (users, folders).

use crate::docker::{except, start};
use crate::engines;
use crate::host::{Host, STRICT, TRANSITION};
use crate::images::{import, linked, pack};
use crate::need;
use crate::roots::packages;
use crate::support::PATIENCE;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a service is asked that is not expected to answer: a master without workers never ends.
const SHORT: Duration = Duration::from_secs(4);

/// An image, what it is asked, and what strict.toml wants for it.
struct Service {
    name: &'static str,
    /// Lines of the image: USER, ENV, CMD.
    lines: &'static [&'static str],
    /// Folders that its packages would have made: path, owner.
    folders: &'static [(&'static str, u32)],
    /// Flags of `docker run` that the table names.
    flags: &'static str,
    port: u16,
    /// A shell line that asks the port, and what the answer has in it.
    ask: (&'static str, &'static str),
    /// Exceptions that the table names.
    strict: &'static [(&'static str, &'static str)],
}

const USERS: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nredis:x:101:101::/:/bin/false\npostgres:x:102:102::/var/lib/postgresql:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nadm:x:4:\nwww-data:x:33:\nredis:x:101:\npostgres:x:102:\n";

/// The image, from the root of its packages.
fn build(host: &Host, service: &Service, root: &Path) {
    let extra = host.shared("image");
    linked(root, &extra);
    for sub in ["etc", "tmp", "run", "proc", "dev", "sys", "root", "var/run"] {
        fs::create_dir_all(extra.join(sub)).unwrap();
    }
    fs::set_permissions(extra.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    for (path, content) in [("etc/passwd", USERS), ("etc/group", GROUPS)] {
        let _ = fs::remove_file(extra.join(path));
        fs::write(extra.join(path), content).unwrap();
    }
    if extra.join("bin/dash").exists() && !extra.join("bin/sh").exists() {
        symlink("dash", extra.join("bin/sh")).unwrap();
    }
    if extra.join("etc/nginx").exists() {
        fs::create_dir_all(extra.join("etc/nginx/sites-enabled")).unwrap();
        let site = extra.join("etc/nginx/sites-enabled/default");
        symlink("../sites-available/default", site).unwrap();
    }
    for (path, owner) in service.folders {
        let folder = extra.join(path.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        chown(&folder, Some(*owner), Some(*owner)).unwrap();
    }
    let tar = host.shared("service.tar");
    pack(&extra, &tar);
    import(host, &image(service), &tar, service.lines);
    fs::remove_file(tar).unwrap();
}

fn image(service: &Service) -> String {
    format!("localhost/{}:1", service.name)
}

/// Starts it, asks until it answers, has ended or has had its time, removes it; the answer, or what it printed.
fn answer(host: &Host, service: &Service, flags: &str, patience: Duration) -> Result<(), String> {
    let publish = format!("127.0.0.1:{0}:{0}", service.port);
    let mut words = vec!["docker", "run", "-d", "--name", "service", "-p", &publish];
    words.extend(flags.split_whitespace());
    let image = image(service);
    words.push(&image);
    let begun = host.call(&words);
    let deadline = Instant::now() + patience;
    let answered = loop {
        if host.script(service.ask.0).out.contains(service.ask.1) {
            break true;
        }
        let running = host.line("docker inspect service --format {{.State.Running}}");
        if running.out.trim() != "true" || Instant::now() > deadline {
            break false;
        }
    };
    let printed = host.line("docker logs service");
    host.line("docker rm -f -v service").ok();
    match answered {
        true => Ok(()),
        false => Err(format!("{begun:?} {}{}", printed.out, printed.err)),
    }
}

/// Fails unless the table's line for the service is true.
fn row(service: &Service, root: &Path) {
    let host = Host::boot();
    start(&host);
    build(&host, service, root);
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    answer(&host, service, "", PATIENCE).unwrap();
    host.write("/etc/cofferdam/policy.toml", STRICT);
    assert!(
        answer(&host, service, service.flags, SHORT).is_err(),
        "it needs no exception"
    );
    // All of them, and not one too many.
    for (left_out, (control, grant)) in service.strict.iter().enumerate() {
        let mut rest = service.strict.to_vec();
        rest.remove(left_out);
        except(&host, &rest);
        assert!(
            answer(&host, service, service.flags, SHORT).is_err(),
            "it runs without {control} {grant}"
        );
    }
    except(&host, service.strict);
    answer(&host, service, service.flags, PATIENCE).unwrap();
    host.assert_clean();
}

#[test]
fn python() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let root = packages!("python", "python3");
    row(
        &Service {
            name: "python",
            lines: &[
                "CMD [\"/usr/bin/python3\", \"-m\", \"http.server\", \"-d\", \"/etc\", \"8000\"]",
            ],
            folders: &[],
            flags: "",
            port: 8000,
            ask: (
                "busybox wget -q -O - http://127.0.0.1:8000/group",
                "www-data",
            ),
            strict: &[("8.2.4", "ports_any = true")],
        },
        &root,
    );
}

#[test]
fn redis() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let root = packages!("redis", "redis-server");
    row(
        &Service {
            name: "redis",
            lines: &[
                "USER redis",
                "CMD [\"/usr/bin/redis-server\", \"--protected-mode\", \"no\"]",
            ],
            folders: &[],
            flags: "",
            port: 6379,
            ask: ("echo PING | busybox nc -w 1 127.0.0.1 6379", "PONG"),
            strict: &[("8.2.4", "ports_any = true")],
        },
        &root,
    );
}

#[test]
fn nginx() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let root = packages!("nginx", "nginx-light");
    row(
        &Service {
            name: "nginx",
            lines: &["CMD [\"/usr/sbin/nginx\", \"-g\", \"daemon off;\"]"],
            folders: &[
                ("/var/lib/nginx", 0),
                ("/var/log/nginx", 33),
                ("/var/www/html", 0),
            ],
            flags: "--tmpfs /var/lib/nginx --tmpfs /run --tmpfs /var/log/nginx:mode=1777",
            port: 80,
            ask: ("echo GET / | busybox nc -w 1 127.0.0.1 80", "nginx"),
            strict: &[
                ("8.2.4", "ports_any = true"),
                ("8.5.2", "template = \"workers\""),
                (
                    "8.1.5",
                    "capabilities = [\"CHOWN\", \"SETGID\", \"SETUID\"]",
                ),
                ("8.5.1", "seccomp_groups = [\"chown\", \"identity\"]"),
            ],
        },
        &root,
    );
}

#[test]
fn postgres() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let root = packages!("postgres-image", "postgresql-15", "dash");
    row(
        &Service {
            name: "postgres",
            lines: &[
                "USER postgres",
                "ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin",
                "CMD [\"/bin/sh\", \"-c\", \"initdb -D /data -A trust && echo host all all all trust >> /data/pg_hba.conf && exec postgres -D /data -k /tmp -h 0.0.0.0\"]",
            ],
            folders: &[("/data", 102)],
            flags: "-v /data --tmpfs /tmp",
            port: 5432,
            ask: (
                "printf '\\000\\000\\000\\051\\000\\003\\000\\000user\\000postgres\\000database\\000postgres\\000\\000' | busybox nc -w 1 127.0.0.1 5432",
                "server_version",
            ),
            strict: &[
                ("8.2.4", "ports_any = true"),
                (
                    "8.4.3",
                    "template = \"script\", programs = [\"/bin/sh\", \"/usr/lib/postgresql/15/bin/initdb\", \"/usr/lib/postgresql/15/bin/postgres\"]",
                ),
                ("8.5.1", "seccomp_groups = [\"setsid\"]"),
            ],
        },
        &root,
    );
}
