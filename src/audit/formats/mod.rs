//! One report in many forms. Pure; each form is one file and says what the model says, no more and no less.
//!
//! A waived control is never a pass in any of them, and what was not assessed never either.

mod html;
mod identity;
mod junit;
mod markup;
pub mod oscal;
mod sarif;

use super::Report;
use super::shown::is_plain;
use super::table;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, as wide as the terminal.
    Table,
    /// The model itself; what --compare and --baseline read.
    Json,
    /// JUnit XML, for CI.
    Junit,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// OSCAL 1.2 assessment results.
    Oscal,
    /// One page without scripts, for reading and printing.
    Html,
}

/// The report as text; `before` is the last run, where the form shows differences.
pub fn render(report: &Report, before: Option<&Report>, format: Format, width: usize) -> String {
    match format {
        Format::Table => table::table(report, width),
        Format::Json => pretty(report),
        Format::Junit => junit::junit(report),
        Format::Sarif => pretty(&sarif::sarif(report)),
        Format::Oscal => pretty(&oscal::assessment(report)),
        Format::Html => html::html(report, before),
    }
}

/// JSON with indentation; what a terminal could take for a command, or turn the text around, stands as an escape.
pub fn pretty(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    if text.chars().all(|c| c == '\n' || is_plain(c)) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if c == '\n' || is_plain(c) {
            out.push(c);
            continue;
        }
        // Only strings hold such characters: serde_json's own indentation is spaces and line feeds.
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
