//! The command line: one file a verb. argv in, the report's exit code out; decides nothing itself.

mod args;
mod attack;
mod audit;
mod check;
mod checkpoint;
mod collectors;
mod controls;
mod events;
mod exec;
mod explain;
mod generate;
mod install;
mod later;
mod launch;
mod logger;
mod logs;
mod observe;
mod oci;
mod openings;
mod output;
mod policy;
mod ps;
mod said;
mod update;
mod usage;

use crate::container::Janitor;
use crate::report::{self, Failure, Sink};
pub use args::{
    Cli, CreateArgs, DeleteArgs, Global, IdArgs, KillArgs, LaunchArgs, ListArgs, PlanArgs,
    PolicyVerb, ReportArgs, RunArgs, SpecArgs, Verb,
};
use later::Later;

/// Does what argv says; the exit code.
pub fn main(argv: Vec<String>) -> u8 {
    if let Err(why) = as_oneself() {
        report::say(why);
        return crate::outcome::FAILED;
    }
    crate::sys::arena::open();
    // A fork copies what there is: at first that is next to nothing.
    let janitor = match said::verb(&argv) {
        Some("run" | "create") => Janitor::start().ok(),
        _ => None,
    };
    let cli = match said::parse(&argv) {
        Ok(cli) => cli,
        Err(error) => {
            let sink = said::sink(&argv);
            return answered(usage::usage(&error, &argv, &sink), &argv, &sink);
        }
    };
    let sink = Sink::new(cli.global.log.clone(), cli.global.log_format == "json");
    if let Err(why) = sink.check() {
        // As runc does, before anything is done: what could not be logged later would be evidence that is lost.
        return sink.without_log().report(&usage::failure(&argv, why));
    }
    let code = match dispatch(cli, &sink, janitor) {
        Ok(code) => code,
        Err(failure) => sink.report(&failure),
    };
    if let Some(why) = crate::events::unwritten() {
        sink.warn(&why);
    }
    answered(code, &argv, &sink)
}

/// Through a set-uid or set-gid bit whoever may execute this file would act with its owner's rights: no verb does
/// anything then (SS-011/8.2.1), not even write a log.
fn as_oneself() -> Result<(), &'static str> {
    use nix::unistd::{getegid, geteuid, getgid, getuid};
    if getuid() == geteuid() && getgid() == getegid() {
        return Ok(());
    }
    Err(
        "started set-uid or set-gid (the real and the effective ids differ), which hands the owner's rights to every caller (SS-011/8.2.1): remove the bit (chmod u-s,g-s) and call it as its operator",
    )
}

/// The code, once it is known whether the answer was written: an answer that was not is a failure.
fn answered(code: u8, argv: &[String], sink: &Sink) -> u8 {
    match report::unwritten() {
        Some(why) => match (sink.report(&usage::failure(argv, why)), code) {
            (failed, 0) => failed,
            (_, code) => code,
        },
        None => code,
    }
}

/// A verb's code by itself: in one function with all others, that of a launch would lie scattered over their pages.
#[inline(never)]
fn apart<T>(verb: impl FnOnce() -> T) -> T {
    verb()
}

fn dispatch(cli: Cli, sink: &Sink, janitor: Option<Janitor>) -> Result<u8, Failure> {
    let global = &cli.global;
    match cli.verb {
        Verb::Run(Later(args)) => launch::run(global, args, sink, janitor),
        Verb::Plan(Later(args)) => apart(|| launch::plan(global, args)),
        Verb::Create(Later(args)) => apart(|| oci::create(global, args, sink, janitor)),
        Verb::Start(Later(args)) => apart(|| oci::start(global, &args.id, sink)),
        Verb::State(Later(args)) => apart(|| oci::state(global, &args.id)),
        Verb::Kill(Later(args)) => apart(|| oci::kill(global, &args)),
        Verb::Delete(Later(args)) => apart(|| oci::delete(global, &args, sink)),
        Verb::Pause(Later(args)) => apart(|| oci::pause(global, &args.id)),
        Verb::Resume(Later(args)) => apart(|| oci::resume(global, &args.id)),
        Verb::Ps(Later(args)) => apart(|| ps::ps(global, &args)),
        Verb::Exec(Later(args)) => apart(|| exec::exec(global, &args)),
        Verb::Events(Later(args)) => apart(|| events::events(global, &args)),
        Verb::Explain(Later(args)) => apart(|| explain::explain(global, &args)),
        Verb::Logs(Later(args)) => apart(|| logs::logs(global, &args)),
        Verb::Logger { .. } => apart(|| logger::logger(global)),
        Verb::Update(Later(args)) => apart(|| update::update(global, &args)),
        Verb::Checkpoint(Later(_)) => apart(|| checkpoint::refuse("checkpoint")),
        Verb::Restore(Later(_)) => apart(|| checkpoint::refuse("restore")),
        Verb::List(Later(args)) => apart(|| oci::list(global, &args)),
        Verb::Spec(Later(args)) => apart(|| oci::spec(global, &args)),
        Verb::Features => apart(oci::features),
        Verb::Audit(Later(args)) => apart(|| audit::audit(global, args)),
        Verb::Check(verb) => apart(|| check::check(global, verb)),
        Verb::Controls(Later(args)) => apart(|| controls::controls(&args)),
        Verb::Oscal(verb) => apart(|| controls::oscal(global, verb)),
        Verb::Policy(PolicyVerb::Check { json }) => apart(|| policy::check(global, json)),
        Verb::Collectors(verb) => apart(|| collectors::collectors(global, &verb)),
        Verb::Install(Later(args)) => apart(|| install::install(args)),
        Verb::Uninstall(Later(args)) => apart(|| install::uninstall(args)),
        Verb::Policy(PolicyVerb::Report(args)) => apart(|| policy::report(global, &args)),
        Verb::Generate(Later(args)) => apart(|| generate::generate(&args)),
    }
}
