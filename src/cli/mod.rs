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

use crate::container::Janitor;
use crate::report::{self, Failure, Sink};
use args::version;
pub use args::{
    Cli, CreateArgs, DeleteArgs, Global, IdArgs, KillArgs, LaunchArgs, ListArgs, PlanArgs,
    PolicyVerb, ReportArgs, RunArgs, SpecArgs, Verb,
};
use later::Later;

/// Does what argv says; the exit code.
pub fn main(argv: Vec<String>) -> u8 {
    crate::sys::arena::open();
    // A fork copies what there is: at first that is next to nothing.
    let janitor = match said::verb(&argv) {
        Some("run" | "create") => Janitor::start().ok(),
        _ => None,
    };
    let cli = match said::parse(&argv) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &argv),
    };
    let sink = Sink::new(cli.global.log.clone(), cli.global.log_format == "json");
    match dispatch(cli, &sink, janitor) {
        Ok(code) => code,
        Err(failure) => sink.report(&failure),
    }
}

/// Help and version on standard output with 0; a wrong word is runc's 1, or 125 for our own verbs.
fn usage(error: &clap::Error, argv: &[String]) -> u8 {
    if argv.iter().skip(1).any(|a| a == "--version" || a == "-V") && error.exit_code() == 0 {
        println!("cofferdam version {}", version());
        return 0;
    }
    if error.exit_code() != 0 && argv.len() > 1 {
        // One sentence, as every other error: clap's usage and hints go on for several lines.
        let text = error.render().to_string();
        let sentence: Vec<&str> = text
            .split("\n\nUsage:")
            .next()
            .unwrap_or_default()
            .split("\n\nFor more")
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let sentence = sentence.join(" ");
        let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
        report::say(&format!("{sentence}; see --help"));
    } else {
        let _ = error.print();
    }
    match error.exit_code() {
        0 => 0,
        // runc's, for a verb that it does not have.
        _ if error.kind() == clap::error::ErrorKind::InvalidSubcommand => 3,
        _ if argv.iter().any(|a| {
            ["run", "plan", "audit", "check", "controls", "oscal"].contains(&a.as_str())
        }) =>
        {
            crate::outcome::FAILED
        }
        _ => 1,
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
