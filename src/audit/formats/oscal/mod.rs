//! OSCAL 1.2: assessment results of a report, the two documents as a catalog, cofferdam as a component, and a plan of
//! action from exceptions. Identifiers are made from names and stay.

mod assessment;
mod component;
mod documents;
mod poam;

pub use assessment::assessment;
pub use component::component;
pub use documents::catalog;
pub use poam::poam;

use super::identity::{key, uuid};
use crate::audit::shown::shown;
use crate::controls::ControlId;
use serde_json::{Value, json};

/// The edition of OSCAL.
const EDITION: &str = "1.2.1";
/// The name space of our properties.
const NS: &str = "https://cofferdam/ns/oscal";

/// "ss-011_8.4.7": a token, which "SS-011/8.4.7" is not.
fn control_id(control: ControlId) -> String {
    control.as_str().to_ascii_lowercase().replace('/', "_")
}

/// The statement part of a control in the catalog.
fn statement_id(control: ControlId) -> String {
    format!("{}_smt", control_id(control))
}

fn metadata(title: &str, time: &str) -> Value {
    json!({
        "title": title,
        "last-modified": time,
        "version": env!("CARGO_PKG_VERSION"),
        "oscal-version": EDITION,
    })
}

/// A property of ours; OSCAL's values are one line and never empty.
fn prop(name: &str, value: &str) -> Value {
    json!({ "name": name, "ns": NS, "value": line(value) })
}

/// Text that is never empty and has no spaces around it.
fn line(text: &str) -> String {
    let text = shown(text);
    match text.trim() {
        "" => "-".into(),
        text => text.into(),
    }
}
