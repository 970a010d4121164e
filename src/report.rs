//! What a person or an engine gets to see: plans, refusals, lists, errors, exit codes. Prints, and decides nothing.

mod failure;
mod features;

pub use failure::{Failure, Sink};
pub use features::features;

use crate::container::State;
use crate::plan::Plan;
use crate::policy::CheckReport;
use crate::sys::output::{self, Output};
use nix::errno::Errno;
use std::io::Write;

/// A line on standard output. That it can't be written is said once, by whoever ends the process ([`unwritten`]).
pub fn line(text: &str) {
    let _ = Output.write_all(format!("{text}\n").as_bytes());
}

/// Why what was printed is not all there. Nothing where its reader has gone: he has what he wanted (`| head`).
pub fn unwritten() -> Option<String> {
    let errno = output::failure().filter(|e| *e != Errno::EPIPE)?;
    Some(format!(
        "can't write the answer to standard output (write): {}; what is there is not all of it, so ask again with an output that takes it",
        errno.desc()
    ))
}

/// A line for the person, on standard error.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "cofferdam: {text}");
}

/// JSON with indentation.
pub fn print_json(value: &impl serde::Serialize) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A plan, as a screen or as data.
pub fn plan(plan: &Plan, json: bool) {
    if json {
        let mut value = serde_json::to_value(plan).unwrap_or_default();
        value["digest"] = plan.digest().into();
        print_json(&value);
    } else {
        line(plan.to_string().trim_end());
        line(&format!("  {:<13}{}", "digest", plan.digest()));
    }
}

/// What was cut down, before the program's own output begins.
pub fn warnings(plan: &Plan) {
    if plan.template == crate::policy::Template::Compat {
        say(
            "the compat policy is in force: NOTHING is clamped; use it for conformance suites and migration only",
        );
    }
    clamps(&plan.clamps);
}

/// What was asked and cut down, a line each.
pub fn clamps(clamps: &[crate::policy::Clamp]) {
    for clamp in clamps {
        say(&format!(
            "{}{} -> {} ({})",
            crate::plan::in_front(&clamp.pointer),
            clamp.asked,
            clamp.granted,
            clamp.control
        ));
    }
}

/// The outcome of `policy check`.
pub fn policy(check: &CheckReport, json: bool) {
    if json {
        print_json(check);
    } else {
        line(check.to_string().trim_end());
    }
}

/// `list` as a table.
pub fn containers(states: &[State]) {
    let rows: Vec<[String; 6]> = states
        .iter()
        .map(|s| {
            let status = s.status();
            let pid = if status == crate::container::Status::Stopped {
                0
            } else {
                s.pid
            };
            [
                s.id.clone(),
                pid.to_string(),
                status.as_str().into(),
                s.bundle.clone(),
                s.created.clone(),
                s.owner_name(),
            ]
        })
        .collect();
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from);
    let mut widths = head.clone().map(|h| h.len());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&head).chain(&rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(c, w)| format!("{c:<w$}"))
            .collect();
        line(cells.join("  ").trim_end());
    }
}
