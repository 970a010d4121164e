//! `run` and `plan`: request → bundle → decision → plan, and then the deed.

use super::{Global, LaunchArgs, PlanArgs, RunArgs};
use crate::bundle::{Bundle, Extras};
use crate::container::{
    self, Context, Identity, Janitor, RecordTarget, RefusalRecord, Resolver, StopTimeout, Store,
};
use crate::events::{About, Reason, Sender, Stage, What};
use crate::host::Host;
use crate::paths::HostPath;
use crate::plan::Plan;
use crate::policy::{self, Caller, Decision, Policy, Violation};
use crate::ports::{self, Held, inherit};
use crate::report::{self, Failure, Sink};
use crate::request::{RunRequest, Source};
use crate::site::{self, Owner};
use crate::survey::Survey;
use std::mem::ManuallyDrop;
use std::path::Path;

/// Everything up to the plan, without a side effect.
pub(super) struct Planned {
    pub(super) host: Host,
    pub(super) bundle: Bundle,
    pub(super) policy: Policy,
    pub(super) plan: Plan,
    pub(super) requested: String,
}

pub(super) fn store(global: &Global) -> Store {
    Store::at(global.root.clone().unwrap_or_else(Store::default_root))
}

pub(super) fn absolute(path: &Path) -> Result<HostPath, Failure> {
    std::path::absolute(path)
        .map(HostPath::trusted)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}

pub(super) fn request(
    args: LaunchArgs,
    name: String,
    words: Vec<String>,
) -> Result<RunRequest, Failure> {
    let source = match (&args.rootfs, &args.bundle) {
        (Some(dir), _) => Source::Rootfs(absolute(dir)?),
        (None, Some(dir)) => Source::Bundle(absolute(dir)?),
        (None, None) => Source::Embedded,
    };
    let mut expose = args.expose;
    if source == Source::Embedded {
        // Nobody gets the sample for the service that was meant.
        if let Some(program) = words.first() {
            return Err(Failure::new(format!(
                "no root for {program:?}: say with --rootfs DIR or --bundle DIR where it lies (without either the built-in sample is started, which takes no program)"
            )));
        }
        if expose.iter().any(|port| *port != crate::sample::PORT) {
            return Err(Failure::new(format!(
                "--expose: the built-in sample serves on port {} alone; name the root of another service with --rootfs DIR or --bundle DIR",
                crate::sample::PORT
            )));
        }
        expose = vec![crate::sample::PORT];
    }
    if words.is_empty() && matches!(source, Source::Rootfs(_)) {
        return Err(Failure::new(
            "no program: name it after --, for example: cofferdam run --rootfs / web -- /usr/bin/python3 -m http.server",
        ));
    }
    Ok(RunRequest {
        name,
        source,
        template: args.profile,
        user: args.user,
        volumes: args.volume,
        tmpfs: args.tmpfs,
        env: args.env,
        secrets: args.secret,
        expose,
        openings: args.openings.into(),
        workdir: args.workdir,
        memory: args.memory,
        cpus: args.cpus,
        pids: args.pids,
        nofile: args.nofile,
        io: args.io,
        tty: args.tty,
        labels: args.label,
        args: words,
    })
}

/// What becomes of a plan.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// It is carried out: a refusal is put on record, where this says (`--record`) and where policy does.
    Launch(Option<&'a str>),
    /// It is printed: nothing is written anywhere.
    Show,
}

/// The one path from a bundle to a plan, for every verb.
pub(super) fn plan_bundle(
    global: &Global,
    bundle: Bundle,
    purpose: Purpose<'_>,
) -> Result<Planned, Failure> {
    let nobody = Sender::nowhere(About::launch_of(&bundle.name));
    plan_told(global, bundle, purpose, &nobody)
}

