//! The landlock ruleset, created; its paths are opened inside by the child.

use super::{Labels, PrepareError, c_string};
use crate::plan::Exec;
use crate::plan::landlock::{Access, LandlockPlan, Refusals, Scoped};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use std::ffi::CString;

/// A ruleset, and the rules that are added to it inside.
pub(in crate::sandbox) struct Landlock {
    pub(in crate::sandbox) ruleset: RulesetCreated,
    pub(in crate::sandbox) rules: Vec<PathRight>,
}

/// Rights below a path.
pub(in crate::sandbox) struct PathRight {
    pub(in crate::sandbox) path: CString,
    pub(in crate::sandbox) access: BitFlags<AccessFs>,
    /// A listed program need not be in every image.
    pub(in crate::sandbox) optional: bool,
}

fn abi(number: u32) -> ABI {
    ABI::from(i32::try_from(number).unwrap_or(0))
}

pub(super) fn landlock_ruleset(
    plan: &LandlockPlan,
    exec: &Exec,
    labels: &mut Labels,
) -> Result<Option<Landlock>, PrepareError> {
    if plan.abi == 0 {
        return Ok(None);
    }
    let abi = abi(plan.abi);
    let all = AccessFs::from_all(abi);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(all)?;
    if plan.ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    if plan.scoped != Scoped::None {
        ruleset = ruleset.scope(Scope::from_all(ABI::V6))?;
    }
    let mut created = ruleset.create()?;
    if plan.refusals == Refusals::Recorded {
        // The program is behind the exec that all of this is for.
        created = created.log_new_exec(true)?;
    }
    for port in plan.ports.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in plan.ports.iter().flat_map(|_| &plan.connect) {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let mut rules = Vec::new();
    for rule in &plan.paths {
        labels
            .rules
            .push(format!("{} ({:?})", rule.path, rule.access));
        let access = rights(rule.access, all, exec);
        let optional = rule.access == Access::Execute && matches!(exec, Exec::Listed(_));
        rules.push(PathRight {
            path: c_string(rule.path.relative(), "a path")?,
            access,
            optional,
        });
    }
    Ok(Some(Landlock {
        ruleset: created,
        rules,
    }))
}

fn rights(access: Access, all: BitFlags<AccessFs>, exec: &Exec) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock;
    let wanted = match access {
        Access::Read => read,
        Access::Execute => AccessFs::Execute | AccessFs::ReadFile,
        Access::ExecuteTree => BitFlags::from(AccessFs::Execute) | read,
        Access::Write if *exec == Exec::Any => all,
        Access::Write => all & !(devices | AccessFs::Execute | AccessFs::IoctlDev),
        Access::Devices => read | AccessFs::WriteFile | AccessFs::IoctlDev,
    };
    wanted & all
}
