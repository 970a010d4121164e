//! Finds which value of a JSON text a line and column lie in: the JSON pointer (RFC 6901) for an error's sentence.
//!
//! Works on any text, broken ones too: it goes as far as the place and says where it is. Called by `load` alone.

/// One level of nesting.
enum Level {
    /// In an object, behind this key (escaped).
    Key(String),
    /// In an array, at this element.
    Index(usize),
}

/// The pointer to the value at `line` and `column`, both counted from 1 as serde_json does (column in bytes, and the
/// one just read); "(document)" for the whole.
pub(super) fn at(text: &[u8], line: usize, column: usize) -> String {
    let start: usize = text
        .split(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(|l| l.len() + 1)
        .sum();
    let end = (start + column).min(text.len());
    let mut levels = Vec::new();
    let mut expects_key = false;
    let mut rest = text.iter().take(end).copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                let string = string(&mut rest);
                if expects_key && let Some(Level::Key(key)) = levels.last_mut() {
                    *key = string;
                    expects_key = false;
                }
            }
            b'{' => {
                levels.push(Level::Key(String::new()));
                expects_key = true;
            }
            b'[' => levels.push(Level::Index(0)),
            b'}' | b']' => {
                levels.pop();
                expects_key = false;
            }
            b',' => match levels.last_mut() {
                Some(Level::Index(index)) => *index += 1,
                Some(Level::Key(_)) => expects_key = true,
                None => {}
            },
            _ => {}
        }
    }
    let pointer: String = levels
        .iter()
        .map(|level| match level {
            Level::Key(key) if key.is_empty() => String::new(),
            Level::Key(key) => format!("/{key}"),
            Level::Index(index) => format!("/{index}"),
        })
        .collect();
    if pointer.is_empty() {
        "(document)".into()
    } else {
        pointer
    }
}

/// The rest of a string up to its closing quote, at most 256 bytes of it, escaped for a pointer.
fn string(rest: &mut impl Iterator<Item = u8>) -> String {
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => {
                rest.next();
                bytes.push(b'?');
            }
            byte => bytes.push(byte),
        }
    }
    bytes.truncate(256);
    String::from_utf8_lossy(&bytes)
        .replace('~', "~0")
        .replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::at;

    #[track_caller]
    fn found(text: &str, marker: char, expected: &str) {
        let place = text.find(marker).unwrap();
        let line = text[..place].matches('\n').count() + 1;
        let column = place - text[..place].rfind('\n').map_or(0, |n| n + 1) + 1;
        assert_eq!(at(text.as_bytes(), line, column), expected, "{text}");
    }

    #[test]
    fn places() {
        found(r#"{"a":{"b":[1,{"c":#}]}}"#, '#', "/a/b/1/c");
        found("{\"a\": 1,\n \"b\": [true, #]}", '#', "/b/1");
        found(r#"{"a":{"x":1},"b":#}"#, '#', "/b");
        found(r#"{"a/b~c":#}"#, '#', "/a~1b~0c");
        found(r#"{"a":"}]{\",#"}"#, '#', "/a");
        // A missing field is noticed where its object ends.
        found(r#"{"a":{"b":1}}"#, '}', "/a");
        found("#", '#', "(document)");
        assert_eq!(at(b"{", 1, 1), "(document)");
        assert_eq!(at(b"", 9, 9), "(document)");
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_place(text in "[\\[\\]{}\",:a\\\\ \n]{0,60}", line in 0usize..9, column in 0usize..70) {
            proptest::prop_assert!(!at(text.as_bytes(), line, column).is_empty());
        }
    }
}
