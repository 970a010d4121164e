//! Names and texts: what could be cut short, misread or grow without end is refused with its place.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::is_name;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// Longest string in a config.json, in bytes.
const MAX_STRING: usize = 64 << 10;
/// Longest list in a config.json.
pub(super) const MAX_LIST: usize = 64 << 10;

/// The container's name becomes a file name, a cgroup and a host name.
pub(super) fn name(case: &mut Case<'_>) {
    let name = &case.bundle.name;
    if !is_name(name) {
        let shown: String = name.chars().take(80).collect();
        case.refuse(
            ControlId::S8_1_4,
            "NAME",
            format!("the name {shown:?}"),
            "use letters, digits and _ + . - (1 to 255 bytes, not \".\" or \"..\")",
        );
    }
    if !case.bundle.spec.version().starts_with("1.") {
        let found = format!("{:?}", shorten(case.bundle.spec.version()));
        case.refuse(
            ControlId::S8_1_4,
            "/ociVersion",
            found,
            "versions 1.x of the runtime specification are read",
        );
    }
}

/// Every string and list of config.json.
pub(super) fn all(case: &mut Case<'_>) {
    match serde_json::to_value(case.spec()) {
        Ok(value) => walk(case, &value, &mut String::new()),
        Err(error) => case.refuse(ControlId::S8_1_4, "", error, "write config.json in UTF-8"),
    }
}

fn walk(case: &mut Case<'_>, value: &Value, pointer: &mut String) {
    let back = pointer.len();
    match value {
        Value::String(text) => string(case, text, pointer),
        Value::Array(items) => {
            if items.len() >= MAX_LIST {
                let found = format!("a list of {} entries", items.len());
                case.refuse(
                    ControlId::S8_1_4,
                    pointer,
                    found,
                    format!("at most {} are read", MAX_LIST - 1),
                );
                return;
            }
            for (at, item) in items.iter().enumerate() {
                let _ = write!(pointer, "/{at}");
                walk(case, item, pointer);
                pointer.truncate(back);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                string(case, key, pointer);
                pointer.push('/');
                pointer.push_str(&shorten(&escape(key)));
                walk(case, item, pointer);
                pointer.truncate(back);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn string(case: &mut Case<'_>, text: &str, pointer: &str) {
    if text.len() > MAX_STRING {
        let found = format!("a string of {} bytes", text.len());
        case.refuse(
            ControlId::S8_1_4,
            pointer,
            found,
            format!("at most {MAX_STRING} are read"),
        );
    }
    if text.contains('\0') {
        case.refuse(
            ControlId::S8_1_4,
            pointer,
            "a NUL byte",
            "take it out: the kernel would cut the text there",
        );
    }
}

/// A key as a step of a JSON pointer (RFC 6901).
pub(super) fn escape(key: &str) -> Cow<'_, str> {
    match key.contains(['~', '/']) {
        true => key.replace('~', "~0").replace('/', "~1").into(),
        false => key.into(),
    }
}

/// The beginning of a text, for messages.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(120) {
        None => text.into(),
        Some((at, _)) => format!("{}...", &text[..at]).into(),
    }
}
