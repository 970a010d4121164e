//! `check`: the machine, a bundle, a config.json. Nothing is launched and nothing is written but the report.

use super::Global;
use super::later::Later;
use super::launch::{absolute, policy_owner, store};
use super::observe::{finish, label};
use super::output::OutputArgs;
use crate::audit::{Report, Subject, config, host};
use crate::bundle::{Bundle, Caller, Extras};
use crate::host::Host;
use crate::policy::Policy;
use crate::report::Failure;
use crate::site;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// `check`.
#[derive(Subcommand, Debug)]
pub enum CheckVerb {
    /// The machine: kernel, security modules, parameters, engines, our own files; how to mend what is amiss
    Host(Later<HostArgs>),
    /// An OCI bundle: what its config.json would be granted, cut and refused
    Bundle(Later<BundleArgs>),
    /// A config.json of any name, for CI
    Config(Later<ConfigArgs>),
}

/// `check host`.
#[derive(Args, Debug)]
pub struct HostArgs {
    #[command(flatten)]
    common: Common,
}

/// `check bundle`.
#[derive(Args, Debug)]
pub struct BundleArgs {
    /// The bundle's folder
    dir: PathBuf,
    #[command(flatten)]
    request: Request,
    #[command(flatten)]
    common: Common,
}

/// `check config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// The file; relative paths in it begin at its folder
    file: PathBuf,
    #[command(flatten)]
    request: Request,
    #[command(flatten)]
    common: Common,
}

/// What is not in the file.
#[derive(Args, Debug)]
pub struct Request {
    /// The container's name, for exceptions' scopes
    #[arg(long, value_name = "NAME", default_value = "check", value_parser = crate::request::name)]
    name: String,
}

/// Of all of them.
#[derive(Args, Debug)]
pub struct Common {
    /// A report from before (JSON): say what has changed since, and fail only for what got worse
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn check(global: &Global, verb: CheckVerb) -> Result<u8, Failure> {
    let began = crate::container::now();
    let host = Host::probe().map_err(Failure::from_error)?;
    let label = label(&host);
    let (subject, policy, common) = match verb {
        CheckVerb::Host(Later(args)) => {
            let default = Path::new(site::POLICY);
            let store = store(global);
            let places = host::Places {
                policy: global.policy.as_deref().unwrap_or(default),
                state: store.root(),
            };
            (host::check(&host, &label.name, &places), None, args.common)
        }
        CheckVerb::Bundle(Later(args)) => {
            let file = args.dir.join("config.json");
            let (subject, policy) = request(global, &host, &file, &args.request)?;
            (subject, Some(policy), args.common)
        }
        CheckVerb::Config(Later(args)) => {
            let (subject, policy) = request(global, &host, &args.file, &args.request)?;
            (subject, Some(policy), args.common)
        }
    };
    let digest = policy.map(|p| p.digest);
    let report = Report::new(label, began, digest, vec![subject]);
    finish(&report, common.baseline.as_deref(), false, &common.output)
}

fn request(
    global: &Global,
    host: &Host,
    file: &Path,
    request: &Request,
) -> Result<(Subject, Policy), Failure> {
    let policy =
        site::load(global.policy.as_deref(), policy_owner()).map_err(Failure::from_error)?;
    let path = absolute(file)?;
    let folder = path.as_path().parent().unwrap_or(Path::new("/"));
    let folder = absolute(folder)?;
    let bundle = Bundle::load_file(
        &path,
        &folder,
        &request.name,
        Caller::Engine,
        Extras::default(),
    );
    let mut bundle = bundle.map_err(Failure::from_error)?;
    bundle.extras.systemd_cgroup = global.systemd_cgroup;
    let shown = file.display().to_string();
    Ok((config::check(&shown, &bundle, &policy, host), policy))
}
