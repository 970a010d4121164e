//! Two reports side by side: what got worse, what got better, what is new or gone. Pure.
//!
//! A subject is found again by its kind and its name, a finding by its id.

use super::model::{Finding, Report, Subject};
use super::shown::shown;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// One finding, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Subject.
    pub subject: String,
    /// The finding's id.
    pub finding: String,
    /// Its controls.
    pub controls: Vec<crate::controls::ControlId>,
    /// "pass"; `None`: it was not there.
    pub before: Option<&'static str>,
    /// "FAIL"; `None`: it is gone.
    pub after: Option<&'static str>,
    /// What was seen, now or, if it is gone, then.
    pub answer: String,
}

/// The difference of two reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Now worse than before, and what is new and fails.
    pub worse: Vec<Change>,
    /// Now better.
    pub better: Vec<Change>,
    /// As bad as before, with another answer.
    pub other: Vec<Change>,
    /// Subjects that were not there.
    pub new: Vec<String>,
    /// Subjects that are gone.
    pub gone: Vec<String>,
}

impl Comparison {
    /// Of what was and what is.
    pub fn of(before: &Report, after: &Report) -> Self {
        let mut out = Self::default();
        let old = by_name(before);
        let new = by_name(after);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            match (old.get(name), new.get(name)) {
                (None, Some(_)) => out.new.push(name.clone()),
                (Some(_), None) => out.gone.push(name.clone()),
                _ => {}
            }
            // A subject that is gone has no findings to be better or worse.
            if let Some(after) = new.get(name) {
                out.subject(name, old.get(name).copied(), after);
            }
        }
        out
    }

    fn subject(&mut self, name: &str, before: Option<&Subject>, after: &Subject) {
        let ids = |s: &Subject| {
            s.findings
                .iter()
                .map(|f| f.id.clone())
                .collect::<BTreeSet<_>>()
        };
        let mut all = ids(after);
        all.extend(before.map(ids).unwrap_or_default());
        let find = |s: &'_ Subject, id: &str| s.findings.iter().find(|f| f.id == *id).cloned();
        for id in all {
            let then = before.and_then(|s| find(s, &id));
            let now = find(after, &id);
            self.finding(name, then.as_ref(), now.as_ref());
        }
    }

    fn finding(&mut self, subject: &str, before: Option<&Finding>, after: Option<&Finding>) {
        let Some(either) = after.or(before) else {
            return;
        };
        let change = Change {
            subject: subject.into(),
            finding: either.id.clone(),
            controls: either.controls.clone(),
            before: before.map(|f| f.verdict.word()),
            after: after.map(|f| f.verdict.word()),
            answer: either.answer.clone(),
        };
        match (before.map(rank), after.map(rank)) {
            (Some(then), Some(now)) if now < then => self.worse.push(change),
            (Some(then), Some(now)) if now > then => self.better.push(change),
            // What fails in another way than before may be worse: it is shown, and fails as it did.
            (Some(_), Some(now)) => {
                let differs = before.map(|f| &f.answer) != after.map(|f| &f.answer);
                if now < GOOD && differs {
                    self.other.push(change);
                }
            }
            (None, Some(now)) if now < UNSEEN => self.worse.push(change),
            // What was seen and is looked at no more is no longer known to hold.
            (Some(then), None) if then >= GOOD => self.worse.push(change),
            _ => {}
        }
    }

    /// 0 if nothing got worse.
    pub fn exit_code(&self) -> u8 {
        (!self.worse.is_empty()).into()
    }

    /// For people.
    pub fn table(&self, width: usize) -> String {
        let mut out = String::new();
        let groups = [
            ("worse", &self.worse),
            ("better", &self.better),
            ("changed", &self.other),
        ];
        for (word, changes) in groups {
            for c in changes {
                let controls: Vec<&str> = c.controls.iter().map(|c| c.as_str()).collect();
                let line = format!(
                    "{word:8}{}: {} ({}): {} -> {}: {}",
                    c.subject,
                    c.finding,
                    controls.join(" "),
                    c.before.unwrap_or("not looked at"),
                    c.after.unwrap_or("not looked at"),
                    c.answer
                );
                for line in super::table::wrap_hanging(&shown(&line), width, 8) {
                    let _ = writeln!(out, "{line}");
                }
            }
        }
        for (word, names) in [("new", &self.new), ("gone", &self.gone)] {
            for name in names {
                let _ = writeln!(out, "{word:8}{}", shown(name));
            }
        }
        let _ = writeln!(
            out,
            "{} worse, {} better, {} changed, {} new, {} gone",
            self.worse.len(),
            self.better.len(),
            self.other.len(),
            self.new.len(),
            self.gone.len()
        );
        out
    }
}

/// Not assessed is between failing and holding.
const UNSEEN: u8 = 2;
const GOOD: u8 = 3;

/// The higher the better; what asks nothing is as good as what holds.
fn rank(finding: &Finding) -> u8 {
    finding.verdict.rank().min(GOOD)
}

/// Of several subjects with one name the first is meant.
fn by_name(report: &Report) -> BTreeMap<String, &Subject> {
    let mut out = BTreeMap::new();
    for subject in &report.subjects {
        out.entry(subject.name.clone()).or_insert(subject);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::model::{HostLabel, SubjectKind, Verdict};
    use super::*;
    use crate::controls::ControlId::S8_4_7;

    fn report(verdicts: &[(&str, Verdict)]) -> Report {
        let mut subject = Subject::new(SubjectKind::Container, "web");
        for (id, verdict) in verdicts {
            let words = ("x", verdict.word());
            subject
                .findings
                .push(Finding::judged(*id, &[S8_4_7], "t", words, verdict.clone()));
        }
        Report::new(HostLabel::default(), String::new(), None, vec![subject])
    }

    #[test]
    fn worse_and_better() {
        let far = || Verdict::not_assessed("far");
        let before = report(&[
            ("a", Verdict::Pass),
            ("b", Verdict::Fail),
            ("c", Verdict::Fail),
            ("d", Verdict::Pass),
            ("e", Verdict::Pass),
            ("f", Verdict::not_applicable("no")),
        ]);
        let after = report(&[
            ("a", Verdict::Fail),
            ("b", Verdict::Pass),
            ("c", Verdict::Fail),
            ("d", far()),
            ("n", Verdict::Fail),
            ("f", Verdict::Pass),
            ("o", far()),
        ]);
        let found = Comparison::of(&before, &after);
        let ids = |all: &[Change]| all.iter().map(|c| c.finding.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found.worse), ["a", "d", "e", "n"]);
        assert_eq!(ids(&found.better), ["b"]);
        assert_eq!(found.exit_code(), 1);
        assert_eq!(Comparison::of(&before, &before).exit_code(), 0);
        assert!(
            found.table(80).contains("4 worse, 1 better"),
            "{}",
            found.table(80)
        );
    }

    #[test]
    fn a_new_subject_that_fails_is_worse() {
        let empty = Report::new(HostLabel::default(), String::new(), None, Vec::new());
        let found = Comparison::of(&empty, &report(&[("a", Verdict::Fail)]));
        assert_eq!((found.worse.len(), found.new.len()), (1, 1));
        let found = Comparison::of(&report(&[("a", Verdict::Pass)]), &empty);
        assert_eq!((found.exit_code(), found.gone.len()), (0, 1));
    }
}
