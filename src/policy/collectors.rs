//! `[[logs.target]]`: where a container's lines and events are sent, and what a site may write there.
//!
//! Types and their checks only, no I/O: names are resolved and keys are read by `logs::ship`. Targets stand in order; each
//! gets everything, but one with `fallback = true` only while those before it, up to the last without, can't be reached.

use super::document::{Diagnostic, Document};
use super::fingerprint::Fingerprint;
use super::grant::{Copying, MonitorDeath, Sync, WhenFull};
use super::quantity::Amount;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[logs]`: where what containers say goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogsTable {
    /// Folder, on a disk of the site's choice, below which each container has its spool. Without it nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<String>,
    /// Most bytes of one container's spool; 1GiB unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Amount>,
    /// What happens beyond: "block" (the default where logs are required), "drop_new" or "drop_old".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_full: Option<WhenFull>,
    /// When output is put on the disk for good: "second" (the default), "record" or "never".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Sync>,
    /// Whether a container may not run unlogged (terminals are refused then); true unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// What becomes of a container whose monitor is killed: "end" (the default where logs are required) or "go_on".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_monitor_death: Option<MonitorDeath>,
    /// Whether output also goes to the caller or the engine: "tee" (the default) or "none".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copying>,
    /// How often a heartbeat with counters is sent, so that silence is noticed: "1m" unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<super::watch::Span>,
    /// Whether nothing may run unless of each target, or of those that stand in for it, one can be reached at the start;
    /// false unless written: then lines wait in the spool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_collector: Option<bool>,
    /// The collectors, in order.
    #[serde(default)]
    pub target: Vec<Target>,
}

/// One collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name in messages and events, and that of its cursor in the spool: letters, digits, '-', '_'.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// What carries it: "tls" unless another is written. Anything else is readable on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// HOST:PORT, the host a name or an address ([::1]:6514 for IPv6); names are looked up at each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// journald: its socket. otlp: the path of the request. cri, json: the folder that the files are written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// TLS: file with the certificates that may have signed the collector's; the system's are never asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// TLS: file with our certificate and those between it and its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// TLS: file with our key, which only its owner may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// TLS: the collector's certificate must be one of these, "sha-256:AB:CD:…" (RFC 5425, 4.2.2); without `ca` that is
    /// enough, whatever else it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<Fingerprint>,
    /// TLS: the name that the collector's certificate must bear, if not the address's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Form of the launcher's events: "json" (the default) or "ocsf".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventForm>,
    /// Must be true for a protocol that can lose lines whatever the sender does: syslog over TCP or UDP.
    #[serde(default)]
    pub lossy: bool,
    /// Used only while the targets before it can't be reached.
    #[serde(default)]
    pub fallback: bool,
    /// With fallback: how often those before it are tried again meanwhile, "60s" unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_after: Option<super::watch::Span>,
    /// syslog and relp: the longest message that it takes; longer lines come in parts. 8KiB unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message: Option<Amount>,
    /// syslog and relp: private enterprise number of the structured data, 32473 (the documentation's) unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<u32>,
    /// cri and json: a file is rotated at this size, 64MiB unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file: Option<Amount>,
    /// cri and json: how many rotated files are kept, 4 unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
}

/// What a collector speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 5424 messages over TLS (RFC 5425), TCP (RFC 6587, octets counted) or UDP (RFC 5426).
    Syslog,
    /// RFC 5424 messages over RELP: each is acknowledged.
    Relp,
    /// OpenTelemetry's logs as protobuf over HTTP.
    Otlp,
    /// Fluentd's forward protocol with acknowledged chunks.
    Fluent,
    /// The journal of this host.
    Journald,
    /// A file in the kubelet's format.
    Cri,
    /// A file of JSON lines.
    Json,
}

/// What carries a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TLS 1.3, both sides with certificates where `certificate` is written.
    Tls,
    /// Readable and changeable on the way.
    Tcp,
    /// The same, and lossy.
    Udp,
}

/// Form of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EventForm {
    /// As the published schema has them.
    #[default]
    Json,
    /// Shaped after the Open Cybersecurity Schema Framework.
    Ocsf,
}

/// Where journald listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

impl Target {
    /// A target with this name and protocol and nothing else written.
    #[must_use]
    pub fn plain(name: &str, protocol: Protocol) -> Self {
        Self {
            name: name.into(),
            protocol,
            transport: None,
            address: None,
            path: None,
            ca: None,
            certificate: None,
            key: None,
            fingerprints: Vec::new(),
            server_name: None,
            events: None,
            lossy: false,
            fallback: false,
            return_after: None,
            max_message: None,
            enterprise: None,
            max_file: None,
            keep: None,
        }
    }

    /// What carries it; nothing does for journald and files.
    #[must_use]
    pub fn carrier(&self) -> Option<Transport> {
        match self.protocol {
            Protocol::Journald | Protocol::Cri | Protocol::Json => None,
            _ => Some(self.transport.unwrap_or(Transport::Tls)),
        }
    }

    /// Host and port of a right address.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.as_deref()?.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(six) => six.parse::<std::net::Ipv6Addr>().ok().map(|_| (six, port)),
            None => is_host(host).then_some((host, port)),
        }
    }

    /// How long a fallback is used before those in front of it are tried again.
    #[must_use]
    pub fn return_after(&self) -> Duration {
        Duration::from_secs(self.return_after.map_or(60, |span| span.0))
    }

    /// The name that the collector's certificate must bear.
    #[must_use]
    pub fn pinned(&self) -> Option<&str> {
        let host = || self.host_and_port().map(|(host, _)| host);
        self.server_name.as_deref().or_else(host)
    }

    /// The socket, request path or folder.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        let usual = match self.protocol {
            Protocol::Journald => Some(JOURNAL),
            Protocol::Otlp => Some("/v1/logs"),
            _ => None,
        };
        self.path.as_deref().or(usual)
    }

    /// All that is wrong: the key and a sentence.
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut fault = |key, text: &str| faults.push((key, text.to_string()));
        if !is_target_name(&self.name) {
            fault("name", "name is 1 to 64 letters, digits, '-' and '_'");
        }
        let carrier = self.carrier();
        let wired = carrier.is_some();
        match (&self.address, wired) {
            (None, true) => fault(
                "protocol",
                "address is missing: write address = \"HOST:PORT\"",
            ),
            (Some(_), true) if self.host_and_port().is_none() => {
                fault(
                    "address",
                    "address is not HOST:PORT with a port from 1 to 65535",
                );
            }
            (Some(_), false) => fault(
                "address",
                "this protocol has no address: it is on this host",
            ),
            _ => {}
        }
        if !wired && self.transport.is_some() {
            fault("transport", "this protocol has no transport");
        }
        if carrier == Some(Transport::Udp) && self.protocol != Protocol::Syslog {
            fault("transport", "only syslog goes over udp");
        }
        self.tls_faults(carrier, &mut fault);
        self.path_faults(&mut fault);
        if self.is_lossy() && !self.lossy {
            fault(
                "protocol",
                "syslog over tcp or udp has no acknowledgement and loses lines: take tls or relp, or write lossy = true",
            );
        }
        if self.return_after.is_some() && !self.fallback {
            fault(
                "return_after",
                "only a fallback returns: write fallback = true, or leave it out",
            );
        }
        if self.max_message.is_some_and(|most| most.0 < 1024) {
            fault(
                "max_message",
                "max_message is below 1KiB: not even the header would fit",
            );
        }
        if self.max_file.is_some_and(|most| most.0 < 4096) {
            fault("max_file", "max_file is below 4KiB");
        }
        faults
    }

    /// Whether lines are lost without anybody's fault.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.protocol == Protocol::Syslog && self.carrier() != Some(Transport::Tls)
    }

    fn tls_faults(&self, carrier: Option<Transport>, fault: &mut impl FnMut(&'static str, &str)) {
        let files = [
            ("ca", &self.ca),
            ("certificate", &self.certificate),
            ("key", &self.key),
        ];
        let set = files.iter().filter(|(_, file)| file.is_some());
        if carrier != Some(Transport::Tls) {
            for (key, _) in set {
                fault(key, "only tls has certificates");
            }
            if self.server_name.is_some() {
                fault("server_name", "only tls has certificates");
            }
            if !self.fingerprints.is_empty() {
                fault("fingerprints", "only tls has certificates");
            }
            return;
        }
        for (key, file) in set {
            if file.as_ref().is_some_and(|f| !f.starts_with('/')) {
                fault(key, "not an absolute path");
            }
        }
        if self.ca.is_none() && self.fingerprints.is_empty() {
            fault(
                "protocol",
                "ca is missing: tls trusts only the certificates that are named here, or in fingerprints",
            );
        }
        if self.certificate.is_some() != self.key.is_some() {
            let key = if self.key.is_some() {
                "key"
            } else {
                "certificate"
            };
            fault(key, "certificate and key belong together");
        }
    }

    fn path_faults(&self, fault: &mut impl FnMut(&'static str, &str)) {
        match (self.protocol, &self.path) {
            (Protocol::Cri | Protocol::Json, None) => {
                fault("protocol", "path is missing: the folder for the files");
            }
            (Protocol::Syslog | Protocol::Relp | Protocol::Fluent, Some(_)) => {
                fault("path", "this protocol has no path");
            }
            (_, Some(path)) if !path.starts_with('/') => fault("path", "path begins with '/'"),
            (Protocol::Otlp, Some(path)) if !path.bytes().all(|b| b.is_ascii_graphic()) => {
                fault("path", "path has a blank or a letter that no URL has");
            }
            _ => {}
        }
        if !matches!(self.protocol, Protocol::Cri | Protocol::Json) {
            if self.max_file.is_some() {
                fault("max_file", "only files are rotated");
            }
            if self.keep.is_some() {
                fault("keep", "only files are rotated");
            }
        }
    }
}

fn is_target_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// A host name or an IPv4 address.
fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// Reports everything that is wrong with the targets, which stand in the document under `logs.target`.
pub(super) fn check(doc: &Document<'_>, targets: &[Target], problems: &mut Vec<Diagnostic>) {
    for (at, target) in targets.iter().enumerate() {
        let index = at.to_string();
        let mut report = |key: &str, text: String| {
            let message = format!("target {:?}: {text}", target.name);
            problems.push(doc.problem(&["logs", "target", &index, key], message));
        };
        for (key, text) in target.faults() {
            report(key, text);
        }
        if targets[..at].iter().any(|other| other.name == target.name) {
            report("name", "another target has this name".into());
        }
        if chains(&targets[..=at]).len() > MOST_CHAINS {
            report(
                "fallback",
                format!(
                    "there are {MOST_CHAINS} targets that are no fallback before it, and no more are possible"
                ),
            );
        }
        if at == 0 && target.fallback {
            let text = "there is no target before it that it could stand in for";
            report("fallback", text.into());
        }
    }
}

/// How many groups of targets there may be; each has a process of its own.
pub const MOST_CHAINS: usize = 4;

/// The targets in groups: each group gets everything, and within one the first that can be reached.
#[must_use]
pub fn chains(targets: &[Target]) -> Vec<&[Target]> {
    targets.chunk_by(|_, next| next.fallback).collect()
}

#[cfg(test)]
mod tests;
