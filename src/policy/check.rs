//! `cofferdam policy check`: what a policy with its exceptions says, or what is wrong with it.
//!
//! A printable value; the verb reads the files through `site` and prints. Decides nothing.

use super::date::Date;
use super::document::Diagnostic;
use super::layers::Policy;
use serde::Serialize;
use std::fmt;

/// The result of checking a policy.
#[must_use]
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Problems that keep it from loading.
    pub problems: Vec<Diagnostic>,
    /// SHA-256 over all layers; absent when it doesn't load.
    pub digest: Option<String>,
    /// Exceptions, each with its standing today.
    pub exceptions: Vec<Standing>,
    /// What a reviewer should look at though it loads.
    pub warnings: Vec<String>,
}

/// One exception and whether it is in force.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// The control it loosens.
    pub control: String,
    /// What it allows.
    pub grants: Vec<String>,
    /// Last day.
    pub expires: Date,
    /// Why it is not in force; absent when it is.
    pub lapsed: Option<String>,
}

impl CheckReport {
    /// Of a policy that loaded or did not; `now` in seconds since 1970.
    pub fn new(loaded: &Result<Policy, Vec<Diagnostic>>, now: u64) -> Self {
        let today = Date::of_seconds(now);
        let policy = match loaded {
            Ok(policy) => policy,
            Err(problems) => {
                return Self {
                    problems: problems.clone(),
                    digest: None,
                    exceptions: Vec::new(),
                    warnings: Vec::new(),
                };
            }
        };
        let standing = |e: &super::Exception| Standing {
            id: e.id.clone(),
            control: e.control.to_string(),
            grants: e.grant.asked().iter().map(ToString::to_string).collect(),
            expires: e.expires,
            lapsed: e.lapse(today),
        };
        let exceptions: Vec<Standing> = policy.exceptions.iter().map(standing).collect();
        let mut warnings: Vec<String> = exceptions
            .iter()
            .filter_map(|s| s.lapsed.clone())
            .map(|why| format!("{why}: its control stays on"))
            .collect();
        let blanket = |e: &&super::Exception| e.grant.template == Some(super::Template::Compat);
        for e in policy.exceptions.iter().filter(blanket) {
            warnings.push(format!(
                "exception {} grants the template compat: launches in its scope are not hardened",
                e.id
            ));
        }
        if policy.ceilings.audit {
            warnings.push("audit = true: nothing is clamped, only reported".into());
        }
        Self {
            problems: Vec::new(),
            digest: Some(policy.digest.clone()),
            exceptions,
            warnings,
        }
    }

    /// Whether the policy loads.
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        if let Some(digest) = &self.digest {
            writeln!(f, "policy {digest} is valid")?;
        }
        for s in &self.exceptions {
            let state = s.lapsed.as_deref().unwrap_or("in force");
            let grants = s.grants.join(", ");
            writeln!(
                f,
                "exception {} on {}: {grants}, until {} ({state})",
                s.id, s.control, s.expires
            )?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}
