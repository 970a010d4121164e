//! `collectors`: try the policy's collectors, and ship a spool by hand.

use super::Global;
use super::later::Later;
use super::launch::policy_owner;
use crate::logs::ship::{self, End, Notice, Spool, Station};
use crate::policy::{Target, chains};
use crate::report::{self, Failure};
use crate::site;
use clap::{Args, Subcommand};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::path::PathBuf;
use std::time::Duration;

/// `collectors`.
#[derive(Subcommand, Debug)]
pub enum CollectorsVerb {
    /// Connect to each collector of the policy and say what is wrong
    Check(Later<CheckArgs>),
    /// Send what lies in a spool and was not delivered yet
    Ship(Later<ShipArgs>),
}

/// `collectors check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// As data
    #[arg(long)]
    json: bool,
    /// Only these, by name
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// `collectors ship`.
#[derive(Args, Debug)]
pub struct ShipArgs {
    /// How long to try when nobody answers
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// The spool's folder
    dir: PathBuf,
}

/// Does what the words say.
pub(super) fn collectors(global: &Global, verb: &CollectorsVerb) -> Result<u8, Failure> {
    let policy =
        site::load(global.policy.as_deref(), policy_owner()).map_err(Failure::from_error)?;
    let targets = policy.ceilings.logs.target;
    if targets.is_empty() {
        return Err(Failure::new(
            "the policy names no collector: write a [[logs.target]] with name, protocol and address into it",
        ));
    }
    match verb {
        CollectorsVerb::Check(Later(args)) => check(&targets, args),
        CollectorsVerb::Ship(Later(args)) => ship(&targets, args),
    }
}

fn check(targets: &[Target], args: &CheckArgs) -> Result<u8, Failure> {
    if let Some(unknown) = args
        .names
        .iter()
        .find(|n| targets.iter().all(|t| t.name != **n))
    {
        let known: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
        let text = format!(
            "no collector is named {unknown:?}; the policy has {}",
            known.join(", ")
        );
        return Err(Failure::new(text));
    }
    let wanted = targets
        .iter()
        .filter(|t| args.names.is_empty() || args.names.contains(&t.name));
    let answers: Vec<ship::Answer> = wanted.map(ship::check).collect();
    if args.json {
        report::print_json(&answers);
    } else {
        for answer in &answers {
            let said = answer.why.as_deref().unwrap_or("ready");
            let note = answer.note.map(|n| format!(" ({n})")).unwrap_or_default();
            report::line(&format!("{} {}: {said}{note}", answer.target, answer.place));
        }
    }
    Ok(u8::from(answers.iter().any(|a| !a.works)))
}

fn ship(targets: &[Target], args: &ShipArgs) -> Result<u8, Failure> {
    let mut code = 0;
    for chain in chains(targets) {
        let mut stations = Vec::new();
        for target in chain {
            let station = Station::prepare(target);
            stations.push(
                station.map_err(|why| Failure::new(format!("collector {}: {why}", target.name)))?,
            );
        }
        let name = &chain[0].name;
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let dir = nix::fcntl::open(&args.dir, flags, Mode::empty()).map_err(|errno| {
            let dir = args.dir.display();
            Failure::new(format!(
                "cannot open the spool {dir} (openat): {}",
                errno.desc()
            ))
        })?;
        let failed = |why| Failure::new(format!("collector {name}: {why}"));
        let mut spool = Spool::open(dir, name, None).map_err(failed)?;
        let patience = Duration::from_secs(args.patience);
        let end = ship::ship(&mut spool, &stations, patience, &mut say).map_err(failed)?;
        match end {
            End::Delivered => report::line(&format!("{name}: delivered")),
            End::Left(last) => {
                report::line(&format!(
                    "{name}: not delivered; the lines behind number {last} stay in the spool"
                ));
                code = 1;
            }
        }
    }
    Ok(code)
}

fn say(notice: Notice) {
    report::say(&match notice {
        Notice::Up { target, .. } => format!("{target}: up"),
        Notice::Down { target, why, .. } | Notice::PeerRefused { target, why } => {
            format!("{target}: {why}")
        }
        Notice::Rejected { target, what } => {
            format!(
                "{target}: {} records were rejected: {}",
                what.count, what.why
            )
        }
    });
}
