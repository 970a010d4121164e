//! Somebody else where the collector should be, or a collector that doesn't take our certificate: nothing is sent.

use crate::count::syslog;
use crate::lab::{self, Lab};
use crate::receivers::{Rsyslog, Running};
use cofferdam::logs::ship::Notice;
use cofferdam::policy::{Protocol, Target, Transport};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Command;

/// Ships to a receiver with this certificate, which must be refused in these words; then to the right one.
fn refused(certificate: &str, words: &str, change: impl Fn(&mut Target)) {
    let lab = Lab::new();
    let rogue = Rsyslog::with_certificate(&lab, certificate);
    let running: Running = rogue.start();
    let mut target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    change(&mut target);
    let shipping = lab.ship(vec![target], lab.finished(1_000));
    shipping.wait_for(|n| matches!(n, Notice::PeerRefused { why, .. } if why.contains(words)));
    assert!(
        shipping
            .notices()
            .iter()
            .all(|n| !matches!(n, Notice::Up { .. }))
    );
    running.end(Signal::SIGTERM);
    assert_eq!(
        syslog(&rogue.file("tls"), 1_000).stored,
        0,
        "nothing may be sent"
    );
    // The lines were kept: the right one gets them all.
    let right = Rsyslog::new(&lab);
    let _running = right.start();
    if certificate != "collector.test" {
        shipping.delivered();
        assert_eq!(syslog(&right.file("tls"), 1_000).lost, 0);
    }
}

#[test]
fn a_rogue_authority() {
    need!(Root);
    refused("rogue.test", "not issued by the CA", |_| {});
}

#[test]
fn an_expired_certificate() {
    need!(Root);
    refused("expired.test", "has expired", |_| {});
}

#[test]
fn another_name() {
    need!(Root);
    refused("other.test", "another name", |_| {});
}

#[test]
fn a_collector_that_takes_another_client_only() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let mut target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    let file = |name: &str| Some(lab.pki.path(name).to_str().unwrap().to_string());
    (target.certificate, target.key) = (file("stranger.test.pem"), file("stranger.test.key"));
    let shipping = lab.ship(vec![target], lab.finished(1_000));
    shipping.wait_for(|n| matches!(n, Notice::Down { .. }));
    assert_eq!(syslog(&rsyslog.file("tls"), 1_000).stored, 0);
}

/// Has the target know these certificates of the lab by their fingerprints, as openssl shows them.
fn pin(target: &mut Target, names: &[&str]) {
    let ca = target.ca.clone().unwrap();
    let fingerprint = |name: &&str| {
        let pem = Path::new(&ca).with_file_name(format!("{name}.pem"));
        let shown = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(pem)
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let digits = shown.trim().split_once('=').unwrap().1;
        format!("sha-256:{digits}").try_into().unwrap()
    };
    target.fingerprints = names.iter().map(fingerprint).collect();
}

#[test]
fn a_pinned_certificate_needs_no_authority() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::with_certificate(&lab, "rogue.test");
    let _running = rsyslog.start();
    let mut target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    pin(&mut target, &["rogue.test"]);
    target.ca = None;
    target.server_name = Some("whatever.test".into());
    lab.ship(vec![target], lab.finished(1_000)).delivered();
    assert_eq!(syslog(&rsyslog.file("tls"), 1_000).lost, 0);
}

#[test]
fn another_than_the_pinned_certificate_is_refused_without_an_authority() {
    need!(Root);
    refused("rogue.test", "none of those in `fingerprints`", |target| {
        pin(target, &["collector.test"]);
        target.ca = None;
    });
}

#[test]
fn another_than_the_pinned_certificate_is_refused_though_the_authority_has_issued_it() {
    need!(Root);
    refused("other.test", "none of those in `fingerprints`", |target| {
        pin(target, &["collector.test"]);
    });
}

#[test]
fn beside_a_pin_the_authority_still_counts() {
    need!(Root);
    refused("rogue.test", "not issued by the CA", |target| {
        pin(target, &["rogue.test", "collector.test"]);
    });
    // A thread of its own, since its network is.
    let expired = || {
        refused("expired.test", "has expired", |target| {
            pin(target, &["expired.test", "collector.test"]);
        });
    };
    std::thread::scope(|scope| scope.spawn(expired).join().unwrap());
}
