//! The one way to a container that waits in front of exec: prepared, launched, verified, recorded.

use super::error::ContainerError;
use super::hooks;
use super::janitor::Janitor;
use super::network::{self, Held as HeldNetwork};
use super::receiver::Receiver;
use super::record::{Identity, LaunchRecord, RecordTarget, controls_of, line_of, now};
use super::saved::Saved;
use super::signals::StopTimeout;
use super::store::{Entry, State, Status, start_time};
use super::streams::can_be_reopened;
use super::told;
use crate::cgroup::{Cgroup, CgroupRecord, LimitFiles};
use crate::controls::ControlId;
use crate::events::Sender;
use crate::host::Host;
use crate::monitor::{Launching, Monitor, PipeOwner};
use crate::plan::monitor::Answering;
use crate::plan::{NamespaceKind, Plan};
use crate::policy::Caller;
use crate::ports::{self, Held, Keeper};
use crate::sandbox::{Created, Launched, StartGate, Streams, launch, prepare};
use crate::verify::{self, Verification};
use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::Duration;

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
    /// How long the program may take to end (`run`).
    pub stop_timeout: StopTimeout,
    /// Where the launch tells what happens.
    pub events: Sender,
    /// Says where it can be reached, as soon as that is known.
    pub say: fn(&str),
    /// What went wrong without ending the launch; told when it is over.
    pub warnings: RefCell<Vec<String>>,
    /// The host's sockets, until the forwarders have them.
    pub held: RefCell<Held>,
    /// Who has them then.
    pub keeper: RefCell<Option<Keeper>>,
    /// The network that the container is attached to.
    pub network: RefCell<Option<HeldNetwork>>,
    /// Where its name servers are written to.
    pub resolver: Option<crate::paths::HostPath>,
    /// The folder of containers that can be linked to.
    pub links: std::path::PathBuf,
}

impl Context<'_> {
    pub(super) fn about<'a>(&'a self, plan: &'a Plan) -> hooks::About<'a> {
        hooks::About {
            id: &plan.name,
            bundle: &self.bundle,
            annotations: &self.annotations,
        }
    }

    pub(super) fn warn(&self, warnings: Vec<String>) {
        self.warnings.borrow_mut().extend(warnings);
    }
}

/// A verified container that waits, with its cgroups.
#[must_use]
pub struct Ready {
    /// The child.
    pub created: Created,
    /// Its cgroups.
    pub cgroup: Cgroup,
    /// What stands beside it.
    pub monitor: Option<Monitor>,
    /// Where to tell what happens.
    pub events: Sender,
    /// What `state.json` says.
    pub state: State,
}

/// Made before there is a child, whose output goes to it.
fn monitor(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    streams: &mut Streams,
) -> Result<Option<Monitor>, ContainerError> {
    let Some(beside) = &plan.monitor else {
        return Ok(None);
    };
    let launching = Launching {
        plan: beside,
        name: &plan.name,
        called: None,
        image: context.image.clone(),
        owner: PipeOwner::of(plan.process.uid, context.host.privilege),
        delays_end: plan.caller == Caller::Engine
            && plan.namespaces.is_new(NamespaceKind::Pid)
            && beside.copies(),
        events: &context.events,
        folder: Some(entry.dir()),
        plain: match &plan.seccomp.watch {
            Some(watch) if beside.denials == Some(Answering::Watcher) => Some(&watch.plain),
            _ => None,
        },
    };
    Ok(Some(Monitor::start(&launching, streams)?))
}

