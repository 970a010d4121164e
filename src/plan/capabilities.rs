//! The five capability sets, exactly, and the locked securebits. Pure.

use super::Line;
use crate::controls::ControlId;
use crate::policy::{CapabilitySets, Grant, Template};
use serde::Serialize;

/// Capability sets of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapabilityPlan {
    /// The sets, names without `CAP_`.
    pub sets: CapabilitySets,
    /// Securebits: uid 0 gives no capability, keep-caps off, ambient closed, all locked.
    pub securebits: u32,
}

/// SECBIT_NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE with their locks, and KEEP_CAPS locked off.
pub const SECUREBITS_LOCKED: u32 = 0b1110_1111;

pub(super) fn plan(grant: &Grant) -> CapabilityPlan {
    CapabilityPlan {
        sets: grant.capabilities.clone(),
        // compat promises what other runtimes do: their containers' root gains capabilities by exec.
        securebits: match grant.template {
            Template::Compat => 0,
            _ => SECUREBITS_LOCKED,
        },
    }
}

impl CapabilityPlan {
    pub(super) fn lines(&self) -> Vec<Line> {
        let sets = &self.sets;
        let all = [
            ("bounding", &sets.bounding),
            ("permitted", &sets.permitted),
            ("effective", &sets.effective),
            ("inheritable", &sets.inheritable),
            ("ambient", &sets.ambient),
        ];
        let given: Vec<String> = all
            .iter()
            .filter(|(_, set)| !set.is_empty())
            .map(|(name, set)| format!("{name} {}", set.join(" ")))
            .collect();
        let mut text = if given.is_empty() {
            "none, in all five sets".to_string()
        } else {
            given.join("; ")
        };
        if self.securebits == SECUREBITS_LOCKED {
            text.push_str("; securebits locked");
        }
        vec![Line::new(
            "capabilities",
            text,
            &[ControlId::S8_1_5, ControlId::S8_4_6],
        )]
    }
}
