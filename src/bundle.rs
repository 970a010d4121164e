//! A bundle: the OCI spec, the root it belongs to, and what a command line can ask beyond config.json.
//!
//! Everything that `policy::decide` looks at about the request. Checks shape, never permission.

use crate::paths::{GuestPath, HostPath};
use crate::request::openings::NETWORK;
use crate::request::{Openings, Secret, Template};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

/// Who asked: the two callers have different defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Caller {
    /// `cofferdam run`: identity, user namespace and root are the launcher's choice.
    Standalone,
    /// An engine through the OCI verbs: these come from config.json.
    Engine,
}

/// Where the container's root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootSource {
    /// The sample service in a root of its own, both built into the binary.
    Embedded,
    /// A folder.
    Dir(HostPath),
    /// The host's own root: programs and configuration only.
    Host,
}

/// What is to be launched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// The container's name (OCI: its id).
    pub name: String,
    /// Who asked.
    pub caller: Caller,
    /// Where the root comes from.
    pub root: RootSource,
    /// config.json, read or made from the command line.
    pub spec: Spec,
    /// Beyond config.json.
    pub extras: Extras,
    /// SHA-256 of config.json as read or made, in hex.
    pub digest: String,
    /// The files behind the paths of hooks on the host, where they exist.
    pub hook_files: std::collections::BTreeMap<std::path::PathBuf, HookFile>,
}

impl Bundle {
    /// Whether a network of the site's is asked for, by flag or annotation; whether it is given is policy's to say.
    pub fn asks_for_network(&self) -> bool {
        let annotations = self.spec.annotations().as_ref();
        self.extras.openings.cni.is_some() || annotations.is_some_and(|a| a.contains_key(NETWORK))
    }
}

/// What a command line can ask and config.json can't.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Extras {
    /// `--profile`: the template asked for.
    pub template: Option<Template>,
    /// `--expose`: TCP ports the service listens on. `None`: nothing was said.
    pub expose: Option<Vec<u16>>,
    /// `--publish`, `--listen`, `--link`, `--connect`, `--network` and what belongs to them.
    #[serde(default)]
    pub openings: Openings,
    /// `--secret`.
    pub secrets: Vec<Secret>,
    /// A range of ids of its own (standalone launches without a mapping in config.json).
    pub own_range: bool,
    /// Bind mounts (by target) whose ids are translated to the container's.
    pub idmapped: Vec<GuestPath>,
    /// `--systemd-cgroup`.
    pub systemd_cgroup: bool,
    /// A size for io, bytes a second (`--io`).
    pub io_bps: Option<u64>,
    /// What the flags of a command line set, as JSON pointers, where the rest comes from a config.json;
    /// `None`: there is none, all is from flags.
    #[serde(default)]
    pub by_flag: Option<Vec<String>>,
    /// Open descriptors that are to be handed on (`--preserve-fds`), and what they are.
    pub descriptors: Vec<(i32, DescriptorKind)>,
    /// How many of them, the first ones, come from socket activation (LISTEN_FDS).
    pub listen_fds: usize,
    /// `--events`: somebody wants to be told of refused system calls.
    #[serde(default)]
    pub events: bool,
    /// The engine that called, as its program shows.
    #[serde(default)]
    pub engine: Option<CallingEngine>,
    /// The folder of the containers' states (`--root`), which no container is shown.
    #[serde(default)]
    pub states: Option<String>,
    /// The process is a second one, for a container that is there (the verb `exec`).
    #[serde(default)]
    pub joins: bool,
    /// Names of capabilities that were in config.json and that this launcher does not know.
    #[serde(default)]
    pub unknown_capabilities: Vec<UnknownCapabilities>,
}

/// What an open descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DescriptorKind {
    /// A folder: a way out of any root (CVE-2024-21626).
    Dir,
    /// Everything else.
    Other,
}

mod engine;
mod hook_files;
mod load;
mod pointer;
mod resources;
mod standalone;
mod unknown;

pub use engine::CallingEngine;
pub use hook_files::{HookFile, writable_by};
pub use load::{BundleError, MAX_CONFIG, parse};
pub use resources::{changed, set_resources};
pub use standalone::hardened_spec;
pub use unknown::{UnknownCapabilities, without_unknown_capabilities};
