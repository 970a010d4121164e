//! What an exception allows: the `grant` table of an entry, key by key.
//!
//! Types, and the list of [`Loosening`]s that a table asks for; validity is judged in `exceptions`.

use super::grant::Template;
use super::quantity::{Amount, Count, Cpus};
use crate::controls::Loosening;
use serde::{Deserialize, Serialize};

/// What an exception allows. Each key is one [`Loosening`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Loosened {
    /// Another template than `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Programs that may be executed (template `script`), absolute paths inside the container; `["*"]` is any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// The verb `exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecVerb>,
    /// A terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// File names of programs that are otherwise refused (init systems, sshd, cron ...).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// Memory that is writable and executable.
    #[serde(skip_serializing_if = "is_false")]
    pub jit: bool,
    /// A writable root.
    #[serde(skip_serializing_if = "is_false")]
    pub writable_root: bool,
    /// Mount points inside the container from which code may run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec_on: Vec<String>,
    /// Capabilities, upper case, without CAP_.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Capabilities that may also be inheritable and ambient.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ambient: Vec<String>,
    /// Higher ceilings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Ceiling>,
    /// Real-time classes of CPU and disk, and negative nice values.
    #[serde(skip_serializing_if = "is_false")]
    pub realtime: bool,
    /// Network interfaces of the host that may be moved into the container, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub net_devices: Vec<String>,
    /// Namespaces of the host ("network") or joined at other places ("network:/run/x/*").
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// TCP ports without limit.
    #[serde(skip_serializing_if = "is_false")]
    pub ports_any: bool,
    /// So many ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ports: Option<u32>,
    /// External addresses that the container may connect to: "host:port", the port `*` for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<String>,
    /// CNI networks that the container may be attached to, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// User id 0 in a standalone launch.
    #[serde(skip_serializing_if = "is_false")]
    pub root_user: bool,
    /// No user namespace in a standalone launch.
    #[serde(skip_serializing_if = "is_false")]
    pub no_user_namespace: bool,
    /// Device nodes by their path on the host and inside: "/dev/fuse".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Kernel parameters; a trailing * matches the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sysctl: Vec<String>,
    /// Optional groups of the system-call filter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seccomp_groups: Vec<String>,
    /// Host folders and sockets, with what lies below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Hook programs by absolute path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// Names of environment variables that look like secrets; a trailing * matches the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// A launch although this host lacks the mechanism.
    #[serde(skip_serializing_if = "is_false")]
    pub degraded: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// How far the verb `exec` is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ExecVerb {
    /// Without a terminal.
    NoTerminal,
    /// With one.
    Terminal,
}

/// Ceilings that an exception lifts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Bytes of memory.
    pub memory: Option<Amount>,
    /// Bytes of swap on top of memory.
    pub swap: Option<Amount>,
    /// Threads and processes.
    pub pids: Option<Count>,
    /// CPUs.
    pub cpus: Option<Cpus>,
    /// File descriptors of a process.
    pub nofile: Option<Count>,
    /// Bytes a second.
    pub io_bps: Option<Amount>,
    /// Operations a second.
    pub io_iops: Option<Count>,
    /// Bytes of one tmpfs.
    pub tmpfs: Option<Amount>,
}

