//! What may be said on the command line, as clap's types: verbs, their options, and the help of each.

use super::later::Later;
use super::{
    audit, check, checkpoint, collectors, controls, events, exec, explain, generate, install, logs,
    openings, ps, update,
};
use crate::container::StopTimeout;
use crate::policy::{Secret, Template};
use crate::request::{self, Volume};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// A hardened container launcher: plans, launches one process, verifies it from outside.
#[derive(Parser, Debug)]
#[command(name = "cofferdam", version = version(), disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// Options that every verb takes, before or after it.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// runc's global options, and ours.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// Folder of the containers' state [default: /run/cofferdam, or below $XDG_RUNTIME_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// File that errors are appended to, beside standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Format of errors: text or json (runc's shape, which engines read)
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,
    /// Accepted for engines; more is not logged
    #[arg(long, global = true, hide = true)]
    pub debug: bool,
    /// Let systemd make the cgroup: a scope, named by cgroupsPath as slice:prefix:name (pure cgroup v2)
    #[arg(long, global = true)]
    pub systemd_cgroup: bool,
    /// Site policy [default: /etc/cofferdam/policy.toml with exceptions.d beside it]
    #[arg(long, global = true, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Accepted for engines: whether it is an ordinary user is looked at, not told; of `spec` it takes no value
    #[arg(long, global = true, hide = true, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub rootless: Option<String>,
    /// Accepted for engines: checkpoints are refused, whoever would make them
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub criu: Option<PathBuf>,
}

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run one program in a container, and wait for it
    Run(Later<RunArgs>),
    /// Show everything that `run` or `create` would do, and do nothing
    Plan(Later<PlanArgs>),
    /// Make a container from an OCI bundle; it waits for `start`
    Create(Later<CreateArgs>),
    /// Let a created container execute its program
    Start(Later<IdArgs>),
    /// Show the state of a container as JSON
    State(Later<IdArgs>),
    /// Send a signal to a container's process
    Kill(Later<KillArgs>),
    /// Forget a stopped container and remove what belongs to it
    Delete(Later<DeleteArgs>),
    /// Freeze every process of a container
    Pause(Later<IdArgs>),
    /// Let a paused container go on
    Resume(Later<IdArgs>),
    /// Show the processes of a container
    Ps(Later<ps::PsArgs>),
    /// Run a second program in a container (only with an exception)
    Exec(Later<exec::ExecArgs>),
    /// Tell a container's figures, and when its memory runs out
    Events(Later<events::EventsArgs>),
    /// Say what of a container was refused, why, and what would let it pass
    Explain(Later<explain::ExplainArgs>),
    /// Show what a container said; its log's status; whether it is as it was written
    Logs(Later<logs::LogsArgs>),
    /// Keep output as containerd's binary:// logger
    #[command(hide = true)]
    Logger {
        /// containerd makes two words of each part of the URI: the second one is empty
        rest: Vec<String>,
    },
    /// Change the limits of a container
    Update(Later<update::UpdateArgs>),
    /// Not supported
    Checkpoint(Later<checkpoint::CheckpointArgs>),
    /// Not supported
    Restore(Later<checkpoint::RestoreArgs>),
    /// List the containers
    List(Later<ListArgs>),
    /// Write a hardened config.json
    Spec(Later<SpecArgs>),
    /// Say what this runtime supports (runtime-spec features)
    Features,
    /// Say, control by control and with evidence, whether containers are hardened: one that is attacked, or running ones
    Audit(Later<audit::AuditArgs>),
    /// Check the host, a bundle or a config.json against the policy, without launching anything
    #[command(subcommand)]
    Check(check::CheckVerb),
    /// List the controls: the text, what is done about each, the code that does it
    Controls(Later<controls::ControlsArgs>),
    /// Print the catalogue, cofferdam as a component, or the exceptions, in OSCAL
    #[command(subcommand)]
    Oscal(controls::OscalVerb),
    /// Look at the site's policy and exceptions
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Look after the policy's collectors
    #[command(subcommand)]
    Collectors(collectors::CollectorsVerb),
    /// Put this program into an engine's configuration as a runtime
    Install(Later<install::InstallOnly>),
    /// Take it out again
    Uninstall(Later<install::InstallArgs>),
    /// Write man pages and shell completions
    #[command(hide = true)]
    Generate(Later<generate::GenerateArgs>),
}

