//! The shape of `exceptions.d/*.toml`, and what makes an entry valid.
//!
//! An entry names one control and may ask only for what that control's row lists. Whether it applies to a
//! launch (scope, dates) is answered here too, without a clock of its own. Called by `layers` and `rules`.

use super::date::Date;
use super::document::{Diagnostic, Document};
use super::grant::Template;
use super::quantity::{Amount, Cpus};
use crate::bundle::Bundle;
use crate::controls::{ControlId, Loosening};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest life of an exception, in days.
pub const MAX_DAYS: i64 = 366;

/// An exceptions file (the shape that the JSON Schema shows).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExceptionFile {
    /// The format: 1.
    pub version: u32,
    /// The entries.
    #[serde(default)]
    pub exception: Vec<Exception>,
}

/// One reviewed, dated permission to loosen one control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Its own name, unique on the site.
    pub id: String,
    /// The control it loosens: "SS-011/8.4.8".
    #[cfg_attr(test, schemars(with = "String"))]
    pub control: ControlId,
    /// What it allows.
    pub grant: Loosened,
    /// Which launches it is for; every given key must match.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who approved.
    pub approver: String,
    /// Ticket or document.
    pub reference: String,
    /// First day.
    pub approved: Date,
    /// Last day, at most 366 days after the first.
    pub expires: Date,
}

/// Which launches an exception is for. A trailing * in `name` and `image` matches the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The container's name (OCI: its id).
    pub name: Option<String>,
    /// The image's name, from the annotations that engines set.
    pub image: Option<String>,
    /// The image's digest (annotation org.cofferdam.image-digest) or that of config.json.
    pub digest: Option<String>,
    /// Annotations of config.json, all of them.
    #[serde(default)]
    pub label: BTreeMap<String, String>,
}

/// What an exception allows. Each key is one [`Loosening`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Loosened {
    /// Another template than `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Programs that may be executed (template `script`), absolute paths inside the container.
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
    /// Namespaces of the host ("network") or joined at other places ("network:/run/x/*").
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// TCP ports without limit.
    #[serde(skip_serializing_if = "is_false")]
    pub ports_any: bool,
    /// So many ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ports: Option<u32>,
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
    /// Names of environment variables that look like secrets.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub pids: Option<Amount>,
    /// CPUs.
    pub cpus: Option<Cpus>,
    /// File descriptors of a process.
    pub nofile: Option<Amount>,
    /// Bytes a second.
    pub io_bps: Option<Amount>,
    /// Operations a second.
    pub io_iops: Option<Amount>,
    /// Bytes of one tmpfs.
    pub tmpfs: Option<Amount>,
}

impl Loosened {
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
            (L::Namespaces, !self.namespaces.is_empty()),
            (L::PortsAny, self.ports_any),
            (L::MaxPorts, self.max_ports.is_some()),
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

impl Exception {
    /// Whether it is for this launch.
    pub fn covers(&self, bundle: &Bundle) -> bool {
        self.scope.covers(bundle)
    }

    /// Why it is not in force on this day; `None` if it is.
    pub fn lapse(&self, today: Date) -> Option<String> {
        if today > self.expires {
            Some(format!("exception {} expired on {}", self.id, self.expires))
        } else if today < self.approved {
            Some(format!("exception {} begins on {}", self.id, self.approved))
        } else {
            None
        }
    }

    /// Whether it is for every launch of the site.
    pub fn is_site_wide(&self) -> bool {
        self.scope.name.as_deref() == Some("*")
            && self.scope.image.as_deref().is_none_or(|image| image == "*")
            && self.scope.digest.is_none()
            && self.scope.label.is_empty()
    }

    /// What is wrong with the entry: (key, sentence).
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let texts = [
            ("id", &self.id),
            ("reason", &self.reason),
            ("approver", &self.approver),
            ("reference", &self.reference),
        ];
        for (key, text) in texts {
            if text.trim().is_empty() {
                faults.push((
                    key,
                    format!("{key} is empty; an exception without it does not load"),
                ));
            }
        }
        if !self.id.is_empty() && !super::is_name(&self.id) {
            faults.push((
                "id",
                "an id takes letters, digits and _ + . - (at most 255 bytes)".into(),
            ));
        }
        if self.scope == Scope::default() {
            faults.push((
                "scope",
                "scope is empty; name at least one of name, image, digest, label".into(),
            ));
        }
        let days = self.expires.days_after(self.approved);
        if days < 0 {
            faults.push((
                "expires",
                format!(
                    "expires on {}, before it is approved on {}",
                    self.expires, self.approved
                ),
            ));
        } else if days > MAX_DAYS {
            faults.push(("expires", format!("lasts {days} days; at most {MAX_DAYS} days after approved are allowed, then it is reviewed again")));
        }
        faults.extend(self.grant_faults());
        faults
    }

