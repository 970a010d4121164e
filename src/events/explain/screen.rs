//! The explanation as a table that fits a terminal: a line a row, and below it why and what would let it pass.

use super::{Explanation, Row};

/// The narrowest that is filled.
const LEAST: usize = 40;

impl Explanation {
    /// For a terminal of so many columns.
    pub fn screen(&self, columns: usize) -> String {
        let columns = columns.max(LEAST);
        let mut out = String::new();
        let mut add = |text: String| out += &wrapped(&text, columns);
        match (self.rows.is_empty(), self.events) {
            (false, _) => {}
            (true, 0) => add(format!("{}: there are no events of it", self.name)),
            (true, n) => add(format!("{}: nothing was refused in {n} events", self.name)),
        }
        for row in &self.rows {
            match head(row, columns) {
                Ok(line) => out += &line,
                Err(two) => two.iter().for_each(|line| out += &wrapped(line, columns)),
            }
            for line in below(row) {
                out += &wrapped(&line, columns);
            }
        }
        let mut add = |text: String| out += &wrapped(&text, columns);
        let (more, untold) = (self.more, self.untold);
        if more + untold > 0 {
            add(format!(
                "and {more} more kinds; {untold} refused calls and accesses were counted only"
            ));
        }
        if self.missing > 0 {
            add(format!("{} events could not be told or read", self.missing));
        }
        if let Some(ended) = &self.ended {
            add(format!("{}: {ended}", self.name));
        }
        out
    }
}

/// What was tried on the left; answer, count and time on the right; or two lines where they don't fit on one.
fn head(row: &Row, columns: usize) -> Result<String, [String; 2]> {
    let times = match row.count {
        1 => clock(&row.last),
        n if row.first == row.last => format!("{n} times, {}", clock(&row.last)),
        n => format!("{n} times, {} to {}", clock(&row.first), clock(&row.last)),
    };
    let right = format!("{}  {times}", row.answer);
    let used = row.tried.chars().count() + right.chars().count();
    match columns.checked_sub(used).filter(|gap| *gap >= 2) {
        Some(gap) => Ok(format!("{}{}{right}\n", row.tried, " ".repeat(gap))),
        None => Err([row.tried.clone(), format!("  {right}")]),
    }
}

fn below(row: &Row) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(control), Some(title)) = (row.control, row.title) {
        lines.push(format!("  {control} {title}"));
    }
    if !row.why.is_empty() {
        lines.push(format!("  why: {}", row.why));
    }
    if !row.remedy.is_empty() {
        lines.push(format!("  lets it pass: {}", row.remedy));
    }
    lines
}

/// "2026-11-22T05:00:00.000000Z" to the second, without the letters.
fn clock(time: &str) -> String {
    time.chars()
        .take(19)
        .map(|c| if c == 'T' { ' ' } else { c })
        .collect()
}

/// In lines of so many columns, those after the first further in.
fn wrapped(text: &str, columns: usize) -> String {
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut out = String::new();
    let mut line = indent.clone();
    let mut used = indent.chars().count();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let fresh = line.trim().is_empty();
        if !fresh && used + 1 + word.len() > columns {
            out += &format!("{}\n", line.trim_end());
            line = format!("{indent}    ");
            used = indent.len() + 4;
        } else if !fresh {
            line.push(' ');
            used += 1;
        }
        while used + word.len() > columns {
            let room = columns - used;
            line.extend(word.drain(..room));
            out += &format!("{line}\n");
            line = format!("{indent}    ");
            used = indent.len() + 4;
        }
        line.extend(&word);
        used += word.len();
    }
    out + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use crate::events::explain::Explanation;
    use crate::events::samples::samples;
    use crate::events::tests::about;

    #[test]
    fn it_fits_whatever_the_terminal_and_whatever_was_tried() {
        for text in [
            "x",
            &"long words that go on ".repeat(50),
            &"x".repeat(3000),
            "\u{1b}[2J\u{202e}",
        ] {
            let mut all = Explanation::of("web");
            for what in samples(text) {
                all.add(&what.event(&about("web"), &[]));
            }
            for columns in [0, 40, 80, 200] {
                let screen = all.screen(columns);
                for line in screen.lines() {
                    assert!(line.chars().count() <= columns.max(40), "{line}");
                    assert!(!line.chars().any(char::is_control), "{line:?}");
                }
                assert!(screen.contains("SS-011/8.1.4") && screen.contains("EPERM"));
            }
        }
    }

    #[test]
    fn equal_ones_are_added_up_and_there_is_an_end_to_them() {
        let mut all = Explanation::of("web");
        for at in 0..3000 {
            for what in samples(&at.to_string()).drain(8..9) {
                all.add(&what.event(&about("web"), &[]));
                let other = what_of(at);
                all.add(&other.event(&about("other"), &[]));
            }
        }
        assert_eq!((all.rows.len(), all.more, all.events), (1000, 2000, 3000));
        let mut same = Explanation::of("web");
        for _ in 0..10 {
            same.add(&what_of(1).event(&about("web"), &[]));
        }
        assert_eq!((same.rows.len(), same.rows[0].count), (1, 90));
    }

    fn what_of(at: u64) -> crate::events::What {
        samples(&at.to_string()).remove(8)
    }
}
