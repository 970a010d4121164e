//! Every protocol, from a finished service's spool to what the receiver has: all lines, in order, unchanged.

use crate::count::{Count, count, syslog};
use crate::lab::{self, Lab};
use crate::producer::Producer;
use crate::python::{self, Python};
use crate::receivers::{Rsyslog, SyslogNg};
use crate::support;
use cofferdam::logs::Stream;
use cofferdam::policy::{Protocol, Transport};

const LINES: u64 = 5_000;

fn all() -> Count {
    Count {
        stored: LINES,
        ..Count::default()
    }
}

#[test]
fn syslog_over_tls_arrives_whole_though_the_client_ends_at_once() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let target = lab.target("siem", Protocol::Syslog, Transport::Tls, lab::TLS);
    // The service has ended: connect, send, close. TLS 1.3 loses lines here unless the close is drained.
    lab.ship(vec![target], lab.finished(LINES)).delivered();
    assert_eq!(
        syslog(&rsyslog.file("tls"), LINES),
        all(),
        "{}",
        rsyslog.says()
    );
}

#[test]
fn relp_and_relp_over_tls_arrive_whole() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let over = lab.finished(LINES);
    let plain = lab.target("plain", Protocol::Relp, Transport::Tcp, lab::RELP);
    let tls = lab.target("tls", Protocol::Relp, Transport::Tls, lab::RELP_TLS);
    // Two collectors of one spool: each has a cursor of its own.
    let both = [
        lab.ship(vec![plain], over.try_clone().unwrap()),
        lab.ship(vec![tls], over),
    ];
    for one in both {
        one.delivered();
    }
    assert_eq!(
        syslog(&rsyslog.file("relp"), LINES),
        all(),
        "{}",
        rsyslog.says()
    );
    assert_eq!(
        syslog(&rsyslog.file("relptls"), LINES),
        all(),
        "{}",
        rsyslog.says()
    );
}

#[test]
fn plain_tcp_and_udp_arrive_where_nothing_goes_wrong() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let tcp = lab.target("tcp", Protocol::Syslog, Transport::Tcp, lab::TCP);
    let over = lab.finished(LINES);
    lab.ship(vec![tcp], over.try_clone().unwrap()).delivered();
    assert_eq!(
        syslog(&rsyslog.file("tcp"), LINES).lost,
        0,
        "{}",
        rsyslog.says()
    );
    let udp = lab.target("udp", Protocol::Syslog, Transport::Udp, lab::UDP);
    lab.ship(vec![udp], over).delivered();
    lab::until("a datagram", || {
        syslog(&rsyslog.file("udp"), LINES).stored > 0
    });
}

