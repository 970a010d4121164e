//! cofferdam as an OSCAL component: for each control what is enforced, verified and recorded, and where in the code.

use super::{control_id, metadata, prop, uuid};
use crate::audit::coverage::Coverage;
use crate::controls::catalogue;
use serde_json::{Value, json};

/// The component definition; `time` is when it is written.
pub fn component(time: &str) -> Value {
    let covered = catalogue()
        .map(|c| (c, Coverage::of(c.id)))
        .filter(|(_, coverage)| coverage.is_any());
    let requirements: Vec<Value> = covered
        .map(|(control, coverage)| {
            let mut props = vec![prop("code", "src/controls")];
            props.extend(coverage.code().iter().map(|c| prop("code", c)));
            json!({
                "uuid": uuid(&["requirement", control.text]),
                "control-id": control_id(control.id),
                "description": coverage.sentence(),
                "props": props,
            })
        })
        .collect();
    let catalog = uuid(&["catalog"]);
    json!({ "component-definition": {
        "uuid": uuid(&["component-definition"]),
        "metadata": metadata("cofferdam", time),
        "components": [{
            "uuid": uuid(&["component"]),
            "type": "software",
            "title": "cofferdam",
            "description": env!("CARGO_PKG_DESCRIPTION"),
            "control-implementations": [{
                "uuid": uuid(&["control-implementation"]),
                "source": format!("#{catalog}"),
                "description": "What cofferdam does about SS-011 and the OSG service container policy.",
                "implemented-requirements": requirements,
            }],
        }],
        "back-matter": { "resources": [{
            "uuid": catalog,
            "title": "The catalog that `cofferdam oscal catalog` prints",
            "rlinks": [{ "href": "catalog.json" }],
        }] },
    } })
}
