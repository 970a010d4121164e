//! Docker's own log drivers: a real dockerd on a host of its own, with runc, and rsyslog beside it for the syslog driver.
//!
//! The daemons' time is counted from the container's creation to its end, so what a container costs them whatever is
//! logged is the row of the driver `none`.

use crate::host::{Host, absent};
use crate::lab::{self, Lab, until};
use crate::meter::{Meter, Used};
use crate::receivers::Rsyslog;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What counts as the logger.
const DAEMONS: &[&str] = &["dockerd", "containerd", "docker-proxy"];
const IMAGE: &str = "localhost/speaker:1";

/// The host with its dockerd.
pub struct Docker {
    host: Host,
    syslog: PathBuf,
    drivers: [(&'static str, String); 3],
}

/// Why there can be none.
pub fn missing() -> Option<String> {
    ["dockerd", "containerd", "runc", "ip"]
        .into_iter()
        .find_map(absent)
}

impl Docker {
    /// Boots it; its receiver writes where the lab's would.
    pub fn new(lab: &Lab) -> Self {
        let rsyslog = Rsyslog::new(lab);
        let host = Host::boot();
        let config = lab.path("rsyslog/rsyslog.conf");
        let receiver = format!("rsyslogd -n -f {} -i /run/rsyslogd.pid", config.display());
        host.daemon("rsyslogd", &receiver);
        host.daemon("dockerd", "dockerd");
        host.until("dockerd answers", |h| h.line("docker version").ended());
        let tar = host.shared("speaker.tar");
        let root = lab.path("root");
        let pack = format!("tar -C {} -cf {} service", root.display(), tar.display());
        host.script(&pack).ok();
        host.line(&format!("docker import {} {IMAGE}", tar.display()))
            .ok();
        let syslog = format!(
            "syslog --log-opt syslog-format=rfc5424 --log-opt syslog-address=tcp://127.0.0.1:{}",
            lab::TCP
        );
        Self {
            host,
            syslog: rsyslog.file("tcp"),
            drivers: [
                ("dnone", "none".into()),
                ("djson", "json-file".into()),
                ("dsyslog", syslog),
            ],
        }
    }

    /// One run with a driver, and where its lines are; nowhere for `none`.
    pub fn one(
        &self,
        name: &str,
        mode: &str,
        lines: u64,
    ) -> Result<(Used, Option<PathBuf>), String> {
        let driver = self.drivers.iter().find(|(n, _)| *n == name);
        let driver = &driver.ok_or("no such driver")?.1;
        let meter = Meter::of_daemons(self.host.init as u32, DAEMONS);
        let run = format!(
            "docker run -d --name speaker --network none --log-driver {driver} {IMAGE} /service speak {mode} {lines}"
        );
        self.host.line(&run).ok();
        let code = self.host.line("docker wait speaker");
        let used = meter.end();
        let place = self
            .host
            .line("docker inspect speaker --format {{.LogPath}}");
        let place = place.ok().trim().to_string();
        let stored = match name {
            "djson" => place
                .strip_prefix("/var/lib/")
                .map(|rest| self.host.shared("lib").join(rest)),
            "dsyslog" => {
                settled(&self.syslog);
                Some(self.syslog.clone())
            }
            _ => None,
        };
        // Removing it takes the file along.
        let kept = stored.map(|from| {
            let to = self.host.shared("stored");
            fs::copy(from, &to).map(|_| to)
        });
        self.host.line("docker rm -f speaker").ok();
        if let Ok(file) = fs::OpenOptions::new().write(true).open(&self.syslog) {
            let _ = file.set_len(0);
        }
        match code.out.trim() {
            "0" => kept
                .transpose()
                .map_err(|e| e.to_string())
                .map(|k| (used, k)),
            other => Err(format!("the container ended with {other}")),
        }
    }
}

/// Waits until a receiver writes no more.
fn settled(path: &PathBuf) {
    let size = || fs::metadata(path).map_or(0, |m| m.len());
    let mut before = u64::MAX;
    until("the receiver's last write", || {
        std::thread::sleep(Duration::from_millis(500));
        std::mem::replace(&mut before, size()) == size()
    });
}
