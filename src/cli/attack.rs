//! `audit`: what a hostile program can do in a container that is launched as asked, control by control.

use super::launch::{self, Planned, Purpose, store};
use super::observe;
use super::output::OutputArgs;
use super::{Global, LaunchArgs};
use crate::audit::inside::{self, Ground};
use crate::audit::observe::Observer;
use crate::audit::{Report, Subject, SubjectKind};
use crate::bundle::Bundle;
use crate::cgroup::Cgroup;
use crate::paths::GuestPath;
use crate::plan::Plan;
use crate::report::Failure;
use crate::request::{RunRequest, Source};
use crate::sandbox::Running;
use std::path::Path;

/// Programs that a root may have, for `--rootfs` without a program: the tester takes its place.
const USUAL: [&str; 6] = [
    "/bin/sh",
    "/bin/busybox",
    "/usr/bin/env",
    "/usr/bin/python3",
    "/bin/true",
    "/sbin/init",
];

/// Writable memory of the built-in container, so that attacks on files have a place: more than a memory bomb takes.
const SCRATCH: (&str, u64) = ("/tmp", 48 << 20);

/// Launches what was asked, attacks it, and looks at it meanwhile.
pub(super) fn inside(
    global: &Global,
    (launch, words): (LaunchArgs, Vec<String>),
    before: Option<&Path>,
    output: &OutputArgs,
) -> Result<u8, Failure> {
    let began = crate::container::now();
    let name = format!("audit-{}", std::process::id());
    let beside = format!("{name}-beside");
    let neighbour = planned(global, launch.clone(), words.clone(), &beside)?.plan;
    let planned = planned(global, launch, words, &name)?;
    let context = {
        // A control run is no launch of the site's: its records are not told of it.
        let mut context = launch::context(&planned, String::new(), None);
        context.records.clear();
        context
    };
    let store = store(global);
    let ground = Ground {
        plan: &planned.plan,
        neighbour: &neighbour,
        host: &planned.host,
        context: &context,
        store: &store,
    };
    let mut seen = Err("it was not there to be looked at".to_string());
    let look = &mut |_: &Plan, running: &Running, _: &Cgroup| {
        let named = global.policy.is_some();
        let observer = Observer::new(&planned.policy, named, Some(&planned.host), store.root());
        seen = observer.judge(&observer.of_pid(running.pid));
    };
    let tried = inside::attack(&ground, look).map_err(Failure::from_container)?;
    let seen = seen.map_err(Failure::new)?;
    let mut subject = Subject::new(SubjectKind::Container, source(&planned));
    subject.facts = facts(&planned);
    subject.findings = inside::together(&ground, tried, seen.findings);
    let policy = Some(planned.policy.digest.clone());
    let report = Report::new(observe::label(&planned.host), began, policy, vec![subject]);
    observe::finish(&report, before, false, output)
}

fn source(planned: &Planned) -> String {
    planned.plan.mounts.root.from.shown()
}

fn facts(planned: &Planned) -> Vec<(String, String)> {
    vec![
        ("template".into(), planned.plan.template.name().into()),
        ("plan".into(), planned.plan.digest()),
    ]
}

fn planned(
    global: &Global,
    args: LaunchArgs,
    words: Vec<String>,
    name: &str,
) -> Result<Planned, Failure> {
    let given = !words.is_empty() || args.rootfs.is_none();
    let choices: Vec<Vec<String>> = match given {
        true => vec![words],
        false => USUAL.iter().map(|p| vec![p.to_string()]).collect(),
    };
    let mut failed = None;
    for words in choices {
        let request = launch::request(args.clone(), name.into(), words)?;
        match plan_of(global, request) {
            Ok(planned) => return Ok(planned),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| Failure::new("no program: name one of the root's after --")))
}

fn plan_of(global: &Global, mut request: RunRequest) -> Result<Planned, Failure> {
    if request.source == Source::Embedded && request.tmpfs.is_empty() {
        let place = GuestPath::parse(SCRATCH.0).map_err(Failure::from_error)?;
        request.tmpfs.push((place, SCRATCH.1));
    }
    let mut bundle = Bundle::standalone(&request).map_err(Failure::from_error)?;
    bundle.extras.systemd_cgroup = global.systemd_cgroup;
    launch::plan_bundle(global, bundle, Purpose::Show)
}
