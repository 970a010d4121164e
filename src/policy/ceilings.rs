//! The ceilings in force: the built-in policy, tightened by the site's.
//!
//! Where a site's value is looser than the built-in one, the built-in one stays and a [`Diagnostic`] says which
//! exception would be needed. No I/O; called by `layers`.

use super::document::{Diagnostic, Document};
use super::exceptions::{Exception, Loosened, matches};
use super::file::{Bound, CapabilityEntry, LimitTable, OnExcess, Operators, PolicyFile, Volumes};
use super::grant::Template;
use super::quantity::{Amount, Cpus};
use crate::controls::ControlId;
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
}

/// Ceilings and defaults of limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitCeilings {
    /// Bytes of memory.
    pub memory: Range<Amount>,
    /// Bytes of swap on top of memory.
    pub swap: Range<Amount>,
    /// Threads and processes.
    pub pids: Range<Amount>,
    /// CPUs.
    pub cpus: Range<Cpus>,
    /// File descriptors of a process.
    pub nofile: Range<Amount>,
    /// Bytes a second.
    pub io_bps: Range<Amount>,
    /// Operations a second.
    pub io_iops: Range<Amount>,
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
        Self {
            template: Template::Default,
            on_excess: None,
            audit: false,
            operators: Operators::default(),
            capabilities: Vec::new(),
            limits: LimitCeilings {
                memory: none,
                swap: none,
                pids: none,
                cpus: Range {
                    max: Cpus(1),
                    default: Cpus(1),
                },
                nofile: none,
                io_bps: none,
                io_iops: none,
                tmpfs: none,
            },
            volumes: Vec::new(),
            join: BTreeMap::new(),
            sysctl: Vec::new(),
            hooks: Vec::new(),
            max_ports: 0,
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

/// One way in which a site's file is looser than the ceiling: where, what, and the exception that would cover it.
struct Excess<'a> {
    path: Vec<String>,
    found: String,
    control: ControlId,
    covered: &'a dyn Fn(&Loosened) -> bool,
}

/// Lays a site's file over the ceilings.
pub struct Tightening<'a, 'p> {
    /// The site's file, for places.
    pub doc: &'a Document<'a>,
    /// Exceptions that loaded.
    pub exceptions: &'a [Exception],
    /// Where problems go.
    pub problems: &'p mut Vec<Diagnostic>,
}

impl Tightening<'_, '_> {
    /// The built-in ceilings made tighter by the file; what would loosen is reported unless an exception covers it,
    /// and never applied here: the exception itself does that, launch by launch, while it is in force.
    pub fn apply(mut self, built_in: &Ceilings, file: &PolicyFile) -> Ceilings {
        let mut all = built_in.clone();
        all.on_excess = file.on_excess.or(all.on_excess);
        all.audit = file.audit.unwrap_or(all.audit);
        if all.audit {
            self.need_compat("audit", "audit = true clamps nothing");
        }
        match file.template {
            None | Some(Template::Default) => {}
            Some(wanted) => self.template(wanted),
        }
        // Who is trusted, and which programs are hooks, is for the site to say: the control is that it says it.
        all.operators = file.operators.clone().unwrap_or(all.operators);
        all.hooks = file.hooks.clone().unwrap_or(all.hooks);
        for (at, hook) in all.hooks.iter().enumerate() {
            if !hook.starts_with('/') {
                let message = format!("{hook:?} is not an absolute path");
                let at = at.to_string();
                self.problems
                    .push(self.doc.problem(&["hooks", &at], message));
            }
        }
        self.capabilities(&mut all, file);
        self.limits(&mut all.limits, file.limits.as_ref());
        self.volumes(&mut all, file);
        self.joins(&mut all, file);
        self.sysctl(&mut all, file);
        if let Some(ports) = file.ports {
            if ports.max > all.max_ports {
                self.loosens(Excess {
                    path: vec!["ports".into(), "max".into()],
                    found: format!(
                        "{} ports are above the ceiling of {}",
                        ports.max, all.max_ports
                    ),
                    control: ControlId::S8_5_5,
                    covered: &|g| g.max_ports.is_some_and(|n| n >= ports.max),
                });
            }
            all.max_ports = all.max_ports.min(ports.max);
        }
        all
    }

    fn loosens(&mut self, excess: Excess<'_>) {
        let covered = |e: &Exception| e.is_site_wide() && (excess.covered)(&e.grant);
        if self.exceptions.iter().any(covered) {
            return;
        }
        let path: Vec<&str> = excess.path.iter().map(String::as_str).collect();
        let message = format!(
            "{}; a site policy only tightens. To loosen {} write an exception with scope = {{ name = \"*\" }}",
            excess.found, excess.control
        );
        self.problems.push(self.doc.problem(&path, message));
    }

    fn need_compat(&mut self, key: &str, found: &str) {
        self.loosens(Excess {
            path: vec![key.into()],
            found: found.into(),
            control: ControlId::S8_4_14,
            covered: &|g| g.template == Some(Template::Compat),
        });
    }

    fn template(&mut self, wanted: Template) {
        let control = match wanted {
            Template::Workers => ControlId::S8_5_2,
            Template::Script => ControlId::S8_4_3,
            Template::Default | Template::Compat => ControlId::S8_4_14,
        };
        self.loosens(Excess {
            path: vec!["template".into()],
            found: format!("the template {wanted:?} allows more than Default"),
            control,
            covered: &|g| g.template == Some(wanted),
        });
    }

