//! What the launcher tells about a container: each event one line of JSON, at most 8 KiB, into the spool's own stream.
//!
//! ```text
//! launcher, monitor, workers ──▶ Sender ──▶ one datagram each ──▶ capture ──▶ spool ──▶ collectors, `explain`
//!                                     └──▶ or a file (`run --events`)
//! ```
//! [`What`] is the closed list of what can be told, with everything said in it; [`Sender`] never waits and counts what
//! it could not send; [`ocsf`] says the same in the words of a SIEM. profiles/events.schema.json is made from these types.
//! Nothing here decides anything, and a container that nobody listens to costs nothing.

pub mod accesses;
mod bearing;
pub mod explain;
pub mod limits;
mod line;
mod model;
pub mod ocsf;
mod parts;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod schema;
mod sender;
mod sentence;
pub(crate) mod tally;
#[cfg(test)]
mod tests;
pub mod verbs;
pub mod watch;

pub use line::{MOST, ParseError, parse};
pub use model::{About, Event, VERSION, What};
pub use parts::{Ask, Asked, Change, Counters, ExecResult, HookResult, Limit, Link, Reason, Stage};
pub use sender::{Sender, pair, receive, unwritten};
pub use sentence::plain;
