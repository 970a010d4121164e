//! What came in with the program: descriptors, terminals, secrets in the environment; and its log, seen from inside.

use super::calls::{open, sys};
use super::{Layer, NOTHING, Probe, Tried};
use crate::controls::ControlId::{S8_1_3, S8_2_1, S8_2_2, S8_2_3, S8_4_1, S8_4_2};
use crate::sys::attempt::buffer;
use std::io::IsTerminal;

const HANDED: (Layer, &[&str]) = (Layer::Streams, &["nothing"]);

pub(super) const PROBES: &[Probe] = &[
    Probe::new(
        "descriptor/leaked",
        "use a descriptor of the host's, beside 0, 1 and 2",
        &[S8_1_3],
        HANDED,
        |_| leaked(),
    ),
    Probe::new(
        "descriptor/folder",
        "leave the root by an open folder (CVE-2024-21626)",
        &[S8_1_3],
        HANDED,
        |_| folder(),
    ),
    Probe::new(
        "terminal/inherited",
        "use the caller's terminal (isatty of 0, 1, 2)",
        &[S8_4_1],
        HANDED,
        |_| {
            let all = [
                std::io::stdin().is_terminal(),
                std::io::stdout().is_terminal(),
                std::io::stderr().is_terminal(),
            ];
            if all.contains(&true) { 0 } else { NOTHING }
        },
    ),
    Probe::new(
        "log/read-back",
        "read the log through its own end (/proc/self/fd/1), which is the launcher's file",
        &[S8_4_2],
        (Layer::Kernel, &["EACCES"]),
        |_| open("/proc/self/fd/1", libc::O_RDONLY),
    ),
    Probe::new(
        "log/append-elsewhere",
        "open the log once more for writing (/proc/self/fd/2)",
        &[S8_4_2],
        (Layer::Landlock, &["EACCES"]),
        |_| open("/proc/self/fd/2", libc::O_RDWR),
    ),
    Probe::denied(
        "log/seize-terminal",
        "ask the log's end for its terminal (TIOCGPTN)",
        &[S8_4_2],
        |_| sys(libc::SYS_ioctl, [1, 0x8004_5430, buffer()]),
    ),
    Probe::new(
        "secret/environment",
        "find secrets of the launcher in the environment",
        &[S8_2_2],
        HANDED,
        |_| {
            let named = |name: &str| {
                ["SECRET", "PASSWORD", "TOKEN", "PRIVATE_KEY"]
                    .iter()
                    .any(|w| name.contains(w))
            };
            if std::env::vars().any(|(name, _)| named(&name)) {
                0
            } else {
                NOTHING
            }
        },
    ),
    Probe::new(
        "secret/passwords",
        "read the host's password hashes (/etc/shadow)",
        &[S8_2_2],
        (Layer::Kernel, &["nothing"]),
        |_| readable(&["/etc/shadow", "/etc/gshadow", "/etc/security/opasswd"]),
    ),
    Probe::new(
        "secret/keys",
        "read keys of the host's users and services",
        &[S8_2_2],
        (Layer::Kernel, &["nothing"]),
        |_| {
            readable(&[
                "/root/.ssh/id_ed25519",
                "/root/.ssh/id_rsa",
                "/root/.docker/config.json",
                "/root/.aws/credentials",
                "/root/.kube/config",
                "/etc/ssh/ssh_host_ed25519_key",
                "/etc/ssh/ssh_host_rsa_key",
                "/etc/kubernetes/admin.conf",
                "/var/run/secrets/kubernetes.io/serviceaccount/token",
            ])
        },
    ),
    Probe::new(
        "secret/engine-socket",
        "command the engine (docker.sock and the like)",
        &[S8_2_1, S8_2_3],
        (Layer::Kernel, &["nothing"]),
        |_| {
            let sockets = [
                "/run/docker.sock",
                "/var/run/docker.sock",
                "/run/containerd/containerd.sock",
                "/run/podman/podman.sock",
                "/run/crio/crio.sock",
            ];
            let there = |path: &&str| std::os::unix::net::UnixStream::connect(path).is_ok();
            if sockets.iter().any(there) {
                0
            } else {
                NOTHING
            }
        },
    ),
    Probe::new(
        "log/records",
        "read or change the launcher's records, spools and states",
        &[S8_4_2],
        (Layer::Kernel, &["nothing"]),
        |_| {
            let places = [
                "/run/cofferdam",
                "/var/log/cofferdam",
                "/var/lib/cofferdam",
                "/etc/cofferdam",
            ];
            let filled =
                |path: &&str| std::fs::read_dir(path).is_ok_and(|mut d| d.next().is_some());
            if places.iter().any(filled) {
                0
            } else {
                NOTHING
            }
        },
    ),
];

/// Open descriptors beside the three; that of the listing itself is closed again by then.
fn open_ones() -> Vec<i32> {
    let mut all: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    all.retain(|fd| *fd > 2 && sys(libc::SYS_fcntl, [*fd as u64, libc::F_GETFD as u64]) == 0);
    all
}

fn leaked() -> Tried {
    if open_ones().is_empty() { NOTHING } else { 0 }
}

fn folder() -> Tried {
    let is_folder =
        |fd: &i32| std::fs::metadata(format!("/proc/self/fd/{fd}")).is_ok_and(|m| m.is_dir());
    let cwd = std::env::current_dir().is_ok_and(|d| d.starts_with("/"));
    if cwd && !open_ones().iter().any(is_folder) {
        NOTHING
    } else {
        0
    }
}

/// Whether any of these files can be read and has something in it.
fn readable(paths: &[&str]) -> Tried {
    let filled = |path: &&str| std::fs::read(path).is_ok_and(|text| !text.is_empty());
    if paths.iter().any(filled) { 0 } else { NOTHING }
}
