//! Does it hold? Looks at containers, hosts and configurations, and says control by control what was seen.
//!
//! [`model`] is the one result that every part fills in and every format prints. Nothing here changes what it looks
//! at: attacks are tried in containers that [`inside`] launches for it. Called by the verbs `audit`, `check` and
//! `controls`; no launch comes near it.

pub mod compare;
pub mod config;
pub mod coverage;
pub mod formats;
pub mod host;
pub mod inside;
pub mod model;
pub mod observe;
pub mod probes;
pub mod shown;
pub mod table;
pub mod tester;

pub use model::{Deviation, Evidence, Finding, HostLabel, Report, Subject, SubjectKind, Verdict};
