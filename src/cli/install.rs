//! `install` and `uninstall`: one command between an engine and its new runtime.

use crate::install::{self, Direction, Engine, Wish};
use crate::report::{self, Failure};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// `install`, `uninstall`.
#[derive(Args, Debug)]
pub struct InstallArgs {
    /// Which engine
    #[arg(long, value_name = "ENGINE")]
    engine: Engine,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The engine's configuration file [default: where it looks by itself]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As data
    #[arg(long)]
    json: bool,
}

/// What `install` alone takes.
#[derive(Args, Debug)]
pub struct InstallOnly {
    #[command(flatten)]
    both: InstallArgs,
    /// Make it what the engine uses when nothing else is said
    #[arg(long)]
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
    let program = std::env::current_exe()
        .map_err(|why| Failure::new(format!("can't tell where this program lies: {why}")))?;
    let wish = Wish {
        engine: args.engine,
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
