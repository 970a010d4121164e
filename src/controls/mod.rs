//! The catalogue of controls: what the two source documents ask, line by line, and what may loosen each.
//!
//! Every stage names controls by [`ControlId`]; the audit prints [`catalogue`]. Data and look-ups only:
//! whether a control is met is decided in `policy`, enforced in `sandbox`, observed in `verify`.

mod configuration;
mod loosening;
mod operation;
mod platform;
mod practice;

pub use loosening::Loosening;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One line of SS-011 or of the OSG policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ControlId {
    /// SS-011/8.1.1: Hardened host.
    S8_1_1,
    /// SS-011/8.1.2: One classification on a host.
    S8_1_2,
    /// SS-011/8.1.3: A network stack of its own.
    S8_1_3,
    /// SS-011/8.1.4: Resources and kernel calls limited.
    S8_1_4,
    /// SS-011/8.1.5: Capabilities by whitelist.
    S8_1_5,
    /// SS-011/8.2.1: Only trusted callers control containers.
    S8_2_1,
    /// SS-011/8.2.2: Secrets protected, not in the image.
    S8_2_2,
    /// SS-011/8.2.3: The control interface is for trusted users only.
    S8_2_3,
    /// SS-011/8.2.4: Only necessary ports.
    S8_2_4,
    /// SS-011/8.3.1: Images and versions identified.
    S8_3_1,
    /// SS-011/8.3.2: Images patched.
    S8_3_2,
    /// SS-011/8.3.3: Stored and running image both updated.
    S8_3_3,
    /// SS-011/8.3.4: Protective monitoring.
    S8_3_4,
    /// SS-011/8.3.5: Critical fix within 24 hours.
    S8_3_5,
    /// SS-011/8.3.6: At most one version behind.
    S8_3_6,
    /// SS-011/8.3.7: Set-uid and set-gid programs disabled.
    S8_3_7,
    /// SS-011/8.3.8: Configuration examined by tools.
    S8_3_8,
    /// SS-011/8.3.9: Only approved official images.
    S8_3_9,
    /// SS-011/8.4.1: No remote terminal.
    S8_4_1,
    /// SS-011/8.4.2: Logs handled outside.
    S8_4_2,
    /// SS-011/8.4.3: Unneeded commands removed.
    S8_4_3,
    /// SS-011/8.4.4: No network configuration from inside.
    S8_4_4,
    /// SS-011/8.4.5: No mounts from inside.
    S8_4_5,
    /// SS-011/8.4.6: No raw sockets.
    S8_4_6,
    /// SS-011/8.4.7: Read-only file system.
    S8_4_7,
    /// SS-011/8.4.8: No modules, no code from outside the image.
    S8_4_8,
    /// SS-011/8.4.9: Dependencies verified by signature.
    S8_4_9,
    /// SS-011/8.4.10: Most recent dependencies.
    S8_4_10,
    /// SS-011/8.4.11: Images signed before they are stored.
    S8_4_11,
    /// SS-011/8.4.12: A signature for each stage.
    S8_4_12,
    /// SS-011/8.4.13: Diagnostics by log files only.
    S8_4_13,
    /// SS-011/8.4.14: Security templates used.
    S8_4_14,
    /// SS-011/8.5.1: Minimum resources and rights.
    S8_5_1,
    /// SS-011/8.5.2: One application, one process.
    S8_5_2,
    /// SS-011/8.5.3: Not a virtual machine.
    S8_5_3,
    /// SS-011/8.5.4: Services by declared port, peers named.
    S8_5_4,
    /// SS-011/8.5.5: One port each.
    S8_5_5,
    /// SS-011/8.5.6: Orchestration with a CMDB.
    S8_5_6,
    /// SS-011/3.1: Exceptions reviewed before deployment.
    S3_1,
    /// SS-011/5.2: All requirements met or authorised.
    S5_2,
    /// SS-011/6.1: Controls can be tested.
    S6_1,
    /// OSG/2: Latest base image, rebuilt weekly.
    Osg2,
    /// OSG/2.1: Exceptions documented and reviewed.
    Osg2_1,
    /// OSG/3: Automated validation, weekly restart, logs outside.
    Osg3,
}

/// What the product does about a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The launch refuses, or the kernel stops it.
    Enforce,
    /// The audit tests or observes it, with evidence.
    Verify,
    /// It stands in the launch record.
    Record,
}

