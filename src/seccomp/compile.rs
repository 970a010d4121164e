//! Makes of a profile ONE filter program: a binary search over ranges of call numbers with equal fate, argument checks behind it.
//! The path of a plainly allowed call reads nothing but architecture and number, so the kernel finds it constant when it loads the
//! program and later skips the filter for it. Must give the verdicts of decide.rs. Called by build.rs, prepared.rs and the plan.

use std::collections::{BTreeMap, BTreeSet};

use super::checks;
use super::emit::{Emitter, IF_EQ, IF_GE, Insn, Label};
use super::error::Error;
use super::model::{Action, Arch, Cond, Parameters, Profile, Rule, Value};
use super::syscalls;

/// The most instructions the kernel takes (BPF_MAXINSNS).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Numbers from here on are calls of the x32 ABI.
const X32_BIT: u32 = 0x4000_0000;
const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;

/// A filter ready to be loaded, but for the conversion to the loader's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The instructions.
    pub filter: Vec<Insn>,
    /// The instructions whose operand is the entrypoint's fd number.
    pub exec_fd_at: Vec<usize>,
    /// Calls the profile names that this architecture does not have; sorted, each once.
    pub unknown: Vec<String>,
    /// The architecture it is for; calls by any other kill the process.
    pub arch: Arch,
}

/// The fate of one call: checks in order, the first that holds decides; else `otherwise`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fate {
    /// Positions of rules in the profile, most restrictive first.
    checks: Vec<usize>,
    otherwise: u32,
}

/// Compiles a profile for one architecture.
///
/// # Errors
/// An unknown group, `@exec_fd` without a number, a filter longer than [`MAX_INSTRUCTIONS`].
pub fn compile(profile: &Profile, arch: Arch, parameters: &Parameters) -> Result<Program, Error> {
    check_parameters(profile, parameters)?;
    let (calls, unknown) = by_call(profile, arch, parameters);
    let mut emitter = Emitter::default();
    let ranges = ranges(profile, arch, &calls);
    let mut labels: BTreeMap<&Fate, Label> = BTreeMap::new();
    let mut leaves = Vec::with_capacity(ranges.len());
    for (start, fate) in &ranges {
        let label = match labels.get(fate) {
            Some(&label) => label,
            None => {
                let label = emit_fate(&mut emitter, profile, fate, parameters.exec_fd);
                labels.insert(fate, label);
                label
            }
        };
        check_length(emitter.len(), arch)?;
        leaves.push((*start, label));
    }
    let tree = emit_tree(&mut emitter, &leaves);
    emit_entry(&mut emitter, arch, tree);
    check_length(emitter.len(), arch)?;
    let (filter, exec_fd_at) = emitter.finish();
    Ok(Program {
        filter,
        exec_fd_at,
        unknown,
        arch,
    })
}

fn check_parameters(profile: &Profile, parameters: &Parameters) -> Result<(), Error> {
    let known = profile.groups();
    if let Some(group) = parameters
        .groups
        .iter()
        .find(|g| !known.contains(g.as_str()))
    {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownGroup {
            group: group.clone(),
            known,
        });
    }
    let mut conds = profile.rules.iter().flat_map(|rule| &rule.args);
    if parameters.exec_fd.is_none() && conds.any(|cond| cond.value == Value::ExecFd) {
        return Err(Error::NoExecFd);
    }
    Ok(())
}

fn check_length(len: usize, arch: Arch) -> Result<(), Error> {
    if len > MAX_INSTRUCTIONS {
        return Err(Error::TooLong {
            arch,
            limit: MAX_INSTRUCTIONS,
        });
    }
    Ok(())
}

