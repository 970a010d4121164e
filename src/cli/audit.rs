//! `audit`: whether the controls hold, with evidence. This file sorts the ways to ask; `observe` looks from outside,
//! `attack` from inside too.

use super::attack;
use super::observe::{self, OutsideArgs};
use super::output::OutputArgs;
use super::{Global, LaunchArgs};
use crate::report::Failure;
use clap::Args;

/// `audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    #[command(flatten)]
    outside: OutsideArgs,
    #[command(flatten)]
    launch: LaunchArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// With --rootfs: a program of it, after --; the tester is put in its place
    #[arg(last = true, value_name = "PROGRAM")]
    args: Vec<String>,
}

/// `audit`.
pub(super) fn audit(global: &Global, args: AuditArgs) -> Result<u8, Failure> {
    if !args.outside.is_asked() {
        let before = args.outside.baseline.as_deref();
        return attack::inside(global, (args.launch, args.args), before, &args.output);
    }
    let launch = &args.launch;
    if launch.rootfs.is_some() || launch.bundle.is_some() || launch.profile.is_some() {
        return Err(Failure::new(
            "--rootfs, --bundle and --profile say what to launch and attack; a running container is only looked at",
        ));
    }
    observe::outside(global, &args.outside, &args.output)
}
