//! Messages by hand, and any bytes whatever.

use super::*;
use crate::policy::{Amount, Protocol};
use proptest::prelude::*;

fn origin() -> Origin {
    Origin {
        id: "c1\" ]".into(),
        name: Some("web shop".into()),
        image: Some("shop@sha256:00".into()),
        host: "host.test".into(),
        boot: "b".into(),
        launch: "l".into(),
    }
}

fn target(most: u64) -> Target {
    Target {
        max_message: Some(Amount(most)),
        ..Target::plain("t", Protocol::Relp)
    }
}

fn all(most: u64, kind: Kind, stream: Stream, bytes: &[u8]) -> Vec<String> {
    let mut made = Vec::new();
    let record = Record {
        seq: 7,
        time_ns: 1_795_323_599_000_001_000,
        stream,
        pid: 0,
        kind,
        bytes,
    };
    let length = std::cell::Cell::new(0);
    let take = |out: &mut Vec<u8>| {
        assert_eq!(out.len(), length.get(), "what it was said to be");
        made.push(
            String::from_utf8(std::mem::take(out)).expect("UTF-8, whatever the program wrote"),
        );
        Ok::<(), ()>(())
    };
    let mut messages = Messages::new(&origin(), &target(most));
    messages
        .each(&record, &mut Vec::new(), |_, told| length.set(told), take)
        .unwrap();
    made
}

#[test]
fn a_line_as_the_rfc_has_it() {
    let sd =
        r#"[ctr@32473 id="c1\" \]" name="web shop" image="shop@sha256:00" boot="b" launch="l" "#;
    assert_eq!(
        all(8192, Kind::Line, Stream::Stdout, "héllo\t\\x".as_bytes()),
        [format!(
            "<14>1 2026-11-22T04:59:59.000001Z host.test web_shop - out {sd}stream=\"stdout\" seq=\"7\"] héllo\t\\x"
        )]
    );
    assert_eq!(
        all(
            8192,
            Kind::Partial,
            Stream::Stderr,
            b"a\xff\\\r\n\x1b[1m\xc2\x85"
        ),
        [format!(
            "<11>1 2026-11-22T04:59:59.000001Z host.test web_shop - err {sd}stream=\"stderr\" seq=\"7\" more=\"1\" \
             enc=\"esc\"] a\\xFF\\x5C\\x0D\\x0A\\x1B[1m\\xC2\\x85"
        )]
    );
    assert!(all(8192, Kind::Gap, Stream::Stdout, b"{}")[0].starts_with("<108>1 "));
    assert!(all(8192, Kind::Line, Stream::Event, b"{}")[0].contains(" - event [ctr@"));
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first == b'\\' {
            let digits = std::str::from_utf8(&rest[1..3]).unwrap();
            out.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &rest[3..];
        } else {
            out.push(first);
        }
    }
    out
}

proptest! {
    #[test]
    fn any_bytes_come_back_and_no_message_is_too_long(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..9000),
            "[ -~é\u{85}\\\\😀]{0,4000}".prop_map(String::into_bytes),
        ],
        most in 1024_u64..5000,
    ) {
        let mut back = Vec::new();
        let made = all(most, Kind::Line, Stream::Stdout, &bytes);
        for message in &made {
            prop_assert!(message.len() as u64 <= most, "{} > {most}", message.len());
            let (head, body) = message.split_once("\"] ").unwrap();
            prop_assert!(!message.chars().any(|c| c.is_control() && c != '\t'));
            prop_assert_eq!(head.contains(" part=\""), made.len() > 1);
            match head.contains("enc=\"esc") {
                true => back.extend(unescaped(body)),
                false => back.extend_from_slice(body.as_bytes()),
            }
        }
        prop_assert_eq!(back, bytes);
    }
}
