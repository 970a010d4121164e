//! A collector's name is looked up anew for each attempt: one that moves is found where it went.

use crate::check::with_policy;
use crate::count::syslog;
use crate::lab::{self, Lab, until};
use crate::receivers::Rsyslog;
use crate::support::events::spooled;
use crate::support::unique;
use cofferdam::logs::ship::Notice;
use cofferdam::policy::{Protocol, Transport};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};

/// This file in the place of one of the host's, for this thread and what it starts.
fn in_place_of(path: &str, own: &Path, text: &str) {
    fs::write(own, text).unwrap();
    mount(
        Some(own),
        path,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .unwrap();
}

/// Mounts of its own for the calling thread.
fn unshare_mounts() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
}

#[test]
fn a_name_that_moves_in_the_hosts_file_is_followed() {
    need!(Root);
    let lab = Lab::new();
    unshare_mounts();
    let hosts = lab.path("hosts");
    in_place_of("/etc/hosts", &hosts, "127.0.0.2 collector.test\n");
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let mut target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    // Its certificate bears this name and no address but 127.0.0.1.
    target.address = Some(format!("collector.test:{}", lab::TLS));
    target.server_name = None;
    let shipping = lab.ship(vec![target], lab.finished(1_000));
    shipping.wait_for(|n| matches!(n, Notice::Down { why, .. } if why.contains("127.0.0.2")));
    fs::write(&hosts, "127.0.0.1 collector.test\n").unwrap();
    shipping.delivered();
    assert_eq!(syslog(&rsyslog.file("tls"), 1_000).lost, 0);
}

/// Answers every question for an address with 127.0.0.N, and those for IPv6 with none.
fn name_server(last: &'static AtomicU8) {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let asked = &question[..length];
            let is_a = asked[length - 4..] == [0, 1, 0, 1];
            // Header: the number, a recursive answer, one question, one or no record.
            let mut answer = asked.to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                // The name of the question; an address for one second.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend([127, 0, 0, last.load(Ordering::SeqCst)]);
            }
            if socket.send_to(&answer, from).is_err() {
                return;
            }
        }
    });
}

#[test]
fn a_name_that_moves_in_the_dns_is_followed() {
    static LAST: AtomicU8 = AtomicU8::new(2);
    need!(Root);
    let lab = Lab::new();
    unshare_mounts();
    in_place_of("/etc/hosts", &lab.path("hosts"), "");
    let servers = "nameserver 127.0.0.1\n";
    in_place_of("/etc/resolv.conf", &lab.path("resolv.conf"), servers);
    name_server(&LAST);
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let mut target = lab.target("siem", Protocol::Relp, Transport::Tcp, lab::RELP);
    target.address = Some(format!("collector.test:{}", lab::RELP));
    let shipping = lab.ship(vec![target], lab.finished(1_000));
    shipping.wait_for(|n| matches!(n, Notice::Down { why, .. } if why.contains("127.0.0.2")));
    LAST.store(1, Ordering::SeqCst);
    shipping.delivered();
    assert_eq!(syslog(&rsyslog.file("relp"), 1_000).lost, 0);
}

/// Editors and engines write a new file and rename it: a jail that was closed before hides it.
#[test]
fn a_hosts_file_that_is_replaced_by_another_is_found_from_a_new_jail() {
    need!(Root);
    let lab = Lab::new();
    unshare_mounts();
    for folder in ["spools", "state", "upper", "work"] {
        let made = fs::DirBuilder::new().mode(0o700).create(lab.path(folder));
        made.unwrap();
    }
    fs::set_permissions(lab.path("upper"), fs::Permissions::from_mode(0o755)).unwrap();
    let options = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        lab.path("upper").display(),
        lab.path("work").display()
    );
    let overlay = Some("overlay");
    mount(
        overlay,
        "/etc",
        overlay,
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .unwrap();
    let replace = |text: &str| {
        fs::write("/etc/hosts.new", text).unwrap();
        fs::rename("/etc/hosts.new", "/etc/hosts").unwrap();
    };
    replace("127.0.0.2 collector.test\n");
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let mut target = lab.target("siem", Protocol::Relp, Transport::Tcp, lab::RELP);
    target.address = Some(format!("collector.test:{}", lab::RELP));
    let spools = lab.path("spools");
    let mut command = with_policy(&lab, &[target], spools.to_str().unwrap());
    let name = unique("moved");
    command
        .arg("--root")
        .arg(lab.path("state"))
        .args(["run", &name]);
    let mut run = command.stdout(Stdio::null()).spawn().unwrap();
    let told = |kind: &str| {
        let all = spooled(&spools.join(&name)).into_iter();
        all.filter(move |e| e.what.kind() == kind)
            .collect::<Vec<_>>()
    };
    until("word of a collector that is away", || {
        !told("collector").is_empty()
    });
    replace("127.0.0.1 collector.test\n");
    let stored = || fs::read_to_string(rsyslog.file("relp")).unwrap_or_default();
    until("the lines at the collector", || {
        stored().contains("I am process 1")
    });
    run.kill().unwrap();
    run.wait().unwrap();
    // The shipper has ended for it, and begun again; for nothing else.
    let restarts = told("worker-restarted");
    assert_eq!(restarts.len(), 1, "{restarts:?}");
}

#[test]
fn three_targets_are_tried_in_their_order() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let away = lab.target("first", Protocol::Relp, Transport::Tcp, 1);
    let mut second = lab.target("second", Protocol::Relp, Transport::Tls, lab::RELP_TLS);
    let mut third = lab.target("third", Protocol::Relp, Transport::Tcp, lab::RELP);
    (second.fallback, third.fallback) = (true, true);
    let targets = vec![away, second, third];
    let notices = lab.ship(targets, lab.finished(1_000)).delivered();
    let told: Vec<String> = notices.iter().map(|n| format!("{n:?}")).collect();
    assert!(told[0].contains("Down { target: \"first\""), "{told:?}");
    assert!(told[1].contains("Up { target: \"second\""), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(syslog(&rsyslog.file("relptls"), 1_000).lost, 0);
    assert_eq!(syslog(&rsyslog.file("relp"), 1_000).stored, 0);
}