#[test]
fn syslog_ng_reads_the_structured_data() {
    need!(Root);
    if let Some(why) = SyslogNg::missing() {
        return support::skip("syslog_ng_reads_the_structured_data", "syslog-ng", &why);
    }
    let lab = Lab::new();
    let receiver = SyslogNg::new(&lab);
    let running = receiver.start();
    let target = lab.target("ng", Protocol::Syslog, Transport::Tls, lab::TLS);
    lab.ship(vec![target], lab.finished(LINES)).delivered();
    running.end(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(syslog(&receiver.out(), LINES), all());
}

#[test]
fn otlp_arrives_whole_in_others_messages() {
    need!(Root);
    if let Some(why) = python::missing() {
        return support::skip("otlp_arrives_whole_in_others_messages", "otlp", &why);
    }
    for (words, tls) in [
        (&[][..], false),
        (&["busy"], false),
        (&["chunked"], false),
        (&[], true),
    ] {
        let one = std::thread::spawn(move || {
            let lab = Lab::new();
            let receiver = match tls {
                true => Python::otlp_tls(&lab),
                false => Python::otlp(&lab, words),
            };
            let _running = receiver.start();
            let transport = if tls { Transport::Tls } else { Transport::Tcp };
            let target = lab.target("otel", Protocol::Otlp, transport, lab::OTLP);
            lab.ship(vec![target], lab.finished(LINES)).delivered();
            let told = count(receiver.lines().into_iter(), LINES);
            assert_eq!(told, all(), "{words:?} {tls} {}", receiver.says());
        });
        one.join().unwrap();
    }
}

#[test]
fn otlp_records_say_what_they_are() {
    need!(Root);
    if let Some(why) = python::missing() {
        return support::skip("otlp_records_say_what_they_are", "otlp", &why);
    }
    let lab = Lab::new();
    let receiver = Python::otlp(&lab, &["whole"]);
    let _running = receiver.start();
    let (mut producer, over) = Producer::new(&lab.spool());
    producer.frame(Stream::Stdout, "grüße\n".as_bytes());
    producer.frame(Stream::Stderr, b"\xff\x00\n");
    producer.frame(Stream::Event, br#"{"event":"started"}"#);
    producer.end();
    let target = lab.target("otel", Protocol::Otlp, Transport::Tcp, lab::OTLP);
    lab.ship(vec![target], over).delivered();
    let lines = receiver.lines();
    let read = |n: usize| -> serde_json::Value { serde_json::from_str(&lines[n].1).unwrap() };
    assert_eq!(lines.iter().map(|l| l.0).collect::<Vec<_>>(), [1, 2, 3]);
    let (first, second, third) = (read(0), read(1), read(2));
    assert_eq!(first["text"], "grüße");
    assert_eq!(first["about"]["container.id"], "c0ffee");
    assert_eq!(first["about"]["service.name"], "web");
    assert_eq!(
        (&first["severity"], &first["stream"]),
        (&9.into(), &"stdout".into())
    );
    assert_eq!(first["uid"], "launch-1/1");
    assert_eq!(
        (&second["kind"], &second["text"]),
        (&"bytes_value".into(), &"ff00".into())
    );
    assert_eq!(
        (&second["severity"], &second["stream"]),
        (&17.into(), &"stderr".into())
    );
    assert_eq!(
        (&third["stream"], &third["text"]),
        (&"event".into(), &r#"{"event":"started"}"#.into())
    );
}

#[test]
fn what_an_otlp_collector_rejects_is_told_to_it_as_a_gap() {
    need!(Root);
    if let Some(why) = python::missing() {
        return support::skip("what_an_otlp_collector_rejects", "otlp", &why);
    }
    for (word, lost) in [("partial", "3"), ("bad", "50")] {
        let one = std::thread::spawn(move || {
            let lab = Lab::new();
            let receiver = Python::otlp(&lab, &[word]);
            let _running = receiver.start();
            let target = lab.target("otel", Protocol::Otlp, Transport::Tcp, lab::OTLP);
            let notices = lab.ship(vec![target], lab.finished(50)).delivered();
            let lines = receiver.lines();
            assert_eq!(lines.len(), 1, "{word}: only the gap is stored: {lines:?}");
            let gap: serde_json::Value = serde_json::from_str(&lines[0].1).unwrap();
            assert_eq!(
                (lines[0].0, gap["lost"].to_string()),
                (0, lost.to_string()),
                "{word}"
            );
            assert_eq!((&gap["first"], &gap["last"]), (&1.into(), &50.into()));
            assert!(format!("{notices:?}").contains("Rejected"), "{notices:?}");
        });
        one.join().unwrap();
    }
}

#[test]
fn forward_chunks_arrive_whole() {
    need!(Root);
    if let Some(why) = python::missing() {
        return support::skip("forward_chunks_arrive_whole", "fluent", &why);
    }
    let lab = Lab::new();
    let receiver = Python::fluent(&lab);
    let _running = receiver.start();
    let target = lab.target("fluent", Protocol::Fluent, Transport::Tcp, lab::FLUENT);
    lab.ship(vec![target], lab.finished(LINES)).delivered();
    assert_eq!(
        count(receiver.lines().into_iter(), LINES),
        all(),
        "{}",
        receiver.says()
    );
}

#[test]
fn hostile_output_forges_nothing_and_comes_back() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let (mut producer, over) = Producer::new(&lab.spool());
    let lines: [&[u8]; 5] = [
        b"<13>1 2026-01-01T00:00:00Z forged root - - - I am another",
        b"carriage\rreturn \x1b[2J and nul \0 and \xff\xfe",
        b"5 <0>1 short",
        b"1 syslog 5 <0>1 \\x41 stays",
        "änderung \u{85} next line".as_bytes(),
    ];
    for line in lines {
        producer.frame(Stream::Stdout, &[line, b"\n"].concat());
    }
    // 40,000 bytes on one line: three records, and each of them in several messages.
    producer.frame(
        Stream::Stderr,
        &[vec![b'z'; 40_000], b"\n".to_vec()].concat(),
    );
    producer.end();
    for (kind, protocol, transport, port) in [
        ("tls", Protocol::Syslog, Transport::Tls, lab::TLS),
        ("relp", Protocol::Relp, Transport::Tcp, lab::RELP),
    ] {
        let target = lab.target(kind, protocol, transport, port);
        lab.ship(vec![target], over.try_clone().unwrap())
            .delivered();
        let stored = std::fs::read_to_string(rsyslog.file(kind)).unwrap();
        let messages: Vec<&str> = stored.lines().collect();
        for message in &messages {
            assert!(
                message.starts_with("<14>1 ") || message.starts_with("<11>1 "),
                "{message}"
            );
            assert_eq!(message.split(' ').nth(2), Some("host.test"), "{message}");
        }
        let bodies: Vec<&str> = messages
            .iter()
            .filter_map(|m| m.split_once("\"] "))
            .map(|m| m.1)
            .collect();
        assert_eq!(bodies[0].as_bytes(), lines[0]);
        assert_eq!(
            bodies[1],
            r"carriage\x0Dreturn \x1B[2J and nul \x00 and \xFF\xFE"
        );
        assert_eq!(bodies[3].as_bytes(), lines[3]);
        assert_eq!(bodies[4], r"änderung \xC2\x85 next line");
        let long: String = bodies[5..].concat();
        assert_eq!(long, "z".repeat(40_000));
        assert!(
            messages[5].contains(" more=\"1\" part=\"1/"),
            "{}",
            &messages[5][..300]
        );
    }
}
