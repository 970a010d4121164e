//! Hooks: which program runs at which point, as what, and for how long. Pure.

use super::Line;
use super::process::names_only;
use crate::controls::ControlId;
use crate::policy::{Grant, HookPoint, Template};
use serde::Serialize;

/// All hooks, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HookPlan {
    /// The hooks.
    pub all: Vec<HookStep>,
    /// What they may have changed before verification.
    pub mounts: ForeignMounts,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookStep {
    /// When.
    pub point: HookPoint,
    /// The program.
    pub path: String,
    /// The file that was judged, where the path is a link to a running program: another one does not run.
    pub file: Option<String>,
    /// argv; empty: the path alone.
    pub args: Vec<String>,
    /// The whole environment. Values may be secret: shown by name only.
    #[serde(serialize_with = "names_only")]
    pub env: Vec<String>,
    /// Seconds until its process group is killed; `None`: as long as it likes.
    pub timeout: Option<u64>,
}

/// Whether mounts may be there that the plan doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignMounts {
    /// Any mount that isn't planned ends the launch.
    #[default]
    Refused,
    /// Hooks in front of the pivot may have added some (compat).
    Allowed,
}

pub(super) fn plan(grant: &Grant) -> HookPlan {
    let mut all: Vec<HookStep> = grant
        .hooks
        .iter()
        .map(|hook| HookStep {
            point: hook.point,
            path: hook.path.to_string(),
            file: hook.file.as_ref().map(ToString::to_string),
            args: hook.args.clone(),
            env: hook.env.clone(),
            timeout: hook.timeout,
        })
        .collect();
    all.sort_by_key(|hook| hook.point); // stable: within a point as config.json has them
    let early = all.iter().any(|h| h.point <= HookPoint::CreateContainer);
    HookPlan {
        mounts: match grant.template {
            Template::Compat if early => ForeignMounts::Allowed,
            _ => ForeignMounts::Refused,
        },
        all,
    }
}

impl HookPlan {
    /// The hooks of one point.
    pub fn at(&self, point: HookPoint) -> impl Iterator<Item = &HookStep> {
        self.all.iter().filter(move |hook| hook.point == point)
    }

    /// Whether the child stops in front of the pivot for hooks.
    pub fn stops_before_pivot(&self) -> bool {
        self.all
            .iter()
            .any(|h| h.point <= HookPoint::CreateContainer)
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let one = |hook: &HookStep| {
            let file = match &hook.file {
                Some(file) => format!(" ({file})"),
                None => String::new(),
            };
            let time = match hook.timeout {
                Some(seconds) => format!("at most {seconds} s"),
                None => "as long as it likes".into(),
            };
            let text = format!("{}: {}{file}, {time}", hook.point.name(), hook.path);
            Line::new("hook", text, &[ControlId::S8_2_1])
        };
        self.all.iter().map(one).collect()
    }
}
