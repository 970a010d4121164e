//! `exec`: refused unless an exception lets it; then the request is decided like a launch, under the same policy.

mod process;

use super::Global;
use super::launch::store;
use crate::bundle::Bundle;
use crate::container::{ContainerError, Joining, Manner, Paused, Receiver};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::plan::calls::all_there;
use crate::plan::joined::{Heard, Stay, joined};
use crate::plan::{Plan, PlanError};
use crate::policy::{self, Clamp, Date, Decision, ExecVerb, Grant, LogNeed, Policy, Template};
use crate::report::Failure;
use crate::request;
use crate::survey;
use clap::Args;
use process::{Asked, process};
use std::path::PathBuf;

/// `exec`.
#[derive(Args, Debug)]
pub struct ExecArgs {
    /// The process as JSON (process of config.json)
    #[arg(long, short = 'p', value_name = "FILE")]
    process: Option<PathBuf>,
    /// Write the process id here
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(long, short = 'd')]
    detach: bool,
    /// Unix socket that receives the terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// With a terminal
    #[arg(long, short = 't')]
    tty: bool,
    /// User and group inside, as numbers [default: the container's]
    #[arg(long, short = 'u', value_name = "UID[:GID]", value_parser = request::user_in)]
    user: Option<(u32, Option<u32>)>,
    /// Supplementary groups
    #[arg(long, short = 'g', value_name = "GID")]
    additional_gids: Vec<u32>,
    /// Working directory inside
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Environment variable
    #[arg(long, short = 'e', value_name = "K=V", value_parser = request::env)]
    env: Vec<String>,
    /// Capability, beside the container's; never more than the container may have
    #[arg(long, short = 'c', value_name = "CAP")]
    cap: Vec<String>,
    /// Accepted: always on
    #[arg(long)]
    no_new_privs: bool,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// Hand on descriptors 3 to 2+N (refused unless 0)
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Join a paused container, too; the process waits until it goes on
    #[arg(long)]
    ignore_paused: bool,
    /// Another cgroup below the container's (refused: its limits hold for all)
    #[arg(long, value_name = "CGROUP")]
    cgroup: Vec<String>,
    /// The container's id
    id: String,
    /// Program and arguments
    #[arg(
        value_name = "PROGRAM ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    args: Vec<String>,
}

pub(super) fn exec(global: &Global, args: &ExecArgs) -> Result<u8, Failure> {
    let paused = match args.ignore_paused {
        true => Paused::Joined,
        false => Paused::Refused,
    };
    let joining = Joining::open(&store(global), &args.id, paused).map_err(failed)?;
    let mut host = Host::probe().map_err(|e| Failure::exec(e.to_string()))?;
    let (policy, whole) = permission(&joining, &mut host, args)?;
    let asked = process(args, &joining.saved.bundle)?;
    let stay = match args.detach {
        true => Stay::Detached,
        false => Stay::Foreground,
    };
    let terminal = asked.0.terminal() == Some(true);
    let beside = joining.monitor();
    let heard = match beside {
        Some(_) => Heard::ByMonitor,
        None => Heard::ByNobody,
    };
    let plan = plan(&joining, &host, &policy, &whole, asked, (stay, heard))?;
    let manner = Manner {
        stay,
        pid_file: args.pid_file.as_deref(),
        console: console(args, terminal)?,
        joined: beside,
    };
    joining.exec(&plan, &host, manner).map_err(failed)
}

/// Who takes the terminal: an engine where it leaves the process alone, nobody but the caller where it waits.
fn console(args: &ExecArgs, terminal: bool) -> Result<Option<Receiver>, Failure> {
    let what = match (terminal, args.detach, &args.console_socket) {
        (true, true, Some(path)) => {
            return Receiver::console(path)
                .map(Some)
                .map_err(|e| Failure::exec(e.to_string()));
        }
        (_, _, None) if !(terminal && args.detach) => return Ok(None),
        (true, true, _) => {
            "a terminal with --detach and without --console-socket: name the unix socket that takes it"
        }
        (true, false, _) => {
            "--console-socket without --detach: the terminal is shown on the caller's own"
        }
        (false, ..) => "--console-socket without process.terminal: nothing would be sent to it",
    };
    Err(Failure::exec(what))
}

/// As engines match it: where the container stands, alone; everything else in front of its cause.
fn failed(error: ContainerError) -> Failure {
    use ContainerError as E;
    match error {
        E::Unknown | E::ExecStopped | E::ExecPaused => Failure::stated(error.to_string()),
        other => Failure::exec(other.to_string()),
    }
}

