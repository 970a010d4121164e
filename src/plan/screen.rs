//! The plan as one screen of text: topic, deed, controls; then clamps, exceptions, lacks.

use super::{Plan, in_front};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (template {})", self.name, self.template.name())?;
        let mut last = "";
        for line in self.lines() {
            let topic = if line.topic == last { "" } else { line.topic };
            last = line.topic;
            write!(f, "  {topic:<13}{}", line.text)?;
            if !line.controls.is_empty() {
                let ids: Vec<&str> = line.controls.iter().map(|c| short(c.as_str())).collect();
                write!(f, "  [{}]", ids.join(" "))?;
            }
            writeln!(f)?;
        }
        for clamp in &self.clamps {
            writeln!(
                f,
                "  {:<13}{}{} -> {}  [{}]",
                "clamped",
                in_front(&clamp.pointer),
                clamp.asked,
                clamp.granted,
                clamp.control
            )?;
        }
        for waiver in &self.waivers {
            writeln!(
                f,
                "  {:<13}{}: {} until {}, {}, approved by {}  [{}]",
                "exception",
                waiver.exception,
                waiver.grants,
                waiver.expires,
                waiver.reference,
                waiver.approver,
                waiver.control
            )?;
        }
        for lack in &self.lacks {
            writeln!(
                f,
                "  {:<13}{}: {}  [{}]",
                "not here", lack.what, lack.lost, lack.control
            )?;
        }
        Ok(())
    }
}

/// "SS-011/8.4.7" as "8.4.7": the screen has no room for the same word on every line.
fn short(id: &str) -> &str {
    id.strip_prefix("SS-011/").unwrap_or(id)
}
