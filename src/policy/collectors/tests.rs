//! What a site may write about its collectors, and what it is told.

use super::*;
use crate::policy::{Policy, Source};

fn told(targets: &str) -> Vec<String> {
    let source = Source {
        name: "p".into(),
        text: format!("version = 1\n{targets}"),
    };
    match Policy::layered(Some(&source), &[]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn right_targets_load_and_make_chains() {
    let text = "version = 1\n[logs]\nspool = \"/s\"\n\
        [[logs.target]]\nname = \"a\"\nprotocol = \"syslog\"\naddress = \"siem.test:6514\"\nca = \"/ca\"\n\
        certificate = \"/c\"\nkey = \"/k\"\nevents = \"ocsf\"\nmax_message = \"64KiB\"\n\
        [[logs.target]]\nname = \"b\"\nprotocol = \"relp\"\ntransport = \"tcp\"\naddress = \"[::1]:20514\"\nfallback = true\n\
        [[logs.target]]\nname = \"c\"\nprotocol = \"cri\"\npath = \"/var/log/c\"\nkeep = 2\n";
    let source = Source {
        name: "p".into(),
        text: text.into(),
    };
    let policy = Policy::layered(Some(&source), &[]).unwrap();
    let targets = &policy.ceilings.logs.target;
    let sizes: Vec<usize> = chains(targets).iter().map(|c| c.len()).collect();
    assert_eq!(sizes, [2, 1]);
    assert_eq!(targets[0].pinned(), Some("siem.test"));
    assert_eq!(targets[1].host_and_port(), Some(("::1", 20514)));
    assert_eq!(targets[0].carrier(), Some(Transport::Tls));
}

#[test]
fn each_fault_is_told_with_its_place() {
    let cases = [
        (
            "protocol = \"syslog\"\naddress = \"h:1\"",
            "p:4:",
            "ca is missing",
        ),
        (
            "protocol = \"syslog\"\ntransport = \"tcp\"\naddress = \"h:1\"",
            "p:4:",
            "lossy = true",
        ),
        (
            "protocol = \"relp\"\ntransport = \"udp\"\naddress = \"h:1\"",
            "p:5:",
            "only syslog",
        ),
        (
            "protocol = \"relp\"\ntransport = \"tcp\"\naddress = \"h:0\"",
            "p:6:",
            "HOST:PORT",
        ),
        (
            "protocol = \"relp\"\ntransport = \"tcp\"\naddress = \"a b:1\"",
            "p:6:",
            "HOST:PORT",
        ),
        (
            "protocol = \"relp\"\ntransport = \"tcp\"\nca = \"/x\"\naddress = \"h:1\"",
            "p:6:",
            "only tls",
        ),
        (
            "protocol = \"relp\"\nca = \"x\"\naddress = \"h:1\"",
            "p:5:",
            "absolute",
        ),
        (
            "protocol = \"relp\"\nca = \"/x\"\nkey = \"/x\"\naddress = \"h:1\"",
            "p:6:",
            "belong together",
        ),
        (
            "protocol = \"relp\"\nfingerprints = [\"sha-1:00\"]\naddress = \"h:1\"",
            "p:5:",
            "a fingerprint is wanted",
        ),
        ("protocol = \"cri\"", "p:4:", "path is missing"),
        (
            "protocol = \"journald\"\naddress = \"h:1\"",
            "p:5:",
            "on this host",
        ),
        (
            "protocol = \"journald\"\nfallback = true",
            "p:5:",
            "stand in for",
        ),
        ("protocol = \"journald\"\nkeep = 2", "p:5:", "only files"),
        ("protocol = \"gelf\"", "p:4:", "unknown variant"),
        (
            "protocol = \"journald\"\nretries = 2",
            "p:5:",
            "unknown field",
        ),
        (
            "protocol = \"otlp\"\nca = \"/x\"\naddress = \"h:1\"\npath = \"/a b\"",
            "p:7:",
            "no URL",
        ),
    ];
    for (lines, place, words) in cases {
        let all = told(&format!("[[logs.target]]\nname = \"t\"\n{lines}\n"));
        let found = all
            .iter()
            .any(|l| l.starts_with(place) && l.contains(words));
        assert!(found, "{lines}: {all:#?}");
    }
    let twice = "[[logs.target]]\nname = \"t\"\nprotocol = \"journald\"\n".repeat(2);
    let told = told(&twice);
    assert!(told.iter().any(|l| l.starts_with("p:6:")), "{told:?}");
}
