//! Writes a profile in OCI's pure shape, for engines and for people who want to read it flat.
//! Loses what OCI cannot say: reasons, the ENOSYS above the highest known call, the kill of foreign ABIs. Called by the command line.

use serde_json::{Value as Json, json};

use super::error::Error;
use super::model::{Action, Arch, Cond, Op, Parameters, Profile, Rule, Value, Width};

const LOW: u64 = u32::MAX as u64;

impl Profile {
    /// The profile as an OCI `linux.seccomp` object, with these groups on and this fd number filled in.
    ///
    /// # Errors
    /// `@exec_fd` without a number; a 32-bit comparison other than equality.
    pub fn to_oci_json(&self, arch: Arch, parameters: &Parameters) -> Result<Json, Error> {
        let open = self
            .rules
            .iter()
            .filter(|rule| rule.gate.is_open(&parameters.groups));
        let entries = open
            .map(|rule| entry(rule, parameters))
            .collect::<Result<Vec<_>, _>>()?;
        let (default, errno) = action(self.default);
        let mut oci = json!({
            "defaultAction": default,
            "architectures": [arch.oci_name()],
            "syscalls": entries,
        });
        if let Some(errno) = errno {
            oci["defaultErrnoRet"] = json!(errno);
        }
        Ok(oci)
    }
}

fn entry(rule: &Rule, parameters: &Parameters) -> Result<Json, Error> {
    let (action, errno) = action(rule.action);
    let mut entry = json!({ "names": rule.names, "action": action });
    if let Some(errno) = errno {
        entry["errnoRet"] = json!(errno);
    }
    if !rule.args.is_empty() {
        let args = rule
            .args
            .iter()
            .map(|cond| arg(cond, rule, parameters))
            .collect::<Result<Vec<_>, _>>()?;
        entry["args"] = json!(args);
    }
    Ok(entry)
}

/// A 32-bit equality becomes a 64-bit one under a mask, which says the same.
fn arg(cond: &Cond, rule: &Rule, parameters: &Parameters) -> Result<Json, Error> {
    let value = match cond.value {
        Value::Is(value) => value,
        Value::ExecFd => u64::from(parameters.exec_fd.ok_or(Error::NoExecFd)?),
    };
    let masked = |mask: u64, value: u64| ("SCMP_CMP_MASKED_EQ", mask, Some(value));
    let (op, first, second) = match (cond.width, cond.op) {
        (Width::Dword, Op::Eq) => masked(LOW, value & LOW),
        (Width::Dword, Op::MaskedEq { mask }) => masked(mask & LOW, value & LOW),
        (Width::Qword, Op::MaskedEq { mask }) => masked(mask, value),
        (Width::Qword, Op::Eq) => ("SCMP_CMP_EQ", value, None),
        (Width::Qword, Op::Ne) => ("SCMP_CMP_NE", value, None),
        (Width::Qword, Op::Lt) => ("SCMP_CMP_LT", value, None),
        (Width::Qword, Op::Le) => ("SCMP_CMP_LE", value, None),
        (Width::Qword, Op::Gt) => ("SCMP_CMP_GT", value, None),
        (Width::Qword, Op::Ge) => ("SCMP_CMP_GE", value, None),
        (Width::Dword, _) => {
            return Err(Error::NotOci {
                calls: rule.names.join(", "),
            });
        }
    };
    let mut arg = json!({ "index": cond.index, "op": op, "value": first });
    if let Some(second) = second {
        arg["valueTwo"] = json!(second);
    }
    Ok(arg)
}

fn action(action: Action) -> (&'static str, Option<u16>) {
    match action {
        Action::Allow => ("SCMP_ACT_ALLOW", None),
        Action::Log => ("SCMP_ACT_LOG", None),
        Action::Trace(data) => ("SCMP_ACT_TRACE", Some(data)),
        Action::Notify => ("SCMP_ACT_NOTIFY", None),
        Action::Errno(errno) => ("SCMP_ACT_ERRNO", Some(errno)),
        Action::Trap => ("SCMP_ACT_TRAP", None),
        Action::KillThread => ("SCMP_ACT_KILL_THREAD", None),
        Action::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
    }
}
