//! Receivers that speak OTLP and fluentd's forward protocol with other people's encoders, from PyPI.

use crate::lab::{self, Lab, listens, until};
use crate::receivers::{Running, tools};
use std::path::PathBuf;
use std::process::Command;

pub fn missing() -> Option<String> {
    let python = tools().join("bin/python3");
    let works = Command::new(&python)
        .args([
            "-c",
            "import msgpack, opentelemetry.proto.collector.logs.v1.logs_service_pb2",
        ])
        .output()
        .is_ok_and(|out| out.status.success());
    (!works).then(|| {
        format!(
            "{} has no opentelemetry-proto and msgpack; .ci/run installs them",
            python.display()
        )
    })
}

/// A receiver in Python that appends "SEQ TEXT" to a file before it acknowledges.
pub struct Python {
    script: PathBuf,
    out: PathBuf,
    log: PathBuf,
    args: Vec<String>,
    port: u16,
}

impl Python {
    pub fn otlp(lab: &Lab, words: &[&str]) -> Self {
        Self::new(lab, "otlp", include_str!("otlp.py"), lab::OTLP, words)
    }

    /// The same over TLS with the lab's certificates.
    pub fn otlp_tls(lab: &Lab) -> Self {
        let pem = |file: &str| lab.pki.path(file).display().to_string();
        let (cert, key, ca) = (
            pem("collector.test.pem"),
            pem("collector.test.key"),
            pem("ca.pem"),
        );
        Self::otlp(lab, &["tls", &cert, &key, &ca])
    }

    pub fn fluent(lab: &Lab) -> Self {
        Self::new(lab, "fluent", include_str!("fluent.py"), lab::FLUENT, &[])
    }

    fn new(lab: &Lab, name: &str, text: &str, port: u16, words: &[&str]) -> Self {
        let script = lab.path(&format!("{name}.py"));
        std::fs::write(&script, text).unwrap();
        Self {
            script,
            out: lab.path(&format!("{name}.out")),
            log: lab.path(&format!("{name}.log")),
            args: words.iter().map(ToString::to_string).collect(),
            port,
        }
    }

    pub fn start(&self) -> Running {
        let mut command = Command::new(tools().join("bin/python3"));
        command
            .arg(&self.script)
            .arg(self.port.to_string())
            .arg(&self.out)
            .args(&self.args);
        let running = Running::spawn(&mut command, &self.log);
        until("the receiver's port", || listens(self.port, false));
        running
    }

    pub fn says(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Numbers and texts, in the order of arrival.
    pub fn lines(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let line = |l: &str| {
            let (number, body) = l.split_once(' ')?;
            Some((number.parse().ok()?, body.to_string()))
        };
        whole.lines().filter_map(line).collect()
    }
}
