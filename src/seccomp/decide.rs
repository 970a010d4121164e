//! What a profile means, said in the plainest way: look at every rule, take the most restrictive that matches.
//! Slow and without cleverness on purpose: it is the measure for compile.rs. Called by `explain`, and by the tests as oracle.

use super::model::{Action, Arch, Cond, Op, Parameters, Profile, Rule, Value, Width};
use super::syscalls;

/// The verdict of a profile on one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// What happens.
    pub action: Action,
    /// The rule that says so; `None`: no rule matched, it is the profile's default.
    pub rule: Option<&'a Rule>,
}

impl Cond {
    /// Whether the condition holds for these arguments.
    pub fn holds(&self, args: &[u64; 6], exec_fd: Option<u32>) -> bool {
        let wanted = match (self.value, exec_fd) {
            (Value::Is(value), _) => value,
            (Value::ExecFd, Some(fd)) => u64::from(fd),
            (Value::ExecFd, None) => return false,
        };
        let keep = match self.width {
            Width::Dword => u64::from(u32::MAX),
            Width::Qword => u64::MAX,
        };
        let (is, wanted) = (args[usize::from(self.index)] & keep, wanted & keep);
        match self.op {
            Op::Eq => is == wanted,
            Op::Ne => is != wanted,
            Op::Lt => is < wanted,
            Op::Le => is <= wanted,
            Op::Gt => is > wanted,
            Op::Ge => is >= wanted,
            Op::MaskedEq { mask } => is & mask == wanted,
        }
    }
}

impl Profile {
    /// The verdict on a call by number, arguments as the process passes them. Of equally restrictive rules the first counts.
    pub fn decide(
        &self,
        arch: Arch,
        number: u32,
        args: &[u64; 6],
        parameters: &Parameters,
    ) -> Verdict<'_> {
        let name = syscalls::name(arch, number);
        let mut best: Option<&Rule> = None;
        for rule in &self.rules {
            let concerns = rule.gate.is_open(&parameters.groups)
                && rule.names.iter().any(|n| Some(n.as_str()) == name)
                && rule.args.iter().all(|c| c.holds(args, parameters.exec_fd));
            if concerns && best.is_none_or(|b| rule.action.severity() > b.action.severity()) {
                best = Some(rule);
            }
        }
        let fallback = match self.above_known {
            Some(action) if number > syscalls::highest(arch) => action,
            _ => self.default,
        };
        Verdict {
            action: best.map_or(fallback, |rule| rule.action),
            rule: best,
        }
    }
}