/// What to launch.
#[derive(Args, Debug, Clone)]
pub struct LaunchArgs {
    /// Folder that becomes the root, read-only; / is the host's own with all but programs and settings hidden
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub rootfs: Option<PathBuf>,
    /// OCI bundle: a folder with config.json
    #[arg(long, short = 'b', value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Template: default, workers (processes), script (a set of programs), compat
    #[arg(long, value_name = "P", value_parser = request::template)]
    pub profile: Option<Template>,
    /// User and group inside, as numbers [default: 65532:65532]
    #[arg(long, short = 'u', value_name = "UID[:GID]", value_parser = request::user)]
    pub user: Option<(u32, u32)>,
    /// Show a file or folder of the host inside, read-only unless :rw
    #[arg(long, short = 'v', value_name = "SRC:DST[:rw]", value_parser = request::volume)]
    pub volume: Vec<Volume>,
    /// Writable memory at DST, never executable
    #[arg(long, value_name = "DST:SIZE", value_parser = request::tmpfs)]
    pub tmpfs: Vec<(crate::paths::GuestPath, u64)>,
    /// Environment variable
    #[arg(long, short = 'e', value_name = "K=V", value_parser = request::env)]
    pub env: Vec<String>,
    /// File of the host as /run/secrets/NAME, mode 0400, never swapped
    #[arg(long, value_name = "NAME=SOURCE", value_parser = request::secret)]
    pub secret: Vec<Secret>,
    /// TCP port that the program may bind
    #[arg(long, value_name = "PORT", value_parser = request::port)]
    pub expose: Vec<u16>,
    /// What comes in and goes out.
    #[command(flatten)]
    pub openings: openings::OpeningArgs,
    /// Working directory inside
    #[arg(long, short = 'w', value_name = "DIR", value_parser = |t: &str| crate::paths::GuestPath::parse(t))]
    pub workdir: Option<crate::paths::GuestPath>,
    /// Memory, swap included (512k, 64m, 2g)
    #[arg(long, short = 'm', value_name = "SIZE", value_parser = request::size)]
    pub memory: Option<u64>,
    /// CPUs (0.5, 2)
    #[arg(long, value_name = "N", value_parser = request::cpus)]
    pub cpus: Option<u64>,
    /// Threads, and processes where the template allows them
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = |t: &str| whole(t, 1))]
    pub pids: Option<u64>,
    /// Open files
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = |t: &str| whole(t, 16))]
    pub nofile: Option<u64>,
    /// Bytes a second read from, and written to, each disk
    #[arg(long, value_name = "SIZE", value_parser = request::size)]
    pub io: Option<u64>,
    /// A terminal of its own for the program, shown on yours (an exception for SS-011/8.4.1 has to allow it)
    #[arg(long, short = 't')]
    pub tty: bool,
    /// Label, for exceptions' scopes and records
    #[arg(long, value_name = "K=V", value_parser = request::label)]
    pub label: Vec<(String, String)>,
}

/// `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// What is launched.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// Also append the launch record (one line of JSON) to a file or to an open descriptor
    #[arg(long, value_name = "FILE|FD")]
    pub record: Option<String>,
    /// Append what happens, refused system calls too, to a file or to an open descriptor (JSON, an event a line)
    #[arg(long, value_name = "FILE|FD")]
    pub events: Option<String>,
    /// Seconds between a TERM or INT that is handed on and KILL, as `docker stop` waits; or "never"
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = stop_timeout)]
    pub stop_timeout: StopTimeout,
    /// With the embedded sample: print and end
    #[arg(long)]
    pub once: bool,
    /// The container's name
    #[arg(value_parser = request::name)]
    pub name: String,
    /// Program and arguments, after --
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub args: Vec<String>,
}

/// `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// What is launched.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// As data
    #[arg(long)]
    pub json: bool,
    /// As an engine would ask with `create`, not as `run`
    #[arg(long, requires = "bundle")]
    pub engine: bool,
    /// The container's name
    #[arg(value_parser = request::name, default_value = "plan")]
    pub name: String,
    /// Program and arguments, after --
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub args: Vec<String>,
}

/// `create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// The bundle's folder
    #[arg(long, short = 'b', value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Write the process id here
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Unix socket that receives the terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of the first process
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Accepted for initramfs roots; refused, since leaving the host's root needs pivot_root
    #[arg(long)]
    pub no_pivot: bool,
    /// Accepted: every container has a session keyring of its own
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Hand on descriptors 3 to 2+N (the template compat only)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Also append the launch record (one line of JSON) to a file or to an open descriptor
    #[arg(long, value_name = "FILE|FD")]
    pub record: Option<String>,
    /// The container's id
    pub id: String,
}

/// A verb that takes an id only.
#[derive(Args, Debug)]
pub struct IdArgs {
    /// The container's id
    pub id: String,
}

/// `kill`.
#[derive(Args, Debug)]
pub struct KillArgs {
    /// To every process in the container
    #[arg(long, short = 'a')]
    pub all: bool,
    /// The container's id
    pub id: String,
    /// Name or number
    #[arg(default_value = "SIGTERM")]
    pub signal: String,
}

/// `delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// Kill it first; no error if there is none
    #[arg(long, short = 'f')]
    pub force: bool,
    /// The container's id
    pub id: String,
}

/// `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// table or json
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Ids only
    #[arg(long, short = 'q')]
    pub quiet: bool,
}

/// `spec`.
#[derive(Args, Debug)]
pub struct SpecArgs {
    /// Folder to write config.json to
    #[arg(long, short = 'b', value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Print it instead
    #[arg(long)]
    pub stdout: bool,
}

/// `policy`.
#[derive(Subcommand, Debug)]
pub enum PolicyVerb {
    /// Check the policy file and the exceptions beside it
    Check {
        /// As data
        #[arg(long)]
        json: bool,
    },
    /// Add up launch records: what each image would lose under the strict policy, and the exceptions it would need
    Report(ReportArgs),
}

/// `policy report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// File of launch records, one line of JSON each [default: the policy's `records`]
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
    /// Print the exceptions, ready to be approved
    #[arg(long, conflicts_with = "json")]
    pub exceptions: bool,
    /// As data
    #[arg(long)]
    pub json: bool,
}

fn stop_timeout(text: &str) -> Result<StopTimeout, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(StopTimeout::After(Duration::from_secs(seconds.into()))),
        Err(_) if text == "never" => Ok(StopTimeout::Never),
        Err(_) => Err(format!(
            "expected a number of seconds from 0 to {}, or never",
            u32::MAX
        )),
    }
}

/// A number as its option wants it: what is wrong is said with what would be right.
fn whole(text: &str, least: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("expected a whole number, {least} or more")),
    }
}

/// The version in the form that engines split: "name version X", then lines "key: value".
pub(super) fn version() -> &'static str {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\ncommit: v",
        env!("CARGO_PKG_VERSION"),
        "\nspec: 1.3.0"
    )
}
