//! One step of the plan: made detached, sent if the launcher made it, attached.

use super::super::super::ops::{EMPTY_DIR, EMPTY_FILE, Mapped, Op, Slot};
use super::super::namespaces::namespace_with;
use super::super::{PrepareError, c_string};
use super::{Compiler, change, flags, option, own_file};
use crate::paths::GuestPath;
use crate::plan::Translation;
use crate::plan::mounts::{Attrs, By, DevNodes, Step, What};
use crate::sys::mount::{MountAttr, attr};

impl Compiler<'_> {
    pub(super) fn step(&mut self, step: &Step) -> Result<(), PrepareError> {
        let label = step.target.to_string();
        let target = c_string(step.target.relative(), &label)?;
        match &step.what {
            What::Mask => {
                let empties = self.empties()?;
                self.push(By::Child, &label, Op::Mask { target, empties });
                return Ok(());
            }
            What::ReadOnly => {
                let only = MountAttr {
                    set: attr::RDONLY,
                    ..MountAttr::default()
                };
                self.push(By::Child, &label, Op::ReadOnly { target, attr: only });
                return Ok(());
            }
            What::Console => return Ok(()), // the child's own step, once the terminal is made
            What::Device { .. } => return self.placed_node(target, &label),
            What::EmptyFile => return self.empty(EMPTY_FILE.into(), target, &label),
            What::EmptyDir { holds } if holds.is_empty() => {
                return self.empty(EMPTY_DIR.into(), target, &label);
            }
            _ => {}
        }
        let slot = self.slot();
        self.make(step, slot, &label)?;
        self.send(step.by, slot);
        if let What::Tmpfs {
            mode,
            uid,
            gid,
            copy_up,
            ..
        } = &step.what
        {
            if *copy_up {
                let label = format!(
                    "{label}, copying what it covers, 32 folders deep at most, into it; is its size large enough?"
                );
                let target = target.clone();
                self.push(By::Child, &label, Op::CopyUp { slot, target });
            }
            let (mode, owner) = (mode.is_none(), uid.is_none() && gid.is_none());
            if mode || owner {
                let target = target.clone();
                self.push(
                    By::Child,
                    &label,
                    Op::Inherit {
                        slot,
                        target,
                        mode,
                        owner,
                    },
                );
            }
            // After it has been given a mode and an owner, which a read-only one takes no more.
            self.reseal(step, slot, &label);
        }
        self.push(By::Child, &label, Op::Attach { slot, target });
        if let What::Dev {
            nodes,
            how: DevNodes::Bound,
            ..
        } = &step.what
        {
            for node in nodes {
                let (from, at) = (format!("/dev/{}", node.name), step.target.join(&node.name));
                self.bind(
                    By::Child,
                    &at,
                    &from,
                    &Attrs {
                        nodev: false,
                        readonly: false,
                        ..Attrs::SEALED
                    },
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn bind(
        &mut self,
        by: By,
        at: &GuestPath,
        from: &str,
        attrs: &Attrs,
    ) -> Result<(), PrepareError> {
        let (label, slot) = (at.to_string(), self.slot());
        let path = c_string(from, &label)?;
        self.push(
            by,
            &label,
            Op::CloneHost {
                into: slot,
                path,
                recursive: false,
            },
        );
        self.push(
            by,
            &label,
            Op::Attr {
                slot,
                recursive: false,
                attr: change(attrs),
                idmap: Mapped::Not,
            },
        );
        self.send(by, slot);
        self.push(
            By::Child,
            &label,
            Op::Attach {
                slot,
                target: c_string(at.relative(), &label)?,
            },
        );
        Ok(())
    }

    /// The detached mount of a step.
    pub(super) fn make(
        &mut self,
        step: &Step,
        slot: Slot,
        label: &str,
    ) -> Result<(), PrepareError> {
        let by = step.by;
        let attrs = flags(&step.attrs);
        let plain = |fstype: &str, options| -> Result<Op, PrepareError> {
            Ok(Op::NewFs {
                into: slot,
                fstype: c_string(fstype, fstype)?,
                options,
                attrs,
            })
        };
        match &step.what {
            What::Bind {
                path,
                recursive,
                ids,
            } => {
                let idmap = match ids {
                    Translation::None => Mapped::Not,
                    Translation::Container => Mapped::Container,
                    Translation::Own { uids, gids } => Mapped::By(namespace_with(uids, gids)?),
                };
                let path = c_string(&path.to_string(), label)?;
                self.push(
                    by,
                    label,
                    Op::CloneHost {
                        into: slot,
                        path,
                        recursive: *recursive,
                    },
                );
                self.push(
                    by,
                    label,
                    Op::Attr {
                        slot,
                        recursive: *recursive,
                        attr: change(&step.attrs),
                        idmap,
                    },
                );
            }
            What::Sample => {
                // The running file's own mount belongs to the launcher's namespace: only the launcher can copy it.
                let op = match by {
                    By::Launcher => Op::CloneSelf { into: slot },
                    By::Child => Op::CloneHost {
                        into: slot,
                        path: own_file()?,
                        recursive: false,
                    },
                };
                self.push(by, label, op);
                self.push(
                    by,
                    label,
                    Op::Attr {
                        slot,
                        recursive: false,
                        attr: change(&step.attrs),
                        idmap: Mapped::Not,
                    },
                );
            }
            What::Tmpfs {
                size,
                inodes,
                mode,
                uid,
                gid,
                writing,
                holds,
                ..
            } => {
                let mut options = vec![
                    ("size", size.to_string()),
                    ("nr_inodes", inodes.to_string()),
                ];
                options.extend(writing.iter().map(|w| (w.name(), String::new())));
                options.extend(mode.map(|m| ("mode", format!("{m:o}"))));
                options.extend(uid.map(|u| ("uid", u.to_string())));
                options.extend(gid.map(|g| ("gid", g.to_string())));
                self.fillable(step, slot, label, &options)?;
                self.skeleton(by, label, slot, "", holds)?;
            }
            What::EmptyDir { holds } => {
                self.fillable(
                    step,
                    slot,
                    label,
                    &[("size", "64k".into()), ("mode", "0555".into())],
                )?;
                self.skeleton(by, label, slot, "", holds)?;
                self.reseal(step, slot, label);
            }
            What::Proc { processes_only } => {
                let options = if *processes_only {
                    vec![option("hidepid", "invisible")?, option("subset", "pid")?]
                } else {
                    Vec::new()
                };
                self.push(by, label, plain("proc", options)?);
            }
            What::Devpts { gid } => {
                let mut options = vec![
                    (c_string("newinstance", label)?, None),
                    option("ptmxmode", "0666")?,
                    option("mode", "0620")?,
                ];
                if let Some(gid) = gid {
                    options.push(option("gid", gid.to_string())?);
                }
                self.push(by, label, plain("devpts", options)?);
            }
            What::Mqueue => self.push(by, label, plain("mqueue", Vec::new())?),
            What::Sysfs => self.push(by, label, plain("sysfs", Vec::new())?),
            What::Cgroup2 => self.push(by, label, plain("cgroup2", Vec::new())?),
            What::Cgroup1 { controllers } => {
                let options = controllers
                    .iter()
                    .map(|c| match c.split_once('=') {
                        Some((key, value)) => {
                            Ok(vec![(c_string("none", c)?, None), option(key, value)?])
                        }
                        None => Ok(vec![(c_string(c, c)?, None)]),
                    })
                    .collect::<Result<Vec<_>, PrepareError>>()?
                    .concat();
                self.push(by, label, plain("cgroup", options)?);
            }
            What::Dev { .. } => self.dev(step, slot, label)?,
            What::Secrets {
                files,
                uid,
                gid,
                noswap,
            } => {
                self.secrets(step, slot, label, files, (*uid, *gid), *noswap)?;
            }
            What::Console | What::Device { .. } | What::EmptyFile | What::Mask | What::ReadOnly => {
            }
        }
        Ok(())
    }

    /// The memory file system of a step, writable until it is filled; `reseal` ends that.
    pub(super) fn fillable(
        &mut self,
        step: &Step,
        into: Slot,
        label: &str,
        options: &[(&str, String)],
    ) -> Result<(), PrepareError> {
        let open = Attrs {
            readonly: false,
            ..step.attrs
        };
        self.tmpfs(step.by, label, into, options, flags(&open))
    }

    pub(super) fn reseal(&mut self, step: &Step, slot: Slot, label: &str) {
        if step.attrs.readonly {
            let attr = MountAttr {
                set: attr::RDONLY,
                ..MountAttr::default()
            };
            self.push(
                step.by,
                label,
                Op::Attr {
                    slot,
                    recursive: false,
                    attr,
                    idmap: Mapped::Not,
                },
            );
        }
    }
}
