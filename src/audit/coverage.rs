//! What is done about each control, told from the code itself: the rules of policy that decide about it, what the audit
//! looks at and tries, what stands in the launch record. A control that no code names is covered by nothing.

use super::host;
use super::observe;
use super::probes;
use crate::controls::{ControlId, Kind};
use crate::policy;
use serde::Serialize;

/// One control's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Rules that decide about it before a launch, and so the plan that is carried out and read back.
    pub enforced: Vec<String>,
    /// Findings of the audit that can pass or fail for it.
    pub verified: Vec<String>,
    /// Where it is put on record.
    pub recorded: Vec<String>,
}

impl Coverage {
    /// From the code.
    pub fn of(control: ControlId) -> Self {
        let rules = policy::rules_of(control);
        let enforced: Vec<String> = rules
            .map(|r| format!("policy::rules::{}", r.replace(' ', "")))
            .collect();
        let mut verified = Vec::new();
        let looks = observe::looks().into_iter().chain(host::looks());
        for (id, controls) in looks {
            if controls.contains(&control) {
                verified.push(id);
            }
        }
        let tried = probes::all().filter(|p| p.controls.contains(&control));
        verified.extend(tried.map(|p| format!("probe/{}", p.id)));
        verified.sort();
        verified.dedup();
        // Clamps, refusals, exceptions and the plan's lines all carry the id of the control.
        let wanted = control.control().kinds.contains(&Kind::Record);
        let recorded = match enforced.is_empty() || !wanted {
            true => Vec::new(),
            false => vec!["container::LaunchRecord".into()],
        };
        Self {
            enforced,
            verified,
            recorded,
        }
    }

    /// Whether there is anything.
    pub fn is_any(&self) -> bool {
        !(self.enforced.is_empty() && self.verified.is_empty() && self.recorded.is_empty())
    }

    /// Every place in the code.
    pub fn code(&self) -> Vec<String> {
        let all = self
            .enforced
            .iter()
            .chain(&self.verified)
            .chain(&self.recorded);
        all.cloned().collect()
    }

    /// In words.
    pub fn sentence(&self) -> String {
        let part = |what: &str, all: &[String]| {
            (!all.is_empty()).then(|| format!("{what} by {}", all.join(", ")))
        };
        let parts = [
            part("Decided before each launch", &self.enforced),
            part("Looked at", &self.verified),
            part("On record", &self.recorded),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => "Nothing.".into(),
            false => format!("{}.", parts.join(". ")),
        }
    }
}
