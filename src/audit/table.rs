//! A report as a table that fits its terminal: worst first, cells wrapped, every foreign name escaped.
//!
//! Pure: the caller says how wide. Facts and evidence stand below the rows that need them (what fails or is waived).

use super::model::{Finding, Report, Subject, Verdict};
use super::shown::shown;
use std::fmt::Write;

/// The width where there is no terminal.
pub const WIDTH: usize = 100;
/// Narrower than this and words would be cut everywhere.
const NARROWEST: usize = 60;

const VERDICT: usize = 12;
const CONTROL: usize = 13;
const GAPS: usize = 6;

/// The whole report.
pub fn table(report: &Report, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = String::new();
    for (at, subject) in report.subjects.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        one(&mut out, subject, width);
    }
    out
}

/// One line a subject, for many of them: fails, waived, not assessed, passes.
pub fn overview(report: &Report, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = format!(
        "{:>4} {:>6} {:>12} {:>4}  CONTAINER\n",
        "FAIL", "WAIVED", "NOT ASSESSED", "PASS"
    );
    for subject in &report.subjects {
        let count = |word| subject.count(word);
        let head = format!(
            "{:>4} {:>6} {:>12} {:>4}  ",
            count("FAIL"),
            count("waived"),
            count("not assessed"),
            count("pass")
        );
        let name = match &subject.unreadable {
            Some(why) => format!("{}: {why}", title(subject)),
            None => title(subject),
        };
        let lines = wrap(&shown(&name), width - head.len());
        for (at, line) in lines.iter().enumerate() {
            let left = if at == 0 { head.as_str() } else { "" };
            let _ = writeln!(out, "{left:pad$}{line}", pad = head.len());
        }
    }
    out
}

fn title(subject: &Subject) -> String {
    let facts = subject.facts.iter();
    let facts: Vec<String> = facts.map(|(k, v)| format!("{k} {v}")).collect();
    match facts.is_empty() {
        true => subject.name.clone(),
        false => format!("{} ({})", subject.name, facts.join(", ")),
    }
}

fn one(out: &mut String, subject: &Subject, width: usize) {
    for line in wrap(&shown(&title(subject)), width) {
        let _ = writeln!(out, "{line}");
    }
    if let Some(why) = &subject.unreadable {
        for line in wrap(&shown(&format!("could not be judged: {why}")), width) {
            let _ = writeln!(out, "{line}");
        }
        return;
    }
    let rest = width - VERDICT - CONTROL - GAPS;
    let widths = [VERDICT, CONTROL, rest / 2, rest - rest / 2];
    let head = ["VERDICT", "CONTROL", "LOOKED AT", "SEEN"].map(String::from);
    row(out, &head, widths);
    for finding in &subject.findings {
        let cells = [
            finding.verdict.word().to_string(),
            finding
                .controls
                .iter()
                .map(|c| c.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            finding.tried.clone(),
            answer(finding),
        ];
        row(out, &cells, widths);
    }
    let count = |word| subject.count(word);
    let _ = writeln!(
        out,
        "{} fail, {} waived, {} not assessed, {} pass, {} not applicable",
        count("FAIL"),
        count("waived"),
        count("not assessed"),
        count("pass"),
        count("n/a")
    );
}

fn answer(finding: &Finding) -> String {
    let mut out = finding.answer.clone();
    let mut add = |text: &str| {
        if !out.is_empty() {
            out.push_str("; ");
        }
        out.push_str(text);
    };
    if matches!(finding.verdict, Verdict::Fail | Verdict::Waived(_)) {
        if !finding.expected.is_empty() {
            add(&format!("expected {}", finding.expected));
        }
        if let Some(remedy) = &finding.remedy {
            add(&format!("to mend it: {remedy}"));
        }
    }
    if let Some(why) = finding.verdict.why() {
        add(&why);
    }
    out
}

/// Rows of four cells below a head; a width of 0 takes what is left.
pub fn columns(
    head: &[String; 4],
    rows: &[[String; 4]],
    mut widths: [usize; 4],
    width: usize,
) -> String {
    let width = width.max(NARROWEST);
    let taken: usize = widths.iter().sum::<usize>() + GAPS;
    if let Some(rest) = widths.iter_mut().find(|w| **w == 0) {
        *rest = width.saturating_sub(taken).max(8);
    }
    let over = (widths.iter().sum::<usize>() + GAPS).saturating_sub(width);
    widths[1] = widths[1].saturating_sub(over).max(8);
    let mut out = String::new();
    for cells in std::iter::once(head).chain(rows) {
        row(&mut out, cells, widths);
    }
    out
}

/// Names with texts beside them.
pub fn pairs(rows: &[[String; 2]], width: usize) -> String {
    const NAME: usize = 16;
    let mut out = String::new();
    for [name, text] in rows {
        for (at, line) in wrap(&shown(text), width.max(NARROWEST) - NAME)
            .iter()
            .enumerate()
        {
            let name = if at == 0 { name.as_str() } else { "" };
            let _ = writeln!(out, "{name:<NAME$}{line}");
        }
    }
    out
}

fn row(out: &mut String, cells: &[String; 4], widths: [usize; 4]) {
    let wrapped: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| wrap(&shown(cell), width))
        .collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let mut line = String::new();
        for (cell, width) in wrapped.iter().zip(widths) {
            let text = cell.get(at).map_or("", String::as_str);
            let _ = write!(line, "{text:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// The same, with every line but the first indented.
pub fn wrap_hanging(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(NARROWEST);
    let mut lines = wrap(text, width - indent);
    for line in lines.iter_mut().skip(1) {
        line.insert_str(0, &" ".repeat(indent));
    }
    lines
}

/// Lines of at most `width` characters, broken at spaces; a longer word is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut long = 0;
    for word in text.split_whitespace() {
        let chars: Vec<char> = word.chars().collect();
        for piece in chars.chunks(width) {
            if long > 0 && long + 1 + piece.len() > width {
                lines.push(std::mem::take(&mut line));
                long = 0;
            }
            if long > 0 {
                line.push(' ');
                long += 1;
            }
            line.extend(piece);
            long += piece.len();
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::super::model::{HostLabel, SubjectKind};
    use super::*;
    use crate::controls::ControlId;

    fn report(text: &str) -> Report {
        let mut subject = Subject::new(SubjectKind::Container, text);
        let controls = [ControlId::S8_4_7, ControlId::S8_1_4];
        for verdict in [Verdict::Fail, Verdict::Pass, Verdict::not_assessed(text)] {
            let finding = Finding::judged("a", &controls, text, (text, text), verdict);
            subject.findings.push(finding.mended_by(text));
        }
        Report::new(HostLabel::default(), String::new(), None, vec![subject])
    }

    #[test]
    fn the_rows() {
        let text = table(&report("one two"), 120);
        assert!(text.starts_with("one two\nVERDICT"), "{text}");
        assert!(text.contains("expected one two"), "{text}");
        assert!(
            text.contains("1 fail, 0 waived, 1 not assessed, 1 pass"),
            "{text}"
        );
    }

    proptest::proptest! {
        #[test]
        fn it_fits(text in proptest::prelude::any::<String>(), width in 0usize..200) {
            let report = report(&text);
            for line in table(&report, width).lines().chain(overview(&report, width).lines()) {
                let long = line.chars().count();
                proptest::prop_assert!(long <= width.max(NARROWEST), "{long}: {line:?}");
                proptest::prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