/// One row of the catalogue.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    /// Its name in the code.
    #[serde(skip)]
    pub id: ControlId,
    /// Its name in plans, refusals, exceptions and audits: "SS-011/8.4.7".
    #[serde(rename = "id")]
    pub text: &'static str,
    /// A few words.
    pub title: &'static str,
    /// The source's own sentence.
    pub source: &'static str,
    /// What is done about it.
    pub kinds: &'static [Kind],
    /// Countermeasures of NIST SP 800-190 (final edition, September 2017), section 4 (2.3: section 2).
    pub nist: &'static [&'static str],
    /// Rows of the CIS Docker Benchmark, numbered as in version 1.6 ([`CIS_EDITION`]).
    pub cis: &'static [&'static str],
    /// Controls of the Kubernetes Pod Security Standards, by name.
    pub pss: &'static [&'static str],
    /// What an exception may ask for; empty for most.
    pub loosenings: &'static [Loosening],
}

/// The edition whose numbers stand in [`Control::cis`]. In older editions the rows of section 5 are one lower.
pub const CIS_EDITION: &str = "CIS Docker Benchmark 1.6 (the order of docker-bench-security)";

/// About SS-011's own table of section 15: why it is not copied.
pub const SS011_MAPPING_NOTE: &str = "SS-011 section 15 numbers its rows 10.x.y (section 8.x.y is \
    row 10.x.y, an offset of 2) and cross-refers with three other offsets; rows 10.1.4 and 10.4.13 are missing, \
    so 8.1.4 and 8.4.13 have no entry in the DWP controls catalogue. Ids here are those of section 8.";

/// How many controls there are.
pub const COUNT: usize = platform::CONTROLS.len()
    + operation::CONTROLS.len()
    + configuration::CONTROLS.len()
    + practice::CONTROLS.len();

/// All controls, in the order of the sources.
pub fn catalogue() -> impl Iterator<Item = &'static Control> {
    platform::CONTROLS
        .iter()
        .chain(operation::CONTROLS)
        .chain(configuration::CONTROLS)
        .chain(practice::CONTROLS)
}

impl ControlId {
    /// Its row.
    pub fn control(self) -> &'static Control {
        let mut at = self as usize;
        for part in [
            platform::CONTROLS,
            operation::CONTROLS,
            configuration::CONTROLS,
        ] {
            if at < part.len() {
                return &part[at];
            }
            at -= part.len();
        }
        &practice::CONTROLS[at]
    }

    /// "SS-011/8.4.7".
    pub fn as_str(self) -> &'static str {
        self.control().text
    }

    /// Whether an exception on this control may ask for this.
    pub fn allows(self, loosening: Loosening) -> bool {
        self.control().loosenings.contains(&loosening)
    }
}

/// A text that names no control.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no control {0:?} in the catalogue; ids look like \"SS-011/8.4.7\" or \"OSG/2.1\""
)]
pub struct UnknownControl(String);

impl FromStr for ControlId {
    type Err = UnknownControl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        catalogue()
            .find(|c| c.text == text)
            .map(|c| c.id)
            .ok_or_else(|| UnknownControl(text.chars().take(64).collect()))
    }
}

impl fmt::Display for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ControlId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ControlId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_ids() {
        for (at, row) in catalogue().enumerate() {
            assert_eq!(row.id as usize, at, "{}", row.text);
            assert_eq!(row.id.control().text, row.text);
            assert_eq!(row.text.parse::<ControlId>().unwrap(), row.id);
            assert!(!row.source.is_empty() && !row.kinds.is_empty());
        }
        assert_eq!(COUNT, catalogue().count());
    }

    #[test]
    fn every_loosening_belongs_to_a_control() {
        for loosening in Loosening::ALL {
            assert!(
                catalogue().any(|c| c.loosenings.contains(loosening)),
                "{loosening}"
            );
        }
    }

    #[test]
    fn what_no_one_may_loosen() {
        for id in [ControlId::S8_4_5, ControlId::S8_4_6, ControlId::S8_3_7] {
            assert!(id.control().loosenings.is_empty());
        }
        assert!("SS-011/8.4.99".parse::<ControlId>().is_err());
        assert!("8.4.7".parse::<ControlId>().is_err());
    }
}
