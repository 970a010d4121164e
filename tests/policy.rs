//! The decision function on real configurations, field by field, and on invented ones. No privilege needed.
//!
//! Golden files beside the fixtures in tests/policy/: `UPDATE=1 cargo test --test policy` rewrites them.

#[path = "policy/asked.rs"]
mod asked;
#[path = "policy/engines.rs"]
mod engines;
#[path = "policy/exceptions.rs"]
mod exceptions;
#[path = "policy/fields.rs"]
mod fields;
#[path = "policy/invented.rs"]
mod invented;
#[path = "policy/launch.rs"]
mod launch;
#[path = "policy/loosenings.rs"]
mod loosenings;
#[path = "policy/rows.rs"]
mod rows;
#[path = "policy/standalone.rs"]
mod standalone;

use cofferdam::policy::{Decision, OnExcess, Ports};
use launch::{Launch, spec_of};
use std::fmt::Write;

/// Everything that a reviewer should see change: clamps, violations, waivers, and what is left.
fn told(launch: &Launch) -> String {
    let mut out = String::new();
    match launch.decide() {
        Decision::Refused(violations) => {
            for v in violations {
                writeln!(
                    out,
                    "refused {} {}: {} -> {}",
                    v.control, v.pointer, v.found, v.remedy
                )
                .unwrap();
            }
        }
        Decision::Granted(grant) => {
            for c in &grant.clamps {
                writeln!(
                    out,
                    "clamped {} {}: {} -> {}",
                    c.control, c.pointer, c.asked, c.granted
                )
                .unwrap();
            }
            for w in &grant.waivers {
                writeln!(out, "waived {} by {}: {}", w.control, w.exception, w.grants).unwrap();
            }
            writeln!(
                out,
                "{}",
                serde_json::to_string_pretty(&strip(&grant)).unwrap()
            )
            .unwrap();
        }
    }
    out
}

fn strip(grant: &cofferdam::policy::Grant) -> serde_json::Value {
    let mut value = serde_json::to_value(grant).unwrap();
    for key in ["clamps", "waivers"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

#[track_caller]
fn golden(name: &str, found: &str) {
    let path = format!("{}/tests/policy/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    similar(&wanted, found, &path);
}

#[track_caller]
fn similar(wanted: &str, found: &str, path: &str) {
    if wanted == found {
        return;
    }
    let differs = wanted.lines().zip(found.lines()).position(|(a, b)| a != b);
    let at = differs.unwrap_or(wanted.lines().count().min(found.lines().count()));
    panic!(
        "{path}:{}: the decision changed (UPDATE=1 rewrites the file)\n  was: {:?}\n  is:  {:?}",
        at + 1,
        wanted.lines().nth(at),
        found.lines().nth(at)
    );
}

#[test]
fn docker_is_clamped_as_written_down() {
    golden("docker", &told(&Launch::engine(spec_of("docker"))));
}

#[test]
fn podman_is_clamped_as_written_down() {
    golden("podman", &told(&Launch::engine(spec_of("podman"))));
}

#[test]
fn privileged_gets_no_privilege() {
    let launch = Launch::engine(spec_of("privileged"));
    golden("privileged", &told(&launch));
    let grant = launch.granted();
    assert!(grant.capabilities.bounding.is_empty());
    assert!(grant.devices.is_empty());
    assert_eq!(
        grant.device_rules.len(),
        1,
        "deny all, and nothing after it"
    );
    assert!(!grant.device_rules[0].allow);
    assert!(grant.mounts.iter().all(|m| m.nosuid));
}

#[test]
fn docker_under_refuse_is_refused_for_everything_at_once() {
    let launch = Launch::engine(spec_of("docker")).policy("version = 1\non_excess = \"refuse\"\n");
    assert_eq!(launch.load().ceilings.on_excess, Some(OnExcess::Refuse));
    let pointers: Vec<String> = launch.refused().into_iter().map(|v| v.pointer).collect();
    for set in ["bounding", "effective", "permitted"] {
        assert!(
            pointers.contains(&format!("/process/capabilities/{set}")),
            "{pointers:?}"
        );
    }
}

#[test]
fn compat_clamps_nothing_and_is_recorded() {
    let launch = Launch::engine(spec_of("privileged")).exceptions(cofferdam::policy::COMPAT_TOML);
    let grant = launch.granted();
    assert_eq!(grant.capabilities.bounding.len(), 41);
    assert!(!grant.root.readonly);
    assert_eq!(
        grant.devices.len(),
        3,
        "all but null, which is there anyway"
    );
    assert_eq!(grant.limits.memory, None);
    assert_eq!(grant.waivers.len(), 1, "{:?}", grant.waivers);
    assert_eq!(grant.ports, Ports::Any);
}

#[test]
fn audit_grants_as_asked_and_reports_the_clamps() {
    let strict = Launch::engine(spec_of("docker")).granted();
    let audit = Launch::engine(spec_of("docker"))
        .policy("version = 1\naudit = true\n")
        .exceptions(cofferdam::policy::COMPAT_TOML);
    let audited = audit.granted();
    assert_eq!(audited.capabilities.bounding.len(), 14);
    let capability = |g: &cofferdam::policy::Grant| {
        let clamps = g.clamps.iter();
        clamps
            .filter(|c| c.pointer.starts_with("/process/capabilities"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(capability(&strict), capability(&audited));
    let without = Launch::engine(spec_of("docker")).policy("version = 1\naudit = true\n");
    assert!(
        without.problems()[0].contains(":2:9: audit = true clamps nothing"),
        "{:?}",
        without.problems()
    );
}
