//! May it run? Pure: request, ceilings and host facts in, a [`Decision`] out.

mod grant;
pub use grant::*;

/// The answer of `decide`.
#[must_use]
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may, like this.
    Granted(Box<Grant>),
    /// It may not, for all these reasons.
    Refused(Vec<Violation>),
}
