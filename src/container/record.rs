//! The launch record: who asked for what, what was granted, what was verified. Evidence, in JSON.

use super::error::{ContainerError, at};
pub use crate::clock::now;
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::{Lack, Plan};
use crate::policy::{Clamp, Template, Violation, Waiver};
use crate::verify::Verification;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// What is recorded of each launch. Secrets by name only, environment by name only.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchRecord<'a> {
    /// Layout of this record.
    pub version: u32,
    /// "verified" or "refused".
    pub result: &'static str,
    /// Container.
    pub name: &'a str,
    /// The image, if the engine names it.
    pub image: Option<&'a str>,
    /// The program, argv's first word.
    pub program: &'a str,
    /// Who asked.
    pub identity: Identity,
    /// Host name and kernel.
    pub host: &'a str,
    /// Template in force.
    pub template: Template,
    /// SHA-256 of config.json.
    pub bundle_digest: &'a str,
    /// SHA-256 of the policy in force.
    pub policy_digest: &'a str,
    /// SHA-256 of the plan.
    pub plan_digest: &'a str,
    /// Clamps.
    pub clamps: &'a [Clamp],
    /// Exceptions in use.
    pub exceptions: &'a [Waiver],
    /// What the host couldn't give.
    pub lacks: &'a [Lack],
    /// Controls that the plan serves.
    pub controls: &'a [ControlId],
    /// What was compared from outside.
    pub verification: &'a Verification,
    /// Process id on the host.
    pub pid: i32,
    /// When the launch was asked for, RFC 3339 with microseconds.
    pub requested: String,
    /// When it had been verified.
    pub verified: String,
}

/// The record of a launch that policy refused.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalRecord<'a> {
    /// Layout of this record.
    pub version: u32,
    /// "refused".
    pub result: &'static str,
    /// Container.
    pub name: &'a str,
    /// The image, if the engine names it.
    pub image: Option<&'a str>,
    /// The program, argv's first word.
    pub program: &'a str,
    /// Who asked.
    pub identity: Identity,
    /// SHA-256 of config.json.
    pub bundle_digest: &'a str,
    /// SHA-256 of the policy in force.
    pub policy_digest: &'a str,
    /// Why.
    pub violations: &'a [Violation],
    /// When the launch was asked for, RFC 3339 with microseconds.
    pub requested: String,
}

/// A record's line of JSON.
pub(super) fn line_of(record: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).unwrap_or_default();
    line.push(b'\n');
    line
}

impl RefusalRecord<'_> {
    /// Appends it.
    pub fn write(&self, target: &RecordTarget) -> Result<(), ContainerError> {
        target.write(&line_of(self))
    }
}

impl Identity {
    /// The caller of this process, where nothing is known of the host.
    pub(super) fn own() -> Self {
        let login = crate::sys::fs::read_kernel_file("/proc/self/loginuid").ok();
        let login = login.and_then(|l| l.trim().parse().ok());
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            login: login.filter(|l| *l != u32::MAX),
            launcher: std::process::id(),
        }
    }

    /// The caller of this process.
    pub fn of(host: &Host) -> Self {
        Self {
            uid: host.caller.uid,
            login: host.caller.login,
            launcher: std::process::id(),
        }
    }
}

/// Who asked.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// Effective uid.
    pub uid: u32,
    /// Login uid, if set.
    pub login: Option<u32>,
    /// The launcher's process id.
    pub launcher: u32,
}

/// Where a copy of the record goes (`--record FILE|FD`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordTarget {
    /// A file, appended to.
    File(PathBuf),
    /// The site's file: its folder is made where it is missing, for root alone.
    Site(PathBuf),
    /// A descriptor that the caller opened.
    Fd(i32),
}

impl RecordTarget {
    /// A number is a descriptor, everything else a file.
    pub fn parse(text: &str) -> Self {
        match text.parse::<i32>() {
            Ok(fd) if fd >= 0 => Self::Fd(fd),
            _ => Self::File(PathBuf::from(text)),
        }
    }

    /// Opens it for appending; `what` is what goes into it, for the sentence.
    pub fn open(&self, what: &'static str) -> Result<std::fs::File, ContainerError> {
        let (path, mut options) = match self {
            Self::File(path) | Self::Site(path) => (path.clone(), OpenOptions::new()),
            Self::Fd(fd) => (format!("/proc/self/fd/{fd}").into(), OpenOptions::new()),
        };
        options.append(true);
        if !matches!(self, Self::Fd(_)) {
            options.create(true).mode(0o600);
            options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        }
        let tried = match what {
            "events" => "open for the events",
            _ => "open for the launch record",
        };
        at(options.open(&path), tried, &path)
    }

    /// One line of JSON.
    pub fn write(&self, line: &[u8]) -> Result<(), ContainerError> {
        match self {
            Self::Site(path) => {
                let folder = path.parent().unwrap_or(std::path::Path::new("/"));
                if !folder.exists() {
                    let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
                    at(made, "make the folder of the launch records", folder)?;
                }
                Self::File(path.clone()).write(line)
            }
            Self::File(path) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
                    .open(path);
                at(
                    file.and_then(|mut f| f.write_all(line)),
                    "write the launch record to",
                    path,
                )
            }
            Self::Fd(fd) => {
                let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
                let file = OpenOptions::new().append(true).open(&path);
                at(
                    file.and_then(|mut f| f.write_all(line)),
                    "write the launch record to",
                    &path,
                )
            }
        }
    }
}

/// The controls that a plan's lines name.
pub fn controls_of(plan: &Plan) -> Vec<ControlId> {
    let mut out: Vec<ControlId> = plan
        .lines()
        .iter()
        .flat_map(|l| l.controls.to_vec())
        .collect();
    out.sort();
    out.dedup();
    out
}
