//! What a launch tells about itself: who asked, what was decided, what was verified, how it ended.
//!
//! Turns what other parts have found into events; decides nothing and never fails. Called by `build`, `run`, `create`.

use super::build::Context;
use super::error::ContainerError;
use super::record::Identity;
use super::store::Store;
use crate::cgroup::Cgroup;
use crate::events::{Ask, Asked, Change, Limit, Reason, Sender, Stage, What, verbs};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::policy::Caller;
use crate::verify::{Difference, Verification};

/// Who asked, in events' words.
pub(super) fn asked(caller: Caller, identity: &Identity) -> Asked {
    Asked {
        way: match caller {
            Caller::Standalone => Ask::Standalone,
            Caller::Engine => Ask::Engine,
        },
        uid: identity.uid,
        login: identity.login,
        launcher: identity.launcher,
    }
}

/// What a later verb does to a container.
pub(super) fn changed(store: &Store, id: &str, change: Change, detail: String) {
    verbs::tell(&store.root().join(id), id, change_of(change, detail));
}

/// The same as an event.
pub(super) fn change_of(change: Change, detail: String) -> What {
    let by = asked(Caller::Engine, &Identity::own());
    What::Changed { by, change, detail }
}

/// Everything that is known before there is a child.
pub(super) fn decided(to: &Sender, plan: &Plan, context: &Context<'_>) {
    if !to.is_heard() {
        return;
    }
    let program = plan.process.program.args.first();
    to.send(What::LaunchRequested {
        by: asked(plan.caller, &Identity::of(context.host)),
        image: context.image.clone(),
        program: program.cloned().unwrap_or_default(),
        bundle_digest: context.bundle_digest.into(),
    });
    let user = plan.namespaces.user.as_ref();
    to.send(What::Identity {
        uid: plan.process.uid,
        gid: plan.process.gid,
        host_uid: user.map_or(Some(plan.process.uid), |u| u.range),
        host: host_name(),
        kernel: context.host.release.clone(),
    });
    to.send(What::Granted {
        template: plan.template.name().into(),
        policy_digest: context.policy_digest.into(),
        plan_digest: plan.digest(),
        clamps: plan.clamps.len() as u64,
        exceptions: plan.waivers.len() as u64,
        lacks: plan.lacks.iter().map(|l| l.what.clone()).collect(),
    });
    for clamp in &plan.clamps {
        to.send_of(clamp.into(), &[clamp.control]);
    }
    for waiver in &plan.waivers {
        to.send_of(waiver.into(), &[waiver.control]);
    }
}

/// What the comparison found.
pub(super) fn verified(to: &Sender, verification: &Verification, pid: i32) {
    if verification.differences.is_empty() {
        to.send(What::Verified {
            checked: verification.checked as u64,
            pid,
        });
    }
}

/// The program is let run; told before it does, so that nothing that it does is told before.
pub(super) fn started(to: &Sender, plan: &Plan, pid: i32) {
    let program = plan.process.program.args.first();
    to.send(What::Started {
        pid,
        program: program.cloned().unwrap_or_default(),
    });
}

/// Nothing was run, and why.
pub(super) fn failed(to: &Sender, error: &ContainerError) {
    to.send(refused(error));
}

/// The same as an event.
pub(super) fn refused(error: &ContainerError) -> What {
    let of = |d: &Difference| Reason {
        control: Some(d.control),
        at: d.what.clone(),
        found: d.found.clone(),
        remedy: format!("planned: {}", d.expected),
    };
    let (stage, reasons) = match error {
        ContainerError::Different(all) => (Stage::Verification, all.iter().map(of).collect()),
        ContainerError::Launch(_) => (Stage::Exec, vec![Reason::plain(error.to_string())]),
        _ => (Stage::Setup, vec![Reason::plain(error.to_string())]),
    };
    What::Refused { stage, reasons }
}

/// How it ended, and which limits it met on the way where no monitor has told them.
pub(super) fn ended(
    to: &Sender,
    (cgroup, watched): (&Cgroup, bool),
    outcome: Option<&Outcome>,
    oom_kills: u64,
) {
    if !to.is_heard() {
        return;
    }
    if oom_kills > 0 && !watched {
        to.send(What::OomKilled { count: oom_kills });
    }
    let count = if watched { 0 } else { cgroup.pids_met() };
    if count > 0 {
        let limit = Limit::Pids;
        to.send(What::LimitHit { limit, count });
    }
    let (code, signal) = match outcome {
        Some(Outcome::Exited(code)) => (Some(*code), None),
        Some(Outcome::Signaled(signal)) => (None, Some(*signal)),
        None => (None, None),
    };
    to.send(What::Exited {
        code,
        signal,
        oom_kills,
    });
}

fn host_name() -> String {
    let name = crate::sys::fs::read_kernel_file("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().into()
}
