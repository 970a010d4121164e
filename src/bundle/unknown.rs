//! Capability names that no kernel this launcher knows has: taken out, and noted (runtime-spec, config.md, Linux
//! Process: a name that can't be mapped is a warning). Called by `load`, and by `exec` for its process.

use oci_spec::runtime::Capability;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names that stood in one set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownCapabilities {
    /// Which set: "bounding".
    pub set: String,
    /// As they were written.
    pub names: Vec<String>,
}

/// The text without them, and what they were; `None` where every name is known. `process` is where the process stands:
/// "/process" in a config.json, "" in a file of its own.
pub fn without_unknown_capabilities(
    text: &[u8],
    process: &str,
) -> Option<(Vec<u8>, Vec<UnknownCapabilities>)> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    let sets = value.pointer_mut(&format!("{process}/capabilities"))?;
    let mut all = Vec::new();
    for (set, list) in sets.as_object_mut()? {
        let Some(list) = list.as_array_mut() else {
            continue;
        };
        let names: Vec<String> = list.iter().filter_map(unknown).collect();
        list.retain(|name| unknown(name).is_none());
        if !names.is_empty() {
            let set = set.clone();
            all.push(UnknownCapabilities { set, names });
        }
    }
    match all.is_empty() {
        true => None,
        false => Some((serde_json::to_vec(&value).ok()?, all)),
    }
}

/// What is no text is no name either: that stays, and is an error of its own.
fn unknown(name: &Value) -> Option<String> {
    let text = name.as_str()?;
    let known = serde_json::from_value::<Capability>(name.clone()).is_ok();
    (!known).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_names_go_and_everything_else_stays() {
        let config = json!({"process": {"capabilities": {
            "bounding": ["CAP_FOO", "CAP_KILL", "cap_chown"], "ambient": ["CAP_KILL", 7], "permitted": null}}});
        let text = config.to_string();
        let (left, names) = without_unknown_capabilities(text.as_bytes(), "/process").unwrap();
        let wanted = json!({"process": {"capabilities": {
            "bounding": ["CAP_KILL", "cap_chown"], "ambient": ["CAP_KILL", 7], "permitted": null}}});
        assert_eq!(serde_json::from_slice::<Value>(&left).unwrap(), wanted);
        let foo = UnknownCapabilities {
            set: "bounding".into(),
            names: vec!["CAP_FOO".into()],
        };
        assert_eq!(names, [foo]);
        assert_eq!(without_unknown_capabilities(&left, "/process"), None);
        assert_eq!(without_unknown_capabilities(b"{", ""), None);
    }
}
