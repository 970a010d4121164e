//! `install` and `uninstall`: one command between an engine and its new runtime.

use crate::host::Host;
use crate::install::apparmor::{self, Load};
use crate::install::{self, Change, Direction, Engine, InstallError, Wish};
use crate::report::{self, Failure};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// `install`, `uninstall`.
#[derive(Args, Debug)]
pub struct InstallArgs {
    #[command(flatten)]
    target: Target,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The engine's configuration file, or the profile's [default: where it looks by itself]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As data
    #[arg(long)]
    json: bool,
}

/// What is changed.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Target {
    /// Which engine
    #[arg(long, value_name = "ENGINE")]
    engine: Option<Engine>,
    /// The AppArmor profile of every launch without one of its own
    #[arg(long)]
    apparmor: bool,
}

/// What `install` alone takes.
#[derive(Args, Debug)]
pub struct InstallOnly {
    #[command(flatten)]
    both: InstallArgs,
    /// Make it what the engine uses when nothing else is said
    #[arg(long, conflicts_with = "apparmor")]
    default: bool,
}

/// `install`.
pub(super) fn install(args: InstallOnly) -> Result<u8, Failure> {
    change(args.both, Direction::Install, args.default)
}

/// `uninstall`.
pub(super) fn uninstall(args: InstallArgs) -> Result<u8, Failure> {
    change(args, Direction::Uninstall, false)
}

fn change(args: InstallArgs, direction: Direction, default: bool) -> Result<u8, Failure> {
    let Some(engine) = args.target.engine else {
        return template(&args, direction);
    };
    let program = std::env::current_exe()
        .map_err(|why| Failure::new(format!("can't tell where this program lies: {why}")))?;
    let wish = Wish {
        engine,
        direction,
        default,
        program,
        file: args.config,
    };
    let changes = install::changes(&wish).map_err(Failure::from_error)?;
    if !args.dry_run {
        for change in &changes {
            change.apply().map_err(Failure::from_error)?;
        }
    }
    if args.json {
        let shown: Vec<_> = changes
            .iter()
            .map(|c| json!({ "file": c.path, "kept": c.kept(), "before": c.before, "after": c.after }))
            .collect();
        report::print_json(&json!({
            "changes": shown,
            "applied": !args.dry_run,
            "reload": wish.engine.reload(),
        }));
        return Ok(0);
    }
    report::line(format_changes(&wish, &changes, args.dry_run).trim_end());
    Ok(0)
}

/// `--apparmor`.
fn template(args: &InstallArgs, direction: Direction) -> Result<u8, Failure> {
    let host = Host::probe().map_err(Failure::from_error)?;
    let file = args.config.as_deref().unwrap_or(Path::new(apparmor::FILE));
    let changes = apparmor::changes(direction, file).map_err(Failure::from_error)?;
    let load = Load::needed(&host, direction, file, !changes.is_empty());
    let load = load.map_err(Failure::from_error)?;
    if !args.dry_run {
        make(&changes, load.as_ref(), direction).map_err(Failure::from_error)?;
    }
    let command = load.as_ref().map(Load::command);
    if args.json {
        let shown: Vec<_> = changes
            .iter()
            .map(|c| json!({ "file": c.path, "before": c.before, "after": c.after }))
            .collect();
        report::print_json(&json!({
            "changes": shown,
            "applied": !args.dry_run,
            "command": command,
        }));
        return Ok(0);
    }
    let mut out: String = changes.iter().map(Change::diff).collect();
    out += &match (&command, args.dry_run) {
        (Some(command), true) => format!("nothing was changed (--dry-run); after it: {command}"),
        (None, true) if !changes.is_empty() => "nothing was changed (--dry-run)".into(),
        (Some(command), false) => format!("done, and in the kernel: {command}"),
        (None, _) if changes.is_empty() => "nothing to change: it is already so".into(),
        (None, _) => "AppArmor is not in force here: the kernel loads no profile now".into(),
    };
    report::line(&out);
    Ok(0)
}

/// A profile is loaded from its file: the file comes first and goes last. What can't be loaded is not left behind.
fn make(changes: &[Change], load: Option<&Load>, direction: Direction) -> Result<(), InstallError> {
    let files = || changes.iter().try_for_each(Change::apply);
    let kernel = || load.map_or(Ok(()), Load::run);
    match direction {
        Direction::Install => files().and_then(|()| kernel()).inspect_err(|_| {
            for change in changes {
                let _ = change.clone().reversed().apply();
            }
        }),
        Direction::Uninstall => kernel().and_then(|()| files()),
    }
}

fn format_changes(wish: &Wish, changes: &[install::Change], dry_run: bool) -> String {
    let mut out: String = changes.iter().map(install::Change::diff).collect();
    if changes.is_empty() {
        return "nothing to change: it is already so\n".into();
    }
    for change in changes {
        if let (Some(kept), false) = (change.kept(), dry_run) {
            out += &format!("the old text is kept in {}\n", kept.display());
        }
    }
    out += if dry_run {
        "nothing was changed (--dry-run); after it: "
    } else {
        "to take effect: "
    };
    out += wish.engine.reload();
    if wish.direction == Direction::Install && !wish.default {
        out += &format!("\nthen: {}", wish.engine.use_it());
    }
    out + "\n"
}
