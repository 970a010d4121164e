//! Assessment results: a result a subject, an observation a finding of ours, a finding of OSCAL's a control that was
//! assessed. OSCAL knows satisfied and not-satisfied only: what was waived is not satisfied, with an approved deviation;
//! what was not assessed or does not apply gets no finding and is excluded from the reviewed controls.

use super::{control_id, key, line, metadata, prop, statement_id, uuid};
use crate::audit::{Deviation, Evidence, Finding, Report, Subject, Verdict};
use crate::controls::ControlId;
use serde_json::{Value, json};

/// The document.
pub fn assessment(report: &Report) -> Value {
    let plan = uuid(&["assessment-plan"]);
    json!({ "assessment-results": {
        "uuid": uuid(&["assessment", &report.host.name, &report.time]),
        "metadata": metadata("Audit of containers by cofferdam", &report.time),
        "import-ap": { "href": format!("#{plan}") },
        "results": report.subjects.iter().map(|s| Scope { report, subject: s }.result()).collect::<Vec<_>>(),
        "back-matter": { "resources": [{
            "uuid": plan,
            "title": "Assessment plan",
            "description": "Every control of the catalog that `cofferdam oscal catalog` prints, tried or examined by `cofferdam audit`.",
        }] },
    } })
}

struct Scope<'a> {
    report: &'a Report,
    subject: &'a Subject,
}

impl Scope<'_> {
    /// Stable for the same host and subject.
    fn id(&self, kind: &str, name: &str) -> String {
        uuid(&[kind, &self.report.host.name, &key(self.subject), name])
    }

    fn result(&self) -> Value {
        let controls = self.subject.by_control();
        let was_assessed =
            |v: &Verdict| matches!(v, Verdict::Pass | Verdict::Fail | Verdict::Waived(_));
        let select = |wanted: bool| -> Vec<Value> {
            let all = controls
                .iter()
                .filter(|(_, v, _)| was_assessed(v) == wanted);
            all.map(|(id, ..)| json!({ "control-id": control_id(*id) }))
                .collect()
        };
        let assessed = controls.iter().filter(|(_, v, _)| was_assessed(v));
        let findings: Vec<Value> = assessed
            .map(|(id, v, all)| self.finding(*id, v, all))
            .collect();
        let observations: Vec<Value> = self
            .subject
            .findings
            .iter()
            .map(|f| self.observation(f))
            .collect();
        let waived = self
            .subject
            .findings
            .iter()
            .filter_map(|f| match &f.verdict {
                Verdict::Waived(deviation) => Some(self.risk(f, deviation)),
                _ => None,
            });
        let risks: Vec<Value> = waived.collect();
        let mut selection = json!({});
        for (key, list) in [
            ("include-controls", select(true)),
            ("exclude-controls", select(false)),
        ] {
            if !list.is_empty() {
                selection[key] = list.into();
            }
        }
        let mut props: Vec<Value> = vec![
            prop("host", &self.report.host.name),
            prop("kernel", &self.report.host.kernel),
        ];
        props.extend(self.report.policy.iter().map(|p| prop("policy-sha256", p)));
        let mut out = json!({
            "uuid": uuid(&["result", &self.report.host.name, &key(self.subject), &self.report.time]),
            "title": line(&self.subject.name),
            "description": line(&format!("Audit of {}", self.subject.name)),
            "start": self.report.time,
            "end": self.report.time,
            "props": props,
            "local-definitions": { "inventory-items": [self.inventory()] },
            "reviewed-controls": { "control-selections": [selection] },
        });
        // OSCAL has no empty lists.
        for (key, list) in [
            ("observations", observations),
            ("risks", risks),
            ("findings", findings),
        ] {
            if !list.is_empty() {
                out[key] = list.into();
            }
        }
        if let Some(why) = &self.subject.unreadable {
            out["remarks"] = line(&format!("could not be judged: {why}")).into();
        }
        out
    }

    fn inventory(&self) -> Value {
        let mut item = json!({
            "uuid": self.id("subject", ""),
            "description": line(&self.subject.name),
        });
        let props: Vec<Value> = self.subject.facts.iter().map(|(k, v)| prop(k, v)).collect();
        if !props.is_empty() {
            item["props"] = props.into();
        }
        item
    }

    fn observation(&self, finding: &Finding) -> Value {
        let probe = finding.id.starts_with("probe/");
        let own = Evidence {
            source: "answer".into(),
            text: finding.answer.clone(),
        };
        let all = std::iter::once(&own).chain(&finding.evidence);
        let evidence: Vec<Value> = all
            .map(|e| json!({ "description": line(&format!("{}: {}", e.source, e.text)) }))
            .collect();
        let word = finding
            .verdict
            .word()
            .to_ascii_lowercase()
            .replace([' ', '/'], "-");
        let mut out = json!({
            "uuid": self.id("observation", &finding.id),
            "title": line(&finding.id),
            "description": line(&finding.tried),
            "props": [prop("verdict", &word)],
            "methods": [if probe { "TEST" } else { "EXAMINE" }],
            "types": ["control-objective"],
            "subjects": [{ "subject-uuid": self.id("subject", ""), "type": "inventory-item" }],
            "relevant-evidence": evidence,
            "collected": self.report.time,
        });
        if let Some(why) = finding.verdict.why() {
            out["remarks"] = line(&why).into();
        }
        out
    }

    fn risk(&self, finding: &Finding, deviation: &Deviation) -> Value {
        json!({
            "uuid": self.id("risk", &finding.id),
            "title": line(&format!("Exception {}", deviation.exception)),
            "description": line(&deviation.to_string()),
            "statement": line(&format!("{}: {}; expected {}", finding.tried, finding.answer, finding.expected)),
            "props": [
                prop("exception", &deviation.exception),
                prop("approver", &deviation.approver),
                prop("reference", &deviation.reference),
            ],
            "status": "deviation-approved",
            "deadline": line(&format!("{}T23:59:59Z", deviation.expires)),
            "related-observations": [{ "observation-uuid": self.id("observation", &finding.id) }],
        })
    }

    fn finding(&self, control: ControlId, verdict: &Verdict, all: &[&Finding]) -> Value {
        let (state, reason) = match verdict {
            Verdict::Pass => ("satisfied", "pass"),
            Verdict::Waived(_) => ("not-satisfied", "other"),
            _ => ("not-satisfied", "fail"),
        };
        let related: Vec<Value> = all
            .iter()
            .map(|f| json!({ "observation-uuid": self.id("observation", &f.id) }))
            .collect();
        let risks: Vec<Value> = all
            .iter()
            .filter(|f| matches!(f.verdict, Verdict::Waived(_)))
            .map(|f| json!({ "risk-uuid": self.id("risk", &f.id) }))
            .collect();
        let worst = all.iter().find(|f| f.verdict == *verdict);
        let text = worst.map_or(String::new(), |f| format!("{}: {}", f.tried, f.answer));
        let mut status = json!({ "state": state, "reason": reason });
        if let Some(why) = verdict.why() {
            status["remarks"] = line(&why).into();
        }
        let mut out = json!({
            "uuid": self.id("finding", control.as_str()),
            "title": format!("{} {}", control.as_str(), control.control().title),
            "description": line(&text),
            "target": {
                "type": "statement-id",
                "target-id": statement_id(control),
                "status": status,
            },
            "related-observations": related,
        });
        if !risks.is_empty() {
            out["related-risks"] = risks.into();
        }
        out
    }
}
