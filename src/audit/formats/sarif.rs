//! SARIF 2.1.0: a rule a kind of finding, a result a finding. A waived one is a failure with an accepted suppression,
//! one that was not assessed is open.

use super::identity::{key, uuid};
use crate::audit::shown::shown;
use crate::audit::{Finding, Report, Subject, SubjectKind, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The log file.
pub fn sarif(report: &Report) -> Value {
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in report.subjects.iter().flat_map(|s| &s.findings) {
        rules.entry(&finding.id).or_insert(finding);
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(n, id)| (*id, n)).collect();
    let results: Vec<Value> = report
        .subjects
        .iter()
        .flat_map(|s| s.findings.iter().map(move |f| (s, f)))
        .map(|(s, f)| result(report, s, f, index[f.id.as_str()]))
        .collect();
    let unreadable = report.subjects.iter().filter_map(|s| {
        let why = s.unreadable.as_ref()?;
        let text = shown(&format!("{}: {why}", s.name)).into_owned();
        Some(json!({ "level": "error", "message": { "text": text } }))
    });
    let unreadable: Vec<Value> = unreadable.collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cofferdam",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().map(|f| rule(f)).collect::<Vec<_>>(),
            } },
            "automationDetails": { "id": format!("cofferdam/audit/{}", shown(&report.host.name)) },
            "invocations": [{
                "executionSuccessful": unreadable.is_empty(),
                "startTimeUtc": report.time,
                "toolExecutionNotifications": unreadable,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }]
    })
}

fn rule(finding: &Finding) -> Value {
    let control = finding.controls.first().map(|c| c.control());
    let source = control.map_or("", |c| c.source);
    let ids: Vec<&str> = finding.controls.iter().map(|c| c.as_str()).collect();
    let text = finding.remedy.as_deref().unwrap_or("See the control.");
    json!({
        "id": finding.id,
        "name": ids.join(" "),
        "shortDescription": { "text": shown(&finding.tried) },
        "fullDescription": { "text": source },
        "help": { "text": shown(text) },
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ids },
    })
}

fn result(report: &Report, subject: &Subject, finding: &Finding, rule: usize) -> Value {
    let (kind, level) = match &finding.verdict {
        Verdict::Fail | Verdict::Waived(_) => ("fail", "error"),
        Verdict::NotAssessed { .. } => ("open", "none"),
        Verdict::Pass => ("pass", "none"),
        Verdict::NotApplicable { .. } => ("notApplicable", "none"),
    };
    let mut text = format!("{}: {}", finding.tried, finding.answer);
    if kind == "fail" {
        text.push_str(&format!("; expected {}", finding.expected));
    }
    if let Some(why) = finding.verdict.why() {
        text.push_str(&format!("; {why}"));
    }
    let print = uuid(&["result", &report.host.name, &key(subject), &finding.id]);
    let mut out = json!({
        "ruleId": finding.id,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": { "text": shown(&text) },
        "locations": [location(subject)],
        "partialFingerprints": { "finding/v1": print },
        "guid": print,
    });
    if let Verdict::Waived(deviation) = &finding.verdict {
        let justification = deviation.to_string();
        out["suppressions"] = json!([{
            "kind": "external",
            "status": "accepted",
            "justification": shown(&justification),
        }]);
    }
    out
}

fn location(subject: &Subject) -> Value {
    let name = shown(&subject.name);
    let logical = json!([{ "fullyQualifiedName": name, "kind": "resource" }]);
    match subject.kind {
        SubjectKind::Config => json!({
            "physicalLocation": { "artifactLocation": { "uri": uri(&subject.name) } },
            "logicalLocations": logical,
        }),
        SubjectKind::Container | SubjectKind::Host => json!({ "logicalLocations": logical }),
    }
}

/// A path as a URI reference: everything that is not plain is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    match out.starts_with('/') {
        true => format!("file://{out}"),
        false => out,
    }
}
