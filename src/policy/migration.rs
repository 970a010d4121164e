//! `cofferdam policy report`: what launches on record would lose under the strict policy, image by image, and the
//! exceptions that would keep it.
//!
//! Lines of JSON in, a printable value out; the verb reads the file. Decides nothing: it adds up what `decide` noted.

use super::date::Date;
use super::loosened::Loosened;
use crate::controls::ControlId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What is read of a record.
#[derive(Deserialize)]
struct Record {
    result: String,
    image: Option<String>,
    program: String,
    #[serde(default)]
    clamps: Vec<Cut>,
    #[serde(default)]
    exceptions: Vec<Used>,
    #[serde(default)]
    violations: Vec<Broken>,
    requested: String,
}

#[derive(Deserialize)]
struct Cut {
    control: ControlId,
    pointer: String,
    asked: String,
    granted: String,
}

#[derive(Deserialize)]
struct Used {
    control: ControlId,
    grants: String,
    loosens: Loosened,
}

#[derive(Deserialize)]
struct Broken {
    control: ControlId,
    pointer: String,
    found: String,
}

/// The report.
#[must_use]
#[derive(Debug, Default, Serialize)]
pub struct Migration {
    /// By image, or by program where the engine names no image.
    pub images: BTreeMap<String, ImageNeeds>,
    /// Lines that are no records: line number and what is wrong; the first ones.
    pub unreadable: Vec<(usize, String)>,
    /// How many there are beyond those.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable_more: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Texts that are kept of an image, and lines that are shown as unreadable: what is in a record comes from whoever
/// asked, and must not fill the memory.
const KEPT: usize = 1000;

/// What is beyond them.
const OTHERS: &str = "(others)";

/// What one image needs.
#[derive(Debug, Default, Serialize)]
pub struct ImageNeeds {
    /// Whether the key is an image's name.
    pub named: bool,
    /// Launches on record, refused ones too.
    pub launches: usize,
    /// How many of them were refused.
    pub refused: usize,
    /// When the last one was asked for.
    pub last: String,
    /// What exceptions gave it and strict would take, by control.
    pub needs: BTreeMap<ControlId, Need>,
    /// What was cut from it already, and how often: "control pointer: asked -> granted".
    pub cut: BTreeMap<String, usize>,
    /// Why it was refused, and how often.
    pub reasons: BTreeMap<String, usize>,
}

/// What an exception for one control would have to say.
#[derive(Debug, Default, Serialize)]
pub struct Need {
    /// In words, and how often.
    pub grants: BTreeMap<String, usize>,
    /// As the exception's `grant` table.
    pub loosens: Loosened,
}

impl Migration {
    /// Adds one record, a line of JSON; an empty line is none.
    pub fn add_line(&mut self, number: usize, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        match serde_json::from_slice(line) {
            Ok(record) => self.add(record),
            Err(why) => self.unreadable(number, why.to_string()),
        }
    }

    /// Notes a line that is no record.
    pub fn unreadable(&mut self, number: usize, why: String) {
        match self.unreadable.len() < KEPT {
            true => self.unreadable.push((number, why)),
            false => self.unreadable_more += 1,
        }
    }

    fn add(&mut self, record: Record) {
        let named = record.image.is_some();
        let key = record.image.unwrap_or(record.program);
        let image = self.images.entry(key).or_default();
        image.named = named;
        image.launches += 1;
        image.refused += usize::from(record.result == "refused");
        image.last = std::mem::take(&mut image.last).max(record.requested);
        for used in record.exceptions {
            let need = image.needs.entry(used.control).or_default();
            count(&mut need.grants, used.grants);
            need.loosens = need.loosens.and(&used.loosens);
        }
        for cut in record.clamps {
            let text = format!(
                "{} {}: {} -> {}",
                cut.control, cut.pointer, cut.asked, cut.granted
            );
            count(&mut image.cut, text);
        }
        for broken in record.violations {
            let text = format!("{} {}: {}", broken.control, broken.pointer, broken.found);
            count(&mut image.reasons, text);
        }
    }

