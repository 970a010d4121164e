//! Stand-in until the policy branch lands (the catalogue is being written elsewhere; do not extend).

use serde::Serialize;
use std::fmt;

/// Names a control, e.g. `SS-011/8.1.4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ControlId(&'static str);

impl ControlId {
    /// SS-011/8.1.4: Resources and kernel calls limited.
    pub const S8_1_4: Self = Self::new("SS-011/8.1.4");
    /// SS-011/8.5.1: Minimum resources and rights.
    pub const S8_5_1: Self = Self::new("SS-011/8.5.1");

    /// The id with this text.
    pub const fn new(id: &'static str) -> Self {
        Self(id)
    }
}

impl fmt::Display for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
