//! One test's network, folder and certificates, and the shipper in it.

use crate::pki::Pki;
use crate::producer::Producer;
use cofferdam::logs::Origin;
use cofferdam::logs::ship::{End, Notice, Spool, Station, ship};
use cofferdam::policy::{Protocol, Target, Transport};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Ports, the same in each test: each has a network of its own.
pub const TLS: u16 = 16514;
pub const TCP: u16 = 10514;
pub const UDP: u16 = 11514;
pub const RELP: u16 = 12514;
pub const RELP_TLS: u16 = 12515;
pub const OTLP: u16 = 14318;
pub const FLUENT: u16 = 14224;

pub struct Lab {
    dir: TempDir,
    pub pki: Pki,
}

impl Lab {
    /// From here on the calling thread, and what it starts, is in a network of its own.
    pub fn new() -> Self {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(up.unwrap().success());
        let dir = tempfile::Builder::new()
            .prefix("cofferdam-collectors-")
            .tempdir()
            .unwrap();
        let pki = Pki::new(&dir.path().join("pki"));
        Self { dir, pki }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A spool's folder.
    pub fn spool(&self) -> PathBuf {
        let path = self.path("spool");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A target on this lab's port, with its certificates if it is TLS.
    pub fn target(
        &self,
        name: &str,
        protocol: Protocol,
        transport: Transport,
        port: u16,
    ) -> Target {
        let file = |file: &str| Some(self.pki.path(file).to_str().unwrap().to_string());
        let tls = transport == Transport::Tls;
        Target {
            transport: Some(transport),
            address: Some(format!("127.0.0.1:{port}")),
            ca: tls.then(|| file("ca.pem")).flatten(),
            certificate: tls.then(|| file("launcher.test.pem")).flatten(),
            key: tls.then(|| file("launcher.test.key")).flatten(),
            server_name: tls.then(|| "collector.test".to_string()),
            lossy: true,
            ..Target::plain(name, protocol)
        }
    }

    /// Starts shipping the spool to these targets, in this network; `over` says when nothing more will come.
    pub fn ship(&self, targets: Vec<Target>, over: OwnedFd) -> Shipping {
        let dir = open(&self.spool());
        let notices = Arc::new(Mutex::new(Vec::new()));
        let told = notices.clone();
        let thread = std::thread::spawn(move || {
            let stations: Vec<Station> = targets
                .iter()
                .map(|t| Station::prepare(t).unwrap())
                .collect();
            let mut spool = Spool::open(dir, &targets[0].name, Some(over)).unwrap();
            let mut tell = |notice| told.lock().unwrap().push(notice);
            ship(&mut spool, &stations, PATIENCE, &mut tell).unwrap()
        });
        Shipping { thread, notices }
    }

    /// A spool with so many lines of a finished service.
    pub fn finished(&self, lines: u64) -> OwnedFd {
        let (producer, over) = Producer::new(&self.spool());
        producer.write(lines, u64::MAX);
        over
    }
}

/// A shipper at work.
pub struct Shipping {
    thread: JoinHandle<End>,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Shipping {
    /// Waits until it has told something like that.
    pub fn wait_for(&self, what: impl Fn(&Notice) -> bool) {
        until("a notice", || {
            self.notices.lock().unwrap().iter().any(&what)
        });
    }

    pub fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().clone()
    }

    /// Its end, which must be that everything is delivered.
    pub fn delivered(self) -> Vec<Notice> {
        until("the shipper's end", || self.thread.is_finished());
        assert_eq!(self.thread.join().unwrap(), End::Delivered);
        self.notices.lock().unwrap().clone()
    }
}

pub fn open(dir: &Path) -> OwnedFd {
    std::fs::File::open(dir).unwrap().into()
}

/// Whose records they are.
pub fn origin() -> Origin {
    Origin {
        id: "c0ffee".into(),
        name: Some("web".into()),
        image: Some("shop:1".into()),
        host: "host.test".into(),
        boot: "boot-1".into(),
        launch: "launch-1".into(),
    }
}

/// Waits for a condition; fails when it doesn't come about.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether something listens on the port of this network.
pub fn listens(port: u16, udp: bool) -> bool {
    let table = if udp { "udp" } else { "tcp" };
    let hex = format!(":{port:04X} ");
    let text = std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap();
    let state = if udp { " 07 " } else { " 0A " };
    text.lines().any(|l| {
        let local = l.split_whitespace().nth(1).unwrap_or_default();
        format!("{local} ").ends_with(&hex) && l.contains(state)
    })
}
