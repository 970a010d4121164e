//! Takes over the seccomp section of an OCI config.json, as engines write it.
//! Must lose nothing silently: what is not taken over is listed. Not part of build.rs. Called by the policy and the plan.

use oci_spec::runtime::{
    Arch as OciArch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator,
    LinuxSyscall,
};

use super::error::Error;
use super::model::{Action, Arch, Cond, Gate, Op, Profile, Rule, Telling, Value, Width};

const NAME: &str = "linux.seccomp of config.json";
const EPERM: u32 = 1;

/// An engine's profile, and what of it we do not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The profile; compiling it lists the calls this architecture does not have.
    pub profile: Profile,
    /// Architectures other than the native one: calls by them kill the process instead (`SCMP_ARCH_*`).
    pub clamped_architectures: Vec<String>,
    /// Filter flags (`SECCOMP_FILTER_FLAG_*`): none is passed on.
    pub flags: Vec<String>,
    /// Entries with two conditions on one argument: both must hold here, as OCI says; runc takes either as enough.
    pub repeated: Vec<String>,
}

/// Takes over an OCI profile for this architecture.
///
/// # Errors
/// An argument index above 5, an errno above 65535: runc refuses them too.
pub fn adopt(oci: &LinuxSeccomp, native: Arch) -> Result<Adopted, Error> {
    let entries = oci.syscalls().iter().flatten();
    let rules = entries
        .clone()
        .map(rule)
        .collect::<Result<Vec<Rule>, Error>>()?;
    let default = action(
        oci.default_action(),
        oci.default_errno_ret(),
        "the default action",
    )?;
    let profile = Profile {
        default,
        above_known: None,
        rules,
    };
    let foreign = |arch: &&OciArch| {
        **arch != OciArch::ScmpArchNative && arch.to_string() != native.oci_name()
    };
    let architectures = oci.architectures().iter().flatten();
    Ok(Adopted {
        profile,
        clamped_architectures: architectures
            .filter(foreign)
            .map(OciArch::to_string)
            .collect(),
        flags: oci
            .flags()
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect(),
        repeated: entries
            .filter(|e| repeats(e))
            .map(|e| e.names().join(", "))
            .collect(),
    })
}

fn repeats(entry: &LinuxSyscall) -> bool {
    let mut seen = [false; 6];
    let mut args = entry.args().iter().flatten();
    args.any(|arg| {
        seen.get_mut(arg.index())
            .is_some_and(|slot| std::mem::replace(slot, true))
    })
}

fn rule(entry: &LinuxSyscall) -> Result<Rule, Error> {
    let calls = entry.names().join(", ");
    if entry.names().is_empty() {
        return Err(Error::BadEntry {
            profile: NAME.to_owned(),
            calls: "(none)".to_owned(),
            found: "a rule without names".to_owned(),
            todo: "name at least one system call, or leave the rule out",
        });
    }
    let args = entry.args().iter().flatten();
    Ok(Rule {
        names: entry.names().clone(),
        action: action(entry.action(), entry.errno_ret(), &calls)?,
        args: args
            .map(|arg| cond(arg, &calls))
            .collect::<Result<_, Error>>()?,
        reason: String::new(),
        gate: Gate::Always,
        telling: Telling::Told,
    })
}

fn cond(arg: &LinuxSeccompArg, calls: &str) -> Result<Cond, Error> {
    let index = u8::try_from(arg.index()).ok().filter(|&index| index < 6);
    let index = index.ok_or_else(|| Error::BadEntry {
        profile: NAME.to_owned(),
        calls: calls.to_owned(),
        found: format!("the argument index {}", arg.index()),
        todo: "a call has arguments 0 to 5",
    })?;
    let (op, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => (Op::Eq, arg.value()),
        LinuxSeccompOperator::ScmpCmpNe => (Op::Ne, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (Op::Lt, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (Op::Le, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (Op::Gt, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (Op::Ge, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (
            Op::MaskedEq { mask: arg.value() },
            arg.value_two().unwrap_or(0),
        ),
    };
    Ok(Cond {
        index,
        op,
        value: Value::Is(value),
        width: Width::Qword,
    })
}

fn action(oci: LinuxSeccompAction, errno: Option<u32>, calls: &str) -> Result<Action, Error> {
    let data = || {
        let errno = errno.unwrap_or(EPERM);
        u16::try_from(errno).map_err(|_| Error::BadEntry {
            profile: NAME.to_owned(),
            calls: calls.to_owned(),
            found: format!("the errnoRet {errno}"),
            todo: "give an errno of at most 4095",
        })
    };
    let returns = matches!(
        oci,
        LinuxSeccompAction::ScmpActErrno | LinuxSeccompAction::ScmpActTrace
    );
    if let Some(errno) = errno.filter(|_| !returns) {
        return Err(Error::BadEntry {
            profile: NAME.to_owned(),
            calls: calls.to_owned(),
            found: format!("the errno {errno} with {oci}, which returns none"),
            todo: "leave the errno out, or use SCMP_ACT_ERRNO",
        });
    }
    Ok(match oci {
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActTrace => Action::Trace(data()?),
        LinuxSeccompAction::ScmpActNotify => Action::Notify,
        LinuxSeccompAction::ScmpActErrno => Action::Errno(data()?),
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            Action::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
    })
}