/// The container's own grant, if it lets a second process in at all; exceptions for that must be in force today.
fn permission(
    joining: &Joining,
    host: &mut Host,
    args: &ExecArgs,
) -> Result<(Policy, Box<Grant>), Failure> {
    let saved = &joining.saved;
    let mut policy = saved
        .policy
        .policy()
        .map_err(|problems| Failure::exec(Failure::policy(&problems).text()))?;
    let today = Date::of_seconds(host.now);
    let about_exec = |e: &policy::Exception| e.grant.exec.is_some() || e.grant.terminal;
    policy
        .exceptions
        .retain(|e| !about_exec(e) || e.lapse(today).is_none());
    host.now = saved.made;
    let whole = decide(joining, host, &policy, &saved.bundle)?;
    let why = match whole.exec_verb {
        None => {
            "SS-011/8.4.1: exec: a second process in a running container is a way in (SS-011 8.4.1, 8.4.13: diagnostics come from log files); for health checks get an exception for SS-011/8.4.1 with exec = \"no-terminal\", and make the container anew".to_string()
        }
        Some(_) if host.privilege == Privilege::User => {
            "SS-011/8.4.1: exec: an ordinary user's process could not be verified among others; only root may".into()
        }
        Some(_) if args.preserve_fds > 0 => {
            "SS-011/8.1.3: --preserve-fds: no descriptor of the host may enter the container".into()
        }
        Some(_) if args.cgroup.iter().any(|c| c != "/") => {
            "SS-011/8.1.4: --cgroup: the process belongs into the container's own cgroup, whose limits hold for all".into()
        }
        Some(_) => return Ok((policy, whole)),
    };
    refuse(joining, host, &args.args, why)
}

fn refuse<T>(joining: &Joining, host: &Host, args: &[String], why: String) -> Result<T, Failure> {
    joining.refused(host, args, &[]).map_err(failed)?;
    Err(Failure::exec(format!("{why}: permission denied")))
}

fn decide(
    joining: &Joining,
    host: &Host,
    policy: &Policy,
    bundle: &Bundle,
) -> Result<Box<Grant>, Failure> {
    match policy::decide(bundle, policy, host) {
        Decision::Granted(grant) => Ok(grant),
        Decision::Refused(violations) => {
            let args = bundle
                .spec
                .process()
                .as_ref()
                .and_then(|p| p.args().clone());
            let args = args.unwrap_or_default();
            joining.refused(host, &args, &[]).map_err(failed)?;
            Err(Failure::exec(Failure::refused(bundle, &violations).text()))
        }
    }
}

/// Decides the process as part of the container's own request, and plans it.
fn plan(
    joining: &Joining,
    host: &Host,
    policy: &Policy,
    whole: &Grant,
    (process, unknown): Asked,
    (stay, heard): (Stay, Heard),
) -> Result<Plan, Failure> {
    let terminal = process.terminal() == Some(true);
    let args = process.args().clone().unwrap_or_default();
    let mut bundle = joining.saved.bundle.clone();
    bundle.spec.set_process(Some(process));
    bundle.extras.joins = true;
    bundle.extras.unknown_capabilities = unknown;
    if terminal && whole.exec_verb != Some(ExecVerb::Terminal) {
        let why = "SS-011/8.4.1: exec with a terminal is a remote login; leave the terminal out (no -t), or get an exception for SS-011/8.4.1 with exec = \"terminal\"";
        return refuse(joining, host, &args, why.into());
    }
    let mut grant = decide(joining, host, policy, &bundle)?;
    no_more_than(&mut grant, whole);
    let logs = grant.watch.logs.as_ref();
    if heard == Heard::ByNobody && logs.is_some_and(|l| l.need == LogNeed::Required) {
        let why = "SS-011/8.4.2: exec: the policy's [logs] requires that output is kept, and the container's monitor, which keeps it, does not answer; end the container and make it anew";
        return refuse(joining, host, &args, why.into());
    }
    all_there(host).map_err(|e| Failure::exec(Failure::from_plan(e).text()))?;
    let root = joining.root().map_err(failed)?;
    let program = survey::program_in(root, &grant)
        .map_err(|e| Failure::exec(Failure::from_plan(PlanError::Program(e)).text()))?;
    joined(&grant, host, &joining.saved.inside, program, (stay, heard))
        .map_err(|e| Failure::exec(Failure::from_plan(e).text()))
}

/// A newcomer has no capability that the container was not given; compat promises what other runtimes do.
fn no_more_than(grant: &mut Grant, whole: &Grant) {
    if grant.template == Template::Compat {
        return;
    }
    let most = &whole.capabilities.bounding;
    let mut cut = Vec::new();
    let sets = &mut grant.capabilities;
    for set in [
        &mut sets.bounding,
        &mut sets.permitted,
        &mut sets.effective,
        &mut sets.inheritable,
        &mut sets.ambient,
    ] {
        cut.extend(set.iter().filter(|c| !most.contains(c)).cloned());
        set.retain(|c| most.contains(c));
    }
    cut.sort();
    cut.dedup();
    if !cut.is_empty() {
        grant.clamps.push(Clamp {
            control: ControlId::S8_1_5,
            pointer: "/process/capabilities".into(),
            asked: cut.join(" "),
            granted: "none that the container itself was not given".into(),
        });
    }
}