impl Loosened {
    /// What it allows, taken apart: one table a key, and a list's entries each on their own.
    pub fn parts(&self) -> Vec<Self> {
        let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(self) else {
            return Vec::new();
        };
        let single = |(key, value): (String, serde_json::Value)| {
            let values = match value {
                serde_json::Value::Array(items) => items
                    .into_iter()
                    .map(|item| serde_json::json!([item]))
                    .collect(),
                serde_json::Value::Object(inner) => inner
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| serde_json::json!({ name: value }))
                    .collect(),
                one => vec![one],
            };
            values
                .into_iter()
                .map(move |value| serde_json::json!({ key.as_str(): value }))
        };
        let parts = keys.into_iter().flat_map(single);
        parts
            .filter_map(|part| serde_json::from_value(part).ok())
            .collect()
    }

    /// Both together.
    pub fn and(&self, other: &Self) -> Self {
        let lists = |own: &[String], more: &[String]| {
            let mut all = own.to_vec();
            all.extend(more.iter().filter(|m| !own.contains(m)).cloned());
            all
        };
        let limits = match (&self.limits, &other.limits) {
            (Some(own), Some(more)) => Some(own.and(more)),
            (own, more) => own.clone().or(more.clone()),
        };
        Self {
            template: self.template.max(other.template),
            programs: lists(&self.programs, &other.programs),
            exec: self.exec.max(other.exec),
            terminal: self.terminal || other.terminal,
            entry_points: lists(&self.entry_points, &other.entry_points),
            jit: self.jit || other.jit,
            writable_root: self.writable_root || other.writable_root,
            exec_on: lists(&self.exec_on, &other.exec_on),
            capabilities: lists(&self.capabilities, &other.capabilities),
            ambient: lists(&self.ambient, &other.ambient),
            limits,
            realtime: self.realtime || other.realtime,
            net_devices: lists(&self.net_devices, &other.net_devices),
            namespaces: lists(&self.namespaces, &other.namespaces),
            ports_any: self.ports_any || other.ports_any,
            max_ports: self.max_ports.max(other.max_ports),
            connect: lists(&self.connect, &other.connect),
            networks: lists(&self.networks, &other.networks),
            root_user: self.root_user || other.root_user,
            no_user_namespace: self.no_user_namespace || other.no_user_namespace,
            devices: lists(&self.devices, &other.devices),
            sysctl: lists(&self.sysctl, &other.sysctl),
            seccomp_groups: lists(&self.seccomp_groups, &other.seccomp_groups),
            sources: lists(&self.sources, &other.sources),
            hooks: lists(&self.hooks, &other.hooks),
            env: lists(&self.env, &other.env),
            degraded: self.degraded || other.degraded,
        }
    }

    /// The loosenings that are asked for.
    pub fn asked(&self) -> Vec<Loosening> {
        use Loosening as L;
        let template = self.template.and_then(|t| match t {
            Template::Default => None,
            Template::Workers => Some(L::TemplateWorkers),
            Template::Script => Some(L::TemplateScript),
            Template::Compat => Some(L::TemplateCompat),
        });
        let flags = [
            (L::Programs, !self.programs.is_empty()),
            (L::Exec, self.exec.is_some()),
            (L::Terminal, self.terminal),
            (L::EntryPoints, !self.entry_points.is_empty()),
            (L::Jit, self.jit),
            (L::WritableRoot, self.writable_root),
            (L::ExecOn, !self.exec_on.is_empty()),
            (L::Capabilities, !self.capabilities.is_empty()),
            (L::Ambient, !self.ambient.is_empty()),
            (L::Limits, self.limits.is_some()),
            (L::Realtime, self.realtime),
            (L::NetDevices, !self.net_devices.is_empty()),
            (L::Namespaces, !self.namespaces.is_empty()),
            (L::PortsAny, self.ports_any),
            (L::MaxPorts, self.max_ports.is_some()),
            (L::Connect, !self.connect.is_empty()),
            (L::Networks, !self.networks.is_empty()),
            (L::RootUser, self.root_user),
            (L::NoUserNamespace, self.no_user_namespace),
            (L::Devices, !self.devices.is_empty()),
            (L::Sysctl, !self.sysctl.is_empty()),
            (L::SeccompGroups, !self.seccomp_groups.is_empty()),
            (L::Sources, !self.sources.is_empty()),
            (L::Hooks, !self.hooks.is_empty()),
            (L::Env, !self.env.is_empty()),
            (L::Degraded, self.degraded),
        ];
        let flags = flags.into_iter().filter(|(_, on)| *on).map(|(l, _)| l);
        template.into_iter().chain(flags).collect()
    }
}

impl Ceiling {
    /// The higher of each.
    fn and(&self, other: &Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            swap: self.swap.max(other.swap),
            pids: self.pids.max(other.pids),
            cpus: self.cpus.max(other.cpus),
            nofile: self.nofile.max(other.nofile),
            io_bps: self.io_bps.max(other.io_bps),
            io_iops: self.io_iops.max(other.io_iops),
            tmpfs: self.tmpfs.max(other.tmpfs),
        }
    }
}
