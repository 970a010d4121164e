//! Declared against effective: what config.json asks for and what the kernel shows. Less than was declared is no fault,
//! more is. Only where another runtime did the work: cofferdam compares at the launch, and its record says so.

use super::super::allowed::Judge;
use super::super::declared::Declared;
use super::super::facts::Facts;
use super::super::mounts::visible;
use super::rights::{held, names};
use crate::audit::Verdict;
use crate::controls::ControlId::*;

pub(super) fn judge(facts: &Facts, declared: &Declared, judge: &mut Judge<'_>) {
    if let Some(record) = &declared.record {
        return recorded(record, judge);
    }
    let Some(bundle) = &declared.bundle else {
        let tried = "what was declared against what is in force";
        let why = format!("no config.json: {}", declared.absent);
        return judge.unread("declared", &[S8_3_8], tried, &why);
    };
    let mut more = Vec::new();
    let process = bundle.spec.process().as_ref();
    let asked = process.and_then(|p| p.capabilities().as_ref());
    let asked = asked.and_then(|c| c.bounding().as_ref());
    let asked: Vec<String> = asked
        .into_iter()
        .flatten()
        .map(|c| c.to_string().trim_start_matches("CAP_").to_string())
        .collect();
    let beyond = held(facts).map(names).unwrap_or_default();
    let beyond: Vec<&str> = beyond
        .into_iter()
        .filter(|n| !asked.iter().any(|a| a == n))
        .collect();
    if !beyond.is_empty() {
        more.push(format!("capabilities {}", beyond.join(" ")));
    }
    let bound = process.and_then(|p| p.no_new_privileges()).unwrap_or(false);
    if bound
        && facts
            .threads
            .iter()
            .any(|(_, _, s)| s.no_new_privs == Some(false))
    {
        more.push("no_new_privs is not set".into());
    }
    let filtered = bundle
        .spec
        .linux()
        .as_ref()
        .is_some_and(|l| l.seccomp().is_some());
    if filtered && facts.threads.iter().any(|(_, _, s)| s.seccomp != Some(2)) {
        more.push("no system-call filter".into());
    }
    let root = bundle
        .spec
        .root()
        .as_ref()
        .and_then(|r| r.readonly())
        .unwrap_or(false);
    let writable = facts.mounts.as_deref().map(visible).unwrap_or_default();
    let writable = writable.iter().any(|m| m.point == "/" && !m.is_readonly());
    if root && writable {
        more.push("the root is writable".into());
    }
    let answer = match more.is_empty() {
        true => "nothing beyond what config.json declares".into(),
        false => format!("beyond what config.json declares: {}", more.join("; ")),
    };
    let verdict = judge.allowed.strict(more.is_empty());
    judge
        .add(
            "declared",
            &[S8_3_8],
            "what was declared against what is in force (capabilities, no_new_privs, filter, root)",
            ("nothing beyond what is declared", answer),
            verdict,
        )
        .seen("config.json", format!("sha256 {}", bundle.digest))
        .mend("find out who changed it after the start");
}

fn recorded(record: &serde_json::Value, judge: &mut Judge<'_>) {
    let checked = record["verification"]["checked"].as_u64();
    let differences = record["verification"]["differences"].as_array();
    let good = checked.is_some() && differences.is_some_and(Vec::is_empty);
    let lost: Vec<String> = record["lacks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|l| {
            Some(format!(
                "{}: {}",
                l["control"].as_str()?,
                l["what"].as_str()?
            ))
        })
        .collect();
    let answer = match (good, lost.is_empty()) {
        (true, true) => format!("{} facts, all as planned", checked.unwrap_or(0)),
        (true, false) => format!(
            "{} facts, all as planned; this host lacks {}",
            checked.unwrap_or(0),
            lost.join("; ")
        ),
        (false, _) => "the record of the launch says otherwise".into(),
    };
    let verdict = match good {
        true => Verdict::Pass,
        false => judge.allowed.strict(false),
    };
    let digest = record["planDigest"].as_str().unwrap_or_default();
    judge
        .add(
            "declared",
            &[S8_3_8],
            "what cofferdam compared with the plan before the program ran",
            ("all as planned", answer),
            verdict,
        )
        .seen("record.json", format!("plan sha256 {digest}"));
}
