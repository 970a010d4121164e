//! What `update` asks, laid over what a container was asked with: 0 and nothing leave a value as it is.

use oci_spec::runtime::{Linux, LinuxResources, Spec};
use serde_json::{Map, Value};

/// The resources with the changes in them; the device rules are not among them (they can't be changed).
pub fn changed(
    now: Option<&LinuxResources>,
    asked: &LinuxResources,
) -> serde_json::Result<LinuxResources> {
    let mut whole = match now {
        Some(now) => serde_json::to_value(now)?,
        None => Value::Object(Map::new()),
    };
    let mut asked = serde_json::to_value(asked)?;
    if let Some(all) = asked.as_object_mut() {
        all.remove("devices");
    }
    lay(&mut whole, asked);
    serde_json::from_value(whole)
}

/// Puts resources into a config, which need not have a linux section: oci-spec's default one has namespaces and masked
/// paths that nobody asked for.
pub fn set_resources(spec: &mut Spec, resources: LinuxResources) -> serde_json::Result<()> {
    let mut linux: Linux = match spec.linux() {
        Some(linux) => linux.clone(),
        None => serde_json::from_value(Value::Object(Map::new()))?,
    };
    linux.set_resources(Some(resources));
    spec.set_linux(Some(linux));
    Ok(())
}

fn lay(onto: &mut Value, asked: Value) {
    match asked {
        Value::Object(fields) => {
            if !onto.is_object() {
                *onto = Value::Object(Map::new());
            }
            for (key, value) in fields.into_iter().filter(|(_, v)| !is_nothing(v)) {
                lay(&mut onto[key], value);
            }
        }
        Value::Array(entries) if entries.iter().all(|e| identity(e).is_some()) => {
            let mut all = onto.as_array().cloned().unwrap_or_default();
            all.retain(|old| !entries.iter().any(|new| identity(new) == identity(old)));
            all.extend(entries);
            *onto = Value::Array(all);
        }
        other => *onto = other,
    }
}

/// What an entry of a list is about: a size of huge pages, a disk.
fn identity(entry: &Value) -> Option<(Option<&Value>, Option<&Value>, Option<&Value>)> {
    let of = |key| entry.get(key);
    let id = (of("pageSize"), of("major"), of("minor"));
    (id != (None, None, None)).then_some(id)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> LinuxResources {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_config_without_a_linux_section_gets_resources_and_nothing_else() {
        let mut spec: Spec = serde_json::from_value(json!({"ociVersion": "1.3.0"})).unwrap();
        let resources = json!({"pids": {"limit": 5}});
        set_resources(&mut spec, of(resources.clone())).unwrap();
        let linux = serde_json::to_value(spec.linux()).unwrap();
        assert_eq!(linux, json!({ "resources": resources }));
    }

    #[test]
    fn zero_and_nothing_leave_a_value_as_it_is() {
        let now = of(
            json!({"memory": {"limit": 100, "swap": 200}, "pids": {"limit": 5},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 2}]}),
        );
        let asked = of(
            json!({"memory": {"limit": 50, "swap": 0, "reservation": 0}, "cpu": {"shares": 0, "cpus": ""},
            "blockIO": {"weight": 0}, "devices": [{"allow": false, "access": "rwm"}],
            "hugepageLimits": [{"pageSize": "1GB", "limit": 9}], "unified": {"cpu.weight": "7"}}),
        );
        let new = changed(Some(&now), &asked).unwrap();
        let want = of(
            json!({"memory": {"limit": 50, "swap": 200}, "pids": {"limit": 5},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 9}],
            "unified": {"cpu.weight": "7"}}),
        );
        assert_eq!(
            serde_json::to_value(&new).unwrap(),
            serde_json::to_value(&want).unwrap()
        );
        let fresh = changed(None, &of(json!({"pids": {"limit": -1}}))).unwrap();
        assert_eq!(fresh.pids().unwrap().limit(), -1);
    }
}
