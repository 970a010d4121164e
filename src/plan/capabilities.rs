//! The five capability sets, exactly, and the locked securebits. Pure.

use super::Line;
use crate::controls::ControlId;
use crate::policy::{CAPABILITY_NAMES, CapabilitySets, Grant, NewPrivileges, Template};
use serde::Serialize;

/// Capability sets of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapabilityPlan {
    /// The sets, names without `CAP_`.
    pub sets: CapabilitySets,
    /// What is dropped from the bounding set: every other one, whatever the launcher has (a new user namespace
    /// begins with a full set).
    #[serde(skip)]
    pub dropped: Vec<String>,
    /// Securebits: uid 0 gives no capability, keep-caps off, ambient closed, all locked.
    pub securebits: u32,
    /// What the loading of the filter asks for.
    pub loader: FilterLoader,
}

/// The right to load a filter (seccomp(2)): no_new_privs, or CAP_SYS_ADMIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterLoader {
    /// no_new_privs is set, or the program has CAP_SYS_ADMIN itself, or there is no filter.
    Itself,
    /// CAP_SYS_ADMIN is kept until the filter is loaded, and given up behind it.
    BorrowsAdmin,
}

/// SECBIT_NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE with their locks, and KEEP_CAPS locked off.
pub const SECUREBITS_LOCKED: u32 = 0b1110_1111;
const NOROOT: u32 = 0b0000_0011;
const NO_SETUID_FIXUP: u32 = 0b0000_1100;
const NO_AMBIENT_RAISE: u32 = 0b1100_0000;

pub(super) fn plan(grant: &Grant) -> CapabilityPlan {
    CapabilityPlan {
        sets: grant.capabilities.clone(),
        dropped: CAPABILITY_NAMES
            .iter()
            .filter(|name| !grant.capabilities.bounding.iter().any(|kept| kept == *name))
            .map(ToString::to_string)
            .collect(),
        securebits: securebits(grant),
        loader: loader(grant),
    }
}

pub(super) fn loader(grant: &Grant) -> FilterLoader {
    let filtered = grant.seccomp.requested.is_some() || grant.seccomp.template.is_some();
    let marked = grant.process.new_privileges == NewPrivileges::Never;
    let own = grant
        .capabilities
        .effective
        .iter()
        .any(|c| c == "SYS_ADMIN");
    match filtered && !marked && !own {
        true => FilterLoader::BorrowsAdmin,
        false => FilterLoader::Itself,
    }
}

/// With no capability at all everything is locked. Granted ones have to survive exec: for uid 0 by the old rule of
/// root (so NOROOT stays off, and the bounding set limits it), ambient ones by being raised before the lock.
fn securebits(grant: &Grant) -> u32 {
    let sets = &grant.capabilities;
    let mut bits = match grant.template {
        // compat promises what other runtimes do: their containers' root gains capabilities by exec.
        Template::Compat => return 0,
        _ => SECUREBITS_LOCKED,
    };
    if !sets.effective.is_empty() || !sets.permitted.is_empty() {
        // Who begins as root and becomes somebody else must lose them on the way, as everywhere.
        bits &= !(NOROOT | NO_SETUID_FIXUP);
    }
    if !sets.ambient.is_empty() {
        bits &= !NO_AMBIENT_RAISE;
    }
    bits
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
        if self.securebits & NOROOT != 0 {
            text.push_str("; securebits locked");
        }
        vec![Line::new(
            "capabilities",
            text,
            &[ControlId::S8_1_5, ControlId::S8_4_6],
        )]
    }
}
