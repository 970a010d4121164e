//! What policy allows this container: the ceilings, and the exceptions that are for it and in force today.
//!
//! Pure. Exceptions are matched by the policy's own rule on the container's own config.json; without one that can be
//! read there is nothing to match, and nothing is waived.

use crate::audit::model::{Deviation, Evidence, Finding, Verdict};
use crate::audit::shown::quoted;
use crate::bundle::Bundle;
use crate::controls::ControlId;
use crate::policy::{Ceilings, Date, Exception, Loosened, Policy, Template};

/// Ceilings and exceptions.
#[derive(Clone, Debug)]
pub struct Allowed<'a> {
    /// What nobody needs an exception for.
    pub ceilings: &'a Ceilings,
    exceptions: Vec<&'a Exception>,
    /// Those that are for it and have lapsed, as sentences.
    pub lapsed: Vec<String>,
}

impl<'a> Allowed<'a> {
    /// For a container of which this is the config; `now` in seconds since 1970.
    pub fn new(policy: &'a Policy, bundle: Option<&Bundle>, now: u64) -> Self {
        let today = Date::of_seconds(now);
        let covers = |e: &&Exception| bundle.is_some_and(|b| e.covers(b));
        let all: Vec<&Exception> = policy.exceptions.iter().filter(covers).collect();
        Self {
            ceilings: &policy.ceilings,
            lapsed: all.iter().filter_map(|e| e.lapse(today)).collect(),
            exceptions: all
                .into_iter()
                .filter(|e| e.lapse(today).is_none())
                .collect(),
        }
    }

    /// Exceptions in force.
    pub fn exceptions(&self) -> impl Iterator<Item = Deviation> {
        self.exceptions.iter().map(|e| deviation(e))
    }

    /// Pass, or waived by an exception that grants this, or fail.
    pub fn judge(&self, good: bool, grants: impl Fn(&Loosened) -> bool) -> Verdict {
        if good {
            return Verdict::Pass;
        }
        let compat = |e: &Exception| e.grant.template == Some(Template::Compat);
        let found = self
            .exceptions
            .iter()
            .find(|e| grants(&e.grant) || compat(e));
        found.map_or(Verdict::Fail, |e| Verdict::Waived(deviation(e)))
    }

    /// The same where nothing but the template compat can help.
    pub fn strict(&self, good: bool) -> Verdict {
        self.judge(good, |_| false)
    }

    /// Judges a set of capabilities: each has to be on the whitelist or granted.
    pub fn capabilities(&self, held: &[&str]) -> Verdict {
        let listed = |name: &&&str| self.ceilings.capabilities.iter().any(|c| c.name == **name);
        let beyond: Vec<&&str> = held.iter().filter(|n| !listed(n)).collect();
        let granted = |e: &Loosened, name: &str| e.capabilities.iter().any(|c| c == name);
        let all = beyond
            .iter()
            .all(|n| self.exceptions.iter().any(|e| granted(&e.grant, n)));
        self.judge(beyond.is_empty(), |g| {
            all && beyond.iter().any(|n| granted(g, n))
        })
    }
}

fn deviation(exception: &Exception) -> Deviation {
    let grants: Vec<String> = exception
        .grant
        .asked()
        .iter()
        .map(ToString::to_string)
        .collect();
    Deviation {
        exception: exception.id.clone(),
        grants: grants.join(", "),
        approver: exception.approver.clone(),
        reference: exception.reference.clone(),
        expires: exception.expires.to_string(),
    }
}

/// Findings of one container as they are made.
pub struct Judge<'a> {
    /// What is allowed.
    pub allowed: &'a Allowed<'a>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Judge<'_> {
    /// Adds one; the caller goes on with evidence and remedy.
    pub fn add(
        &mut self,
        id: &str,
        controls: &[ControlId],
        tried: &str,
        (expected, answer): (&str, String),
        verdict: Verdict,
    ) -> Entry<'_> {
        let at = self.findings.len();
        let words = (expected, quoted(&answer));
        let finding = Finding::judged(format!("observe/{id}"), controls, tried, words, verdict);
        self.findings.push(finding);
        Entry(&mut self.findings[at])
    }

    /// Something that could not be read.
    pub fn unread(&mut self, id: &str, controls: &[ControlId], tried: &str, why: &str) {
        let verdict = Verdict::not_assessed(quoted(why));
        self.add(id, controls, tried, ("", String::new()), verdict);
    }
}

/// The finding that was just added.
pub struct Entry<'a>(&'a mut Finding);

impl Entry<'_> {
    /// With evidence.
    pub fn seen(self, source: impl Into<String>, text: impl AsRef<str>) -> Self {
        let (source, text) = (source.into(), quoted(text.as_ref()));
        self.0.evidence.push(Evidence { source, text });
        self
    }

    /// With what to do about it.
    pub fn mend(self, remedy: &str) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }
}
