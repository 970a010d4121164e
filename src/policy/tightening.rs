//! A site's policy file laid over the built-in ceilings: it can only tighten.
//!
//! Where a site's value is looser than the built-in one, the built-in one stays and a [`Diagnostic`] says which
//! exception would be needed. No I/O; called by `layers`.

use super::ceilings::{Ceilings, LimitCeilings, Range, is_below};
use super::document::{Diagnostic, Document};
use super::exceptions::{Exception, matches};
use super::file::{Bound, LimitTable, PolicyFile, Volumes};
use super::grant::Template;
use super::loosened::{Ceiling, Loosened};
use super::networks::{is_plain, not_plain};
use crate::controls::ControlId;

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
        all.records = file.records.clone().or(all.records);
        if all.records.as_ref().is_some_and(|r| !r.starts_with('/')) {
            let message = "records is not an absolute path".to_string();
            self.problems.push(self.doc.problem(&["records"], message));
        }
        // A collector more is a control more: nothing here loosens.
        if let Some(logs) = &file.logs {
            logs.check(self.doc, self.problems);
            all.logs = logs.clone();
            // No container sees its own spool, or another's.
            all.volumes.extend(logs.spool.clone().map(|spool| Volumes {
                allowed: None,
                denied: vec![spool],
            }));
        }
        all.lifetime = file.lifetime.or(all.lifetime);
        // Whether a network is given is an exception's to say; where they are, the site's.
        if let Some(networks) = &file.networks {
            networks.check(self.doc, self.problems);
            all.networks = all.networks.with(networks);
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
        self.limit("memory", &mut all.memory, t.memory, |c| c.memory);
        self.limit("swap", &mut all.swap, t.swap, |c| c.swap);
        self.limit("pids", &mut all.pids, t.pids, |c| c.pids);
        self.limit("nofile", &mut all.nofile, t.nofile, |c| c.nofile);
        self.limit("io_bps", &mut all.io_bps, t.io_bps, |c| c.io_bps);
        self.limit("io_iops", &mut all.io_iops, t.io_iops, |c| c.io_iops);
        self.limit("tmpfs", &mut all.tmpfs, t.tmpfs, |c| c.tmpfs);
        self.limit("cpus", &mut all.cpus, t.cpus, |c| c.cpus);
    }

    fn limit<T: Copy + Ord + std::fmt::Display>(
        &mut self,
        key: &str,
        range: &mut Range<T>,
        bound: Option<Bound<T>>,
        of: fn(&Ceiling) -> Option<T>,
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
        let lists = [
            ("allowed", site.allowed.as_deref().unwrap_or_default()),
            ("denied", &site.denied),
        ];
        for (key, list) in lists {
            for (at, path) in list.iter().enumerate() {
                if !is_plain(path) {
                    let at = at.to_string();
                    let problem = self.doc.problem(&["volumes", key, &at], not_plain(path));
                    self.problems.push(problem);
                }
            }
        }
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
