//! "Why was my program refused?": what a container's events say was refused, cut or met, added up. Pure.
//!
//! Events in, a printable value out; the verb reads spools and files. Bounded, whatever the events hold.

mod remedy;
mod screen;

use super::model::{Event, What};
use super::parts::{ExecResult, Limit, Reason};
use crate::controls::ControlId;
use crate::policy::Template;
use serde::Serialize;
use std::collections::BTreeMap;

/// Rows that are kept; what is beyond is counted.
const ROWS: usize = 1000;
/// Characters of one text.
const TEXT: usize = 400;

/// The answer.
#[must_use]
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// The container.
    pub name: String,
    /// What was refused, cut or met.
    pub rows: Vec<Row>,
    /// How many more kinds there were than rows are kept.
    pub more: u64,
    /// Refused calls that were counted without being told apart.
    pub untold: u64,
    /// Events read.
    pub events: u64,
    /// Events that could not be sent, and lines that are no events.
    pub missing: u64,
    /// How the last launch ended, as far as is known.
    pub ended: Option<String>,
    #[serde(skip)]
    template: Option<Template>,
    #[serde(skip)]
    profiles: remedy::Profiles,
    #[serde(skip)]
    places: BTreeMap<(String, String), usize>,
}

/// One thing that was refused, cut or met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was tried or asked.
    pub tried: String,
    /// What the answer was.
    pub answer: String,
    /// How often.
    pub count: u64,
    /// When first, as far as it was told.
    pub first: String,
    /// When last.
    pub last: String,
    /// The control.
    pub control: Option<ControlId>,
    /// Its title.
    pub title: Option<&'static str>,
    /// Why, in the words of whoever refused.
    pub why: String,
    /// What would let it pass.
    pub remedy: String,
}

/// A row without its times.
struct Found {
    tried: String,
    answer: String,
    count: u64,
    control: Option<ControlId>,
    remedy: Remedy,
}

enum Remedy {
    Said(String),
    /// To be looked up in the profiles: dear, so once a row.
    OfCall(u32, [u64; 6]),
}

impl Explanation {
    /// About a container.
    pub fn of(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// A line that is no event.
    pub fn unreadable(&mut self) {
        self.missing += 1;
    }

    /// Adds an event of it; those of other containers are skipped.
    pub fn add(&mut self, event: &Event) {
        if event.id != self.name && event.name.as_deref() != Some(&self.name) {
            return;
        }
        self.events += 1;
        self.missing += event.unsent;
        match &event.what {
            What::Granted { template, .. } => {
                self.template = crate::request::template(template).ok();
                self.ended = None;
            }
            What::Exited { .. } => self.ended = Some(event.what.to_string()),
            What::DeniedCall { untold, .. } | What::DeniedAccess { untold, .. } => {
                self.untold = self.untold.saturating_add(*untold)
            }
            _ => {}
        }
        for found in self.found(event) {
            self.count(found, &event.time);
        }
    }

    /// Adds the reasons of a refused launch on record.
    pub fn add_refusal(&mut self, reasons: &[Reason], time: &str) {
        for found in reasons.iter().map(|r| of_reason(r, "refused")) {
            self.count(found, time);
        }
    }

    fn found(&self, event: &Event) -> Vec<Found> {
        let control = event.controls.first().copied();
        let told = |tried: String, answer: &str, count: u64, remedy: &str| {
            vec![Found {
                tried,
                answer: answer.into(),
                count,
                control,
                remedy: Remedy::Said(remedy.into()),
            }]
        };
        match &event.what {
            What::DeniedCall {
                call,
                number,
                arguments,
                raw,
                answer,
                count,
                ..
            } => {
                let args: Vec<u64> = raw.iter().map(|r| hex(r)).collect();
                let args = std::array::from_fn(|at| args.get(at).copied().unwrap_or(0));
                vec![Found {
                    tried: format!("{call}({})", arguments.join(", ")),
                    answer: answer.clone(),
                    count: *count,
                    control,
                    remedy: Remedy::OfCall(*number, args),
                }]
            }
            What::DeniedAccess {
                blockers,
                object,
                count,
                ..
            } => told(
                format!("{} {object}", blockers.join(" ")),
                "EACCES",
                *count,
                "a volume, a port or a tmpfs that is declared",
            ),
            What::Refused { reasons, .. } => {
                reasons.iter().map(|r| of_reason(r, "refused")).collect()
            }
            What::Exec {
                program,
                result: ExecResult::Allowed,
                ..
            } => told(
                format!("exec {program}"),
                "run",
                1,
                "by exception; what it was refused is told like the container's own, and where there is a spool, what it said: logs --stream exec",
            ),
            What::Exec {
                result: ExecResult::Refused,
                reasons,
                ..
            } => reasons.iter().map(|r| of_reason(r, "no exec")).collect(),
            What::Clamped {
                pointer,
                asked,
                granted,
            } => told(
                format!("{pointer} {asked}"),
                "cut",
                1,
                &format!("given: {granted}"),
            ),
            What::OomKilled { count } => told(
                "memory".into(),
                "killed",
                *count,
                "--memory, within the policy's ceiling",
            ),
            What::LimitHit { limit, count } => match limit {
                Limit::Pids => told(
                    "a thread or process more".into(),
                    "EAGAIN",
                    *count,
                    "--pids, within the policy's ceiling",
                ),
                Limit::Memory => told(
                    "memory".into(),
                    "reclaimed",
                    *count,
                    "--memory, within the policy's ceiling",
                ),
            },
            What::PortRefused {
                port,
                peer,
                why,
                count,
                ..
            } => told(format!("{peer} to port {port}"), "refused", *count, why),
            _ => Vec::new(),
        }
    }

    fn count(&mut self, found: Found, time: &str) {
        let key = (short(&found.tried), short(&found.answer));
        if let Some(&at) = self.places.get(&key) {
            let row = &mut self.rows[at];
            row.count = row.count.saturating_add(found.count);
            row.last = time.into();
            return;
        }
        if self.rows.len() == ROWS {
            self.more += 1;
            return;
        }
        let template = self.template.unwrap_or(Template::Default);
        let said = match found.remedy {
            Remedy::Said(remedy) => remedy::Said {
                why: String::new(),
                remedy,
            },
            Remedy::OfCall(number, args) => self.profiles.of_call(number, &args, template),
        };
        self.places.insert(key.clone(), self.rows.len());
        self.rows.push(Row {
            tried: key.0,
            answer: key.1,
            count: found.count,
            first: short(time),
            last: short(time),
            control: found.control,
            title: found.control.map(|c| c.control().title),
            why: short(&said.why),
            remedy: short(&said.remedy),
        });
    }
}

fn of_reason(reason: &Reason, answer: &str) -> Found {
    Found {
        tried: format!("{} {}", reason.at, reason.found).trim().into(),
        answer: answer.into(),
        count: 1,
        control: reason.control,
        remedy: Remedy::Said(reason.remedy.clone()),
    }
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

/// Of bounded length, and without characters that steer a terminal.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(TEXT).collect();
    super::plain(&cut)
}
