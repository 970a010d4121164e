//! What an audit found: one model for attacks from inside, looks from outside, hosts and configurations.
//!
//! Data, its order and its exit code; the formats beside it only print it. What could not be seen is `NotAssessed`
//! and never a pass; a loosened control is `Waived` and stays unmet.

use crate::controls::{ControlId, catalogue};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The layout of the JSON form.
pub const VERSION: u32 = 1;

/// Everything that one run of an audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Layout: [`VERSION`].
    pub version: u32,
    /// "cofferdam 0.1.0".
    pub tool: String,
    /// Where it ran.
    pub host: HostLabel,
    /// When it began, RFC 3339.
    pub time: String,
    /// SHA-256 of the policy that was judged by, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// One entry a container, host or configuration.
    pub subjects: Vec<Subject>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLabel {
    /// Its name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
}

/// One thing that was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Container id, host name or path, as the other side wrote it: show it through [`super::shown::shown`].
    pub name: String,
    /// Facts worth a line: ("engine", "docker"), ("pid", "123"), ("image", …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
    /// Why it could not be judged at all, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Worst first once [`Report::new`] has seen them.
    pub findings: Vec<Finding>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A running container.
    Container,
    /// The machine.
    Host,
    /// A configuration that does not run.
    Config,
}

/// One thing that was tried or looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable and unique within a subject: "observe/capabilities", "probe/mount-new". Of `[a-z0-9/._-]`.
    pub id: String,
    /// The controls that it speaks for, the most direct one first; never empty.
    pub controls: Vec<ControlId>,
    /// What was tried or looked at, in words.
    pub tried: String,
    /// What has to be seen for a pass.
    pub expected: String,
    /// What the kernel said.
    pub answer: String,
    /// The judgement.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Where a reader can see it too: files and their lines, system calls and their answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A file and what stands in it, or a call and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// "/proc/123/status", "openat(…, O_WRONLY)".
    pub source: String,
    /// The line, the answer.
    pub text: String,
}

/// The judgement on a finding, and on a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Not as it must be.
    Fail,
    /// Not as it must be, and an exception that is in force allows that.
    Waived(Deviation),
    /// Could not be seen from where the audit stands.
    NotAssessed {
        /// Why.
        why: String,
    },
    /// As it must be, and seen to be.
    Pass,
    /// The control asks nothing here.
    NotApplicable {
        /// Why.
        why: String,
    },
}

/// The exception that a waived finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// Its id.
    pub exception: String,
    /// What it allows, in words.
    pub grants: String,
    /// Who approved it.
    pub approver: String,
    /// Ticket or document.
    pub reference: String,
    /// Last day, ISO 8601.
    pub expires: String,
}

impl Verdict {
    /// "FAIL", "waived", "not assessed", "pass", "n/a".
    pub fn word(&self) -> &'static str {
        match self {
            Self::Fail => "FAIL",
            Self::Waived(_) => "waived",
            Self::NotAssessed { .. } => "not assessed",
            Self::Pass => "pass",
            Self::NotApplicable { .. } => "n/a",
        }
    }

    /// The worst first.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Fail => 0,
            Self::Waived(_) => 1,
            Self::NotAssessed { .. } => 2,
            Self::Pass => 3,
            Self::NotApplicable { .. } => 4,
        }
    }

    /// What stands behind the word: the reason, or the exception.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::NotAssessed { why } | Self::NotApplicable { why } => Some(why.clone()),
            Self::Waived(d) => Some(d.to_string()),
            Self::Fail | Self::Pass => None,
        }
    }

    /// Not assessed, and why.
    pub fn not_assessed(why: impl Into<String>) -> Self {
        Self::NotAssessed { why: why.into() }
    }

    /// Not applicable, and why.
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self::NotApplicable { why: why.into() }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exception {} until {}: {} (approved by {}, {})",
            self.exception, self.expires, self.grants, self.approver, self.reference
        )
    }
}

impl Finding {
    /// A finding whose verdict follows from a comparison.
    pub fn judged(
        id: impl Into<String>,
        controls: &[ControlId],
        tried: impl Into<String>,
        (expected, answer): (impl Into<String>, impl Into<String>),
        verdict: Verdict,
    ) -> Self {
        Self {
            id: id.into(),
            controls: controls.to_vec(),
            tried: tried.into(),
            expected: expected.into(),
            answer: answer.into(),
            verdict,
            evidence: Vec::new(),
            remedy: None,
        }
    }

    /// With a file or call, and what it said.
    #[must_use]
    pub fn seen(mut self, source: impl Into<String>, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence {
            source: source.into(),
            text: text.into(),
        });
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn mended_by(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Subject {
    /// Nothing found yet.
    pub fn new(kind: SubjectKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            facts: Vec::new(),
            unreadable: None,
            findings: Vec::new(),
        }
    }

    /// How many findings have this verdict's word.
    pub fn count(&self, word: &str) -> usize {
        let all = self.findings.iter();
        all.filter(|f| f.verdict.word() == word).count()
    }

    /// The whole catalogue, each control with its findings and what they come to; without any it is not assessed.
    pub fn by_control(&self) -> Vec<(ControlId, Verdict, Vec<&Finding>)> {
        catalogue()
            .map(|control| {
                let of = |f: &&Finding| f.controls.contains(&control.id);
                let findings: Vec<&Finding> = self.findings.iter().filter(of).collect();
                (control.id, together(&findings), findings)
            })
            .collect()
    }

    fn has_failed(&self) -> bool {
        let sees = |f: &Finding| matches!(f.verdict, Verdict::Pass | Verdict::Waived(_));
        self.unreadable.is_some()
            || self.findings.iter().any(|f| f.verdict == Verdict::Fail)
            || !self.findings.iter().any(sees)
    }
}

/// A control is met only if everything about it was seen and nothing is amiss: the worst finding counts.
fn together(findings: &[&Finding]) -> Verdict {
    let worst = findings.iter().min_by_key(|f| f.verdict.rank());
    worst.map_or_else(
        || Verdict::not_assessed("nothing was looked at"),
        |f| f.verdict.clone(),
    )
}

impl Report {
    /// Puts the worst first, everywhere.
    pub fn new(host: HostLabel, time: String, policy: Option<String>, of: Vec<Subject>) -> Self {
        let mut subjects = of;
        for subject in &mut subjects {
            let key = |f: &Finding| (f.verdict.rank(), f.controls.first().copied());
            let findings = &mut subject.findings;
            findings.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id)));
        }
        let worst = |s: &Subject| std::cmp::Reverse((s.unreadable.is_some(), s.count("FAIL")));
        subjects.sort_by_cached_key(|s| (worst(s), s.kind, s.name.clone()));
        Self {
            version: VERSION,
            tool: concat!("cofferdam ", env!("CARGO_PKG_VERSION")).into(),
            host,
            time,
            policy,
            subjects,
        }
    }

    /// 0 only if everything could be judged, something was seen of each subject, and nothing fails.
    pub fn exit_code(&self) -> u8 {
        (self.subjects.is_empty() || self.subjects.iter().any(Subject::has_failed)).into()
    }
}

#[cfg(test)]
mod tests;