/// The same, and a refusal is told.
fn plan_told(
    global: &Global,
    mut bundle: Bundle,
    purpose: Purpose<'_>,
    events: &Sender,
) -> Result<Planned, Failure> {
    let states = std::path::absolute(store(global).root()).ok();
    bundle.extras.states = states.and_then(|path| path.to_str().map(String::from));
    let requested = container::now();
    let policy =
        site::load(global.policy.as_deref(), policy_owner()).map_err(Failure::from_error)?;
    let mut host = Host::probe().map_err(Failure::from_error)?;
    host.taken_ids.extend(store(global).ranges());
    let grant = match policy::decide(&bundle, &policy, &host) {
        Decision::Granted(grant) => grant,
        Decision::Refused(violations) => {
            events.send(What::Refused {
                stage: Stage::Policy,
                reasons: violations.iter().map(Reason::from).collect(),
            });
            if let Purpose::Launch(record) = purpose {
                let site = policy.ceilings.records.as_ref();
                let site = site.map(|file| RecordTarget::Site(file.into()));
                let refusal = refusal(&bundle, &policy, &host, &violations, requested);
                // The site's first: no mistake in the caller's may keep it from being written.
                for target in site.into_iter().chain(record.map(RecordTarget::parse)) {
                    refusal.write(&target).map_err(Failure::from_container)?;
                }
            }
            return Err(Failure::refused(&bundle, &violations));
        }
    };
    crate::plan::calls::all_there(&host).map_err(Failure::from_plan)?;
    let survey = Survey::take(&grant).map_err(|(path, errno)| {
        Failure::new(format!("can't open the root {path}: {}", errno.desc()))
    })?;
    let place = |pointer: &str| crate::policy::place(&bundle, pointer);
    let plan = crate::plan::plan(&grant, &host, &survey)
        .map_err(|e| Failure::from_plan(e.placed(place)))?;
    Ok(Planned {
        host,
        bundle,
        policy,
        plan,
        requested,
    })
}

fn refusal<'a>(
    bundle: &'a Bundle,
    policy: &'a Policy,
    host: &Host,
    violations: &'a [Violation],
    requested: String,
) -> RefusalRecord<'a> {
    let args = bundle
        .spec
        .process()
        .as_ref()
        .and_then(|p| p.args().as_ref());
    RefusalRecord {
        version: 1,
        result: "refused",
        name: &bundle.name,
        image: policy::image_of(bundle),
        program: args.and_then(|a| a.first()).map_or("", String::as_str),
        identity: Identity::of(host),
        bundle_digest: &bundle.digest,
        policy_digest: &policy.digest,
        violations,
        requested,
    }
}

/// The file that a network's name servers will be written to, if one is asked for; gone when the launch is over.
pub(super) fn resolver(global: &Global, bundle: &mut Bundle) -> Result<Option<Resolver>, Failure> {
    if !bundle.asks_for_network() {
        return Ok(None);
    }
    let made = Resolver::make(store(global).root(), &bundle.name);
    let made = made.map_err(|why| Failure::new(format!("the network's name servers: {why}")))?;
    bundle.extras.openings.resolver = Some(made.path.clone());
    Ok(Some(made))
}

