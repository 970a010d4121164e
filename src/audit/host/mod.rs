//! The machine: kernel and mitigations, security modules, kernel parameters, cgroups, engines and their sockets, our own
//! files, the clock. Reads, changes nothing; each finding that fails says how to mend it.

mod engines;
mod kernel;
mod own;
mod parameters;

use super::model::{Finding, Subject, SubjectKind, Verdict};
use super::shown::quoted;
use crate::controls::ControlId;
use crate::host::Host;
use std::path::Path;

/// What is looked at beside the host's own facts.
pub struct Places<'a> {
    /// The policy file.
    pub policy: &'a Path,
    /// The folder of states.
    pub state: &'a Path,
}

/// Everything about the machine.
pub fn check(host: &Host, name: &str, places: &Places<'_>) -> Subject {
    let mut subject = Subject::new(SubjectKind::Host, name);
    subject.facts = vec![
        ("kernel".into(), host.release.clone()),
        ("landlock".into(), format!("ABI {}", host.landlock_abi)),
    ];
    let out = &mut subject.findings;
    parameters::check(out);
    kernel::check(host, out);
    engines::check(out);
    own::check(places, out);
    subject
}

/// What can pass or fail: ids and controls.
pub(super) fn looks() -> Vec<(String, Vec<ControlId>)> {
    let mut all = parameters::looks();
    for (id, controls) in kernel::LOOKS.iter().chain(engines::LOOKS).chain(own::LOOKS) {
        all.push((format!("host/{id}"), controls.to_vec()));
    }
    all
}

/// A finding, with its source as evidence.
fn add(
    out: &mut Vec<Finding>,
    (id, controls): &(&str, &[ControlId]),
    (tried, expected): (&str, &str),
    (source, answer): (&str, &str),
    verdict: Verdict,
    remedy: &str,
) {
    let answer = quoted(answer);
    let finding = Finding::judged(
        format!("host/{id}"),
        controls,
        tried,
        (expected, &*answer),
        verdict,
    );
    out.push(finding.seen(source, answer).mended_by(remedy));
}

/// Pass or fail.
fn verdict(good: bool) -> Verdict {
    match good {
        true => Verdict::Pass,
        false => Verdict::Fail,
    }
}

fn read(path: &str) -> std::io::Result<String> {
    crate::sys::fs::read_kernel_file(path).map(|t| t.trim().to_string())
}
