//! The shape of `policy.toml`: what a site may write, before it is laid over the built-in policy.
//!
//! Types only; a missing key means "as the layer above has it". Parsed by `ceilings`.

use super::collectors::LogsTable;
use super::exceptions::Exception;
use super::grant::Template;
use super::networks::NetworkTable;
use super::quantity::{Amount, Count, Cpus};
use super::watch::LifetimeTable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A policy file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// The format: 1.
    pub version: u32,
    /// The template for launches that ask for none; anything but "default" needs an exception.
    pub template: Option<Template>,
    /// What happens to a request above a ceiling. Without it: engines are clamped, command lines refused.
    pub on_excess: Option<OnExcess>,
    /// Report what would be clamped and clamp nothing; needs an exception with template = "compat".
    pub audit: Option<bool>,
    /// Who may launch.
    pub operators: Option<Operators>,
    /// The capability whitelist, each with its reason.
    pub capability: Option<Vec<CapabilityEntry>>,
    /// Ceilings, and what is given when nothing is asked.
    pub limits: Option<LimitTable>,
    /// Host folders that bind mounts may show.
    pub volumes: Option<Volumes>,
    /// Where namespaces may be joined: path patterns by kind of namespace ("network", "pid", ...).
    pub join: Option<BTreeMap<String, Vec<String>>>,
    /// Kernel parameters that may be set in the container's own namespaces; a trailing * matches the rest.
    pub sysctl: Option<Vec<String>>,
    /// Programs that may run as OCI hooks, by absolute path, or "PATH WORD" for one first argument only.
    pub hooks: Option<Vec<String>>,
    /// TCP ports.
    pub ports: Option<PortTable>,
    /// Where the site's CNI networks are described, and the programs that carry them out.
    pub networks: Option<NetworkTable>,
    /// File that the record of every launch, and of every refused one, is appended to, one line of JSON each: an
    /// absolute path in a folder of root's. A launch whose record can't be written does not happen.
    pub records: Option<String>,
    /// What becomes of what containers say.
    pub logs: Option<LogsTable>,
    /// How long a container may live.
    pub lifetime: Option<LifetimeTable>,
    /// Exceptions that belong to this policy; they are the same in a file of exceptions.d beside it.
    pub exception: Option<Vec<Exception>>,
}

impl PolicyFile {
    /// Keys of the top level.
    pub(super) const KEYS: &'static [&'static str] = &[
        "version",
        "template",
        "on_excess",
        "audit",
        "operators",
        "capability",
        "limits",
        "volumes",
        "join",
        "sysctl",
        "hooks",
        "ports",
        "networks",
        "records",
        "logs",
        "lifetime",
        "exception",
    ];
}

/// What happens to a request above a ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnExcess {
    /// Cut down to the ceiling, and noted.
    Clamp,
    /// The launch is refused.
    Refuse,
}

/// Who may launch; root always may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Operators {
    /// User ids.
    #[serde(default)]
    pub uids: Vec<u32>,
    /// Group ids.
    #[serde(default)]
    pub gids: Vec<u32>,
    /// Ordinary users with their own rights only (rootless).
    pub rootless: Option<Rootless>,
}

/// Whether ordinary users may launch with their own rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Rootless {
    /// Any user may.
    Allow,
    /// Only the listed ones.
    #[default]
    Listed,
}

/// One capability of the whitelist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CapabilityEntry {
    /// Upper case, without CAP_.
    pub name: String,
    /// Why a service needs it.
    pub reason: String,
}

/// A ceiling and a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bound<T> {
    /// The most that a request can get.
    pub max: Option<T>,
    /// What is given when nothing is asked.
    pub default: Option<T>,
}

/// Limits, each with a ceiling and a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitTable {
    /// Bytes of memory.
    pub memory: Option<Bound<Amount>>,
    /// Bytes of swap on top of memory.
    pub swap: Option<Bound<Amount>>,
    /// Threads and processes.
    pub pids: Option<Bound<Count>>,
    /// CPUs.
    pub cpus: Option<Bound<Cpus>>,
    /// File descriptors of a process.
    pub nofile: Option<Bound<Count>>,
    /// Bytes a second, read and written.
    pub io_bps: Option<Bound<Amount>>,
    /// Operations a second, read and written.
    pub io_iops: Option<Bound<Count>>,
    /// Bytes of one tmpfs.
    pub tmpfs: Option<Bound<Amount>>,
}

/// Host folders that bind mounts may show: the most specific entry decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Volumes {
    /// These and what lies below them.
    pub allowed: Option<Vec<String>>,
    /// Never these, nor what lies below them, nor anything they lie in.
    #[serde(default)]
    pub denied: Vec<String>,
}

/// TCP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PortTable {
    /// How many a service may declare.
    pub max: u32,
}
