//! The site policies that are shipped for engines, and exceptions in a policy file.

use crate::launch::{Launch, plain, spec_of};
use cofferdam::policy::{Exec, Policy, Ports, Template, WriteExecute};
use serde_json::json;

const STRICT: &str = include_str!("../../profiles/engines/strict.toml");
const TRANSITION: &str = include_str!("../../profiles/engines/transition.toml");

#[test]
fn strict_is_the_built_in_policy() {
    let (strict, built_in) = (
        Launch::engine(spec_of("docker")).policy(STRICT).load(),
        Policy::built_in().unwrap(),
    );
    assert!(strict.exceptions.is_empty());
    let limits = |p: &Policy| serde_json::to_value(&p.ceilings.limits).unwrap();
    assert_eq!(limits(&strict), limits(&built_in));
    let launch = |policy: &str| Launch::engine(spec_of("docker")).policy(policy).granted();
    let (a, b) = (launch(STRICT), launch("version = 1\n"));
    assert_eq!(
        serde_json::to_value(a).unwrap(),
        serde_json::to_value(b).unwrap()
    );
}

#[test]
fn transition_leaves_common_images_as_they_are_and_records_it() {
    let grant = Launch::engine(spec_of("docker"))
        .policy(TRANSITION)
        .granted();
    assert_eq!(
        (grant.template, &grant.exec),
        (Template::Script, &Exec::Any)
    );
    assert_eq!(grant.write_execute, WriteExecute::Waived);
    assert!(!grant.root.readonly);
    assert_eq!(grant.ports, Ports::Any);
    let kept = [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "NET_BIND_SERVICE",
        "SETGID",
        "SETUID",
    ];
    assert_eq!(grant.capabilities.bounding, kept);
    let used: Vec<&str> = grant.waivers.iter().map(|w| w.exception.as_str()).collect();
    for id in [
        "processes",
        "health-checks",
        "root",
        "jit",
        "capabilities",
        "ports",
        "calls",
    ] {
        assert!(
            used.contains(&format!("transition-{id}").as_str()),
            "{id}: {used:?}"
        );
    }
    assert!(
        !used.contains(&"transition-environment"),
        "what was not asked is not recorded"
    );
}

#[test]
fn transition_still_cuts_what_no_common_image_needs() {
    let launch = |spec| Launch::engine(spec).policy(TRANSITION);
    let grant = launch(spec_of("privileged")).granted();
    assert_eq!(grant.capabilities.bounding.len(), 8);
    assert!(grant.devices.is_empty() && grant.mounts.iter().all(|m| m.nosuid));
    assert!(grant.seccomp.template.is_some());
    launch(spec_of("docker"))
        .set("/process/terminal", json!(true))
        .refused();
    let docker = "/var/run/docker.sock";
    let socket =
        json!({"destination": "/s", "type": "bind", "source": docker, "options": ["rbind"]});
    launch(spec_of("docker")).set("/mounts/0", socket).refused();
}

#[test]
fn transition_lapses_into_strict() {
    let mut launch = Launch::engine(spec_of("docker")).policy(TRANSITION);
    launch.host.now += 400 * 86_400;
    // Its template is asked for by the policy and granted by the exception: without that there is only the default.
    let grant = launch.granted();
    assert_eq!(
        (grant.template, &grant.exec),
        (Template::Default, &Exec::Once)
    );
    assert!(
        grant.root.readonly && grant.capabilities.bounding.is_empty() && grant.waivers.is_empty()
    );
}

#[test]
fn a_variable_that_looks_like_a_secret_stays_in_transition() {
    let spec = spec_of("docker");
    let with = |policy| {
        let launch = Launch::engine(spec.clone()).policy(policy);
        let grant = launch
            .set("/process/env/0", json!("POSTGRES_PASSWORD=x"))
            .granted();
        grant
            .process
            .env
            .iter()
            .any(|e| e.starts_with("POSTGRES_PASSWORD"))
    };
    assert!(with(TRANSITION) && !with(STRICT));
}

#[test]
fn an_exception_in_a_policy_file_is_held_to_the_same_rules() {
    let problems = |policy: &str, files: &str| {
        let launch = Launch::standalone().policy(policy);
        match files {
            "" => launch.problems(),
            files => launch.exceptions(files).problems(),
        }
    };
    let undated = TRANSITION.replacen("expires = 2027-11-22", "", 1);
    let found = problems(&undated, "");
    assert!(
        found.iter().any(|p| p.contains("missing field `expires`")),
        "{found:?}"
    );
    let narrow = TRANSITION.replacen("scope = { name = \"*\" }", "scope = { name = \"web\" }", 1);
    let found = problems(&narrow, "");
    assert!(
        found.iter().any(|p| p.contains("the template Script")),
        "{found:?}"
    );
    let twice = cofferdam::policy::COMPAT_TOML
        .replace("\"compat\"\ncontrol", "\"transition-jit\"\ncontrol");
    let found = problems(TRANSITION, &twice);
    assert!(
        found.len() == 1 && found[0].contains("another file too"),
        "{found:?}"
    );
    let part = TRANSITION.replacen("programs = [\"*\"]", "programs = [\"*\", \"/bin/sh\"]", 1);
    let found = problems(&part, "");
    assert!(
        found
            .iter()
            .any(|p| p.contains("\"*\" is not an absolute path")),
        "{found:?}"
    );
}

/// containerd's pods list a new /dev/shm, and then the one that their containers share.
#[test]
fn a_mount_that_a_later_one_covers_is_not_made() {
    let fresh = json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["size=65536k"]});
    let shared = json!({"destination": "/dev/shm", "type": "bind", "source": "/dev/shm", "options": ["rbind"]});
    let with =
        |mounts: &[&serde_json::Value]| Launch::engine(plain()).set("/mounts", json!(mounts));
    let grant = with(&[&fresh, &shared]).granted();
    let at: Vec<&str> = grant.mounts.iter().map(|m| m.pointer.as_str()).collect();
    assert!(
        at.contains(&"/mounts/1") && !at.contains(&"/mounts/0"),
        "{at:?}"
    );
    let noted = grant
        .clamps
        .iter()
        .any(|c| c.pointer == "/mounts/0" && c.granted.contains("/mounts/1"));
    assert!(noted, "{:?}", grant.clamps);
    // Something lies in the earlier one, or the launcher fills it: order would matter.
    let inside = json!({"destination": "/dev/shm/x", "type": "tmpfs", "options": ["size=64k"]});
    let proc = json!({"destination": "/proc", "type": "proc", "source": "proc"});
    for twice in [&[&fresh, &inside, &shared][..], &[&proc, &proc]] {
        let refused = with(twice).refused();
        assert!(
            refused
                .iter()
                .any(|v| v.found.starts_with("a second mount on")),
            "{refused:?}"
        );
    }
    let mut by_hand = Launch::standalone().set("/mounts", json!([fresh, shared]));
    by_hand.spec["mounts"][0]["destination"] = "/data".into();
    by_hand.spec["mounts"][1]["destination"] = "/data".into();
    assert!(
        by_hand
            .refused()
            .iter()
            .any(|v| v.remedy == "mount each place once")
    );
}