    /// The exceptions as an exceptions.d file; who approves, and under which reference, is left to fill in, and until
    /// then the file does not load.
    pub fn exceptions(&self, today: Date) -> String {
        let mut out = String::from("version = 1\n");
        for (key, image) in &self.images {
            for (control, need) in &image.needs {
                let grant = toml::Value::try_from(&need.loosens)
                    .map(|v| inline(&v))
                    .unwrap_or_default();
                let words: Vec<&str> = need.grants.keys().map(String::as_str).collect();
                let scope = if image.named {
                    format!("{{ image = {} }}", quoted(key))
                } else {
                    "{ name = \"*\" } # the engine names no image here: narrow this down".into()
                };
                out += &format!(
                    "\n[[exception]]\nid = {}\ncontrol = \"{}\"\ngrant = {grant}\nscope = {scope}\n\
                     reason = {}\napprover = \"\" # fill in\nreference = \"\" # fill in\n\
                     approved = {today}\nexpires = {}\n",
                    quoted(&id_of(key, *control)),
                    control.as_str(),
                    quoted(&format!("seen in use: {}", words.join("; "))),
                    today.plus_days(180),
                );
            }
        }
        out
    }
}

/// Once more; the texts differ by launch where they name what only it had.
fn count(texts: &mut BTreeMap<String, usize>, text: String) {
    let key = match texts.len() < KEPT || texts.contains_key(&text) {
        true => text,
        false => OTHERS.into(),
    };
    *texts.entry(key).or_default() += 1;
}

/// An id that an exception may have.
fn id_of(key: &str, control: ControlId) -> String {
    let part = |text: &str| -> String {
        let letters = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        letters.collect::<String>().trim_matches('-').to_string()
    };
    let short = control.as_str().rsplit('/').next().unwrap_or_default();
    let mut name = part(key);
    name.truncate(200);
    format!("{name}.{short}")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A table on one line.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let keys = table.iter().map(|(k, v)| format!("{k} = {}", inline(v)));
            format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Names in records come from whoever asked: none may move the reader's cursor or begin a line.
fn plain(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.images.is_empty() {
            writeln!(f, "no launch on record")?;
        }
        for (key, image) in &self.images {
            let what = if image.named {
                ""
            } else {
                " (program; the engine names no image)"
            };
            write!(f, "{}{what}: {} launches", plain(key), image.launches)?;
            match image.refused {
                0 => writeln!(f, ", last {}", plain(&image.last))?,
                n => writeln!(f, ", {n} refused, last {}", plain(&image.last))?,
            }
            if image.needs.is_empty() && image.cut.is_empty() && image.reasons.is_empty() {
                writeln!(f, "  runs under strict as it is")?;
            }
            for (control, need) in &image.needs {
                for (grants, count) in &need.grants {
                    writeln!(f, "  needs    {control}  {} ({count}x)", plain(grants))?;
                }
            }
            for (text, count) in &image.cut {
                writeln!(f, "  cut      {} ({count}x)", plain(text))?;
            }
            for (text, count) in &image.reasons {
                writeln!(f, "  refused  {} ({count}x)", plain(text))?;
            }
        }
        for (line, why) in &self.unreadable {
            writeln!(f, "warning: line {line} is no launch record: {why}")?;
        }
        if self.unreadable_more > 0 {
            writeln!(f, "warning: {} more lines are none", self.unreadable_more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_record_is_only_a_name() {
        let line =
            r#"{"result":"verified","image":"a\n\u001b[2Jb","program":"/x","requested":"t"}"#;
        let mut migration = Migration::default();
        migration.add_line(1, line.as_bytes());
        let shown = migration.to_string();
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn what_differs_by_launch_does_not_fill_the_memory() {
        let mut migration = Migration::default();
        for n in 1..=3 * KEPT {
            let line = format!(
                r#"{{"result":"refused","program":"/x","requested":"t","violations":[
                {{"control":"SS-011/8.1.4","pointer":"/p","found":"{n}"}}]}}"#
            );
            migration.add_line(n, line.as_bytes());
            migration.add_line(n, b"{");
        }
        let image = &migration.images["/x"];
        assert_eq!(image.launches, 3 * KEPT);
        assert_eq!(image.reasons.len(), KEPT + 1);
        assert_eq!(image.reasons[OTHERS], 2 * KEPT);
        assert_eq!(migration.unreadable_more, 2 * KEPT);
        assert!(migration.to_string().contains("2000 more lines are none"));
    }
}
