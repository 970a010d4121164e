//! The filter of a launch that is watched: it asks a watcher outside about each call that it refuses. Pure.
//!
//! The watcher answers with the errno that the unwatched filter would have given, so the program sees no difference.
//! Called by the plan of the filters; `events::watch` carries it out.

use super::{NEW_LISTENER, WAIT_KILLABLE, bad, filter, requested, shipped};
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::{Lack, Line, PlanError, Weight};
use crate::policy::{Grant, Watching};
use crate::seccomp::{self, Parameters, Program};
use serde::Serialize;

/// The watcher's part.
#[derive(Clone, Debug, Serialize)]
pub struct Watch {
    /// Whether refused calls are told, and not only answered.
    pub tells: bool,
    /// Calls that are carried out from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routed: Vec<String>,
    /// What the filter would have answered: the same one, unwatched.
    #[serde(skip)]
    pub plain: Program,
}

/// Lays the watched form over a plan of filters, if it is wanted and possible. `routed`: calls that are carried out from
/// outside.
pub(super) fn lay(
    grant: &Grant,
    host: &Host,
    (exec_fd, routed): (u32, &[&str]),
    all: &mut super::SeccompPlan,
    lacks: &mut Vec<Lack>,
) -> Result<(), PlanError> {
    if grant.seccomp.watching == Watching::Off && routed.is_empty() {
        return Ok(());
    }
    let Some(why) = unwatchable(all, host) else {
        return watched(grant, host, (exec_fd, routed), all).map_err(bad);
    };
    if !routed.is_empty() {
        return Err(PlanError::Value {
            pointer: "/linux/seccomp".into(),
            what: format!("{why}, but this launch needs one to carry calls out for it"),
        });
    }
    lacks.push(Lack {
        control: ControlId::S8_3_4,
        what: why.into(),
        lost: "refused system calls are not told one by one".into(),
        weight: Weight::Covered,
    });
    Ok(())
}

/// Why nobody can watch this launch.
fn unwatchable(all: &super::SeccompPlan, host: &Host) -> Option<&'static str> {
    if all.listener.is_some() {
        return Some("the request's own agent has the one listener that a filter can have");
    }
    let Some(filter) = all.filters.first() else {
        return Some("a launch without a filter has no listener");
    };
    if host.kernel < (5, 0) {
        return Some("a filter's listener needs Linux 5.0");
    }
    // Between its filter and the watcher nobody answers the child: what it still does must be plainly allowed.
    let own = [
        ("sendmsg", [3, 0, 0x4000, 0, 0, 0]),
        ("close", [5, 0, 0, 0, 0, 0]),
        ("exit_group", [125, 0, 0, 0, 0, 0]),
    ];
    let allowed = |(call, args)| filter.program.allows(call, args).unwrap_or(false);
    match own.into_iter().all(allowed) {
        true => None,
        false => Some("the request's filter refuses calls that handing a listener over needs"),
    }
}

/// Puts the watched form of the filter in its place.
fn watched(
    grant: &Grant,
    host: &Host,
    (exec_fd, routed): (u32, &[&str]),
    all: &mut super::SeccompPlan,
) -> Result<(), seccomp::Error> {
    let Some(plain) = all.filters.pop() else {
        return Ok(());
    };
    let parameters = Parameters {
        groups: grant.seccomp.groups.iter().cloned().collect(),
        exec_fd: Some(exec_fd),
    };
    let ours = grant.seccomp.template.and_then(shipped);
    let ours = ours.map(|t| t.watched(&parameters, routed)).transpose()?;
    let program = match (ours, requested(grant, exec_fd)?) {
        (Some(ours), Some(theirs)) => ours.then_watched(&theirs)?,
        (Some(ours), None) => ours,
        (None, Some(theirs)) => theirs.told(),
        (None, None) => plain.program.clone(),
    };
    let mut told = filter(format!("{}, watched", plain.name), program);
    told.flags = plain.flags | NEW_LISTENER;
    if host.kernel >= (5, 19) {
        told.flags |= WAIT_KILLABLE;
    }
    all.filters.push(told);
    all.watch = Some(Watch {
        tells: grant.seccomp.watching != Watching::Off,
        routed: routed.iter().map(ToString::to_string).collect(),
        plain: plain.program,
    });
    Ok(())
}

impl Watch {
    pub(super) fn line(&self) -> Line {
        let told = match self.tells {
            true => "told, and ",
            false => "",
        };
        let mut text = format!("refused calls are {told}answered from outside as the filter would");
        if !self.routed.is_empty() {
            text.push_str(&format!("; carried out outside: {}", self.routed.join(" ")));
        }
        Line::new("watched", text, &[ControlId::S8_3_4, ControlId::S8_4_13])
    }
}
