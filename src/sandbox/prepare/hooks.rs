//! The hooks that the child runs itself.

use super::super::start_hooks::{StartHook, StartHooks};
use super::{PrepareError, c_string, strings};
use crate::plan::HookPoint;
use crate::plan::hooks::HookPlan;
use nix::poll::PollTimeout;
use nix::sys::memfd::{MFdFlags, memfd_create};

pub(super) fn start_hooks(plan: &HookPlan) -> Result<Option<StartHooks>, PrepareError> {
    let mut hooks = Vec::new();
    for step in plan.at(HookPoint::StartContainer) {
        let args = match step.args.as_slice() {
            [] => std::slice::from_ref(&step.path),
            args => args,
        };
        let milliseconds = step.timeout.map(|s| i32::try_from(s * 1000));
        hooks.push(StartHook {
            path: c_string(&step.path, "/hooks/startContainer")?,
            argv: strings(args, "/hooks/startContainer")?,
            envp: strings(&step.env, "/hooks/startContainer")?,
            timeout: match milliseconds {
                Some(Ok(ms)) => PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
                _ => PollTimeout::NONE,
            },
        });
    }
    if hooks.is_empty() {
        return Ok(None);
    }
    let state =
        memfd_create(c"state", MFdFlags::MFD_CLOEXEC).map_err(|errno| PrepareError::Open {
            path: "a file in memory (memfd_create)".into(),
            why: errno.into(),
        })?;
    Ok(Some(StartHooks { hooks, state }))
}
