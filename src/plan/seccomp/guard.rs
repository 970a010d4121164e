//! What is closed where a socket of the host's stands inside: the ways in which it could be made another one. Pure.
//!
//! `bind` and `listen` are carried out from outside ([`ROUTED`]). TCP fast open connects while it sends, which landlock
//! does not see. And where a volume could show another container's unix socket, none can be made to reach it: a
//! listener handed over there would be in hands that another ruleset holds.

use super::{SeccompPlan, bad, filter};
use crate::plan::PlanError;
use crate::seccomp::{
    self, Action, Arch, Cond, Gate, Op, Parameters, Profile, Program, Rule, Telling, Value, Width,
};

/// Calls that are carried out from outside.
pub const ROUTED: [&str; 2] = ["bind", "listen"];

const MSG_FASTOPEN: u64 = 0x2000_0000;
const AF_UNIX: u64 = 1;
const EPERM: u16 = 1;

/// Whether unix sockets can be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnixSockets {
    /// As the filter has it.
    #[default]
    Possible,
    /// None but pairs.
    Closed,
}

/// Who the filter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The first process: its binds and listens are carried out for it.
    First,
    /// One that joins: it binds nothing.
    Newcomer,
}

/// Lays the guard behind the filter.
pub fn lay(all: &mut SeccompPlan, unix: UnixSockets, whose: Whose) -> Result<(), PlanError> {
    let guard = guard(unix, whose).map_err(bad)?;
    let Some(own) = all.filters.pop() else {
        return Ok(());
    };
    let program = match &mut all.watch {
        Some(watch) => {
            watch.plain = watch.plain.then(&guard).map_err(bad)?;
            own.program.then_watched(&guard)
        }
        None => own.program.then(&guard),
    };
    let mut guarded = filter(own.name, program.map_err(bad)?);
    guarded.flags = own.flags;
    all.filters.push(guarded);
    Ok(())
}

fn guard(unix: UnixSockets, whose: Whose) -> Result<Program, seccomp::Error> {
    let masked = |index, mask| Cond {
        index,
        op: Op::MaskedEq { mask },
        value: Value::Is(mask),
        width: Width::Dword,
    };
    let refuse = |name: &str, args| Rule {
        names: vec![name.into()],
        action: Action::Errno(EPERM),
        args,
        reason: String::new(),
        gate: Gate::Always,
        telling: Telling::Told,
    };
    let mut rules = vec![
        refuse("sendto", vec![masked(3, MSG_FASTOPEN)]),
        refuse("sendmsg", vec![masked(2, MSG_FASTOPEN)]),
        refuse("sendmmsg", vec![masked(3, MSG_FASTOPEN)]),
    ];
    if unix == UnixSockets::Closed {
        let family = Cond {
            index: 0,
            op: Op::Eq,
            value: Value::Is(AF_UNIX),
            width: Width::Dword,
        };
        rules.push(refuse("socket", vec![family]));
    }
    if whose == Whose::Newcomer {
        rules.extend(ROUTED.map(|name| refuse(name, Vec::new())));
    }
    let profile = Profile {
        default: Action::Allow,
        above_known: None,
        rules,
    };
    seccomp::compile(&profile, Arch::NATIVE, &Parameters::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_and_what_is_not() {
        let allows = |unix, whose, call: &str, args: [u64; 6]| {
            guard(unix, whose).unwrap().allows(call, args).unwrap()
        };
        use UnixSockets::{Closed, Possible};
        use Whose::{First, Newcomer};
        assert!(allows(Possible, First, "sendto", [3, 0, 0, 0x4000, 0, 0]));
        assert!(!allows(
            Possible,
            First,
            "sendto",
            [3, 0, 0, 0x2000_4000, 0, 0]
        ));
        assert!(!allows(
            Possible,
            First,
            "sendmsg",
            [3, 0, 0x2000_0000, 0, 0, 0]
        ));
        assert!(!allows(
            Possible,
            First,
            "sendmmsg",
            [3, 0, 1, 0x2000_0000, 0, 0]
        ));
        assert!(allows(Possible, First, "socket", [1, 1, 0, 0, 0, 0]));
        assert!(!allows(Closed, First, "socket", [1, 1, 0, 0, 0, 0]));
        assert!(allows(Closed, First, "socket", [2, 1, 0, 0, 0, 0]));
        assert!(allows(Closed, First, "listen", [3, 1, 0, 0, 0, 0]));
        assert!(!allows(Closed, Newcomer, "listen", [3, 1, 0, 0, 0, 0]));
    }
}
