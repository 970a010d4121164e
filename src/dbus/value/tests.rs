//! Against bytes of the specification, there and back for any value, and never a panic for any bytes.

use super::super::reader::Reader;
use super::super::{Kind, Message};
use super::*;
use proptest::prelude::*;

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}

#[test]
fn as_the_specification_says() {
    assert_eq!(written(&Value::text("foo")), b"\x03\0\0\0foo\0");
    assert_eq!(written(&Value::Signature("su".into())), b"\x02su\0");
    let array = Value::Array("t".into(), vec![Value::long(5)]);
    assert_eq!(written(&array), b"\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
    let none = Value::Array("t".into(), Vec::new());
    assert_eq!(written(&none), b"\0\0\0\0\0\0\0\0");
    let both = Value::Struct(vec![Value::bytes(&[7]), Value::flag(true).variant()]);
    assert_eq!(both.signature(), "(ayv)");
    assert_eq!(written(&both), b"\x01\0\0\0\x07\x01b\0\x01\0\0\0");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for types in ["a", "(", "()", "(s", "a{", "z", "sa", &"a".repeat(99)] {
        assert!(Reader::new(&[0; 64], 0).all(types).is_err(), "{types}");
    }
    // An array that claims more than there is, and a text without its end.
    assert!(Reader::new(b"\xff\xff\xff\xff", 0).all("ay").is_err());
    assert!(Reader::new(b"\x01\0\0\0ab", 0).all("s").is_err());
}

fn values() -> impl Strategy<Value = Value> {
    let fixed = prop_oneof![
        any::<u8>().prop_map(|n| Value::Fixed(Basic::Byte, n.into())),
        any::<bool>().prop_map(Value::flag),
        any::<u16>().prop_map(|n| Value::Fixed(Basic::Short('q'), n.into())),
        any::<u32>().prop_map(Value::word),
        any::<u64>().prop_map(Value::long),
    ];
    let text = "[a-z\u{e4}]{0,9}".prop_map(Value::Text);
    let path = "/[a-z]{0,9}".prop_map(Value::Path);
    let leaf = prop_oneof![fixed, text, path];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
            inner.clone().prop_map(Value::variant),
            (inner, 0..3usize).prop_map(|(one, n)| Value::Array(one.signature(), vec![one; n])),
        ]
    })
}

proptest! {
    #[test]
    fn there_and_back(body in prop::collection::vec(values(), 0..4), serial in 1..u32::MAX) {
        let message = Message {
            path: Some("/a/b".into()),
            member: Some("Member".into()),
            destination: Some("org.example".into()),
            reply_to: Some(serial),
            body,
            ..Message::new(Kind::Call, serial)
        };
        let bytes = message.bytes();
        prop_assert_eq!(Message::length(&bytes).unwrap(), bytes.len());
        prop_assert_eq!(Message::parse(&bytes).unwrap(), Some(message));
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 16..200), at in 0..200usize, by: u8) {
        bytes[0] = b'l';
        bytes[3] = 1;
        let _ = Message::parse(&bytes);
        // One byte of a good message changed, which gets further.
        let good = Message { member: Some("M".into()), body: vec![Value::text("x").variant()], ..Message::new(Kind::Signal, 1) };
        let mut changed = good.bytes();
        let at = at % changed.len();
        changed[at] = by;
        let _ = Message::parse(&changed);
        let _ = Reader::new(&bytes, 0).all("a(yv)sva{sv}");
    }
}
