//! Finds where a mount point lies: in the image, in something of ours that can still get it, or nowhere.

use super::{Attrs, By, RootFrom, RootPlan, Skeleton, Step, What};
use crate::paths::GuestPath;
use crate::plan::PlanError;
use crate::survey::{Kind, Survey, Target};

/// Collects the steps.
pub(super) struct Builder<'a> {
    root: RootPlan,
    steps: Vec<Step>,
    survey: &'a Survey,
    by: By,
    /// Whether one mount may hide another, as the compat template lets it.
    stacked: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(root: RootPlan, survey: &'a Survey, by: By, stacked: bool) -> Self {
        Self {
            root,
            steps: Vec::new(),
            survey,
            by,
            stacked,
        }
    }

    /// Whether something is mounted there, without a link on the way.
    pub(super) fn has(&self, target: &GuestPath, is: fn(&What) -> bool) -> bool {
        self.steps
            .iter()
            .any(|s| s.target == *target && is(&s.what))
    }

    /// The volume that a path lies in.
    pub(super) fn volume(&self, target: &GuestPath) -> Option<&GuestPath> {
        let above = &self.steps[self.owner(target)?];
        matches!(above.what, What::Bind { .. }).then_some(&above.target)
    }

    /// Who can do what only the host's rights allow.
    pub(super) fn privileged(&self) -> By {
        self.by
    }

    pub(super) fn survey(&self) -> &'a Survey {
        self.survey
    }

    pub(super) fn finish(self) -> (RootPlan, Vec<Step>) {
        (self.root, self.steps)
    }

    /// A mount that has to be there.
    pub(super) fn add(
        &mut self,
        target: &GuestPath,
        what: What,
        attrs: Attrs,
        by: By,
        pointer: &str,
    ) -> Result<&mut Step, PlanError> {
        let kind = self.kind_needed(&what);
        let target = self.place(target, kind, pointer)?;
        let taken = self.steps.iter().find(|s| s.target == target);
        if let Some(taken) = taken.filter(|_| !self.stacked) {
            let what = format!(
                "{target} is taken ({}, by this or another name of it): mount each place once",
                taken.pointer
            );
            return Err(refuse(pointer, what));
        }
        self.steps.push(Step {
            target,
            what,
            attrs,
            by,
            propagation: None,
            pointer: pointer.into(),
        });
        let last = self.steps.len() - 1;
        Ok(&mut self.steps[last])
    }

    /// A mount over something that need not exist.
    pub(super) fn cover(&mut self, target: &GuestPath, what: What, attrs: Attrs, pointer: &str) {
        let at = match self.survey.targets.get(target) {
            Some(Target::Present { at, .. }) if self.owner(target).is_none() => at.clone(),
            _ => target.clone(),
        };
        self.steps.push(Step {
            target: at,
            what,
            attrs,
            by: By::Child,
            propagation: None,
            pointer: pointer.into(),
        });
    }

    /// A folder that has to be there (the working directory).
    pub(super) fn need_dir(&mut self, path: &GuestPath, pointer: &str) -> Result<(), PlanError> {
        if *path == GuestPath::root() || self.steps.iter().any(|s| s.target == *path) {
            return Ok(());
        }
        if let Some(Target::Present { kind, .. }) = self.survey.targets.get(path)
            && *kind != Kind::Dir
            && self.owner(path).is_none()
        {
            let what = format!("{path} is not a directory in the root: name a folder to start in");
            return Err(refuse(pointer, what));
        }
        self.place(path, Kind::Dir, pointer).map(drop)
    }

    fn kind_needed(&self, what: &What) -> Kind {
        match what {
            What::Bind { path, .. } => match self.survey.sources.get(path) {
                Some(crate::survey::Source::Present(node)) if node.kind != Kind::Dir => Kind::File,
                _ => Kind::Dir,
            },
            What::EmptyFile | What::Sample | What::Console | What::Device { .. } => Kind::File,
            _ => Kind::Dir,
        }
    }

    /// The last step whose mount `target` lies strictly below.
    fn owner(&self, target: &GuestPath) -> Option<usize> {
        self.steps
            .iter()
            .rposition(|s| target.is_at_or_below(&s.target) && *target != s.target)
    }

    fn place(
        &mut self,
        target: &GuestPath,
        kind: Kind,
        pointer: &str,
    ) -> Result<GuestPath, PlanError> {
        if *target == GuestPath::root() {
            return Err(refuse(
                pointer,
                format!("{target}: nothing can be mounted over the root itself"),
            ));
        }
        match self.owner(target) {
            Some(index) => self.place_in_step(index, target, kind, pointer),
            None => self.place_in_root(target, kind, pointer),
        }
    }

    fn place_in_root(
        &mut self,
        target: &GuestPath,
        kind: Kind,
        pointer: &str,
    ) -> Result<GuestPath, PlanError> {
        let facts = match self.root.from {
            RootFrom::Empty => Target::Missing,
            RootFrom::Tree { .. } => self
                .survey
                .targets
                .get(target)
                .cloned()
                .unwrap_or(Target::Missing),
        };
        match facts {
            Target::Missing => {
                self.root.skeleton.hold(target, kind);
                Ok(target.clone())
            }
            Target::Dangling { at } => {
                no_kernel_place_through_a_link(target, &at, pointer)?;
                if let Some(index) = self.owner(&at) {
                    return self.place_in_step(index, &at, kind, pointer);
                }
                self.root.skeleton.hold(&at, kind);
                Ok(at)
            }
            Target::Present { at, kind: found } => {
                check_kind(target, kind, found, pointer)?;
                if at != *target {
                    no_kernel_place_through_a_link(target, &at, pointer)?;
                    if let Some(index) = self.owner(&at) {
                        return self.place_in_step(index, &at, kind, pointer);
                    }
                }
                Ok(at)
            }
            Target::Blocked(why) => Err(refuse(
                pointer,
                format!("{target} can't be used as a mount point: {why}"),
            )),
        }
    }

    fn place_in_step(
        &mut self,
        index: usize,
        target: &GuestPath,
        kind: Kind,
        pointer: &str,
    ) -> Result<GuestPath, PlanError> {
        let above = self.steps[index].target.clone();
        let rest = GuestPath::root().join(&target.as_str()[above.as_str().len()..]);
        match &mut self.steps[index].what {
            What::Tmpfs { holds, .. } | What::EmptyDir { holds } | What::Dev { holds, .. } => {
                holds.hold(&rest, kind);
                Ok(target.clone())
            }
            What::Bind { .. } => match self.survey.targets.get(target) {
                Some(Target::Present { at, kind: found }) => {
                    check_kind(target, kind, *found, pointer)?;
                    Ok(at.clone())
                }
                Some(Target::Blocked(why)) => Err(refuse(
                    pointer,
                    format!("{target} can't be used as a mount point: {why}"),
                )),
                _ => Err(refuse(
                    pointer,
                    format!(
                        "{target} does not exist in the volume at {above}: create it there first"
                    ),
                )),
            },
            // Kernel file systems have their folders; a missing one is the child's ENOENT.
            _ => Ok(target.clone()),
        }
    }
}

