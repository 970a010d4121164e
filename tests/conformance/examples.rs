//! The examples of the specification's documents, one by one and all together, through `plan`: a plan or a refusal that
//! names its place, never a crash. The values are those of the documents' JSON; the fragments are put into a config.

use crate::support::text;
use serde_json::{Value, json};

/// (pointer into a config, the example's value), in the order of config.md and config-linux.md.
fn examples() -> Vec<(&'static str, Value)> {
    serde_json::from_str::<Vec<(String, Value)>>(include_str!("examples.json"))
        .unwrap()
        .into_iter()
        .map(|(pointer, value)| (&*pointer.leak(), value))
        .collect()
}

/// Puts a value at a pointer, with the objects on the way.
fn put(config: &mut Value, pointer: &str, value: Value) {
    let mut place = config;
    for part in pointer.trim_start_matches('/').split('/') {
        place = &mut place[part];
    }
    *place = value;
}

/// [config.md § Examples] each example is planned, or refused with its place, under compat and by default
#[test]
fn each_example_is_planned_or_refused_with_its_place() {
    let suite = suite!();
    if !suite.ours() {
        return;
    }
    let strict = crate::support::Rig::new();
    let mut whole = suite.spec(&["wait"]);
    let mut planned = Vec::new();
    for (pointer, value) in examples() {
        let mut config = suite.spec(&["wait"]);
        put(&mut config, pointer, value.clone());
        put(&mut whole, pointer, value);
        config["root"]["path"] = json!(suite.rig.rootfs());
        for rig in [&suite.rig, &strict] {
            let bundle = rig.bundle(&config);
            let ran = rig.call(&["plan", "--engine", "--bundle", text(&bundle)]);
            assert!(!ran.err.contains("panicked"), "{pointer}: {ran:#?}");
            match ran.code {
                0 => planned.push(pointer),
                _ => assert!(ran.err.contains('/'), "{pointer}: no place in {ran:#?}"),
            }
        }
    }
    let bundle = suite.bundle(&whole);
    let all = suite.call(&["plan", "--engine", "--bundle", text(&bundle)]);
    assert!(
        !all.err.contains("panicked") && (all.code == 0 || all.err.contains('/')),
        "{all:#?}"
    );
    for must in [
        "/hostname",
        "/mounts",
        "/process/rlimits",
        "/linux/namespaces",
        "/linux/resources/cpu",
        "/annotations",
    ] {
        assert!(planned.contains(&must), "{must} is refused");
    }
}
