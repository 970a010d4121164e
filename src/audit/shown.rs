//! Names that others chose, made fit to be shown: one line, no control codes, nothing that turns the text around.
//!
//! Used wherever a finding quotes a process, a path or a file. Decides nothing.

use std::borrow::Cow;

/// The longest text that a finding quotes, in characters.
pub const QUOTED: usize = 300;

/// `text` with everything escaped that would move the cursor, begin a line or hide itself.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_plain(c) {
            true => out.push(c),
            false => out.extend(c.escape_default()),
        }
    }
    Cow::Owned(out)
}

/// The same, cut to [`QUOTED`] characters.
pub fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(QUOTED).collect();
    let mut out = shown(&head).into_owned();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Bytes of a file of the kernel's: what is not UTF-8 shows as such.
pub fn of_bytes(bytes: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(bytes))
}

/// Not: control codes, separators of lines, and the marks of Unicode that have no width or turn the direction.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_is_escaped() {
        assert_eq!(shown("plain é 日本"), "plain é 日本");
        assert_eq!(shown("a\x1b[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(shown("x\u{202e}y\u{9b}"), "x\\u{202e}y\\u{9b}");
        assert_eq!(of_bytes(b"\xff\0"), "\u{fffd}\\u{0}");
    }

    proptest::proptest! {
        #[test]
        fn one_line_of_printable_characters(text in proptest::prelude::any::<String>()) {
            let shown = quoted(&text);
            proptest::prop_assert!(shown.chars().all(is_plain));
        }
    }
}