/// The monitor takes it over; nothing of the image runs before it is at work.
pub(super) fn watched(
    monitor: Option<&Monitor>,
    created: Created,
    limits: impl FnOnce() -> LimitFiles,
    keeper: Option<&Keeper>,
) -> Result<Created, ContainerError> {
    let Some(monitor) = monitor else {
        return Ok(created);
    };
    let whole = (created.pid, created.pidfd.as_fd());
    let keeper = keeper.map(Keeper::pidfd);
    let taken = monitor.launched(whole, created.take_listener(), limits(), keeper);
    match taken.and_then(|()| monitor.ready()) {
        Ok(()) => Ok(created),
        Err(error) => {
            created.abandon();
            Err(error.into())
        }
    }
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
    let mut streams = streams;
    let monitor = monitor(plan, context, entry, &mut streams)?;
    let events = match &monitor {
        Some(monitor) => monitor.sender().again(),
        None => context.events.again(),
    };
    told::decided(&events, plan, context);
    let owner = PipeOwner::of(plan.process.uid, context.host.privilege);
    can_be_reopened(&streams, plan, owner);
    let prepared = prepare(plan, streams, gate)?;
    janitor.cgroup(CgroupRecord::planned(&plan.limits))?;
    let mut cgroup = Cgroup::create(&plan.limits)?;
    let filled = fill(
        plan,
        (context, &events),
        entry,
        janitor,
        prepared,
        &mut cgroup,
    );
    let taken = filled.and_then(|(created, state)| {
        let keeper = context.keeper.borrow();
        let limits = || cgroup.limit_files();
        let created = watched(monitor.as_ref(), created, limits, keeper.as_ref())?;
        Ok((created, state))
    });
    match taken {
        Ok((created, state)) => Ok(Ready {
            created,
            monitor,
            events,
            cgroup,
            state,
        }),
        Err(error) => {
            told::failed(&events, &error);
            // The first error is the one to tell.
            let _ = cgroup.kill();
            let _ = cgroup.remove();
            // Whatever the hooks in front of the pivot have set up, those behind the end take down.
            context.warn(hooks::poststop(
                &hooks::SavedHooks::of(plan),
                &context.about(plan),
                |what| events.send(what),
            ));
            Err(error)
        }
    }
}

/// What is worked out while the child locks itself down, for the record and the state.
struct About {
    plan_digest: String,
    controls: Vec<ControlId>,
    /// Of the child, from its birth on.
    start_time: u64,
}