/// The rules in force for each call number, and the names that have none.
fn by_call(
    profile: &Profile,
    arch: Arch,
    parameters: &Parameters,
) -> (BTreeMap<u32, Vec<usize>>, Vec<String>) {
    let mut calls: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for (position, rule) in profile.rules.iter().enumerate() {
        for name in &rule.names {
            match syscalls::number(arch, name) {
                None => {
                    unknown.insert(name.clone());
                }
                Some(number) if rule.gate.is_open(&parameters.groups) => {
                    let rules = calls.entry(number).or_default();
                    if rules.last() != Some(&position) {
                        rules.push(position);
                    }
                }
                Some(_) => {}
            }
        }
    }
    (calls, unknown.into_iter().collect())
}

/// Most restrictive first, of equals the first in the file; what stands behind an unconditional rule can never decide.
fn fate(profile: &Profile, rules: &[usize]) -> Fate {
    let mut order = rules.to_vec();
    order.sort_by_key(|&at| std::cmp::Reverse(profile.rules[at].action.severity()));
    let rule = |at: usize| -> &Rule { &profile.rules[at] };
    let end = order.iter().position(|&at| rule(at).args.is_empty());
    let otherwise = end
        .map_or(profile.default, |end| rule(order[end]).action)
        .to_ret();
    order.truncate(end.unwrap_or(order.len()));
    while order
        .last()
        .is_some_and(|&at| rule(at).action.to_ret() == otherwise)
    {
        order.pop();
    }
    Fate {
        checks: order,
        otherwise,
    }
}

/// Ranges of numbers with equal fate, each by its first number, without gaps from 0 on.
fn ranges(profile: &Profile, arch: Arch, calls: &BTreeMap<u32, Vec<usize>>) -> Vec<(u32, Fate)> {
    let plain = |action: Action| Fate {
        checks: Vec::new(),
        otherwise: action.to_ret(),
    };
    let mut ranges: Vec<(u32, Fate)> = Vec::new();
    let highest = syscalls::highest(arch);
    let above = plain(profile.above_known.unwrap_or(profile.default));
    let known = (0..=highest).map(|number| match calls.get(&number) {
        Some(rules) => (number, fate(profile, rules)),
        None => (number, plain(profile.default)),
    });
    for (start, fate) in known.chain([(highest + 1, above)]) {
        if ranges.last().is_none_or(|(_, last)| *last != fate) {
            ranges.push((start, fate));
        }
    }
    ranges
}

fn emit_fate(emitter: &mut Emitter, profile: &Profile, fate: &Fate, fd: Option<u32>) -> Label {
    let mut next = emitter.ret(Action::from_ret(fate.otherwise));
    // Neighbours of one action may be put in any order, so they are checked as one set of alternatives.
    let action = |at: usize| profile.rules[at].action;
    for run in fate.checks.chunk_by(|&a, &b| action(a) == action(b)).rev() {
        let alternatives: Vec<&[Cond]> =
            run.iter().map(|&at| &profile.rules[at].args[..]).collect();
        let hit = emitter.ret(action(run[0]));
        next = checks::emit(emitter, &alternatives, fd.unwrap_or(0), hit, next);
        if emitter.len() > MAX_INSTRUCTIONS {
            break;
        }
    }
    next
}

fn emit_tree(emitter: &mut Emitter, leaves: &[(u32, Label)]) -> Label {
    if let [(_, label)] = leaves {
        return *label;
    }
    let (low, high) = leaves.split_at(leaves.len() / 2);
    let at_high = emit_tree(emitter, high);
    let at_low = emit_tree(emitter, low);
    emitter.test(IF_GE, high[0].0, at_high, at_low)
}

/// The first instructions: another ABI than the native one would make every number below mean another call.
fn emit_entry(emitter: &mut Emitter, arch: Arch, tree: Label) -> Label {
    let kill = emitter.ret(Action::KillProcess);
    let search = match arch {
        Arch::X86_64 => emitter.test(IF_GE, X32_BIT, kill, tree),
        Arch::Aarch64 | Arch::Riscv64 => tree,
    };
    let number = emitter.load(OFFSET_NR, search);
    let native = emitter.test(IF_EQ, arch.audit_arch(), number, kill);
    emitter.load(OFFSET_ARCH, native)
}
