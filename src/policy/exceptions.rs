//! The shape of `exceptions.d/*.toml`, and what makes an entry valid.
//!
//! An entry names one control and may ask only for what that control's row lists. Whether it applies to a
//! launch (scope, dates) is answered here too, without a clock of its own. Called by `layers` and `rules`.

use super::date::Date;
use super::document::{Diagnostic, Document};
use super::grant::Template;
use super::loosened::Loosened;
use crate::bundle::{Bundle, CallingEngine};
use crate::controls::ControlId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// As the only entry of `programs`: whatever the image holds.
pub(super) const ANY_PROGRAM: &str = "*";

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
    /// The engine that called, as its program shows: under some engines annotations, and so `image` and `label`, are
    /// their users' to write.
    pub engine: Option<CallingEngine>,
    /// Annotations of config.json, all of them.
    #[serde(default)]
    pub label: BTreeMap<String, String>,
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
            && self.scope.engine.is_none()
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
                "scope is empty; name at least one of name, image, digest, engine, label".into(),
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
        // "*" alone is every program of the image.
        let any = Vec::new();
        let programs = match g.programs.as_slice() {
            [one] if one == ANY_PROGRAM => &any,
            _ => &g.programs,
        };
        let paths = [
            ("programs", programs),
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

/// The image's name, if the engine says it.
pub fn image_of(bundle: &Bundle) -> Option<&str> {
    images_of(bundle).next()
}

fn images_of(bundle: &Bundle) -> impl Iterator<Item = &str> {
    let annotations = bundle.spec.annotations().as_ref();
    let of = move |key: &&str| annotations?.get(*key).map(String::as_str);
    IMAGE_KEYS.iter().filter_map(of)
}

impl Scope {
    fn covers(&self, bundle: &Bundle) -> bool {
        let annotation = |key: &str| bundle.spec.annotations().as_ref().and_then(|a| a.get(key));
        let name = self.name.as_ref().is_none_or(|p| matches(p, &bundle.name));
        let image = self.image.as_ref().is_none_or(|pattern| {
            pattern == "*" || images_of(bundle).any(|image| matches(pattern, image))
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
        let engine = self.engine.is_none() || self.engine == bundle.extras.engine;
        name && image && digest && engine && label && *self != Self::default()
    }
}

/// Reads one file; entries that are wrong are reported, the others returned.
pub fn parse(file: &str, text: &str, problems: &mut Vec<Diagnostic>) -> Vec<Exception> {
    let Some(doc) = Document::parse(file, text, problems) else {
        return Vec::new();
    };
    doc.only(&["version", "exception"], problems);
    super::ceilings::check_version(&doc, problems);
    entries(&doc, problems)
}

/// The `[[exception]]` entries of a file, whatever else stands in it.
pub(super) fn entries(doc: &Document<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Exception> {
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
