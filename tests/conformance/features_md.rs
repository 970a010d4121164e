//! features.md and features-linux.md: what the document says, create does.

use crate::suite::Suite;
use serde_json::{Value, json};

fn features(suite: &Suite) -> Option<Value> {
    let ran = suite.call(&["features"]);
    (ran.code == 0).then(|| serde_json::from_str(&ran.out).unwrap())
}

macro_rules! document {
    ($suite:ident) => {
        match features(&$suite) {
            Some(document) => document,
            None => return assert!(!$suite.ours(), "no features"),
        }
    };
}

fn names<'a>(document: &'a Value, pointer: &str) -> Vec<&'a str> {
    let list = document.pointer(pointer).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|v| v.as_str().unwrap())
        .collect()
}

/// [features.md § Specification version] both versions are taken in a config, and the greatest is not below the least
#[test]
fn the_versions_are_taken() {
    let suite = suite!();
    let document = document!(suite);
    let (min, max) = (
        document["ociVersionMin"].as_str().unwrap(),
        document["ociVersionMax"].as_str().unwrap(),
    );
    let numbers = |v: &str| -> Vec<u32> {
        v.split(['.', '-', '+'])
            .take(3)
            .map(|n| n.parse().unwrap())
            .collect()
    };
    assert!(numbers(min) <= numbers(max));
    let mut spec = suite.spec(&["wait"]);
    for version in [min, max] {
        spec["ociVersion"] = json!(version);
        suite.created(&spec);
    }
}

/// [features.md § Specification version] there are only properties of that version
#[test]
fn only_known_properties() {
    let suite = suite!();
    let document = document!(suite);
    let known = [
        "ociVersionMin",
        "ociVersionMax",
        "hooks",
        "mountOptions",
        "linux",
        "annotations",
        "potentiallyUnsafeConfigAnnotations",
    ];
    for name in document.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "{name}");
    }
}

/// [features.md § Hooks] every kind that is named is run
#[test]
fn the_named_hooks_are_run() {
    let suite = suite!();
    let document = document!(suite);
    let named = names(&document, "/hooks");
    for kind in [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
    ] {
        assert!(named.contains(&kind), "{kind}: {named:?}");
        let mut spec = suite.spec(&["exit", "0"]);
        spec["hooks"] = json!({ kind: [crate::hooks_md::say(&suite, kind)] });
        crate::hooks_md::life(&suite, &spec);
        assert_eq!(
            crate::hooks_md::said(&suite).last().map(String::as_str),
            Some(kind)
        );
    }
}

/// [features.md § Mount Options] every option that is named is known
#[test]
fn the_named_mount_options_are_known() {
    let suite = suite!();
    let document = document!(suite);
    let dir = suite.rig.path("volume");
    std::fs::create_dir(&dir).unwrap();
    for option in names(&document, "/mountOptions") {
        let mut options = vec!["bind", option];
        let (kind, source) = match option {
            "idmap" | "ridmap" | "remount" => continue, // need more than the word; tested with it
            "tmpcopyup" | "size" | "mode" | "uid" | "gid" | "nr_inodes" => continue,
            _ => ("bind", &dir),
        };
        if option == "rbind" {
            options.remove(0);
        }
        let mut spec = suite.spec(&["wait"]);
        let mount =
            json!({ "destination": "/mnt", "type": kind, "source": source, "options": options });
        spec["mounts"].as_array_mut().unwrap().push(mount);
        suite.created(&spec);
    }
}

/// [features.md § Annotations] keys and values as in a config
#[test]
fn the_annotations_are_strings() {
    let suite = suite!();
    let document = document!(suite);
    for (key, value) in document["annotations"].as_object().into_iter().flatten() {
        assert!(!key.is_empty() && value.is_string(), "{key}: {value}");
    }
}

/// [features-linux.md § Namespaces] every type that is named is known
#[test]
fn the_named_namespaces_are_known() {
    let suite = suite!();
    let document = document!(suite);
    for kind in names(&document, "/linux/namespaces") {
        if kind == "user" {
            continue; // needs mappings; tested with them
        }
        let mut list = crate::linux_md::all_but(kind);
        list.as_array_mut().unwrap().push(json!({ "type": kind }));
        suite.created(&crate::linux_md::with_namespaces(&suite, list));
    }
}

/// [features-linux.md § Capabilities] every name is known
#[test]
fn the_named_capabilities_are_known() {
    let suite = suite!();
    let document = document!(suite);
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["capabilities"] =
        json!({ "bounding": names(&document, "/linux/capabilities") });
    suite.created(&spec);
}

/// [features-linux.md § Seccomp] actions and operators that are named are known
#[test]
fn the_named_actions_and_operators_are_known() {
    let suite = suite!();
    let document = document!(suite);
    for action in names(&document, "/linux/seccomp/actions") {
        if action == "SCMP_ACT_NOTIFY" {
            continue; // needs an agent; tested with one
        }
        let mut spec = suite.spec(&["wait"]);
        let rule = json!({ "names": ["acct"], "action": action });
        spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
        suite.created(&spec);
    }
    for operator in names(&document, "/linux/seccomp/operators") {
        let mut spec = suite.spec(&["wait"]);
        let args = json!([{ "index": 0, "value": 9, "valueTwo": 9, "op": operator }]);
        let rule = json!({ "names": ["acct"], "action": "SCMP_ACT_ERRNO", "args": args });
        spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
        suite.created(&spec);
    }
}

/// [features-linux.md § Seccomp] architectures and flags that are named are known
#[test]
fn the_named_architectures_and_flags_are_known() {
    let suite = suite!();
    let document = document!(suite);
    let rule = json!({ "names": ["acct"], "action": "SCMP_ACT_ERRNO" });
    let seccomp = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] = seccomp.clone();
    spec["linux"]["seccomp"]["architectures"] = json!(names(&document, "/linux/seccomp/archs"));
    suite.created(&spec);
    for flag in names(&document, "/linux/seccomp/supportedFlags") {
        if flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
            continue; // only with a listener
        }
        spec["linux"]["seccomp"] = seccomp.clone();
        spec["linux"]["seccomp"]["flags"] = json!([flag]);
        suite.created(&spec);
    }
}

/// [features-linux.md § MountExtensions] id-mapped mounts are enabled when the fields are read
#[test]
fn id_mapped_mounts_are_said() {
    let suite = suite!();
    let document = document!(suite);
    if suite.ours() {
        assert_eq!(
            document["linux"]["mountExtensions"]["idmap"]["enabled"],
            true
        );
    }
}
