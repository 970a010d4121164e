//! `check bundle` and `check config`: what a request that does not run yet would get, by the one decision function.
//!
//! Every cut, violation and exception of `policy::decide` is a finding; a control that a rule decides about and that has
//! none of them passes. Decides nothing itself.

use super::model::{Deviation, Finding, Subject, SubjectKind, Verdict};
use super::shown::quoted;
use crate::bundle::Bundle;
use crate::controls::{ControlId, catalogue};
use crate::host::Host;
use crate::policy::{self, Clamp, Decision, Policy, Violation, Waiver};
use std::collections::BTreeMap;

/// The verdict on a request; `path` is the file that it stands in.
pub fn check(path: &str, bundle: &Bundle, policy: &Policy, host: &Host) -> Subject {
    let mut subject = Subject::new(SubjectKind::Config, path);
    subject.facts = vec![("sha256".into(), bundle.digest.clone())];
    let out = &mut subject.findings;
    match policy::decide(bundle, policy, host) {
        Decision::Granted(grant) => {
            subject.facts.push(("decision".into(), "granted".into()));
            grant.clamps.iter().for_each(|c| out.push(clamp(c)));
            grant.waivers.iter().for_each(|w| out.push(waiver(w)));
        }
        Decision::Refused(violations) => {
            subject.facts.push(("decision".into(), "refused".into()));
            violations.iter().for_each(|v| out.push(violation(v)));
        }
    }
    number(out);
    let refused = subject.facts.iter().any(|(_, v)| v == "refused");
    for control in catalogue() {
        let rules: Vec<&str> = policy::rules_of(control.id).collect();
        let said = subject
            .findings
            .iter()
            .any(|f| f.controls.contains(&control.id));
        if !said {
            subject.findings.push(silent(control.id, &rules, refused));
        }
    }
    subject
}

fn silent(control: ControlId, rules: &[&str], refused: bool) -> Finding {
    let id = control.as_str().to_ascii_lowercase().replace("ss-011/", "");
    let id = format!("config/control/{}", id.replace('/', "-"));
    let tried = format!("{}: what is asked", control.control().title);
    let (answer, verdict) = match (rules.is_empty(), refused) {
        (true, _) => ("", Verdict::not_assessed("config.json does not say")),
        // The cuts of a refused request are not told.
        (false, true) => (
            "",
            Verdict::not_assessed("the request is refused; what would have been cut is not told"),
        ),
        (false, false) => ("nothing beyond the ceilings", Verdict::Pass),
    };
    let finding = Finding::judged(
        id,
        &[control],
        tried,
        ("nothing beyond the ceilings", answer),
        verdict,
    );
    match rules.is_empty() {
        true => finding,
        false => finding.seen("policy::rules", rules.join(", ")),
    }
}

fn clamp(clamp: &Clamp) -> Finding {
    let (asked, granted) = (quoted(&clamp.asked), quoted(&clamp.granted));
    let tried = format!("{} asks for more than the ceiling", quoted(&clamp.pointer));
    Finding::judged(
        id_of(&clamp.pointer),
        &[clamp.control],
        tried,
        (&*granted, &*asked),
        Verdict::Fail,
    )
    .seen(quoted(&clamp.pointer), format!("{asked} -> {granted}"))
    .mended_by("ask for less, or get an exception")
}

fn violation(violation: &Violation) -> Finding {
    let found = quoted(&violation.found);
    let tried = format!("{} is refused", quoted(&violation.pointer));
    Finding::judged(
        id_of(&violation.pointer),
        &[violation.control],
        tried,
        ("what policy allows", &*found),
        Verdict::Fail,
    )
    .seen(quoted(&violation.pointer), found.clone())
    .mended_by(quoted(&violation.remedy))
}

fn waiver(waiver: &Waiver) -> Finding {
    let deviation = Deviation {
        exception: waiver.exception.clone(),
        grants: quoted(&waiver.grants),
        approver: waiver.approver.clone(),
        reference: waiver.reference.clone(),
        expires: waiver.expires.clone(),
    };
    Finding::judged(
        format!("config/exception/{}", token(&waiver.exception)),
        &[waiver.control],
        "asks for what an exception allows",
        ("nothing beyond the ceilings", quoted(&waiver.grants)),
        Verdict::Waived(deviation),
    )
}

fn id_of(pointer: &str) -> String {
    format!("config/{}", token(pointer.trim_start_matches('/')))
}

/// Of the letters that an id has, and not too long: a hostile file chooses its own keys.
fn token(text: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '/' | '.' | '_' | '-') => c,
        _ => '-',
    };
    text.chars().take(120).map(plain).collect()
}

/// The second finding about one place gets a number.
fn number(findings: &mut [Finding]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for finding in findings {
        let count = seen.entry(finding.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            finding.id = format!("{}.{count}", finding.id);
        }
    }
}
