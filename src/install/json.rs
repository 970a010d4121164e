//! Edits of a JSON file that leave every other byte of it as it is: order, indentation and empty lines are the admin's.

use serde_json::Value;
use std::ops::Range;

/// One member of an object, as it stands in the text.
struct Member {
    key: String,
    whole: Range<usize>,
    value: Range<usize>,
}

/// Something else stands where an object is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an object")]
pub struct NotAnObject(pub String);

/// The text with `path` set to `value`. `text` must be valid JSON.
pub fn set(text: &str, path: &[&str], value: &Value) -> Result<String, NotAnObject> {
    set_in(text, first_of(text, 0), path, path, value)
}

fn set_in(
    text: &str,
    at: usize,
    path: &[&str],
    whole: &[&str],
    value: &Value,
) -> Result<String, NotAnObject> {
    let members = members(text, at).ok_or_else(|| not_an_object(whole, path))?;
    let [key, rest @ ..] = path else {
        return Ok(text.into());
    };
    if let Some(member) = members.iter().find(|m| m.key == *key) {
        if !rest.is_empty() {
            return set_in(text, member.value.start, rest, whole, value);
        }
        let (before, after) = (&text[..member.value.start], &text[member.value.end..]);
        return Ok(format!(
            "{before}{}{after}",
            shown(value, &indent_at(text, member.whole.start))
        ));
    }
    let value = rest.iter().rev().fold(
        value.clone(),
        |inner, key| serde_json::json!({ *key: inner }),
    );
    let indent = match members.first() {
        Some(member) => indent_at(text, member.whole.start),
        None => indent_at(text, at) + "  ",
    };
    let member = format!(
        "\n{indent}{}: {}",
        Value::from(*key),
        shown(&value, &indent)
    );
    Ok(match members.last() {
        Some(last) => {
            let (before, after) = text.split_at(last.whole.end);
            format!("{before},{member}{after}")
        }
        None => {
            let end = close_of(text, at);
            let outer = indent_at(text, at);
            format!("{}{member}\n{outer}{}", &text[..=at], &text[end..])
        }
    })
}

/// The text without `path`; as it is where there is no such thing. An object that becomes empty goes too.
pub fn remove(text: &str, path: &[&str]) -> String {
    let Some(mut member) = find(text, path) else {
        return text.into();
    };
    let mut path = path;
    while let [parent @ .., _] = path {
        let at = find(text, parent).map_or(0, |m| m.value.start);
        if parent.is_empty() || members(text, at).is_some_and(|m| m.len() > 1) {
            break;
        }
        let Some(outer) = find(text, parent) else {
            break;
        };
        (member, path) = (outer, parent);
    }
    let after = text[member.whole.end..].trim_start();
    if let Some(rest) = after.strip_prefix(',') {
        let before = text[..member.whole.start].trim_end();
        return format!("{before}{rest}");
    }
    let before = text[..member.whole.start].trim_end();
    let before = before.strip_suffix(',').unwrap_or(before);
    format!("{before}{}", &text[member.whole.end..])
}

fn find(text: &str, path: &[&str]) -> Option<Member> {
    let mut at = first_of(text, 0);
    let mut found = None;
    for key in path {
        let member = members(text, at)?.into_iter().find(|m| m.key == *key)?;
        at = member.value.start;
        found = Some(member);
    }
    found
}

fn not_an_object(whole: &[&str], rest: &[&str]) -> NotAnObject {
    NotAnObject(format!("/{}", whole[..whole.len() - rest.len()].join("/")))
}

/// The value in the file's indentation.
fn shown(value: &Value, indent: &str) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.replace('\n', &format!("\n{indent}"))
}

/// The white space that the line of this place begins with.
fn indent_at(text: &str, at: usize) -> String {
    let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
    text[line..]
        .chars()
        .take_while(|c| *c == ' ' || *c == '\t')
        .collect()
}

fn first_of(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    from + (rest.len() - rest.trim_start().len())
}

