//! A launch with collectors: the monitor's jailed shippers bring what the program said, and the events, to all of them.

use crate::check::with_policy;
use crate::lab::{self, Lab, until};
use crate::python::{self, Python};
use crate::receivers::Rsyslog;
use crate::support::{finish, skip, unique};
use cofferdam::policy::{EventForm, Protocol, Target, Transport};
use std::os::unix::fs::DirBuilderExt;

#[test]
fn what_a_container_says_reaches_four_collectors_from_four_jails() {
    need!(Root);
    if let Some(why) = python::missing() {
        return skip(
            "what_a_container_says_reaches_four_collectors",
            "otlp",
            &why,
        );
    }
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let otlp = Python::otlp(&lab, &[]);
    let _otlp = otlp.start();
    for folder in ["spools", "files", "state"] {
        let made = std::fs::DirBuilder::new()
            .mode(0o700)
            .create(lab.path(folder));
        made.unwrap();
    }
    let mut relp = lab.target("relp", Protocol::Relp, Transport::Tls, lab::RELP_TLS);
    relp.events = Some(EventForm::Ocsf);
    // A name, not an address: it is looked up within the jail.
    relp.address = Some(format!("localhost:{}", lab::RELP_TLS));
    let targets = [
        lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS),
        relp,
        lab.target("otel", Protocol::Otlp, Transport::Tcp, lab::OTLP),
        Target {
            path: Some(lab.path("files").to_str().unwrap().into()),
            ..Target::plain("files", Protocol::Json)
        },
    ];
    let spools = lab.path("spools");
    let mut command = with_policy(&lab, &targets, spools.to_str().unwrap());
    let name = unique("shipped");
    command
        .arg("--root")
        .arg(lab.path("state"))
        .args(["run", &name, "--once"]);
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    assert!(ran.out.contains("I am process 1"), "{}", ran.out);
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let everywhere = || {
        [
            read(rsyslog.file("tls")),
            read(rsyslog.file("relptls")),
            read(lab.path("otlp.out")),
            read(lab.path(&format!("files/{name}.log"))),
        ]
    };
    let last = ran
        .out
        .trim_end()
        .lines()
        .last()
        .unwrap()
        .trim()
        .to_string();
    until("the last line, everywhere", || {
        everywhere().iter().all(|text| text.contains(&last))
    });
    for (text, target) in everywhere().iter().zip(&targets) {
        for line in ran.out.lines() {
            assert!(text.contains(line), "{} lacks {line}", target.name);
        }
    }
    until("the events", || {
        let [siem, relp, otel, files] = everywhere();
        let own = [siem, otel, files];
        relp.contains("class_uid") && own.iter().all(|text| text.contains("started"))
    });
}

#[test]
fn a_collector_that_is_away_holds_nobody_up() {
    need!(Root);
    let lab = Lab::new();
    let spools = lab.path("spools");
    for folder in ["spools", "state"] {
        let made = std::fs::DirBuilder::new()
            .mode(0o700)
            .create(lab.path(folder));
        made.unwrap();
    }
    let target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    let name = unique("away");
    let mut command = with_policy(
        &lab,
        std::slice::from_ref(&target),
        spools.to_str().unwrap(),
    );
    command
        .arg("--root")
        .arg(lab.path("state"))
        .args(["run", &name, "--once"]);
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    // The lines wait in the spool, and go out by hand when the collector is back.
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let mut ship = with_policy(&lab, &[target], spools.to_str().unwrap());
    ship.args(["collectors", "ship"]).arg(spools.join(&name));
    let shipped = finish(ship);
    assert_eq!(shipped.code, 0, "{} {}", shipped.out, shipped.err);
    let stored = std::fs::read_to_string(rsyslog.file("tls")).unwrap();
    assert!(
        ran.out.lines().all(|line| stored.contains(line)),
        "{stored}"
    );
}

/// The launcher with these targets, one of which has to be there.
fn required(lab: &Lab, targets: &[Target], name: &str) -> std::process::Command {
    let spools = lab.path("spools");
    let mut command = with_policy(lab, targets, spools.to_str().unwrap());
    let path = lab.path("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let policy = policy.replace("[logs]\n", "[logs]\nrequire_collector = true\n");
    std::fs::write(path, policy).unwrap();
    command.arg("--root").arg(lab.path("state"));
    command.args(["run", name, "--once"]);
    command
}

#[test]
fn where_a_collector_is_required_nothing_runs_without() {
    need!(Root);
    let lab = Lab::new();
    for folder in ["spools", "state"] {
        let made = std::fs::DirBuilder::new()
            .mode(0o700)
            .create(lab.path(folder));
        made.unwrap();
    }
    let tls = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    let mut relp = lab.target("relp", Protocol::Relp, Transport::Tcp, lab::RELP);
    let name = unique("required");
    // Nobody is there.
    let both = [tls.clone(), relp.clone()];
    let ran = finish(required(&lab, &both, &name));
    ran.refused(125, &["require_collector", "Connection refused"]);
    assert_eq!(ran.out, "", "it has run");
    let left = std::fs::read_dir(lab.path("state")).unwrap().count();
    assert_eq!(left, 0);
    // One that doesn't know us is none; one that stands in for it is enough.
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let file = |name: &str| Some(lab.pki.path(name).to_str().unwrap().to_string());
    let stranger = Target {
        certificate: file("stranger.test.pem"),
        key: file("stranger.test.key"),
        ..tls.clone()
    };
    let strangers = [stranger.clone(), relp.clone()];
    let ran = finish(required(&lab, &strangers, &name));
    ran.refused(125, &["require_collector", "siem: "]);
    relp.fallback = true;
    let ran = finish(required(&lab, &[stranger, relp.clone()], &name));
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    let ran = finish(required(&lab, &both, &name));
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    until("the last line", || {
        let stored = std::fs::read_to_string(rsyslog.file("relp")).unwrap_or_default();
        ran.out.lines().all(|line| stored.contains(line))
    });
}
