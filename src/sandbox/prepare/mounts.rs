//! The mount plan as operations: which the launcher does, which the child, and the descriptors in between.

mod filled;
mod nodes;
mod root;
mod step;

use super::super::ops::{Op, ROOT, Slot};
use super::{Labels, PrepareError, c_string};
use crate::plan::Atime;
use crate::plan::Plan;
use crate::plan::mounts::{Attrs, By, Skeleton, Step, What};
use crate::sys::mount::{MountAttr, attr};
use std::ffi::CString;

/// Operations for both sides.
pub(in crate::sandbox) struct Compiled {
    pub(in crate::sandbox) launcher: Vec<Op>,
    pub(in crate::sandbox) child: Vec<Op>,
    pub(in crate::sandbox) received: Vec<Slot>,
    pub(in crate::sandbox) slots: usize,
    /// How many of the child's, the last, wait for pivot_root.
    pub(in crate::sandbox) behind_pivot: usize,
}

struct Compiler<'a> {
    out: Compiled,
    labels: &'a mut Labels,
    /// One empty folder and one empty file, copied for every mask.
    empties: Option<Slot>,
    /// The folder with the device nodes for places outside /dev, and how many are placed.
    nodes: Option<Slot>,
    placed: usize,
}

pub(in crate::sandbox) fn compile(
    plan: &Plan,
    labels: &mut Labels,
) -> Result<Compiled, PrepareError> {
    let mut compiler = Compiler {
        out: Compiled {
            launcher: Vec::new(),
            child: Vec::new(),
            received: Vec::new(),
            slots: 1,
            behind_pivot: 0,
        },
        labels,
        empties: None,
        nodes: None,
        placed: 0,
    };
    if plan.mounts.steps.iter().any(needs_empties) {
        compiler.empties()?;
    }
    compiler.nodes(&plan.mounts.steps)?;
    compiler.root(&plan.mounts)?;
    // Attached last of the stages, so that it is on top; and before anything below it is attached, since kernels
    // before 6.15 attach nothing to a detached tree.
    compiler.push(By::Child, "the root", Op::AttachStage { slot: ROOT });
    for step in &plan.mounts.steps {
        compiler.step(step)?;
    }
    compiler.propagation(&plan.mounts)?;
    Ok(compiler.out)
}

fn own_file() -> Result<CString, PrepareError> {
    let path = std::env::current_exe().map_err(|why| PrepareError::Open {
        path: "/proc/self/exe".into(),
        why,
    })?;
    c_string(&path.to_string_lossy(), "the launcher's path")
}

fn needs_empties(step: &Step) -> bool {
    match &step.what {
        What::Mask | What::EmptyFile => true,
        What::EmptyDir { holds } => holds.is_empty(),
        _ => false,
    }
}

fn flags(attrs: &Attrs) -> u64 {
    let of = |on: bool, flag: u64| if on { flag } else { 0 };
    of(attrs.readonly, attr::RDONLY)
        | of(attrs.nosuid, attr::NOSUID)
        | of(attrs.nodev, attr::NODEV)
        | of(attrs.noexec, attr::NOEXEC)
        | of(attrs.nosymfollow, attr::NOSYMFOLLOW)
        | of(attrs.nodiratime, attr::NODIRATIME)
        | match attrs.atime {
            Atime::Relatime => 0,
            Atime::Noatime => attr::NOATIME,
            Atime::Strict => attr::STRICTATIME,
        }
}

/// For an existing mount: a changed access-time mode must clear the old one.
fn change(attrs: &Attrs) -> MountAttr {
    MountAttr {
        set: flags(attrs),
        clear: if attrs.atime == Atime::Relatime {
            0
        } else {
            attr::ATIME_MASK
        },
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    }
}

fn option(key: &str, value: impl Into<String>) -> Result<(CString, Option<CString>), PrepareError> {
    Ok((c_string(key, key)?, Some(c_string(&value.into(), key)?)))
}

impl Compiler<'_> {
    fn slot(&mut self) -> Slot {
        self.out.slots += 1;
        self.out.slots - 1
    }

    fn push(&mut self, by: By, label: &str, op: Op) {
        let (ops, labels) = match by {
            By::Launcher => (&mut self.out.launcher, &mut self.labels.launcher_ops),
            By::Child => (&mut self.out.child, &mut self.labels.child_ops),
        };
        ops.push(op);
        labels.push(label.into());
    }

    /// A slot that the launcher fills is sent to the child.
    fn send(&mut self, by: By, slot: Slot) {
        if by == By::Launcher {
            self.out.received.push(slot);
        }
    }

    fn tmpfs(
        &mut self,
        by: By,
        label: &str,
        into: Slot,
        options: &[(&str, String)],
        attrs: u64,
    ) -> Result<(), PrepareError> {
        let options = options
            .iter()
            .map(|(k, v)| {
                if v.is_empty() {
                    Ok((c_string(k, k)?, None))
                } else {
                    option(k, v.as_str())
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.push(
            by,
            label,
            Op::NewFs {
                into,
                fstype: c"tmpfs".into(),
                options,
                attrs,
            },
        );
        Ok(())
    }

    fn skeleton(
        &mut self,
        by: By,
        label: &str,
        at: Slot,
        prefix: &str,
        skeleton: &Skeleton,
    ) -> Result<(), PrepareError> {
        for dir in &skeleton.dirs {
            let path = c_string(&format!("{prefix}{}", dir.relative()), label)?;
            self.push(
                by,
                label,
                Op::Dir {
                    at,
                    path,
                    mode: 0o755,
                },
            );
        }
        for file in &skeleton.files {
            let path = c_string(&format!("{prefix}{}", file.relative()), label)?;
            let contents = Vec::new();
            self.push(
                by,
                label,
                Op::File {
                    at,
                    path,
                    mode: 0o644,
                    contents,
                    owner: None,
                },
            );
        }
        Ok(())
    }
}
