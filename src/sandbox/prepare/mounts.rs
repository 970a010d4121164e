//! The mount plan as operations: which the launcher does, which the child, and the descriptors in between.

use super::super::ops::{EMPTY_DIR, EMPTY_FILE, Op, ROOT, Slot};
use super::{Labels, PrepareError, c_string};
use crate::paths::GuestPath;
use crate::plan::Plan;
use crate::plan::mounts::{Attrs, By, DevNodes, MountPlan, RootFrom, Skeleton, Step, What};
use crate::plan::{Atime, Propagation};
use crate::sys::mount::{MountAttr, attr};
use nix::sys::stat::SFlag;
use std::ffi::CString;

/// Operations for both sides.
pub(in crate::sandbox) struct Compiled {
    pub(in crate::sandbox) launcher: Vec<Op>,
    pub(in crate::sandbox) child: Vec<Op>,
    pub(in crate::sandbox) received: Vec<Slot>,
    pub(in crate::sandbox) slots: usize,
}

struct Compiler<'a> {
    out: Compiled,
    labels: &'a mut Labels,
    /// One empty folder and one empty file, copied for every mask.
    empties: Option<Slot>,
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
        },
        labels,
        empties: None,
    };
    if plan.mounts.steps.iter().any(needs_empties) {
        compiler.empties()?;
    }
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

    fn root(&mut self, plan: &MountPlan) -> Result<(), PrepareError> {
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
                        idmap: false,
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
                let tree = if root.skeleton.is_empty() {
                    ROOT
                } else {
                    self.slot()
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
                self.push(
                    root.by,
                    &label,
                    Op::Attr {
                        slot: tree,
                        recursive: true,
                        attr: change(&sealed),
                        idmap: *idmap,
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

    /// The image below, our missing mount points above it, both read-only.
    fn overlay(
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

    fn step(&mut self, step: &Step) -> Result<(), PrepareError> {
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
            What::EmptyFile => return self.empty(EMPTY_FILE.into(), target, &label),
            What::EmptyDir { holds } if holds.is_empty() => {
                return self.empty(EMPTY_DIR.into(), target, &label);
            }
            _ => {}
        }
        let slot = self.slot();
        self.make(step, slot, &label)?;
        self.send(step.by, slot);
        if let What::Tmpfs { mode, uid, gid, .. } = &step.what {
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

    fn bind(
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
                idmap: false,
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
    fn make(&mut self, step: &Step, slot: Slot, label: &str) -> Result<(), PrepareError> {
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
                idmap,
            } => {
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
                        idmap: *idmap,
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
                        idmap: false,
                    },
                );
            }
            What::Tmpfs {
                size,
                inodes,
                mode,
                uid,
                gid,
                holds,
            } => {
                let mut options = vec![
                    ("size", size.to_string()),
                    ("nr_inodes", inodes.to_string()),
                ];
                options.extend(mode.map(|m| ("mode", format!("{m:o}"))));
                options.extend(uid.map(|u| ("uid", u.to_string())));
                options.extend(gid.map(|g| ("gid", g.to_string())));
                self.fillable(step, slot, label, &options)?;
                self.skeleton(by, label, slot, "", holds)?;
                self.reseal(step, slot, label);
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
            What::EmptyFile | What::Mask | What::ReadOnly => {}
        }
        Ok(())
    }

    /// The memory file system of a step, writable until it is filled; `reseal` ends that.
    fn fillable(
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

    fn reseal(&mut self, step: &Step, slot: Slot, label: &str) {
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
                    idmap: false,
                },
            );
        }
    }

    fn dev(&mut self, step: &Step, slot: Slot, label: &str) -> Result<(), PrepareError> {
        let What::Dev {
            nodes,
            links,
            holds,
            how,
        } = &step.what
        else {
            return Ok(());
        };
        let by = step.by;
        self.fillable(
            step,
            slot,
            label,
            &[("size", "64k".into()), ("mode", "0755".into())],
        )?;
        self.skeleton(by, label, slot, "", holds)?;
        for node in nodes {
            let path = c_string(&node.name, label)?;
            if let Some((folder, _)) = node.name.rsplit_once('/') {
                let path = c_string(folder, label)?;
                self.push(
                    by,
                    label,
                    Op::Dir {
                        at: slot,
                        path,
                        mode: 0o755,
                    },
                );
            }
            let op = match how {
                DevNodes::Bound => Op::File {
                    at: slot,
                    path,
                    mode: 0o644,
                    contents: Vec::new(),
                    owner: None,
                },
                DevNodes::Made => Op::Node {
                    at: slot,
                    path,
                    kind: match node.kind {
                        'b' => SFlag::S_IFBLK,
                        'p' => SFlag::S_IFIFO,
                        _ => SFlag::S_IFCHR,
                    },
                    mode: node.mode,
                    device: libc::makedev(node.major, node.minor),
                    owner: (node.uid, node.gid),
                },
            };
            self.push(by, label, op);
        }
        for (name, to) in links {
            let (path, to) = (c_string(name, label)?, c_string(to, label)?);
            self.push(by, label, Op::Link { at: slot, path, to });
        }
        self.reseal(step, slot, label);
        Ok(())
    }

    fn secrets(
        &mut self,
        step: &Step,
        slot: Slot,
        label: &str,
        files: &[(String, crate::paths::HostPath)],
        owner: (u32, u32),
        noswap: bool,
    ) -> Result<(), PrepareError> {
        let mut options = vec![("size", "4m".to_string()), ("mode", "0555".into())];
        if noswap {
            options.push(("noswap", String::new()));
        }
        self.fillable(step, slot, label, &options)?;
        for (name, source) in files {
            let contents = std::fs::read(source.as_path()).map_err(|why| PrepareError::Open {
                path: source.to_string(),
                why,
            })?;
            let path = c_string(name, label)?;
            self.push(
                step.by,
                label,
                Op::File {
                    at: slot,
                    path,
                    mode: 0o400,
                    contents,
                    owner: Some(owner),
                },
            );
        }
        self.reseal(step, slot, label);
        Ok(())
    }

    /// A copy of the empty file or folder.
    fn empty(&mut self, path: CString, target: CString, label: &str) -> Result<(), PrepareError> {
        let from = self.empties()?;
        let into = self.slot();
        self.push(By::Child, label, Op::CloneBelow { into, from, path });
        self.push(By::Child, label, Op::Attach { slot: into, target });
        Ok(())
    }

    fn empties(&mut self) -> Result<Slot, PrepareError> {
        if let Some(slot) = self.empties {
            return Ok(slot);
        }
        let slot = self.slot();
        let child = By::Child;
        let label = "the empty folder and file for what is hidden";
        let open = Attrs {
            readonly: false,
            ..Attrs::SEALED
        };
        self.tmpfs(
            child,
            label,
            slot,
            &[("size", "4k".into()), ("mode", "0555".into())],
            flags(&open),
        )?;
        self.push(
            child,
            label,
            Op::Dir {
                at: slot,
                path: EMPTY_DIR.into(),
                mode: 0o555,
            },
        );
        let contents = Vec::new();
        self.push(
            child,
            label,
            Op::File {
                at: slot,
                path: EMPTY_FILE.into(),
                mode: 0o444,
                contents,
                owner: None,
            },
        );
        let attr = MountAttr {
            set: attr::RDONLY,
            ..MountAttr::default()
        };
        self.push(
            child,
            label,
            Op::Attr {
                slot,
                recursive: false,
                attr,
                idmap: false,
            },
        );
        self.push(child, label, Op::AttachStage { slot });
        self.empties = Some(slot);
        Ok(slot)
    }

    /// Propagation other than private, which everything has by then.
    fn propagation(&mut self, plan: &MountPlan) -> Result<(), PrepareError> {
        let bits = |p: Propagation| match p {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Unbindable => libc::MS_UNBINDABLE,
        };
        let mut wanted: Vec<(CString, Propagation)> = Vec::new();
        if plan.root.propagation != Propagation::Private {
            wanted.push((c".".into(), plan.root.propagation));
        }
        for step in &plan.steps {
            if let Some(p) = step.propagation.filter(|p| *p != Propagation::Private) {
                wanted.push((c_string(step.target.relative(), "a mount")?, p));
            }
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
