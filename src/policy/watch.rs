//! `[logs]` and `[lifetime]` of a policy file: what a site may write about what stands beside a container.
//!
//! Types, defaults and checks; no I/O. A site's sections only add: there is no logging and no lifetime to loosen.

use super::collectors::{self, LogsTable};
use super::document::{Diagnostic, Document};
use super::grant::{Copying, Lifetime, LogNeed, LogStart, Logs, MonitorDeath, Sync, WhenFull};
use super::quantity::Amount;
use serde::{Deserialize, Serialize};

/// Smallest quota, so that there are segments to drop.
const LEAST: u64 = 1 << 20;

/// OSG/3: a service is restarted every week.
const WEEK: Span = Span(7 * 86_400);

/// `[lifetime]`: services are ended, to be started again by their supervisor (OSG/3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LifetimeTable {
    /// From the start to TERM: "7d" (the default), "12h", "90m", "30s".
    pub max: Option<Span>,
    /// From TERM to KILL; "30s" unless written.
    pub grace: Option<Span>,
}

impl LifetimeTable {
    pub(super) fn lifetime(self) -> Lifetime {
        Lifetime {
            seconds: self.max.unwrap_or(WEEK).0,
            grace: self.grace.unwrap_or(Span(30)).0,
        }
    }
}

/// A span of time: a whole number with s, m, h or d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{}s", self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let wrong = || {
            serde::de::Error::custom(
                "a span of time is wanted, like \"7d\", \"12h\", \"90m\" or \"30s\"",
            )
        };
        let unit = text.chars().last().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        // Ten years are for ever, and no sum of two overflows.
        match number.checked_mul(factor) {
            Some(seconds) if (1..=315_360_000).contains(&seconds) && !digits.starts_with('+') => {
                Ok(Self(seconds))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+[smhd]$" })
    }
}

impl LogsTable {
    /// What a container gets; `None` without a spool.
    pub(super) fn logs(&self) -> Option<Logs> {
        let required = self.required.unwrap_or(true);
        Some(Logs {
            spool: self.spool.clone()?,
            quota: self.quota.map_or(1 << 30, |q| q.0),
            when_full: self.when_full.unwrap_or(match required {
                true => WhenFull::Block,
                false => WhenFull::DropOld,
            }),
            sync: self.sync.unwrap_or(Sync::Second),
            need: match required {
                true => LogNeed::Required,
                false => LogNeed::Wanted,
            },
            on_monitor_death: self.on_monitor_death.unwrap_or(match required {
                true => MonitorDeath::End,
                false => MonitorDeath::GoOn,
            }),
            copy: self.copy.unwrap_or(Copying::Tee),
            heartbeat: self.heartbeat.unwrap_or(Span(60)).0,
            start: match self.require_collector {
                Some(true) => LogStart::Reached,
                _ => LogStart::Anyway,
            },
            targets: self.target.clone(),
        })
    }

    /// Reports everything that is wrong.
    pub(super) fn check(&self, doc: &Document<'_>, problems: &mut Vec<Diagnostic>) {
        collectors::check(doc, &self.target, problems);
        let mut fault = |key, text: &str| problems.push(doc.problem(&["logs", key], text));
        match &self.spool {
            Some(spool) if !is_plain(spool) => fault(
                "spool",
                "spool is not an absolute path without '.', '..' and doubled slashes",
            ),
            None if *self != Self::default() => fault(
                "spool",
                "spool is missing: write spool = \"/var/log/cofferdam/spool\", or another folder of root's",
            ),
            _ => {}
        }
        if self
            .quota
            .is_some_and(|q| q.0 < LEAST || q == Amount::UNLIMITED)
        {
            fault("quota", "quota is at least 1MiB, and not unlimited");
        }
        if self.require_collector == Some(true) && self.target.is_empty() {
            fault(
                "require_collector",
                "there is no [[logs.target]] that could be reached",
            );
        }
    }
}

fn is_plain(path: &str) -> bool {
    let parts = path.strip_prefix('/').unwrap_or_default();
    !parts.is_empty() && parts.split('/').all(|p| !matches!(p, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use crate::policy::{LogNeed, MonitorDeath, Policy, Source, WhenFull};

    fn layered(text: &str) -> Result<Policy, Vec<String>> {
        let source = Source {
            name: "p".into(),
            text: format!("version = 1\n{text}\n"),
        };
        let told =
            |all: Vec<crate::policy::Diagnostic>| all.iter().map(ToString::to_string).collect();
        Policy::layered(Some(&source), &[]).map_err(told)
    }

    #[test]
    fn what_is_not_written_depends_on_whether_logs_are_required() {
        assert_eq!(Policy::built_in().unwrap().logs(), None);
        let strict = layered("[logs]\nspool = \"/s\"").unwrap().logs().unwrap();
        assert_eq!(
            (strict.need, strict.when_full, strict.on_monitor_death),
            (LogNeed::Required, WhenFull::Block, MonitorDeath::End)
        );
        let lax = layered("[logs]\nspool = \"/s\"\nrequired = false\nquota = \"2MiB\"").unwrap();
        let lax = lax.logs().unwrap();
        assert_eq!(
            (lax.need, lax.when_full, lax.on_monitor_death, lax.quota),
            (
                LogNeed::Wanted,
                WhenFull::DropOld,
                MonitorDeath::GoOn,
                2 << 20
            )
        );
        let life = layered("[lifetime]\ngrace = \"2m\"")
            .unwrap()
            .ceilings
            .lifetime;
        let life = life.unwrap().lifetime();
        assert_eq!((life.seconds, life.grace), (604_800, 120));
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        for (text, place, words) in [
            ("[logs]\nspool = \"s\"", "p:3:", "absolute"),
            ("[logs]\nspool = \"/a/../b\"", "p:3:", "absolute"),
            ("[logs]\nquota = \"1GiB\"", "p:2:", "spool is missing"),
            ("[logs]\nspool = \"/s\"\nquota = 7", "p:4:", "at least 1MiB"),
            (
                "[logs]\nspool = \"/s\"\nrequire_collector = true",
                "p:4:",
                "no [[logs.target]]",
            ),
            (
                "[logs]\nspool = \"/s\"\nwhen_full = \"wait\"",
                "p:4:",
                "unknown variant",
            ),
            (
                "[logs]\nspool = \"/s\"\nsynch = \"never\"",
                "p:4:",
                "unknown field",
            ),
            ("[lifetime]\nmax = \"7w\"", "p:3:", "span of time"),
            ("[lifetime]\nmax = \"0s\"", "p:3:", "span of time"),
            ("[lifetime]\nmax = \"+1s\"", "p:3:", "span of time"),
            (
                "[lifetime]\nmax = \"99999999999999999999d\"",
                "p:3:",
                "span of time",
            ),
            ("[lifetime]\nmax = \"é\"", "p:3:", "span of time"),
        ] {
            let all = layered(text).unwrap_err();
            let found = all
                .iter()
                .any(|l| l.starts_with(place) && l.contains(words));
            assert!(found, "{text}: {all:#?}");
        }
    }
}
