//! What an exception can ask for, as a closed list.
//!
//! A control's row says which of these it takes; an exception entry that asks for any other does not load.

use serde::Serialize;
use std::fmt;

/// One way to loosen a control, named as the key of an exception's `grant` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loosening {
    /// The template `workers`: processes by fork.
    TemplateWorkers,
    /// The template `script`: exec of a listed set of programs.
    TemplateScript,
    /// The template `compat`: clamps nothing.
    TemplateCompat,
    /// Programs that may be executed.
    Programs,
    /// The verb `exec`.
    Exec,
    /// A terminal.
    Terminal,
    /// Init systems, supervisors, ssh servers and the like as the program.
    EntryPoints,
    /// Memory that is writable and executable.
    Jit,
    /// A writable root file system.
    WritableRoot,
    /// Execution from named writable mounts.
    ExecOn,
    /// Named capabilities.
    Capabilities,
    /// Named capabilities also inheritable and ambient.
    Ambient,
    /// Limits above the ceiling.
    Limits,
    /// Real-time scheduling and negative nice values.
    Realtime,
    /// Named network interfaces of the host, moved into the container.
    NetDevices,
    /// Namespaces of the host, or joined at other paths.
    Namespaces,
    /// TCP ports without limit.
    PortsAny,
    /// More ports than one.
    MaxPorts,
    /// Named external addresses that the container may connect to.
    Connect,
    /// Named CNI networks.
    Networks,
    /// User id 0 in a standalone launch.
    RootUser,
    /// A standalone launch without a user namespace.
    NoUserNamespace,
    /// Named device nodes.
    Devices,
    /// Further kernel parameters of the container's own namespaces.
    Sysctl,
    /// Optional groups of the system-call filter.
    SeccompGroups,
    /// Host folders and sockets that are closed to bind mounts.
    Sources,
    /// Programs run by the launcher at points of the lifecycle.
    Hooks,
    /// Environment variables that look like secrets.
    Env,
    /// A launch although this host lacks the mechanism.
    Degraded,
}

impl Loosening {
    /// All of them.
    pub const ALL: &'static [Loosening] = &[
        Loosening::TemplateWorkers,
        Loosening::TemplateScript,
        Loosening::TemplateCompat,
        Loosening::Programs,
        Loosening::Exec,
        Loosening::Terminal,
        Loosening::EntryPoints,
        Loosening::Jit,
        Loosening::WritableRoot,
        Loosening::ExecOn,
        Loosening::Capabilities,
        Loosening::Ambient,
        Loosening::Limits,
        Loosening::Realtime,
        Loosening::NetDevices,
        Loosening::Namespaces,
        Loosening::PortsAny,
        Loosening::MaxPorts,
        Loosening::Connect,
        Loosening::Networks,
        Loosening::RootUser,
        Loosening::NoUserNamespace,
        Loosening::Devices,
        Loosening::Sysctl,
        Loosening::SeccompGroups,
        Loosening::Sources,
        Loosening::Hooks,
        Loosening::Env,
        Loosening::Degraded,
    ];

    /// As it is written in an exception file.
    pub fn as_str(self) -> &'static str {
        match self {
            Loosening::TemplateWorkers => "template = \"workers\"",
            Loosening::TemplateScript => "template = \"script\"",
            Loosening::TemplateCompat => "template = \"compat\"",
            Loosening::Programs => "programs",
            Loosening::Exec => "exec",
            Loosening::Terminal => "terminal",
            Loosening::EntryPoints => "entry_points",
            Loosening::Jit => "jit",
            Loosening::WritableRoot => "writable_root",
            Loosening::ExecOn => "exec_on",
            Loosening::Capabilities => "capabilities",
            Loosening::Ambient => "ambient",
            Loosening::Limits => "limits",
            Loosening::Realtime => "realtime",
            Loosening::NetDevices => "net_devices",
            Loosening::Namespaces => "namespaces",
            Loosening::PortsAny => "ports_any",
            Loosening::MaxPorts => "max_ports",
            Loosening::Connect => "connect",
            Loosening::Networks => "networks",
            Loosening::RootUser => "root_user",
            Loosening::NoUserNamespace => "no_user_namespace",
            Loosening::Devices => "devices",
            Loosening::Sysctl => "sysctl",
            Loosening::SeccompGroups => "seccomp_groups",
            Loosening::Sources => "sources",
            Loosening::Hooks => "hooks",
            Loosening::Env => "env",
            Loosening::Degraded => "degraded",
        }
    }
}

impl fmt::Display for Loosening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Loosening {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
