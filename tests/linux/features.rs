//! `features` says what is so: each thing that it lists is asked for, and not refused as unknown.

use crate::need;
use crate::support::{Rig, text};
use serde_json::{Value, json};

fn features(rig: &Rig) -> Value {
    serde_json::from_str(rig.call(&["features"]).ok()).unwrap()
}

fn list(value: &Value) -> Vec<String> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_str().unwrap().to_string()).collect()
}

/// What is said against a spec; nothing where it can be planned.
fn said(rig: &Rig, spec: &Value) -> String {
    let bundle = rig.bundle(spec);
    let ran = rig.call(&["plan", "--engine", "--bundle", text(&bundle), "f"]);
    match ran.code {
        0 => String::new(),
        _ => ran.err,
    }
}

#[test]
fn every_mount_option_is_taken() {
    let rig = Rig::new();
    for option in list(&features(&rig)["mountOptions"]) {
        let mut spec = rig.spec(&["exit", "0"]);
        // idmap asks for maps.
        let map = json!([{"containerID": 0, "hostID": 700_000_000, "size": 65536}]);
        spec["linux"]["uidMappings"] = map.clone();
        spec["linux"]["gidMappings"] = map;
        let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
        all.push(json!({"type": "user"}));
        let mount = json!({"destination": "/data", "type": "bind", "source": rig.rootfs().join("data"), "options": ["bind", option]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
        assert!(!said(&rig, &spec).contains("/mounts"), "{option}");
    }
}

#[test]
fn modes_namespaces_and_capabilities_are_taken() {
    need!(Root);
    let rig = Rig::new();
    let features = features(&rig);
    let linux = &features["linux"];
    for mode in list(&linux["memoryPolicy"]["modes"]) {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["linux"]["memoryPolicy"] = match mode.as_str() {
            "MPOL_DEFAULT" | "MPOL_LOCAL" => json!({"mode": mode}),
            _ => json!({"mode": mode, "nodes": "0"}),
        };
        // A launch: the kernel takes it too.
        let ran = rig.through(&spec);
        assert!(
            ran.code == 0 || ran.err.contains("came with Linux"),
            "{mode}: {ran:?}"
        );
    }
    for flag in list(&linux["memoryPolicy"]["flags"]) {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]});
        rig.through(&spec).ok();
    }
    let mut spec = rig.spec(&["exit", "0"]);
    let kinds = list(&linux["namespaces"]);
    let new = kinds.iter().map(|kind| json!({"type": kind}));
    spec["linux"]["namespaces"] = new.collect();
    let map = json!([{"containerID": 0, "hostID": 700_000_000, "size": 65536}]);
    spec["linux"]["uidMappings"] = map.clone();
    spec["linux"]["gidMappings"] = map;
    rig.through(&spec).ok();
    let mut spec = rig.spec(&["exit", "0"]);
    spec["process"]["capabilities"]["bounding"] = linux["capabilities"].clone();
    assert_eq!(said(&rig, &spec), "");
}

#[test]
fn what_is_said_to_be_off_is_refused() {
    need!(Root);
    let rig = Rig::new();
    let features = features(&rig);
    assert_eq!(features["linux"]["intelRdt"]["enabled"], false);
    let mut spec = rig.spec(&["exit", "0"]);
    spec["linux"]["intelRdt"] = json!({"closID": "a"});
    assert!(said(&rig, &spec).contains("/linux/intelRdt"));
    for flag in list(&features["linux"]["seccomp"]["knownFlags"]) {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]});
        assert_eq!(said(&rig, &spec), "", "{flag}");
    }
}
