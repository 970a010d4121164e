//! `audit --pid | --container | --all`: running containers from outside, whoever started them; and two reports compared.

use super::Global;
use super::launch::{policy_owner, store};
use super::output::{self, OutputArgs};
use crate::audit::compare::Comparison;
use crate::audit::formats::Format;
use crate::audit::observe::{Container, Engine, Observer};
use crate::audit::{HostLabel, Report, Subject, table};
use crate::host::Host;
use crate::report::{self, Failure};
use crate::site;
use clap::Args;
use std::path::{Path, PathBuf};

/// The largest report that is read, in bytes.
const MOST: u64 = 64 << 20;

/// What to look at from outside.
#[derive(Args, Debug, Clone)]
pub struct OutsideArgs {
    /// The running container that this process is in
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..), group = "outside")]
    pub pid: Option<i32>,
    /// A running container by its id, the first letters of it, or its name
    #[arg(long, value_name = "ID", group = "outside")]
    pub container: Option<String>,
    /// Every running container, the worst first
    #[arg(long, group = "outside")]
    pub all: bool,
    /// Only containers that this engine has started
    #[arg(long, value_enum, value_name = "ENGINE", requires = "outside")]
    pub engine: Option<Engine>,
    /// A report from before (JSON): say what has changed since, and fail only for what got worse
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Compare two reports (JSON) and look at nothing
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], group = "outside")]
    pub compare: Vec<PathBuf>,
}

impl OutsideArgs {
    /// Whether anything of it was said.
    pub fn is_asked(&self) -> bool {
        self.pid.is_some() || self.container.is_some() || self.all || !self.compare.is_empty()
    }
}

/// Looks, and reports.
pub(super) fn outside(
    global: &Global,
    args: &OutsideArgs,
    output: &OutputArgs,
) -> Result<u8, Failure> {
    if let [before, after] = args.compare.as_slice() {
        let (before, after) = (read(before)?, read(after)?);
        return compared(&before, &after, output);
    }
    let began = crate::container::now();
    let policy =
        site::load(global.policy.as_deref(), policy_owner()).map_err(Failure::from_error)?;
    let host = Host::probe().map_err(Failure::from_error)?;
    let root = store(global).root().to_path_buf();
    let observer = Observer::new(&policy, global.policy.is_some(), Some(&host), &root);
    let subjects = match args.all {
        true => all(&observer, args.engine),
        false => vec![one(&observer, args)?],
    };
    if subjects.is_empty() {
        return Err(Failure::new("no container runs here"));
    }
    let report = Report::new(label(&host), began, Some(policy.digest.clone()), subjects);
    finish(&report, args.baseline.as_deref(), args.all, output)
}

/// Delivers a report, compared with a baseline if there is one; the exit code.
pub(super) fn finish(
    report: &Report,
    baseline: Option<&Path>,
    many: bool,
    output: &OutputArgs,
) -> Result<u8, Failure> {
    let before = baseline.map(read).transpose()?;
    let is_table = output.form() == Format::Table;
    if many && is_table {
        let text = table::overview(report, output::width());
        output::put(&text, output.output.as_deref())?;
    } else if !(is_table && before.is_some()) {
        output::deliver(report, before.as_ref(), output)?;
    }
    let Some(before) = before else {
        return Ok(report.exit_code());
    };
    match is_table {
        true => compared(&before, report, output),
        false => Ok(Comparison::of(&before, report).exit_code()),
    }
}

/// Who the host is, for a report.
pub(super) fn label(host: &Host) -> HostLabel {
    let name = nix::unistd::gethostname();
    HostLabel {
        name: name
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default(),
        kernel: host.release.clone(),
    }
}

fn one(observer: &Observer<'_>, args: &OutsideArgs) -> Result<Subject, Failure> {
    let container = match (&args.container, args.pid) {
        (Some(id), _) => observer
            .called(id, args.engine)
            .map_err(Failure::from_error)?,
        (None, pid) => observer.of_pid(pid.unwrap_or_default()),
    };
    observer.judge(&container).map_err(Failure::new)
}

/// What ends while it is looked at is left out, and said so.
fn all(observer: &Observer<'_>, engine: Option<Engine>) -> Vec<Subject> {
    let of_engine = |c: &Container| engine.is_none_or(|e| e == c.engine);
    let mut subjects = Vec::new();
    for container in observer.containers().into_iter().filter(of_engine) {
        match observer.judge(&container) {
            Ok(subject) => subjects.push(subject),
            Err(why) => report::say(&format!("left out: {why}")),
        }
    }
    subjects
}

fn compared(before: &Report, after: &Report, output: &OutputArgs) -> Result<u8, Failure> {
    let comparison = Comparison::of(before, after);
    let text = match output.form() {
        Format::Table => comparison.table(output::width()),
        Format::Json => crate::audit::formats::pretty(&comparison),
        form => crate::audit::formats::render(after, Some(before), form, output::width()),
    };
    output::put(&text, output.output.as_deref())?;
    Ok(comparison.exit_code())
}

fn read(path: &Path) -> Result<Report, Failure> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let failed =
        |why: String| Failure::new(format!("can't read the report {}: {why}", path.display()));
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| failed(e.to_string()))?;
    let mut text = Vec::new();
    file.take(MOST + 1)
        .read_to_end(&mut text)
        .map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > MOST {
        return Err(failed("it is larger than 64 MiB".into()));
    }
    let report: Report = serde_json::from_slice(&text)
        .map_err(|e| failed(format!("it is no report of `cofferdam audit --json`: {e}")))?;
    match report.version {
        crate::audit::model::VERSION => Ok(report),
        other => Err(failed(format!(
            "layout {other}; this program reads layout {}",
            crate::audit::model::VERSION
        ))),
    }
}
