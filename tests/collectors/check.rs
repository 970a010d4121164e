//! `collectors check` and `collectors ship`, as an admin uses them.

use crate::count::syslog;
use crate::lab::{self, Lab};
use crate::receivers::Rsyslog;
use crate::support::finish;
use cofferdam::logs::ship::Notice;
use cofferdam::policy::{Protocol, Target, Transport};
use std::process::Command;

/// The command with a policy of these targets.
fn command(lab: &Lab, targets: &[Target]) -> Command {
    let mut command = with_policy(lab, targets, "/var/lib/cofferdam/logs");
    command.arg("collectors");
    command
}

/// The launcher with a policy of these targets and this folder for spools.
pub fn with_policy(lab: &Lab, targets: &[Target], spool: &str) -> Command {
    let path = lab.path("policy.toml");
    std::fs::write(&path, policy(targets, spool)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command.arg("--policy").arg(path);
    command
}

/// That policy's text.
pub fn policy(targets: &[Target], spool: &str) -> String {
    #[derive(serde::Serialize)]
    struct Logs<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        spool: Option<&'a str>,
        target: &'a [Target],
    }
    #[derive(serde::Serialize)]
    struct Policy<'a> {
        version: u32,
        logs: Logs<'a>,
    }
    let spool = (!targets.is_empty()).then_some(spool);
    let logs = Logs {
        spool,
        target: targets,
    };
    toml::to_string(&Policy { version: 1, logs }).unwrap()
}

#[test]
fn check_says_what_is_wrong_in_a_sentence() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let tls = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    let named = |name: &str, change: &dyn Fn(&mut Target)| {
        let mut target = Target {
            name: name.into(),
            ..tls.clone()
        };
        change(&mut target);
        target
    };
    let file = |name: &str| Some(lab.pki.path(name).to_str().unwrap().to_string());
    let mut targets = [
        tls.clone(),
        lab.target("relp", Protocol::Relp, Transport::Tcp, lab::RELP),
        lab.target("tcp", Protocol::Syslog, Transport::Tcp, lab::TCP),
        named("closed", &|t| t.address = Some("127.0.0.1:9".into())),
        named("unknown", &|t| t.address = Some("nobody.invalid:1".into())),
        named("rogue", &|t| t.ca = file("rogue-ca.pem")),
        named("name", &|t| t.server_name = Some("other.test".into())),
        named("stranger", &|t| {
            (t.certificate, t.key) = (file("stranger.test.pem"), file("stranger.test.key"));
        }),
        named("nofile", &|t| t.ca = file("none.pem")),
        named("nopem", &|t| t.ca = file("ca.cnf")),
        lab.target("notls", Protocol::Syslog, Transport::Tls, lab::TCP),
        lab.target("norelp", Protocol::Relp, Transport::Tls, lab::TLS),
    ];
    // More groups than four are none.
    targets[1..].iter_mut().for_each(|t| t.fallback = true);
    let mut all = command(&lab, &targets);
    all.args(["check", "--json"]);
    let ran = finish(all);
    assert_eq!(ran.code, 1, "{} {}", ran.out, ran.err);
    let answers: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
    let expected = [
        ("siem", ""),
        ("relp", ""),
        ("tcp", ""),
        (
            "closed",
            "cannot connect to 127.0.0.1 at 127.0.0.1:9 (connect): Connection refused",
        ),
        ("unknown", "nobody.invalid"),
        ("rogue", "not issued by the CA in `ca`"),
        ("name", "another name"),
        ("stranger", "the collector"),
        ("nofile", "none.pem"),
        ("nopem", "no PEM certificate"),
        ("notls", "is this a TLS port?"),
        ("norelp", "is this a RELP port?"),
    ];
    for (answer, (name, words)) in answers.iter().zip(expected) {
        assert_eq!(answer["target"], name);
        assert_eq!(
            answer["works"],
            words.is_empty(),
            "{answer} {}",
            rsyslog.says()
        );
        assert!(
            answer["why"].as_str().unwrap_or_default().contains(words),
            "{answer}"
        );
    }
    assert_eq!(answers.len(), expected.len());
    assert!(answers[2]["note"].as_str().unwrap().contains("lossy"));
    let mut two = command(&lab, &targets);
    two.args(["check", "siem", "relp"]);
    let ran = finish(two);
    let ready = format!(
        "siem 127.0.0.1:{}: ready\nrelp 127.0.0.1:{}: ready\n",
        lab::TLS,
        lab::RELP
    );
    assert_eq!(
        (ran.code, &ran.out),
        (0, &ready),
        "{} {}",
        ran.err,
        rsyslog.says()
    );
    let mut unknown = command(&lab, &targets);
    unknown.args(["check", "nobody"]);
    let ran = finish(unknown);
    assert!(
        ran.code != 0 && ran.err.contains("the policy has siem, relp"),
        "{}",
        ran.err
    );
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    need!(Root);
    let lab = Lab::new();
    let target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    let key = lab.pki.path("launcher.test.key");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, mode).unwrap();
    let mut check = command(&lab, &[target]);
    check.arg("check");
    let ran = finish(check);
    assert!(
        ran.code == 1 && ran.out.contains("chmod 600"),
        "{} {}",
        ran.out,
        ran.err
    );
}

#[test]
fn a_spool_is_shipped_by_hand_and_only_once() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    drop(lab.finished(3_000));
    let mut away = command(&lab, std::slice::from_ref(&target));
    away.args(["ship", "--patience", "0"]).arg(lab.spool());
    let ran = finish(away);
    assert!(
        ran.code == 1 && ran.out.contains("stay in the spool"),
        "{} {}",
        ran.out,
        ran.err
    );
    let _running = rsyslog.start();
    for _ in 0..2 {
        let mut ship = command(&lab, std::slice::from_ref(&target));
        ship.arg("ship").arg(lab.spool());
        let ran = finish(ship);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "siem: delivered\n"),
            "{}",
            ran.err
        );
        let told = syslog(&rsyslog.file("tls"), 3_000);
        assert_eq!((told.stored, told.lost), (3_000, 0));
    }
}

#[test]
fn two_at_once_are_one_behind_the_other() {
    need!(Root);
    let lab = Lab::new();
    let target = lab.target("siem", Protocol::Relp, Transport::Tcp, lab::RELP);
    // It has the collector, which is away.
    let shipping = lab.ship(vec![target.clone()], lab.finished(3_000));
    shipping.wait_for(|n| matches!(n, Notice::Down { .. }));
    let mut other = command(&lab, std::slice::from_ref(&target));
    other.args(["ship", "--patience", "0"]).arg(lab.spool());
    let ran = finish(other);
    assert!(
        ran.code != 0 && ran.err.contains("another process ships this spool"),
        "{} {}",
        ran.out,
        ran.err
    );
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let mut other = command(&lab, &[target]);
    other.args(["ship", "--patience", "100"]).arg(lab.spool());
    assert_eq!(finish(other).code, 0);
    shipping.delivered();
    let told = syslog(&rsyslog.file("relp"), 3_000);
    assert_eq!((told.stored, told.lost), (3_000, 0));
}

#[test]
fn without_a_collector_it_says_what_to_write() {
    need!(Root);
    let lab = Lab::new();
    let mut check = command(&lab, &[]);
    check.arg("check");
    let ran = finish(check);
    assert!(
        ran.code != 0 && ran.err.contains("[[logs.target]]"),
        "{}",
        ran.err
    );
}
