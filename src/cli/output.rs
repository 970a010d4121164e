//! Where an audit's report goes and in which form: `--format`, `--json`, `--output`.

use crate::audit::formats::{self, Format};
use crate::audit::{Report, table};
use crate::report::{self, Failure};
use clap::Args;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Form and place of a report.
#[derive(Args, Debug, Clone)]
pub struct OutputArgs {
    /// Form of the report [default: table]
    #[arg(long, short = 'f', value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,
    /// As JSON, the form that --compare and --baseline read
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write it here instead of standard output (mode 0600)
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// The form that was asked for.
    pub fn form(&self) -> Format {
        match self.json {
            true => Format::Json,
            false => self.format.unwrap_or(Format::Table),
        }
    }
}

/// The width of the terminal, or what fits most.
pub fn width() -> usize {
    use std::os::fd::AsFd;
    let size = crate::sys::terminal::size(std::io::stdout().as_fd());
    match size {
        Ok((_, columns)) if columns > 0 => columns.into(),
        _ => table::WIDTH,
    }
}

/// Puts a report where it was asked to go; `before` is the one that it is compared with.
pub fn deliver(report: &Report, before: Option<&Report>, args: &OutputArgs) -> Result<(), Failure> {
    let text = formats::render(report, before, args.form(), width());
    put(&text, args.output.as_deref())
}

/// Standard output, or a file that is there whole or not at all.
pub fn put(text: &str, output: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = output else {
        report::line(text.trim_end());
        return Ok(());
    };
    let failed = |why: std::io::Error| {
        Failure::new(format!(
            "can't write the report to {}: {why}",
            path.display()
        ))
    };
    let Some(name) = path.file_name() else {
        return Err(failed(std::io::Error::other("it names no file")));
    };
    if std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(failed)
}
