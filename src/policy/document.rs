//! A TOML file with places: each problem becomes "file:line:column: sentence", and all are collected.
//!
//! Pure: text and a name in, values and [`Diagnostic`]s out. Called by `ceilings`, `exceptions`, `layers`.

use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One problem in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The file's name as given.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What was found and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl Diagnostic {
    /// A problem at a byte range of a text.
    pub fn at(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: one_line(&message.into()),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A parsed file that remembers where everything stands.
pub struct Document<'a> {
    file: &'a str,
    text: &'a str,
    table: DeTable<'a>,
}

impl<'a> Document<'a> {
    /// Parses the text; syntax errors are all reported, and `None` is returned if there is any.
    pub fn parse(file: &'a str, text: &'a str, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            problems.push(Diagnostic::at(file, text, span, error.message()));
        }
        errors.is_empty().then(|| Self {
            file,
            text,
            table: table.into_inner(),
        })
    }

    /// Reports keys of the top level that are not in the list.
    pub fn only(&self, known: &[&str], problems: &mut Vec<Diagnostic>) {
        for key in self.table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let message = format!(
                    "unknown key {:?}, expected one of {}",
                    key.get_ref(),
                    known.join(", ")
                );
                problems.push(Diagnostic::at(self.file, self.text, key.span(), message));
            }
        }
    }

    /// One key of the top level, if it is there and right; problems in it are reported.
    pub fn value<T: DeserializeOwned>(
        &self,
        key: &str,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<T> {
        self.read(self.table.get(key)?, problems)
    }

    /// The elements of an array of tables, each on its own: one that is wrong doesn't hide the others.
    pub fn each<T: DeserializeOwned>(
        &self,
        key: &str,
        problems: &mut Vec<Diagnostic>,
    ) -> Vec<(usize, T)> {
        let Some(found) = self.table.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = found.get_ref() else {
            let message = format!("{key} must be an array of tables: write [[{key}]]");
            problems.push(Diagnostic::at(self.file, self.text, found.span(), message));
            return Vec::new();
        };
        let read = |(at, item)| self.read(item, problems).map(|value| (at, value));
        items.iter().enumerate().filter_map(read).collect()
    }

    fn read<T: DeserializeOwned>(
        &self,
        value: &Spanned<DeValue<'a>>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<T> {
        T::deserialize(value.clone().into_deserializer())
            .map_err(|error| {
                let span = error.span().unwrap_or_else(|| value.span());
                let message = error.message();
                problems.push(Diagnostic::at(self.file, self.text, span, message));
            })
            .ok()
    }

    /// A problem at the value that lies at this path; at the nearest known place above it otherwise.
    pub fn problem(&self, path: &[&str], message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.file, self.text, self.span(path), message)
    }

    fn span(&self, path: &[&str]) -> Range<usize> {
        let Some((first, rest)) = path.split_first() else {
            return 0..0;
        };
        let Some(mut here) = self.table.get(*first) else {
            return 0..0;
        };
        for step in rest {
            let next = match here.get_ref() {
                DeValue::Table(table) => table.get(*step),
                DeValue::Array(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                _ => None,
            };
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        here.span()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "a = 1\nä = \"é\"\nb = [1, x]\n";
        let mut problems = Vec::new();
        assert!(Document::parse("f.toml", text, &mut problems).is_none());
        assert!(
            problems[0].to_string().starts_with("f.toml:2:"),
            "{problems:?}"
        );
        let d = Diagnostic::at("f", "a\nöb", 4..5, "x\n  y");
        assert_eq!(d.to_string(), "f:2:2: x y");
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_all_reported() {
        let text =
            "version = 1\nwrong = 2\n[t]\na = 1\n[[e]]\nn = \"x\"\n[[e]]\nn = 3\n[[e]]\nn = 4\n";
        let mut problems = Vec::new();
        let doc = Document::parse("f", text, &mut problems).unwrap();
        doc.only(&["version", "t", "e"], &mut problems);
        #[derive(serde::Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct E {
            #[allow(dead_code)]
            n: String,
        }
        let good: Vec<(usize, E)> = doc.each("e", &mut problems);
        assert_eq!(good.len(), 1);
        let lines: Vec<usize> = problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [2, 8, 10], "{problems:?}");
        assert_eq!(doc.problem(&["e", "2", "n"], "here").line, 10);
    }
}
