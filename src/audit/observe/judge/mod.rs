//! The judgement on a container: facts and what policy allows in, findings out. Pure; one file a family of controls.

mod code;
mod effective;
mod filter;
mod host_files;
mod limits;
mod mounts;
mod namespaces;
mod network;
mod processes;
mod rights;
mod unseen;

use super::allowed::{Allowed, Judge};
use super::declared::Declared;
use super::facts::Facts;
use crate::audit::Finding;

/// Files of /proc that are asked for in [`Facts::proc_files`].
pub const PROC_FILES: [&str; 8] = [
    "kcore",
    "keys",
    "timer_list",
    "sys",
    "sysrq-trigger",
    "irq",
    "bus",
    "fs",
];

/// Everything that can be said; every control of the catalogue has at least one finding.
pub fn judge(facts: &Facts, declared: &Declared, allowed: &Allowed<'_>) -> Vec<Finding> {
    let mut judge = Judge {
        allowed,
        findings: Vec::new(),
    };
    rights::judge(facts, &mut judge);
    namespaces::judge(facts, &mut judge);
    mounts::judge(facts, declared, &mut judge);
    limits::judge(facts, &mut judge);
    processes::judge(facts, &mut judge);
    network::judge(facts, declared, &mut judge);
    code::judge(facts, &mut judge);
    filter::judge(facts, declared, &mut judge);
    effective::judge(facts, declared, &mut judge);
    unseen::judge(&mut judge);
    judge.findings
}