fn fill(
    plan: &Plan,
    (context, events): (&Context<'_>, &Sender),
    entry: &Entry,
    janitor: &mut Janitor,
    prepared: crate::sandbox::Prepared,
    cgroup: &mut Cgroup,
) -> Result<(Created, State), ContainerError> {
    // The child is born into what is there; of the rest it hears when it is there.
    janitor.cgroup(cgroup.record())?;
    let agent = plan.seccomp.listener.as_ref();
    let agent = agent
        .map(|l| Receiver::agent(l.path.as_path()))
        .transpose()?;
    let placed = context.held.borrow().place();
    super::error::sys(
        placed,
        "put the listening sockets where the program looks (dup3)",
    )?;
    let told = |record| janitor.cgroup(record).is_ok();
    let launched = launch(prepared, cgroup, told)?;
    let hooked = hooked(plan, context, &launched, events);
    if let Err(error) = hooked {
        launched.abandon();
        return Err(error);
    }
    // While the child locks itself down.
    let aside = (|| {
        context.saved.write_first(entry)?;
        let about = About {
            plan_digest: plan.digest(),
            controls: controls_of(plan),
            start_time: start_time(launched.pid()).unwrap_or(0),
        };
        Ok((about, verify::early(plan, launched.pid(), cgroup)?))
    })();
    let created = launched.ready()?;
    let finished = aside
        .and_then(|(about, early)| {
            let strange = network::attach(plan, context, entry, created.pid)?;
            let mut verification = verify::observe(plan, created.pid, cgroup, early)?;
            verification.checked += usize::from(plan.openings.network.is_some());
            verification.differences.extend(strange);
            Ok((about, verification))
        })
        .and_then(|(about, verification)| {
            record(plan, context, entry, &verification, (created.pid, &about))?;
            if !verification.differences.is_empty() {
                return Err(ContainerError::Different(verification.differences));
            }
            told::verified(events, &verification, created.pid);
            // Without an agent it is the monitor's.
            if let Some(agent) = &agent
                && let Some(listener) = created.take_listener()
            {
                agent.send(&process_state(plan, context, created.pid), &listener)?;
            }
            open_ports(plan, (context, events), &created)?;
            let state = state_of(plan, context, cgroup, (created.pid, &about));
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

/// What comes in and goes out, before the program can miss it.
fn open_ports(
    plan: &Plan,
    (context, events): (&Context<'_>, &Sender),
    created: &Created,
) -> Result<(), ContainerError> {
    if plan.openings.is_closed() {
        return Ok(());
    }
    let whose = ports::Whose {
        name: &plan.name,
        pid: created.pid,
        pidfd: created.pidfd.as_fd(),
        links: &context.links,
        asked: asked(plan, created)?,
        events: events.again(),
    };
    let keeper = ports::start(&plan.openings, context.held.take(), whose)?;
    context.keeper.replace(keeper);
    Ok(())
}

/// Who carries out bind and listen needs the filter's listener, and what the filter says of everything else.
fn asked(plan: &Plan, created: &Created) -> Result<Option<ports::Asked>, ContainerError> {
    let Some(watch) = plan.seccomp.watch.as_ref().filter(|w| !w.routed.is_empty()) else {
        return Ok(None);
    };
    let listener = created.take_listener().ok_or(nix::errno::Errno::ENOENT);
    let listener = super::error::sys(listener, "take over bind and listen (seccomp listener)")?;
    Ok(Some(ports::Asked {
        listener,
        plain: watch.plain.clone(),
        tells: watch.tells,
        every: pulse(plan),
    }))
}

/// From one heartbeat of the monitor to the next; without a spool as often as by default.
fn pulse(plan: &Plan) -> Duration {
    let logs = plan.monitor.as_ref().and_then(|m| m.watch.logs.as_ref());
    Duration::from_secs(logs.map_or(60, |logs| logs.heartbeat.max(1)))
}

/// The stop in front of the pivot, and what startContainer hooks will read.
fn hooked(
    plan: &Plan,
    context: &Context<'_>,
    launched: &Launched,
    events: &Sender,
) -> Result<(), ContainerError> {
    let about = context.about(plan);
    launched.leave_state(&about.state(Status::Created, launched.pid()))?;
    if plan.hooks.stops_before_pivot() {
        launched.built()?;
        hooks::before_pivot(plan, &about, launched, events)?;
        launched.pivot()?;
    }
    Ok(())
}

/// What a seccomp agent is told with the listener (runtime-spec, config-linux.md, containerProcessState).
fn process_state(plan: &Plan, context: &Context<'_>, pid: i32) -> Vec<u8> {
    let state = context.about(plan).state(Status::Creating, pid);
    let metadata = plan.seccomp.listener.as_ref().map(|l| l.metadata.as_str());
    let all = serde_json::json!({
        "ociVersion": "1.3.0",
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": metadata.unwrap_or_default(),
        "state": serde_json::from_slice::<serde_json::Value>(&state).unwrap_or_default(),
    });
    serde_json::to_vec(&all).unwrap_or_default()
}

fn state_of(
    plan: &Plan,
    context: &Context<'_>,
    cgroup: &Cgroup,
    (pid, about): (i32, &About),
) -> State {
    State {
        layout: 1,
        id: plan.name.clone(),
        pid,
        start_time: about.start_time,
        // `run` starts it in the same breath: one write less on the way.
        started: plan.caller == Caller::Standalone,
        bundle: context.bundle.clone(),
        rootfs: plan.mounts.root.from.shown(),
        created: now(),
        owner: context.host.caller.uid,
        cgroup: cgroup.record(),
        range: plan.namespaces.user.as_ref().and_then(|u| u.range),
        annotations: context.annotations.clone(),
        template: Some(plan.template),
        apparmor: plan.process.apparmor.clone(),
        hooks: hooks::SavedHooks::of(plan),
        program: plan.process.program.args.first().cloned(),
    }
}

fn record(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    verification: &Verification,
    (pid, about): (i32, &About),
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
        controls: &about.controls,
        verification,
        pid,
        requested: context.requested.clone(),
        verified: now(),
    };
    let line = line_of(&record);
    entry.write_first("record.json", &line)?;
    context
        .records
        .iter()
        .try_for_each(|target| target.write(&line))
}
