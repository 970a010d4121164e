//! /proc/PID/mountinfo (proc_pid_mountinfo(5)): a parser, nothing else. Octal escapes are undone.
//!
//! Called by `probe`; lines that are not as documented are left out.

use std::borrow::Cow;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Folder of the file system that is mounted.
    pub root: Cow<'a, str>,
    /// Where.
    pub point: Cow<'a, str>,
    /// Whether this mount or its whole file system is read-only.
    pub readonly: bool,
    /// File system type.
    pub kind: &'a str,
    /// Options of the file system.
    pub options: &'a str,
}

pub(super) fn parse(text: &str) -> Vec<Entry<'_>> {
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let (mut rest, mut fields) = (line, [""; 6]);
    for field in &mut fields {
        (*field, rest) = next(rest)?;
    }
    let [_, _, _, root, point, flags] = fields;
    let mut optional = "";
    while optional != "-" {
        (optional, rest) = next(rest)?;
    }
    let (kind, rest) = next(rest)?;
    // The source may be empty, which leaves two spaces in a row; the options are the last field.
    let options = rest.rfind(' ').map_or(rest, |at| &rest[at + 1..]);
    let readonly = |options: &str| options.split(',').any(|o| o == "ro");
    Some(Entry {
        root: unescape(root),
        point: unescape(point),
        readonly: readonly(flags) || readonly(options),
        kind,
        options,
    })
}

/// The field in front of the next space, and what is behind it.
fn next(rest: &str) -> Option<(&str, &str)> {
    match rest.find(' ') {
        Some(at) => Some((&rest[..at], &rest[at + 1..])),
        None if rest.is_empty() => None,
        None => Some((rest, "")),
    }
}

/// `\040` and its like: space, tab, newline, backslash and `#` are written as three octal digits.
fn unescape(field: &str) -> Cow<'_, str> {
    if !field.contains('\\') {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_escapes() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402\\011x rw,noatime master:1 shared:2 - ext3 /dev/root ro,errors=continue\n\
                    37 35 0:5 / /a\\134040 ro - tmpfs  rw\nnot a mount\n38 35 0:5 / /b\n";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].root, "/mnt1");
        assert_eq!(all[0].point, "/mnt 2\tx");
        assert!(all[0].readonly);
        assert_eq!(all[0].kind, "ext3");
        assert_eq!(all[1].point, "/a\\040");
        assert_eq!(all[1].options, "rw");
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(unescape("a\\04"), "a\\04");
        assert_eq!(unescape("a\\999"), "a\\999");
        assert_eq!(unescape("\\"), "\\");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = parse(&text);
            let _ = unescape(&text);
        }

        #[test]
        fn lines_of_any_fields(fields in proptest::collection::vec("[ -~]{0,12}", 0..14)) {
            let _ = parse(&format!("{} - {}", fields.join(" "), fields.join(",")));
        }
    }
}
