//! What stands beside the container: its output's way, and how long it may live. Both are the site's to say.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::LogNeed;

/// Logs and lifetime; a terminal can't be logged.
pub(super) fn beside(case: &mut Case<'_>) {
    let ceilings = &case.policy.ceilings;
    case.grant.watch.lifetime = ceilings.lifetime.map(|l| l.lifetime());
    case.grant.watch.logs = ceilings.logs.logs();
    let Some(logs) = &case.grant.watch.logs else {
        return;
    };
    if case.grant.process.terminal.is_none() {
        return;
    }
    if logs.need == LogNeed::Required {
        case.refuse(
            ControlId::S8_4_2,
            "/process/terminal",
            "a terminal, whose output can't be logged",
            "run without one (no -t): the policy's [logs] requires that output is kept",
        );
    }
    case.grant.watch.logs = None;
}