/// `run`.
#[inline(never)] // its caller would get a stack frame for all verbs together, whose pages a launch pays for
pub(super) fn run(
    global: &Global,
    args: RunArgs,
    sink: &Sink,
    janitor: Option<Janitor>,
) -> Result<u8, Failure> {
    inherit::reserve(args.launch.openings.descriptors())
        .map_err(|why| Failure::new(format!("keep descriptors for --listen: {why}")))?;
    let mut request = request(args.launch, args.name, args.args)?;
    match (args.once, &request.source) {
        (true, Source::Embedded) => request.args.push("--once".into()),
        (true, _) => {
            return Err(Failure::new(
                "--once is for the built-in sample: leave it out, or --rootfs and --bundle",
            ));
        }
        (false, _) => {}
    }
    let shown = match &request.source {
        Source::Bundle(dir) => dir.to_string(),
        _ => String::new(),
    };
    let mut bundle = Bundle::standalone(&request).map_err(Failure::from_error)?;
    let resolver = resolver(global, &mut bundle)?;
    bundle.extras.systemd_cgroup = global.systemd_cgroup;
    let mut events = Sender::nowhere(About::launch_of(&bundle.name));
    if let Some(to) = args.events.as_deref().map(RecordTarget::parse) {
        bundle.extras.events = true;
        events = events.and_lines(to.open("events").map_err(Failure::from_container)?);
    }
    // What was planned is given back with the process, which ends with the launch.
    let purpose = Purpose::Launch(args.record.as_deref());
    let planned = ManuallyDrop::new(plan_told(global, bundle, purpose, &events)?);
    let mut context = context(&planned, shown, args.record.as_deref());
    context.events = events;
    context.resolver = resolver.as_ref().map(|r| r.path.clone());
    context.links = ports::folder::beside(store(global).root());
    context.stop_timeout = args.stop_timeout;
    context.say = report::say;
    report::warnings(&planned.plan);
    let held = Held::open(&planned.plan.openings).map_err(Failure::from_error)?;
    let reachable = planned.plan.openings.reachable(held.published());
    reachable.iter().for_each(|line| report::say(line));
    context.held.replace(held);
    let ended = container::run(&planned.plan, &context, &store(global), janitor);
    context.warnings.take().iter().for_each(|w| sink.warn(w));
    let ended = ended.map_err(Failure::from_container)?;
    if ended.oom_kills > 0 {
        report::say(&format!(
            "the kernel ended {} process(es) of {} at its memory limit (SS-011/8.1.4); give it more with --memory",
            ended.oom_kills, planned.plan.name
        ));
    }
    Ok(ended.outcome.code())
}

pub(super) fn context<'a>(
    planned: &'a Planned,
    bundle: String,
    record: Option<&str>,
) -> Context<'a> {
    Context {
        events: Sender::nowhere(About::launch_of(&planned.plan.name)),
        host: &planned.host,
        bundle_digest: &planned.bundle.digest,
        policy_digest: &planned.policy.digest,
        bundle,
        annotations: planned
            .bundle
            .spec
            .annotations()
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        image: policy::image_of(&planned.bundle).map(String::from),
        records: record
            .map(RecordTarget::parse)
            .into_iter()
            .chain(
                planned
                    .policy
                    .ceilings
                    .records
                    .iter()
                    .map(|file| RecordTarget::Site(file.into())),
            )
            .collect(),
        requested: planned.requested.clone(),
        stop_timeout: StopTimeout::default(),
        say: |_| {},
        warnings: Default::default(),
        held: Default::default(),
        keeper: Default::default(),
        links: Default::default(),
        network: Default::default(),
        resolver: None,
        saved: container::Saved::of(
            &planned.bundle,
            &planned.policy,
            &planned.host,
            &planned.plan,
        ),
    }
}

/// For root only root's files count; an ordinary user launches with his own rights, so his files do too.
pub(super) fn policy_owner() -> Owner {
    match nix::unistd::geteuid() {
        uid if uid.is_root() => Owner::Root,
        uid => Owner::RootOr(uid.as_raw()),
    }
}

/// `plan`.
pub(super) fn plan(global: &Global, args: PlanArgs) -> Result<u8, Failure> {
    let bundle = match (&args.launch.bundle, args.engine) {
        (Some(dir), true) => {
            let dir = absolute(dir)?;
            Bundle::load(&dir, &args.name, Caller::Engine, Extras::default())
        }
        _ => {
            let request = request(args.launch, args.name, args.args)?;
            Bundle::standalone(&request)
        }
    };
    let mut bundle = bundle.map_err(Failure::from_error)?;
    bundle.extras.systemd_cgroup = global.systemd_cgroup;
    let _resolver = resolver(global, &mut bundle)?;
    let planned = plan_bundle(global, bundle, Purpose::Show)?;
    report::plan(&planned.plan, args.json);
    Ok(0)
}
