//! The one way to a container that waits in front of exec: prepared, launched, verified, recorded.

use super::error::ContainerError;
use super::janitor::Janitor;
use super::record::{Identity, LaunchRecord, RecordTarget, controls_of, line_of, now};
use super::saved::Saved;
use super::store::{Entry, State, start_time};
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::Plan;
use crate::policy::Caller;
use crate::sandbox::{Created, StartGate, Streams, launch, prepare};
use crate::verify::{self, Verification};

/// What a launch needs beside the plan, for its record and its state.
pub struct Context<'a> {
    /// Host facts.
    pub host: &'a Host,
    /// SHA-256 of config.json.
    pub bundle_digest: &'a str,
    /// SHA-256 of the policy.
    pub policy_digest: &'a str,
    /// The bundle's folder, as `state` shows it.
    pub bundle: String,
    /// Labels.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// The image, if the engine names it.
    pub image: Option<String>,
    /// Where the record goes beside the container's folder: `--record`, and what the policy says.
    pub records: Vec<RecordTarget>,
    /// When it was asked for.
    pub requested: String,
    /// What later verbs need of the launch.
    pub saved: Saved,
}

/// A verified container that waits, with its cgroups.
#[must_use]
pub struct Ready {
    /// The child.
    pub created: Created,
    /// Its cgroups.
    pub cgroup: Cgroup,
    /// What `state.json` says.
    pub state: State,
}

/// Builds it; on failure nothing is left but what `entry` holds.
pub fn build(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    janitor: &mut Janitor,
    streams: Streams,
    gate: Option<StartGate>,
) -> Result<Ready, ContainerError> {
    let prepared = prepare(plan, streams, gate)?;
    janitor.cgroup(CgroupRecord::planned(&plan.limits))?;
    let cgroup = Cgroup::create(&plan.limits)?;
    match fill(plan, context, entry, janitor, prepared, &cgroup) {
        Ok((created, state)) => Ok(Ready {
            created,
            cgroup,
            state,
        }),
        Err(error) => {
            // The first error is the one to tell.
            let _ = cgroup.kill();
            let _ = cgroup.remove();
            Err(error)
        }
    }
}

/// What a record says of the plan.
struct About {
    plan_digest: String,
    controls: Vec<ControlId>,
}

fn fill(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    janitor: &mut Janitor,
    prepared: crate::sandbox::Prepared,
    cgroup: &Cgroup,
) -> Result<(Created, State), ContainerError> {
    janitor.cgroup(cgroup.record())?;
    let launched = launch(prepared, cgroup)?;
    // While the child locks itself down.
    let about = About {
        plan_digest: plan.digest(),
        controls: controls_of(plan),
    };
    let created = launched.ready()?;
    let finished = verify::observe(plan, created.pid, cgroup)
        .map_err(ContainerError::from)
        .and_then(|verification| {
            record(plan, context, entry, &verification, (created.pid, about))?;
            if !verification.differences.is_empty() {
                return Err(ContainerError::Different(verification.differences));
            }
            context.saved.write(entry)?;
            let state = state_of(plan, context, cgroup, created.pid);
            entry.save(&state)?;
            Ok(state)
        });
    match finished {
        Ok(state) => Ok((created, state)),
        Err(error) => {
            created.abandon();
            Err(error)
        }
    }
}

fn state_of(plan: &Plan, context: &Context<'_>, cgroup: &Cgroup, pid: i32) -> State {
    State {
        layout: 1,
        id: plan.name.clone(),
        pid,
        start_time: start_time(pid).unwrap_or(0),
        // `run` starts it in the same breath: one write less on the way.
        started: plan.caller == Caller::Standalone,
        bundle: context.bundle.clone(),
        rootfs: plan.mounts.root.from.shown(),
        created: now(),
        owner: context.host.caller.uid,
        cgroup: cgroup.record(),
        range: plan.namespaces.user.as_ref().and_then(|u| u.range),
        annotations: context.annotations.clone(),
    }
}

fn record(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    verification: &Verification,
    (pid, about): (i32, About),
) -> Result<(), ContainerError> {
    let record = LaunchRecord {
        version: 1,
        result: if verification.differences.is_empty() {
            "verified"
        } else {
            "refused"
        },
        name: &plan.name,
        image: context.image.as_deref(),
        program: plan.process.program.args.first().map_or("", String::as_str),
        identity: Identity::of(context.host),
        host: &context.host.release,
        template: plan.template,
        bundle_digest: context.bundle_digest,
        policy_digest: context.policy_digest,
        plan_digest: &about.plan_digest,
        clamps: &plan.clamps,
        exceptions: &plan.waivers,
        lacks: &plan.lacks,
        controls: about.controls,
        verification,
        pid,
        requested: context.requested.clone(),
        verified: now(),
    };
    let line = line_of(&record);
    entry.write("record.json", &line)?;
    context
        .records
        .iter()
        .try_for_each(|target| target.write(&line))
}