    fn capabilities(&mut self, all: &mut Ceilings, file: &PolicyFile) {
        let Some(entries) = &file.capability else {
            return;
        };
        for (at, entry) in entries.iter().enumerate() {
            let at = at.to_string();
            if super::capability::number(&entry.name).is_none() {
                let message = format!(
                    "{:?} is not a capability; names are upper case without CAP_, and ALL is not one",
                    entry.name
                );
                self.problems
                    .push(self.doc.problem(&["capability", &at, "name"], message));
            } else if !all.capabilities.iter().any(|c| c.name == entry.name) {
                self.loosens(Excess {
                    path: vec!["capability".into(), at.clone(), "name".into()],
                    found: format!("{} is not in the built-in whitelist", entry.name),
                    control: ControlId::S8_1_5,
                    covered: &|g| g.capabilities.contains(&entry.name),
                });
            }
            if entry.reason.trim().is_empty() {
                let message = "reason is empty; say why a service needs this capability";
                self.problems
                    .push(self.doc.problem(&["capability", &at, "reason"], message));
            }
        }
        all.capabilities
            .retain(|c| entries.iter().any(|e| e.name == c.name));
    }

    fn limits(&mut self, all: &mut LimitCeilings, table: Option<&LimitTable>) {
        let Some(t) = table else { return };
        type Of<T> = fn(&super::exceptions::Ceiling) -> Option<T>;
        let of: [Of<Amount>; 7] = [
            |c| c.memory,
            |c| c.swap,
            |c| c.pids,
            |c| c.nofile,
            |c| c.io_bps,
            |c| c.io_iops,
            |c| c.tmpfs,
        ];
        self.limit("memory", &mut all.memory, t.memory, of[0]);
        self.limit("swap", &mut all.swap, t.swap, of[1]);
        self.limit("pids", &mut all.pids, t.pids, of[2]);
        self.limit("nofile", &mut all.nofile, t.nofile, of[3]);
        self.limit("io_bps", &mut all.io_bps, t.io_bps, of[4]);
        self.limit("io_iops", &mut all.io_iops, t.io_iops, of[5]);
        self.limit("tmpfs", &mut all.tmpfs, t.tmpfs, of[6]);
        self.limit("cpus", &mut all.cpus, t.cpus, |c| c.cpus);
    }

    fn limit<T: Copy + Ord + std::fmt::Display>(
        &mut self,
        key: &str,
        range: &mut Range<T>,
        bound: Option<Bound<T>>,
        of: fn(&super::exceptions::Ceiling) -> Option<T>,
    ) {
        let Some(bound) = bound else { return };
        for (word, asked) in [("max", bound.max), ("default", bound.default)] {
            let Some(asked) = asked.filter(|asked| *asked > range.max) else {
                continue;
            };
            self.loosens(Excess {
                path: vec!["limits".into(), key.into(), word.into()],
                found: format!(
                    "{key}.{word} = {asked} is above the ceiling of {}",
                    range.max
                ),
                control: ControlId::S8_1_4,
                covered: &|g| {
                    g.limits
                        .as_ref()
                        .and_then(of)
                        .is_some_and(|max| max >= asked)
                },
            });
        }
        range.max = range.max.min(bound.max.unwrap_or(range.max));
        range.default = bound.default.unwrap_or(range.default).min(range.max);
    }

    fn volumes(&mut self, all: &mut Ceilings, file: &PolicyFile) {
        let Some(site) = &file.volumes else { return };
        for (at, path) in site.allowed.iter().flatten().enumerate() {
            if all.volumes.iter().all(|layer| layer.verdict(path)) {
                continue;
            }
            self.loosens(Excess {
                path: vec!["volumes".into(), "allowed".into(), at.to_string()],
                found: format!("{path} is closed to bind mounts"),
                control: ControlId::S8_5_1,
                covered: &|g| g.sources.iter().any(|s| is_below(path, s)),
            });
        }
        all.volumes.push(site.clone());
    }

    fn joins(&mut self, all: &mut Ceilings, file: &PolicyFile) {
        for (kind, patterns) in file.join.iter().flatten() {
            let Some(known) = all.join.get_mut(kind) else {
                let kinds: Vec<&str> = all.join.keys().map(String::as_str).collect();
                let message = format!(
                    "{kind:?} is no kind of namespace; they are {}",
                    kinds.join(", ")
                );
                self.problems
                    .push(self.doc.problem(&["join", kind], message));
                continue;
            };
            let known = std::mem::take(known);
            for (at, pattern) in patterns.iter().enumerate() {
                if known.iter().any(|k| k == pattern || matches(k, pattern)) {
                    continue;
                }
                let word = format!("{kind}:{pattern}");
                self.loosens(Excess {
                    path: vec!["join".into(), kind.clone(), at.to_string()],
                    found: format!(
                        "{pattern} is not among the places where namespaces may be joined"
                    ),
                    control: ControlId::S8_1_3,
                    covered: &|g| g.namespaces.contains(&word),
                });
            }
            let kept = patterns
                .iter()
                .filter(|p| known.iter().any(|k| k == *p || matches(k, p)));
            all.join.insert(kind.clone(), kept.cloned().collect());
        }
    }

    fn sysctl(&mut self, all: &mut Ceilings, file: &PolicyFile) {
        let Some(asked) = &file.sysctl else { return };
        let covers = |key: &String| all.sysctl.iter().any(|k| k == key || matches(k, key));
        for (at, key) in asked.iter().enumerate() {
            if !covers(key) {
                self.loosens(Excess {
                    path: vec!["sysctl".into(), at.to_string()],
                    found: format!("{key} is not in the built-in list"),
                    control: ControlId::S8_5_1,
                    covered: &|g| g.sysctl.contains(key),
                });
            }
        }
        let kept: Vec<String> = asked.iter().filter(|key| covers(key)).cloned().collect();
        all.sysctl = kept;
    }
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
    }
}
