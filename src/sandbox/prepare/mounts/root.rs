//! The root: the image, or an overlay on it that has what is missing.

use super::super::super::ops::{Mapped, Op, ROOT, Slot};
use super::super::{PrepareError, c_string};
use super::{Compiler, change, flags, option};
use crate::paths::GuestPath;
use crate::plan::Propagation;
use crate::plan::mounts::{Attrs, By, MountPlan, RootFrom, Skeleton};
use crate::sys::mount::{MountAttr, attr};
use std::ffi::CString;

impl Compiler<'_> {
    pub(super) fn root(&mut self, plan: &MountPlan) -> Result<(), PrepareError> {
        let root = &plan.root;
        let sealed = Attrs {
            readonly: root.readonly,
            noexec: false,
            ..Attrs::SEALED
        };
        match &root.from {
            RootFrom::Empty => {
                self.tmpfs(
                    By::Child,
                    "the root",
                    ROOT,
                    &[("size", "1m".into()), ("mode", "0755".into())],
                    flags(&Attrs {
                        readonly: false,
                        ..sealed
                    }),
                )?;
                self.skeleton(By::Child, "the root", ROOT, "", &root.skeleton)?;
                self.push(
                    By::Child,
                    "the root",
                    Op::Attr {
                        slot: ROOT,
                        recursive: false,
                        attr: change(&sealed),
                        idmap: Mapped::Not,
                    },
                );
            }
            RootFrom::Tree {
                path,
                recursive,
                idmap,
            } => {
                let label = format!("the root {path}");
                let path = c_string(&path.to_string(), "/root/path")?;
                let tree = match root.overlaid() {
                    true => self.slot(),
                    false => ROOT,
                };
                self.push(
                    root.by,
                    &label,
                    Op::CloneHost {
                        into: tree,
                        path,
                        recursive: *recursive,
                    },
                );
                if tree == ROOT {
                    // Before ids are translated: on disk they are the maker's own.
                    self.missing(root.by, &label, &root.skeleton)?;
                }
                self.push(
                    root.by,
                    &label,
                    Op::Attr {
                        slot: tree,
                        recursive: true,
                        attr: change(&sealed),
                        idmap: match idmap {
                            true => Mapped::Container,
                            false => Mapped::Not,
                        },
                    },
                );
                self.send(root.by, tree);
                if tree != ROOT {
                    self.overlay(&label, tree, &root.skeleton, &sealed)?;
                }
            }
        }
        Ok(())
    }

    /// Mount points made in the image itself, as it may be written: they stay in it.
    fn missing(&mut self, by: By, label: &str, skeleton: &Skeleton) -> Result<(), PrepareError> {
        let dirs = skeleton.dirs.iter().map(|dir| (dir, true));
        let files = skeleton.files.iter().map(|file| (file, false));
        for (place, dir) in dirs.chain(files) {
            let name = place.as_str().rsplit('/').next().unwrap_or_default();
            let op = Op::Missing {
                parent: c_string(place.parent().relative(), label)?,
                name: c_string(name, label)?,
                dir,
            };
            self.push(by, label, op);
        }
        Ok(())
    }

    /// The image below, our missing mount points above it, both read-only.
    pub(super) fn overlay(
        &mut self,
        label: &str,
        tree: Slot,
        skeleton: &Skeleton,
        attrs: &Attrs,
    ) -> Result<(), PrepareError> {
        let stage = self.slot();
        let child = By::Child;
        self.tmpfs(
            child,
            label,
            stage,
            &[("size", "1m".into()), ("mode", "0755".into())],
            attr::NOSUID | attr::NODEV,
        )?;
        for dir in ["image", "ours"] {
            let path = c_string(dir, dir)?;
            self.push(
                child,
                label,
                Op::Dir {
                    at: stage,
                    path,
                    mode: 0o755,
                },
            );
        }
        self.push(child, label, Op::AttachStage { slot: stage });
        self.push(
            child,
            label,
            Op::AttachIn {
                slot: tree,
                at: stage,
                path: c"image".into(),
            },
        );
        self.skeleton(child, label, stage, "ours/", skeleton)?;
        // A folder that the image has too keeps the image's owner and mode.
        let root = GuestPath::root();
        for dir in std::iter::once(&root).chain(&skeleton.dirs) {
            let path = c_string(&format!("ours/{}", dir.relative()), label)?;
            let like = c_string(&format!("image/{}", dir.relative()), label)?;
            self.push(
                child,
                label,
                Op::Like {
                    at: stage,
                    path,
                    like,
                },
            );
        }
        let options = vec![option("lowerdir", "ours:image")?];
        self.push(
            child,
            label,
            Op::Overlay {
                into: ROOT,
                stage,
                options,
                attrs: flags(attrs),
            },
        );
        Ok(())
    }

    /// Propagation other than private, which everything has by then.
    pub(super) fn propagation(&mut self, plan: &MountPlan) -> Result<(), PrepareError> {
        let bits = |p: Propagation| match p {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Unbindable => libc::MS_UNBINDABLE,
        };
        let mut wanted: Vec<(CString, Propagation)> = Vec::new();
        for step in &plan.steps {
            if let Some(p) = step.propagation.filter(|p| *p != Propagation::Private) {
                wanted.push((c_string(step.target.relative(), "a mount")?, p));
            }
        }
        // Last, for it waits: pivot_root(2) takes no root that is shared.
        if plan.root.propagation != Propagation::Private {
            wanted.push((c".".into(), plan.root.propagation));
            self.out.behind_pivot = 1;
        }
        for (target, p) in wanted {
            let attr = MountAttr {
                propagation: bits(p),
                ..MountAttr::default()
            };
            self.push(By::Child, "propagation", Op::Change { target, attr });
        }
        Ok(())
    }
}
