//! The rules: a table of small functions, each deciding one part of the request.
//!
//! The table is walked in order (the template first: other rules ask which one is in force). A new control's
//! rule goes into this folder and into [`RULES`]. No rule stops the walk: all violations are collected.

mod annotations;
mod capabilities;
mod case;
mod cgroup;
mod clocks;
mod devices;
mod env;
mod execution;
mod hooks;
mod identity;
mod interfaces;
mod io;
mod labels;
mod limits;
mod memory;
mod mount_flags;
mod mount_options;
mod mounts;
mod namespaces;
mod openings;
mod paths;
mod ports;
mod process;
mod remount;
mod rlimits;
mod root;
mod scope;
mod seccomp;
mod strings;
mod sysctl;
mod template;
mod translation;
mod unsupported;
mod volumes;
mod watch;

pub use case::place;
pub use env::is_secret as looks_secret;
pub use mount_options::MOUNT_OPTIONS;
pub use process::{is_login, is_supervisor};

use super::{Decision, Policy};
use crate::bundle::Bundle;
use crate::controls::ControlId::{self, *};
use crate::host::Host;
use case::{Case, Strictness};

/// One rule: the controls it serves, its name in the code, and its function.
struct Rule {
    controls: &'static [ControlId],
    name: &'static str,
    apply: fn(&mut Case<'_>),
}

macro_rules! rule {
    ($controls:expr, $($path:ident)::+) => {
        Rule {
            controls: $controls,
            name: stringify!($($path)::+),
            apply: $($path)::+,
        }
    };
}

/// The rules that decide about a control, by their names in this folder: "capabilities::sets".
pub fn rules_of(control: ControlId) -> impl Iterator<Item = &'static str> {
    let serves = move |rule: &&Rule| rule.controls.contains(&control);
    RULES.iter().filter(serves).map(|rule| rule.name)
}

const RULES: &[Rule] = &[
    rule!(&[S8_4_14, S8_5_2, S8_4_3], template::choose),
    rule!(&[S8_2_1, S8_2_3], identity::operator),
    rule!(&[S8_1_4], strings::name),
    rule!(&[S8_1_4], strings::all),
    rule!(&[S8_5_1], unsupported::sections),
    rule!(&[S8_5_1], unsupported::fields),
    rule!(&[S8_1_3, S8_5_1], namespaces::kinds),
    rule!(&[S8_5_1], namespaces::ids),
    rule!(&[S8_5_1], identity::user),
    rule!(&[S8_5_3, S8_4_1, S8_4_7], process::program),
    rule!(&[S8_2_2], env::variables),
    rule!(&[S8_4_1], process::terminal),
    rule!(&[S8_4_2, S8_4_13, S8_3_4, Osg3], watch::beside),
    rule!(&[S8_1_3], process::descriptors),
    rule!(&[S8_4_1, S8_4_13], process::exec_verb),
    rule!(&[S8_3_7], process::privileges),
    rule!(&[S8_1_5, S8_4_4, S8_4_6], capabilities::sets),
    rule!(&[S8_4_7], root::readonly_and_private),
    rule!(&[S8_4_5, S8_4_7, S8_4_8], mounts::all),
    rule!(&[S8_4_7], paths::masked_and_readonly),
    rule!(&[S8_5_1], devices::nodes),
    rule!(&[S8_5_1], devices::access),
    rule!(&[S8_1_4], memory::limits),
    rule!(&[S8_1_4], limits::cpu),
    rule!(&[S8_1_4], limits::pids),
    rule!(&[S8_1_4], io::rates),
    rule!(&[S8_1_4], io::other),
    rule!(&[S8_1_4], cgroup::unified),
    rule!(&[S8_1_4], cgroup::place),
    rule!(&[S8_1_4, S8_4_13], rlimits::all),
    rule!(&[S8_1_4], rlimits::oom_score),
    rule!(&[S8_1_4], execution::scheduler),
    rule!(&[S8_1_4], execution::io_priority),
    rule!(&[S8_1_4], execution::affinity),
    rule!(&[S8_1_4], execution::personality),
    rule!(&[S8_1_4], execution::memory_policy),
    rule!(&[S8_1_3], clocks::offsets),
    rule!(&[S8_1_4, S8_4_8], seccomp::profile),
    rule!(&[S8_2_4, S8_5_4, S8_1_3], openings::declared),
    rule!(&[S8_2_4, S8_5_5], ports::tcp),
    rule!(&[S8_4_4], interfaces::moved),
    rule!(&[S8_5_1, S8_4_4], sysctl::all),
    rule!(&[S8_4_14], labels::lsm),
    rule!(&[S8_1_3], labels::host_names),
    rule!(&[S8_2_1], hooks::all),
    rule!(&[S8_2_1], annotations::all),
    rule!(&[S8_2_2], env::secrets),
    rule!(&[S8_1_1, S8_1_4], template::degraded),
];

/// Whether the bundle may run on this host under this policy, and exactly with what rights.
///
/// Pure: the same arguments give the same answer. Under `audit = true` the grant is what was asked, and its clamps
/// say what would have been cut (violations become clamps as well).
pub fn decide(bundle: &Bundle, policy: &Policy, host: &Host) -> Decision {
    let strict = walk(bundle, policy, host, Strictness::Ceilings);
    if !policy.ceilings.audit || !has_compat(&strict) {
        return conclude(strict);
    }
    let mut open = walk(bundle, policy, host, Strictness::AsAsked);
    open.grant.clamps.clone_from(&strict.grant.clamps);
    let kept: Vec<_> = open.violations.clone();
    for v in strict.violations.iter().filter(|v| !kept.contains(v)) {
        open.cut(
            v.control,
            &v.pointer,
            &v.found,
            "as asked (audit): would be refused",
        );
    }
    conclude(open)
}

/// Audit mode loosens everything, so it too is only in force under a compat exception that is.
fn has_compat(case: &Case<'_>) -> bool {
    case.in_force()
        .any(|e| e.grant.template == Some(super::Template::Compat))
}

fn walk<'a>(
    bundle: &'a Bundle,
    policy: &'a Policy,
    host: &'a Host,
    strict: Strictness,
) -> Case<'a> {
    let mut case = Case::new(bundle, policy, host, strict);
    for rule in RULES {
        (rule.apply)(&mut case);
    }
    case
}

fn conclude(case: Case<'_>) -> Decision {
    match case.violations.is_empty() {
        true => Decision::Granted(Box::new(case.grant)),
        false => Decision::Refused(case.violations),
    }
}

/// The sentence for something that this launcher has no mechanism for.
const NO_MECHANISM: &str = "this launcher has no mechanism for it; leave it out";

#[cfg(test)]
mod tests {
    use super::RULES;
    use crate::controls::catalogue;

    #[test]
    fn whatever_can_be_loosened_is_decided_by_a_rule() {
        for control in catalogue().filter(|c| !c.loosenings.is_empty()) {
            let ruled = RULES.iter().any(|rule| rule.controls.contains(&control.id));
            assert!(ruled, "no rule serves {}", control.text);
        }
    }
}
