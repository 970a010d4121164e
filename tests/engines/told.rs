//! What a site hears of a container that an engine runs: the whole story is in the spool, and the same at its collector.

use crate::host::{Host, STRICT};
use crate::support::schema::{assert_events, assert_lines};
use cofferdam::events::{Event, What, parse};
use serde_json::Value;

/// Where the receiver listens, on the host's own loopback.
const PORT: u16 = 12514;

/// rsyslog with RELP: what it has acknowledged is in the file.
const RSYSLOG: &str = r#"global(workDirectory="/run" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
main_queue(queue.type="Direct")
module(load="imrelp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="relp") { action(type="omfile" file="/run/relp.log" template="raw") }
input(type="imrelp" port="12514" address="127.0.0.1" ruleset="relp" maxDataSize="64k")
"#;

/// A site's policy with a spool and a collector.
fn policy() -> String {
    format!(
        "{STRICT}\n[logs]\nspool = \"/var/log/cofferdam-spool\"\n\n[[logs.target]]\nname = \"siem\"\nprotocol = \"relp\"\n\
         transport = \"tcp\"\naddress = \"127.0.0.1:{PORT}\"\n"
    )
}

/// Starts the receiver, and a policy that names it.
pub fn prepare(host: &Host) {
    host.write("/etc/rsyslog-test.conf", RSYSLOG);
    host.daemon(
        "rsyslogd",
        "rsyslogd -n -f /etc/rsyslog-test.conf -i /run/rsyslogd.pid",
    );
    let listens = format!("grep -q ':{PORT:04X} 00000000:0000 0A' /proc/net/tcp");
    host.until("rsyslog listens", |h| h.script(&listens).ended());
    host.write("/etc/cofferdam/policy.toml", &policy());
}

/// The events of a container in the spool, in order.
fn kept(host: &Host, id: &str) -> Vec<Event> {
    let shown = host.call(&[&host.runtime(), "logs", "--stream", "event", "--json", id]);
    let lines = shown.out.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        parse(record["text"].as_str().unwrap().as_bytes()).unwrap()
    });
    lines.collect()
}

/// Those that the receiver has written down, in order.
fn received(host: &Host, id: &str) -> Vec<Event> {
    let all = host.script("cat /run/relp.log 2>/dev/null").out;
    let own = all.lines().filter_map(|line| {
        let at = line.find("{\"version\":")?;
        parse(&line.as_bytes()[at..]).ok()
    });
    own.filter(|event| event.id == id).collect()
}

/// The story of a container that ran `unshare -U true`: it was refused that, and ended with 1.
pub fn assert_told(host: &Host, id: &str, called: Option<&str>) {
    let ended = |events: &[Event]| events.iter().any(|e| matches!(e.what, What::Exited { .. }));
    let arrived = host.until("the end, at the receiver", |h| {
        let arrived = received(h, id);
        ended(&arrived).then_some(arrived)
    });
    let kept = kept(host, id);
    // What the shipper says about itself goes into the spool while it ships: behind the end there may be more.
    assert_eq!(kept[..arrived.len()], arrived);
    assert!(ended(&kept), "{kept:#?}");
    assert_events(&kept);
    let kinds: Vec<String> = arrived.iter().map(|e| e.what.kind()).collect();
    let story = [
        "launch-requested",
        "identity",
        "granted",
        "verified",
        "started",
        "denied-call",
        "exited",
    ];
    let found: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let found: Vec<&str> = found.into_iter().filter(|k| story.contains(k)).collect();
    assert_eq!(found, story, "{kinds:?}");
    assert!(
        arrived
            .iter()
            .all(|e| e.unsent == 0 && e.launch == arrived[0].launch)
    );
    if let Some(called) = called {
        assert!(
            arrived.iter().all(|e| e.name.as_deref() == Some(called)),
            "{arrived:#?}"
        );
    }
    for event in &arrived {
        let controls: Vec<&str> = event.controls.iter().map(|c| c.as_str()).collect();
        match &event.what {
            What::LaunchRequested { by, program, .. } => {
                assert_eq!((by.uid, program.as_str()), (0, "unshare"));
                assert_eq!(serde_json::to_value(by.way).unwrap(), "engine");
            }
            What::Granted { clamps, .. } => {
                let told = kinds.iter().filter(|k| *k == "clamped").count() as u64;
                assert!(*clamps > 0 && told == *clamps, "{clamps} {kinds:?}");
            }
            What::Clamped { pointer, .. } => {
                assert!(
                    pointer.starts_with('/') && !controls.is_empty(),
                    "{event:#?}"
                );
            }
            What::Verified { checked, .. } => assert!(*checked > 100, "{checked}"),
            What::DeniedCall {
                call,
                answer,
                count,
                arguments,
                ..
            } => {
                assert_eq!(
                    (call.as_str(), answer.as_str(), *count),
                    ("unshare", "EPERM", 1)
                );
                assert_eq!(arguments, &["flags=CLONE_NEWUSER"]);
                assert_eq!(controls, ["SS-011/8.4.5"]);
            }
            What::Exited { code, signal, .. } => assert_eq!((*code, *signal), (Some(1), None)),
            _ => {}
        }
    }
    let own = cofferdam::logs::Origin {
        id: id.into(),
        name: None,
        image: None,
        host: "h".into(),
        boot: "b".into(),
        launch: arrived[0].launch.clone(),
    };
    let ocsf = arrived
        .iter()
        .map(|e| cofferdam::events::ocsf::of(e, &own).to_string());
    assert_lines("ocsf", ocsf);
}
