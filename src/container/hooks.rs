//! Which hooks run when, and what their failure means: in front of the program it ends the launch, after it it is told.

use super::error::ContainerError;
use super::store::{State, Status};
use crate::events::{HookResult, Sender, What};
use crate::plan::{HookPoint, Plan};
use crate::sandbox::{HookError, HookProgram, LaunchError, Launched, Place, run_hook};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The hooks that later commands run, as `state.json` keeps them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedHooks {
    /// After the program was executed.
    pub poststart: Vec<HookProgram>,
    /// After the container is gone.
    pub poststop: Vec<HookProgram>,
    /// Programs of startContainer hooks, in order: the child runs them, and says of one that fails only which it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
}

impl SavedHooks {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        let at = |point| plan.hooks.at(point).map(HookProgram::from).collect();
        Self {
            poststart: at(HookPoint::Poststart),
            poststop: at(HookPoint::Poststop),
            inside: plan
                .hooks
                .at(HookPoint::StartContainer)
                .map(|hook| hook.path.clone())
                .collect(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.poststart.is_empty() && self.poststop.is_empty() && self.inside.is_empty()
    }

    /// That the hooks inside have run, which they had when the program began.
    pub(super) fn ran_inside(&self) -> impl Iterator<Item = What> {
        self.inside.iter().map(|program| What::Hook {
            point: HookPoint::StartContainer.name().into(),
            program: program.clone(),
            result: HookResult::Done,
            said: None,
        })
    }

    /// That one of them failed, if that is why nothing was run.
    pub(super) fn failed_inside(&self, error: &ContainerError) -> Option<What> {
        let ContainerError::Launch(why @ LaunchError::StartHook { number, .. }) = error else {
            return None;
        };
        let program = self.inside.get(usize::from(*number));
        Some(What::Hook {
            point: HookPoint::StartContainer.name().into(),
            program: program.cloned().unwrap_or_default(),
            result: HookResult::Failed,
            said: Some(why.to_string()),
        })
    }
}

/// What a hook is told about its container (runtime-spec, runtime.md, State).
pub struct About<'a> {
    /// Its id.
    pub id: &'a str,
    /// The bundle's folder.
    pub bundle: &'a str,
    /// Labels.
    pub annotations: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a State> for About<'a> {
    fn from(state: &'a State) -> Self {
        Self {
            id: &state.id,
            bundle: &state.bundle,
            annotations: &state.annotations,
        }
    }
}

impl About<'_> {
    /// The state, as JSON; a stopped container has no pid.
    pub fn state(&self, status: Status, pid: i32) -> Vec<u8> {
        let mut state = json!({
            "ociVersion": "1.3.0",
            "id": self.id,
            "status": status,
            "bundle": self.bundle,
            "annotations": self.annotations,
        });
        if status != Status::Stopped {
            state["pid"] = pid.into();
        }
        serde_json::to_vec(&state).unwrap_or_default()
    }
}

fn failed(point: HookPoint, hook: &HookProgram, why: HookError) -> ContainerError {
    ContainerError::Hook {
        point: point.name(),
        path: hook.path.clone(),
        why,
    }
}

/// That a hook has run, or why not.
fn told(point: HookPoint, hook: &HookProgram, done: &Result<(), HookError>) -> What {
    What::Hook {
        point: point.name().into(),
        program: hook.path.to_string(),
        result: match done {
            Ok(()) => HookResult::Done,
            Err(_) => HookResult::Failed,
        },
        said: done.as_ref().err().map(ToString::to_string),
    }
}

/// prestart, createRuntime and createContainer, while the child stands in front of its pivot.
pub(super) fn before_pivot(
    plan: &Plan,
    about: &About<'_>,
    launched: &Launched,
    events: &Sender,
) -> Result<(), ContainerError> {
    let state = about.state(Status::Creating, launched.pid());
    for step in &plan.hooks.all {
        let place = match step.point {
            HookPoint::Prestart | HookPoint::CreateRuntime => Place::Runtime,
            HookPoint::CreateContainer => Place::Container(launched),
            _ => continue,
        };
        let hook = HookProgram::from(step);
        let done = run_hook(&hook, &state, &place);
        events.send(told(step.point, &hook, &done));
        done.map_err(|why| failed(step.point, &hook, why))?;
    }
    Ok(())
}

/// Runs all, whatever becomes of each; what failed, as warnings.
fn all(
    point: HookPoint,
    hooks: &[HookProgram],
    state: &[u8],
    mut tell: impl FnMut(What),
) -> Vec<String> {
    let run = |hook: &HookProgram| {
        let done = run_hook(hook, state, &Place::Runtime);
        tell(told(point, hook, &done));
        Some(failed(point, hook, done.err()?).to_string())
    };
    hooks.iter().filter_map(run).collect()
}

/// After the program was executed.
#[must_use]
pub(super) fn poststart(
    hooks: &SavedHooks,
    about: &About<'_>,
    pid: i32,
    tell: impl FnMut(What),
) -> Vec<String> {
    let state = about.state(Status::Running, pid);
    all(HookPoint::Poststart, &hooks.poststart, &state, tell)
}

/// After the container is gone.
#[must_use]
pub(super) fn poststop(
    hooks: &SavedHooks,
    about: &About<'_>,
    tell: impl FnMut(What),
) -> Vec<String> {
    let state = about.state(Status::Stopped, 0);
    all(HookPoint::Poststop, &hooks.poststop, &state, tell)
}
