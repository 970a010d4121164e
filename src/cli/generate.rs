//! Man pages and shell completions, for packagers.

use super::Cli;
use crate::report::Failure;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// `generate`.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Folder to write to; man1 and completions are made in it
    dir: PathBuf,
}

pub(super) fn generate(args: &GenerateArgs) -> Result<u8, Failure> {
    write(&args.dir)
        .map_err(|e| Failure::new(format!("can't write below {}: {e}", args.dir.display())))?;
    Ok(0)
}

fn write(dir: &Path) -> std::io::Result<()> {
    let (man, completions) = (dir.join("man1"), dir.join("completions"));
    std::fs::create_dir_all(&man)?;
    std::fs::create_dir_all(&completions)?;
    let mut command = Cli::command().version(env!("CARGO_PKG_VERSION"));
    command.build();
    clap_mangen::generate_to(command.clone(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "cofferdam", &completions)?;
    }
    Ok(())
}
