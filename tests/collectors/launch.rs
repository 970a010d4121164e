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
