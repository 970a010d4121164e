//! The files: what is broken doesn't load and is named with its place; a site's policy only tightens.

use crate::launch::{Launch, exception};
use serde_json::json;

/// (what is wrong, its place, a part of the sentence)
const BROKEN: &[(&str, &str, &str, &str)] = &[
    (
        "reason = \"needed\"\n",
        "",
        ":2:1: ",
        "missing field `reason`",
    ),
    (
        "jit = true",
        "jitt = true",
        ":5:11: ",
        "unknown field `jitt`",
    ),
    (
        "reference = \"RISK-1\"",
        "reference = \" \"",
        ":9:13: ",
        "reference is empty",
    ),
    (
        "SS-011/8.4.8",
        "SS-011/8.4.99",
        ":4:11: ",
        "no control \"SS-011/8.4.99\"",
    ),
    (
        "SS-011/8.4.8",
        "SS-011/8.4.6",
        ":5:9: ",
        "nothing can be asked of it",
    ),
    (
        "jit = true",
        "terminal = true",
        ":5:9: ",
        "cannot be loosened by terminal",
    ),
    ("jit = true", "", ":5:9: ", "asks for nothing"),
    ("name = \"web-1\"", "", ":6:9: ", "scope is empty"),
    (
        "expires = 2027-01-01",
        "expires = 2027-11-03",
        ":11:11: ",
        "lasts 367 days",
    ),
    (
        "expires = 2027-01-01",
        "expires = 2026-10-31",
        ":11:11: ",
        "before it is approved",
    ),
    ("expires = 2027-01-01", "expires = 2027-02-30", ":11:", ""),
    (
        "expires = 2027-01-01",
        "expires = \"soon\"",
        ":11:11: ",
        "is not a day",
    ),
    (
        "expires = 2027-01-01\n",
        "",
        ":2:1: ",
        "missing field `expires`",
    ),
    ("version = 1\n", "", ":1:1: ", "version is missing"),
    (
        "version = 1\n",
        "version = 2\n",
        ":1:11: ",
        "version 2 is not known",
    ),
    (
        "version = 1\n",
        "version = 1\nextra = 1\n",
        ":2:1: ",
        "unknown key \"extra\"",
    ),
];

#[test]
fn a_broken_entry_does_not_load_and_its_place_is_named() {
    let whole = exception(
        "SS-011/8.4.8",
        "jit = true",
        "name = \"web-1\"",
        "2026-11-01",
        "2027-01-01",
    );
    assert!(
        Launch::standalone()
            .exceptions(&whole)
            .problems()
            .is_empty()
    );
    for (part, instead, place, sentence) in BROKEN {
        let text = whole.replace(part, instead);
        assert_ne!(&text, &whole);
        let problems = Launch::standalone().exceptions(&text).problems();
        let found = problems
            .iter()
            .any(|p| p.contains(place) && p.contains(sentence));
        assert!(found, "{part:?} -> {instead:?}: {problems:?}");
    }
}

#[test]
fn all_problems_are_reported_and_ids_are_unique() {
    let one = exception(
        "SS-011/8.4.8",
        "jit = true",
        "name = \"web-1\"",
        "2026-11-01",
        "2027-01-01",
    );
    let entry = one.replace("version = 1\n", "");
    let text = format!(
        "{}{}{}",
        one.replace("reason = \"needed\"\n", ""),
        entry.replace("jit", "jot"),
        entry
    );
    let problems = Launch::standalone()
        .exceptions(&text)
        .exceptions(&one)
        .problems();
    assert_eq!(problems.len(), 3, "{problems:#?}");
}