    fn grant_faults(&self) -> Vec<(&'static str, String)> {
        let asked = self.grant.asked();
        let mut faults = Vec::new();
        if asked.is_empty() {
            faults.push((
                "grant",
                "grant asks for nothing; delete the exception or say what it allows".into(),
            ));
        }
        for loosening in asked {
            if !self.control.allows(loosening) {
                let may = self.control.control().loosenings;
                let may = match may.is_empty() {
                    true => "nothing can be asked of it".into(),
                    false => format!("it takes {}", list(may)),
                };
                faults.push((
                    "grant",
                    format!("{} cannot be loosened by {loosening}: {may}", self.control),
                ));
            }
        }
        if self.grant.template == Some(Template::Script) && self.grant.programs.is_empty() {
            faults.push((
                "grant",
                "template = \"script\" needs programs, the list of what may be executed".into(),
            ));
        }
        let capabilities = self.grant.capabilities.iter().chain(&self.grant.ambient);
        for name in capabilities {
            if super::capability::number(name).is_none() {
                faults.push(("grant", format!("{name:?} is not a capability; names are upper case without CAP_, and ALL is not one")));
            }
        }
        let g = &self.grant;
        let paths = [
            ("programs", &g.programs),
            ("exec_on", &g.exec_on),
            ("devices", &g.devices),
            ("sources", &g.sources),
            ("hooks", &g.hooks),
        ];
        for (key, path) in paths
            .iter()
            .flat_map(|(k, v)| v.iter().map(move |p| (k, p)))
        {
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                faults.push((
                    "grant",
                    format!("{key}: {path:?} is not an absolute path without '..'"),
                ));
            }
        }
        faults
    }
}

fn list(items: &[impl std::fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// A pattern whose trailing `*` matches the rest.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

/// Annotations in which engines name the image.
const IMAGE_KEYS: [&str; 4] = [
    "org.cofferdam.image",
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.ImageName",
    "org.opencontainers.image.ref.name",
];

impl Scope {
    fn covers(&self, bundle: &Bundle) -> bool {
        let annotation = |key: &str| bundle.spec.annotations().as_ref().and_then(|a| a.get(key));
        let name = self.name.as_ref().is_none_or(|p| matches(p, &bundle.name));
        let image = self.image.as_ref().is_none_or(|pattern| {
            pattern == "*"
                || IMAGE_KEYS
                    .iter()
                    .filter_map(|key| annotation(key))
                    .any(|image| matches(pattern, image))
        });
        let digest = self.digest.as_ref().is_none_or(|digest| {
            let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
            digest == bundle.digest
                || annotation("org.cofferdam.image-digest")
                    .is_some_and(|d| d.strip_prefix("sha256:").unwrap_or(d) == digest)
        });
        let label = self
            .label
            .iter()
            .all(|(key, value)| annotation(key) == Some(value));
        name && image && digest && label && *self != Self::default()
    }
}

/// Reads one file; entries that are wrong are reported, the others returned.
pub fn parse(file: &str, text: &str, problems: &mut Vec<Diagnostic>) -> Vec<Exception> {
    let Some(doc) = Document::parse(file, text, problems) else {
        return Vec::new();
    };
    doc.only(&["version", "exception"], problems);
    super::ceilings::check_version(&doc, problems);
    let mut good: Vec<Exception> = Vec::new();
    for (at, entry) in doc.each::<Exception>("exception", problems) {
        let at = at.to_string();
        let mut faults = entry.faults();
        if good.iter().any(|other| other.id == entry.id) {
            faults.push((
                "id",
                format!("a second exception with the id {:?}", entry.id),
            ));
        }
        let none = faults.is_empty();
        for (key, message) in faults {
            problems.push(doc.problem(&["exception", &at, key], message));
        }
        if none {
            good.push(entry);
        }
    }
    good
}
