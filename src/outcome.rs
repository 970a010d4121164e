//! What became of a launch, and the exit code that says so.

use serde::Serialize;

/// The launcher itself failed or refused.
pub const FAILED: u8 = 125;
/// The program had lived as long as policy lets it (`[lifetime]`): to be started again, whatever its own code was.
pub const LIFETIME: u8 = 124;
/// The program can't be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;

/// How the program ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// By itself, with this code.
    Exited(u8),
    /// By this signal.
    Signaled(i32),
}

impl Outcome {
    /// The exit code of `run`: the program's own, or 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128u8.saturating_add(u8::try_from(signal).unwrap_or(127)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(Outcome::Exited(3).code(), 3);
        assert_eq!(Outcome::Signaled(9).code(), 137);
        assert_eq!(Outcome::Signaled(15).code(), 143);
        assert_eq!(Outcome::Signaled(64).code(), 192);
    }
}