/// (site file, place, part of the sentence, the exception that makes it load)
const LOOSER: &[(&str, &str, &str, &str, &str)] = &[
    (
        "template = \"workers\"\n",
        ":2:12: ",
        "SS-011/8.5.2",
        "SS-011/8.5.2",
        "template = \"workers\"",
    ),
    (
        "[[capability]]\nname = \"CHOWN\"\nreason = \"x\"\n",
        ":3:8: ",
        "CHOWN is not in",
        "SS-011/8.1.5",
        "capabilities = [\"CHOWN\"]",
    ),
    (
        "[limits]\nmemory = { max = \"64GiB\" }\n",
        ":3:18: ",
        "above the ceiling of 16GiB",
        "SS-011/8.1.4",
        "limits = { memory = \"64GiB\" }",
    ),
    (
        "[limits]\nswap = { default = 1 }\n",
        ":3:20: ",
        "above the ceiling of 0",
        "SS-011/8.1.4",
        "limits = { swap = 1 }",
    ),
    (
        "[limits]\ncpus = { max = 64 }\n",
        ":3:16: ",
        "above the ceiling of 16",
        "SS-011/8.1.4",
        "limits = { cpus = 64 }",
    ),
    (
        "[ports]\nmax = 2\n",
        ":3:7: ",
        "above the ceiling of 1",
        "SS-011/8.5.5",
        "max_ports = 2",
    ),
    (
        "sysctl = [\"kernel.*\"]\n",
        ":2:11: ",
        "kernel.*",
        "SS-011/8.5.1",
        "sysctl = [\"kernel.*\"]",
    ),
    (
        "[volumes]\nallowed = [\"/srv\", \"/root/x\"]\n",
        ":3:20: ",
        "/root/x is closed",
        "SS-011/8.5.1",
        "sources = [\"/root\"]",
    ),
    (
        "[join]\nnetwork = [\"/srv/*\"]\n",
        ":3:12: ",
        "/srv/* is not among",
        "SS-011/8.1.3",
        "namespaces = [\"network:/srv/*\"]",
    ),
];

#[test]
fn a_site_policy_that_loosens_without_an_exception_does_not_load() {
    for (text, place, sentence, control, grant) in LOOSER {
        let text = format!("version = 1\n{text}");
        let launch = Launch::standalone().policy(&text);
        let problems = launch.problems();
        assert!(
            problems.len() == 1 && problems[0].contains(place) && problems[0].contains(sentence),
            "{text}: {problems:?}"
        );
        let site_wide = exception(control, grant, "name = \"*\"", "2026-11-01", "2027-01-01");
        let narrow = exception(
            control,
            grant,
            "name = \"web-1\"",
            "2026-11-01",
            "2027-01-01",
        );
        assert!(
            Launch::standalone()
                .policy(&text)
                .exceptions(&site_wide)
                .problems()
                .is_empty(),
            "{text}"
        );
        assert!(
            !Launch::standalone()
                .policy(&text)
                .exceptions(&narrow)
                .problems()
                .is_empty(),
            "{text}"
        );
    }
}

#[test]
fn a_site_policy_tightens() {
    let text = "version = 1\n[limits]\nmemory = { max = \"1GiB\", default = \"100MiB\" }\n[volumes]\nallowed = [\"/srv\"]\n[ports]\nmax = 0\n";
    let launch = Launch::standalone().policy(text);
    assert_eq!(launch.granted().limits.memory, Some(100 << 20));
    let bind = |source: &str| {
        Launch::standalone().policy(text).set(
            "/mounts/0",
            json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind"]}),
        )
    };
    assert!(
        bind("/srv/a")
            .granted()
            .mounts
            .iter()
            .any(|m| m.target.as_str() == "/data")
    );
    bind("/home/a").refused();
    let mut launch = Launch::standalone().policy(text);
    launch.extras.expose = Some(vec![8080]);
    launch.refused();
}

#[test]
fn broken_policies_name_every_place() {
    let text = "version = 1\nwrong = 1\non_excess = \"maybe\"\n[limits]\nmemory = { max = \"1GB\" }\n[operators]\nuids = [-1]\n[volumes]\ndenied = [\"etc\"]\n";
    let problems = Launch::standalone().policy(text).problems();
    for place in [":2:1: ", ":3:13: ", ":5:18: ", ":7:9: ", ":9:11: "] {
        assert!(
            problems
                .iter()
                .any(|p| p.starts_with(&format!("policy.toml{place}"))),
            "{place} {problems:#?}"
        );
    }
}

/// What an image is called is the engine's word, which not every engine keeps from its users.
#[test]
fn a_scope_can_name_the_engine_that_says_so() {
    use cofferdam::bundle::CallingEngine;
    let scope = "image = \"shop:*\", engine = \"containerd\"";
    let jit = |by: Option<CallingEngine>| {
        let file = crate::launch::exception(
            "SS-011/8.4.8",
            "jit = true",
            scope,
            "2026-11-01",
            "2027-01-01",
        );
        let mut launch = Launch::engine(crate::launch::plain())
            .set("/annotations/io.kubernetes.cri.image-name", "shop:1")
            .exceptions(&file);
        launch.extras.engine = by;
        !launch.granted().waivers.is_empty()
    };
    assert!(jit(Some(CallingEngine::Containerd)));
    assert!(!jit(Some(CallingEngine::Docker)));
    assert!(!jit(None));
}
