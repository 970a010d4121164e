//! The ceilings: what the built-in policy file states, and how a policy file is read.
//!
//! No I/O and no decisions; `layers` reads with it, `tightening` lays a site's file over it, `rules` ask it.

use super::collectors::LogsTable;
use super::document::{Diagnostic, Document};
use super::file::{Bound, CapabilityEntry, OnExcess, Operators, PolicyFile, Volumes};
use super::grant::Template;
use super::networks::NetworkFolders;
use super::quantity::{Amount, Count, Cpus};
use super::watch::LifetimeTable;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the formats of policy and exception files.
pub const VERSION: i64 = 1;

/// A ceiling and a default, both known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range<T> {
    /// The most that a request can get.
    pub max: T,
    /// What is given when nothing is asked.
    pub default: T,
}

/// Every ceiling.
#[derive(Clone, Debug, Serialize)]
pub struct Ceilings {
    /// Template for launches that ask for none.
    pub template: Template,
    /// What happens to excess; `None`: by caller.
    pub on_excess: Option<OnExcess>,
    /// Report and clamp nothing.
    pub audit: bool,
    /// Who may launch.
    pub operators: Operators,
    /// The capability whitelist.
    pub capabilities: Vec<CapabilityEntry>,
    /// Limits.
    pub limits: LimitCeilings,
    /// Bind mounts.
    pub volumes: Vec<Volumes>,
    /// Namespaces that may be joined, by kind.
    pub join: BTreeMap<String, Vec<String>>,
    /// Kernel parameters.
    pub sysctl: Vec<String>,
    /// Hooks.
    pub hooks: Vec<String>,
    /// How many TCP ports.
    pub max_ports: u32,
    /// Where the site's networks are.
    pub networks: NetworkFolders,
    /// Where records are appended, beside the container's own folder.
    pub records: Option<String>,
    /// Where what containers say goes.
    pub logs: LogsTable,
    /// How long a container may live.
    pub lifetime: Option<LifetimeTable>,
}

/// Ceilings and defaults of limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitCeilings {
    /// Bytes of memory.
    pub memory: Range<Amount>,
    /// Bytes of swap on top of memory.
    pub swap: Range<Amount>,
    /// Threads and processes.
    pub pids: Range<Count>,
    /// CPUs.
    pub cpus: Range<Cpus>,
    /// File descriptors of a process.
    pub nofile: Range<Count>,
    /// Bytes a second.
    pub io_bps: Range<Amount>,
    /// Operations a second.
    pub io_iops: Range<Count>,
    /// Bytes of one tmpfs.
    pub tmpfs: Range<Amount>,
}

impl Ceilings {
    /// Nothing allowed at all: what a built-in file that left something out would mean.
    fn closed() -> Self {
        let none = Range {
            max: Amount(0),
            default: Amount(0),
        };
        let nothing = Range {
            max: Count(0),
            default: Count(0),
        };
        Self {
            template: Template::Default,
            on_excess: None,
            audit: false,
            operators: Operators::default(),
            capabilities: Vec::new(),
            limits: LimitCeilings {
                memory: none,
                swap: none,
                pids: nothing,
                cpus: Range {
                    max: Cpus(1),
                    default: Cpus(1),
                },
                nofile: nothing,
                io_bps: none,
                io_iops: nothing,
                tmpfs: none,
            },
            volumes: Vec::new(),
            join: BTreeMap::new(),
            sysctl: Vec::new(),
            hooks: Vec::new(),
            max_ports: 0,
            networks: NetworkFolders::default(),
            records: None,
            logs: LogsTable::default(),
            lifetime: None,
        }
    }

    /// The ceilings that a complete file states.
    pub fn stated(file: &PolicyFile) -> Self {
        let mut all = Self::closed();
        all.operators = file.operators.clone().unwrap_or_default();
        all.capabilities = file.capability.clone().unwrap_or_default();
        all.volumes = file.volumes.iter().cloned().collect();
        all.join = file.join.clone().unwrap_or_default();
        all.sysctl = file.sysctl.clone().unwrap_or_default();
        all.hooks = file.hooks.clone().unwrap_or_default();
        all.max_ports = file.ports.map_or(0, |p| p.max);
        let networks = file.networks.clone().unwrap_or_default();
        all.networks = all.networks.with(&networks);
        let table = file.limits.clone().unwrap_or_default();
        let limits = &mut all.limits;
        state(&mut limits.memory, table.memory);
        state(&mut limits.swap, table.swap);
        state(&mut limits.pids, table.pids);
        state(&mut limits.cpus, table.cpus);
        state(&mut limits.nofile, table.nofile);
        state(&mut limits.io_bps, table.io_bps);
        state(&mut limits.io_iops, table.io_iops);
        state(&mut limits.tmpfs, table.tmpfs);
        all
    }
}

fn state<T: Copy>(range: &mut Range<T>, bound: Option<Bound<T>>) {
    let Some(bound) = bound else { return };
    range.max = bound.max.unwrap_or(range.max);
    range.default = bound.default.unwrap_or(range.default);
}

/// Whether a path is a folder or lies in it, component by component.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Volumes {
    /// Whether this layer lets a bind mount show the path: the longest entry that holds it decides, and a folder that
    /// holds a denied one is denied itself, as it would show that too.
    pub fn verdict(&self, path: &str) -> bool {
        let longest = |list: &[String]| {
            let held = list.iter().filter(|entry| is_below(path, entry));
            held.map(|entry| entry.trim_end_matches('/').len()).max()
        };
        let denied = longest(&self.denied);
        let allowed = match &self.allowed {
            Some(list) => longest(list),
            None => Some(0),
        };
        let shows_denied = self.denied.iter().any(|entry| is_below(entry, path));
        match (allowed, denied) {
            (None, _) => false,
            (Some(_), None) => !shows_denied,
            (Some(allowed), Some(denied)) => allowed > denied && !shows_denied,
        }
    }
}

/// Reports a missing or unknown format version.
pub(super) fn check_version(doc: &Document<'_>, problems: &mut Vec<Diagnostic>) {
    let before = problems.len();
    match doc.value::<i64>("version", problems) {
        Some(VERSION) => {}
        Some(other) => problems.push(doc.problem(
            &["version"],
            format!("version {other} is not known; this program reads version {VERSION}"),
        )),
        None if problems.len() > before => {}
        None => problems.push(doc.problem(
            &[],
            format!("version is missing; write version = {VERSION}"),
        )),
    }
}

/// Reads a policy file section by section, so that all problems are found.
pub fn parse(doc: &Document<'_>, problems: &mut Vec<Diagnostic>) -> PolicyFile {
    doc.only(PolicyFile::KEYS, problems);
    check_version(doc, problems);
    PolicyFile {
        version: 1,
        template: doc.value("template", problems),
        on_excess: doc.value("on_excess", problems),
        audit: doc.value("audit", problems),
        operators: doc.value("operators", problems),
        capability: doc.value("capability", problems),
        limits: doc.value("limits", problems),
        volumes: doc.value("volumes", problems),
        join: doc.value("join", problems),
        sysctl: doc.value("sysctl", problems),
        hooks: doc.value("hooks", problems),
        ports: doc.value("ports", problems),
        networks: doc.value("networks", problems),
        records: doc.value("records", problems),
        logs: doc.value("logs", problems),
        lifetime: doc.value("lifetime", problems),
        exception: Some(super::exceptions::entries(doc, problems)),
    }
}
