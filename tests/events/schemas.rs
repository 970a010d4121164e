//! Every kind of event, and every kind in OCSF's form, before the validators of others; and that these see a mistake.

use crate::every;
use crate::support::schema::{assert_lines, is_there, judge};
use cofferdam::events::{About, Event, ocsf};
use cofferdam::logs::Origin;
use serde_json::Value;

fn all() -> Vec<Event> {
    let about = About {
        id: "web".into(),
        name: Some("shop".into()),
        launch: "1-2".into(),
    };
    let samples = every::samples::samples("some words").into_iter();
    samples.map(|what| what.event(&about, &[])).collect()
}

/// The same with and without an image, as a socket on the host or an engine would have it.
fn in_ocsf() -> Vec<Value> {
    let images = [None, Some("shop:1".to_string())];
    let origins = images.map(|image| Origin {
        id: "web".into(),
        name: None,
        image,
        host: "h".into(),
        boot: "b".into(),
        launch: "1".into(),
    });
    let each = |origin: &Origin| -> Vec<Value> {
        all().iter().map(|event| ocsf::of(event, origin)).collect()
    };
    origins.iter().flat_map(each).collect()
}

#[test]
fn every_kind_is_as_the_published_schema_says() {
    assert_lines("events", all().iter().map(Event::line));
}

#[test]
fn every_kind_is_an_ocsf_event() {
    assert_lines("ocsf", in_ocsf().iter().map(Value::to_string));
}

#[test]
fn the_validators_see_what_is_wrong() {
    if !is_there() {
        return;
    }
    let event = serde_json::to_value(&all()[0]).unwrap();
    let seen = |kind: &str, from: &Value, change: &dyn Fn(&mut Value)| {
        let mut changed = from.clone();
        change(&mut changed);
        let ran = judge(kind, [from.to_string(), changed.to_string()]);
        assert!(ran.code == 1 && ran.out.contains("2 lines"), "{ran:#?}");
    };
    let drop = |value: &mut Value, key: &str| drop(value.as_object_mut().unwrap().remove(key));
    seen("events", &event, &|e| drop(e, "program"));
    seen("events", &event, &|e| e["by"]["way"] = "door".into());
    seen("events", &event, &|e| e["kind"] = "unheard-of".into());
    seen("events", &event, &|e| e["stranger"] = 1.into());
    let started = in_ocsf().remove(6);
    seen("ocsf", &started, &|e| drop(e, "process"));
    seen("ocsf", &started, &|e| e["severity_id"] = "high".into());
}
