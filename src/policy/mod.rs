//! May it run? Pure: request, ceilings and host facts in, a [`Decision`] out.
//!
//! Result = what the request asks, cut to the ceilings, plus restrictions that are always added. Every cut is
//! noted, every violation listed. One function, [`decide`], for launch, plan, check, audit and report.

mod capability;
mod ceilings;
mod check;
mod collectors;
mod date;
mod document;
mod exceptions;
mod file;
mod fingerprint;
mod grant;
mod layers;
mod loosened;
mod migration;
mod networks;
mod quantity;
mod rules;
#[cfg(test)]
pub(crate) mod schema;
mod tightening;
mod watch;

pub use crate::request::is_name;
pub use capability::NAMES as CAPABILITY_NAMES;
pub use ceilings::{Ceilings, LimitCeilings, Range};
pub use check::CheckReport;
pub use collectors::{EventForm, LogsTable, MOST_CHAINS, Protocol, Target, Transport, chains};
pub use date::Date;
pub use document::Diagnostic;
pub use exceptions::{Exception, ExceptionFile, Scope, image_of};
pub use file::{CapabilityEntry, OnExcess, Operators, PolicyFile, Rootless, Volumes};
pub use fingerprint::Fingerprint;
pub use grant::*;
pub use layers::{COMPAT_TOML, DEFAULT_TOML, Policy, Source, Texts};
pub use loosened::{Ceiling, ExecVerb, Loosened};
pub use migration::{ImageNeeds, Migration, Need};
pub use networks::{NetworkFolders, NetworkTable};
pub use quantity::{Amount, Count, Cpus};
pub use rules::{MOUNT_OPTIONS, decide, is_login, is_supervisor, looks_secret, place, rules_of};
pub use watch::Span;

/// The answer of `decide`.
#[must_use]
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may, like this.
    Granted(Box<Grant>),
    /// It may not, for all these reasons.
    Refused(Vec<Violation>),
}