/// The members of the object that begins here; `None`: it is no object.
fn members(text: &str, at: usize) -> Option<Vec<Member>> {
    if text.as_bytes().get(at) != Some(&b'{') {
        return None;
    }
    let mut out = Vec::new();
    let mut place = first_of(text, at + 1);
    while text.as_bytes().get(place) == Some(&b'"') {
        let key_end = end_of_value(text, place);
        let key: String = serde_json::from_str(&text[place..key_end]).ok()?;
        let colon = first_of(text, key_end);
        let value = first_of(text, colon + 1);
        let end = end_of_value(text, value);
        out.push(Member {
            key,
            whole: place..end,
            value: value..end,
        });
        let next = first_of(text, end);
        place = match text.as_bytes().get(next) {
            Some(b',') => first_of(text, next + 1),
            _ => break,
        };
    }
    Some(out)
}

fn close_of(text: &str, at: usize) -> usize {
    end_of_value(text, at) - 1
}

/// Where the value that begins here ends: the text is valid, so brackets match and strings close.
fn end_of_value(text: &str, at: usize) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (index, byte) in text.bytes().enumerate().skip(at) {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    if depth == 0 {
                        return index + 1;
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return index,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            b',' if depth == 0 => return index,
            _ if depth == 0 && byte.is_ascii_whitespace() => return index,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_rest_stays_as_it_is() {
        let text = "{\n    \"log-level\" : \"warn\",\n\n    \"a\": [1, {\"b\": \"}\\\"\"}]\n}\n";
        let set = set(text, &["runtimes", "x"], &json!({"path": "/x"})).unwrap();
        assert_eq!(
            set,
            "{\n    \"log-level\" : \"warn\",\n\n    \"a\": [1, {\"b\": \"}\\\"\"}],\n    \"runtimes\": {\n      \"x\": {\n        \"path\": \"/x\"\n      }\n    }\n}\n"
        );
        assert_eq!(remove(&set, &["runtimes", "x"]), text);
    }

    #[test]
    fn neighbours_stay() {
        let text = r#"{"runtimes": {"a": {}, "b": 1}, "z": 2}"#;
        assert_eq!(
            remove(text, &["runtimes", "a"]),
            r#"{"runtimes": { "b": 1}, "z": 2}"#
        );
        assert_eq!(
            remove(text, &["runtimes", "b"]),
            r#"{"runtimes": {"a": {}}, "z": 2}"#
        );
        assert_eq!(remove(text, &["runtimes", "c"]), text);
        assert_eq!(
            set(text, &["z"], &json!(3)).unwrap(),
            r#"{"runtimes": {"a": {}, "b": 1}, "z": 3}"#
        );
        assert_eq!(set("[]", &["z"], &json!(3)), Err(NotAnObject("/".into())));
        assert_eq!(
            set(text, &["z", "y"], &json!(3)),
            Err(NotAnObject("/z".into()))
        );
        assert_eq!(set("{}", &["z"], &json!(3)).unwrap(), "{\n  \"z\": 3\n}");
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ -~\"\\\\{}é]{0,8}".prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d\"{]{1,2}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever the file says: the edit sets its one thing, and taking it back changes nothing else.
        #[test]
        fn set_and_remove(document in documents(), pretty: bool, key in "[a-d]{1,2}") {
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
            match set(&text, &[&key, "ours"], &json!({"path": 1})) {
                Err(_) => prop_assert!(!document.is_object() || document.get(&key).is_some_and(|v| !v.is_object())),
                Ok(edited) => {
                    let mut want = document.clone();
                    want[&key]["ours"] = json!({"path": 1});
                    prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), want);
                    let mut left = document.clone();
                    if left.get(&key).and_then(Value::as_object).is_some_and(|o| o.is_empty()) {
                        left.as_object_mut().unwrap().remove(&key);
                    }
                    let removed = remove(&edited, &[&key, "ours"]);
                    prop_assert_eq!(serde_json::from_str::<Value>(&removed).unwrap(), left);
                }
            }
        }
    }
}
