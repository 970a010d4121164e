//! SS-011 and the OSG policy as an OSCAL catalog: each control with its own sentence and its mappings.

use super::{control_id, metadata, prop, statement_id, uuid};
use crate::controls::{CIS_EDITION, Control, SS011_MAPPING_NOTE, catalogue};
use serde_json::{Value, json};

/// The two documents, by the beginning of their ids.
const DOCUMENTS: [(&str, &str, &str); 2] = [
    (
        "SS-011/",
        "ss-011",
        "DWP Security Standard: Containerisation (SS-011)",
    ),
    ("OSG/", "osg", "OSG Service Container Security Policy"),
];

/// The catalog; `time` is when it is written.
pub fn catalog(time: &str) -> Value {
    let groups = DOCUMENTS.map(|(start, id, title)| {
        let controls = catalogue().filter(|c| c.text.starts_with(start));
        json!({
            "id": id,
            "class": "document",
            "title": title,
            "controls": controls.map(control).collect::<Vec<_>>(),
        })
    });
    let mut meta = metadata("Controls for service containers: SS-011 and OSG", time);
    meta["remarks"] = format!("{SS011_MAPPING_NOTE} CIS rows: {CIS_EDITION}.").into();
    json!({ "catalog": {
        "uuid": uuid(&["catalog"]),
        "metadata": meta,
        "groups": groups,
    } })
}

fn control(control: &Control) -> Value {
    let mut props = vec![json!({ "name": "label", "value": control.text })];
    let lists = [
        ("nist-sp-800-190", control.nist),
        ("cis-docker-benchmark", control.cis),
        ("pod-security-standard", control.pss),
    ];
    for (name, values) in lists {
        props.extend(values.iter().map(|v| prop(name, v)));
    }
    json!({
        "id": control_id(control.id),
        "class": "requirement",
        "title": control.title,
        "props": props,
        "parts": [{
            "id": statement_id(control.id),
            "name": "statement",
            "prose": control.source,
        }],
    })
}
