//! A plan of action and milestones from the site's exceptions: what is not met, by whose leave, and until when.

use super::{control_id, line, metadata, prop, uuid};
use crate::policy::{Date, Exception, Policy};
use serde_json::{Value, json};

/// The plan; `None` where there is no exception, for OSCAL has no empty one. `now` in seconds since 1970.
pub fn poam(policy: &Policy, host: &str, now: u64) -> Option<Value> {
    if policy.exceptions.is_empty() {
        return None;
    }
    let time = crate::clock::rfc3339(now, 0);
    let today = Date::of_seconds(now);
    let all = policy.exceptions.iter();
    let risks: Vec<Value> = all.clone().map(|e| risk(e, today)).collect();
    let items: Vec<Value> = all.map(item).collect();
    Some(json!({ "plan-of-action-and-milestones": {
        "uuid": uuid(&["poam", host]),
        "metadata": metadata("Exceptions in place of controls", &time),
        "system-id": { "identifier-type": "https://ietf.org/rfc/rfc4122", "id": uuid(&["host", host]) },
        "risks": risks,
        "poam-items": items,
    } }))
}

fn risk_uuid(exception: &Exception) -> String {
    uuid(&["exception", &exception.id])
}

fn grants(exception: &Exception) -> String {
    let all: Vec<String> = exception
        .grant
        .asked()
        .iter()
        .map(ToString::to_string)
        .collect();
    all.join(", ")
}

fn risk(exception: &Exception, today: Date) -> Value {
    let lapsed = exception.lapse(today);
    let control = exception.control.control();
    json!({
        "uuid": risk_uuid(exception),
        "title": format!("{}: {} loosened", control.text, control.title),
        "description": line(&exception.reason),
        "statement": line(control.source),
        "props": [
            prop("control", &control_id(exception.control)),
            prop("exception", &exception.id),
            prop("approver", &exception.approver),
            prop("reference", &exception.reference),
            prop("grants", &grants(exception)),
        ],
        "status": if lapsed.is_none() { "deviation-approved" } else { "open" },
        "deadline": format!("{}T23:59:59Z", exception.expires),
    })
}

fn item(exception: &Exception) -> Value {
    json!({
        "uuid": uuid(&["poam-item", &exception.id]),
        "title": format!("Exception {}", exception.id),
        "description": format!(
            "{} is loosened ({}) from {} until {}: then the control is on again, or the exception is reviewed.",
            exception.control, grants(exception), exception.approved, exception.expires
        ),
        "related-risks": [{ "risk-uuid": risk_uuid(exception) }],
    })
}