impl Skeleton {
    /// A mount point, and the folders above it.
    fn hold(&mut self, path: &GuestPath, kind: Kind) {
        let mut above = Vec::new();
        let mut at = path.parent();
        while at != GuestPath::root() {
            above.push(at.clone());
            at = at.parent();
        }
        for dir in above.into_iter().rev() {
            if !self.dirs.contains(&dir) {
                self.dirs.push(dir);
            }
        }
        let list = if kind == Kind::Dir {
            &mut self.dirs
        } else {
            &mut self.files
        };
        if !list.contains(path) {
            list.push(path.clone());
        }
    }

    /// Whether there is nothing to make.
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.files.is_empty()
    }
}

fn check_kind(
    target: &GuestPath,
    wanted: Kind,
    found: Kind,
    pointer: &str,
) -> Result<(), PlanError> {
    if (wanted == Kind::Dir) == (found == Kind::Dir) {
        return Ok(());
    }
    let (is, needs) = match found {
        Kind::Dir => ("a directory", "a file"),
        _ => ("not a directory", "a directory"),
    };
    Err(refuse(
        pointer,
        format!(
            "{target} is {is} in the root, but {needs} is to be mounted there: not a directory"
        ),
    ))
}

/// /proc, /sys and /dev are real folders or nothing (CVE-2019-19921, CVE-2026-41579).
fn no_kernel_place_through_a_link(
    target: &GuestPath,
    at: &GuestPath,
    pointer: &str,
) -> Result<(), PlanError> {
    let kernel = ["/proc", "/sys", "/dev"];
    let below = |p: &GuestPath| {
        kernel.iter().any(|k| {
            p.as_str() == *k
                || p.as_str()
                    .strip_prefix(k)
                    .is_some_and(|r| r.starts_with('/'))
        })
    };
    if below(target) || below(at) {
        return Err(refuse(
            pointer,
            format!(
                "{target} is, or leads through, a symbolic link (to {at}) in the root: refused, since /proc, /sys and /dev must be real folders"
            ),
        ));
    }
    Ok(())
}

fn refuse(pointer: &str, what: String) -> PlanError {
    PlanError::Mount {
        pointer: pointer.into(),
        what,
    }
}
