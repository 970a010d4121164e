//! Memory file systems that we fill: /dev, secrets, masks.

use super::super::super::ops::{EMPTY_DIR, EMPTY_FILE, Mapped, Op, Slot};
use super::super::{PrepareError, c_string};
use super::nodes::made;
use super::{Compiler, flags};
use crate::plan::mounts::{Attrs, By, DevNodes, Step, What};
use crate::sys::fs::read_regular;
use crate::sys::mount::{MountAttr, attr};
use std::ffi::CString;

/// Bytes that /run/secrets holds, in whole pages.
const SECRETS: u64 = 4 << 20;

impl Compiler<'_> {
    pub(super) fn dev(&mut self, step: &Step, slot: Slot, label: &str) -> Result<(), PrepareError> {
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
                DevNodes::Made => made(node, slot, path),
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

    pub(super) fn secrets(
        &mut self,
        step: &Step,
        slot: Slot,
        label: &str,
        files: &[(String, crate::paths::HostPath)],
        owner: (u32, u32),
        noswap: bool,
    ) -> Result<(), PrepareError> {
        let mut options = vec![("size", SECRETS.to_string()), ("mode", "0555".into())];
        if noswap {
            options.push(("noswap", String::new()));
        }
        self.fillable(step, slot, label, &options)?;
        let mut room = SECRETS;
        for (name, source) in files {
            let contents =
                read_regular(source.as_path(), room).map_err(|why| PrepareError::Open {
                    path: format!("{source}, the secret {name}"),
                    why,
                })?;
            let taken = (contents.len() as u64).next_multiple_of(4096);
            room = room
                .checked_sub(taken)
                .ok_or_else(|| PrepareError::TooMuch {
                    name: name.clone(),
                    path: source.to_string(),
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
    pub(super) fn empty(
        &mut self,
        path: CString,
        target: CString,
        label: &str,
    ) -> Result<(), PrepareError> {
        let from = self.empties()?;
        let into = self.slot();
        self.push(By::Child, label, Op::CloneBelow { into, from, path });
        self.push(By::Child, label, Op::Attach { slot: into, target });
        Ok(())
    }

    pub(super) fn empties(&mut self) -> Result<Slot, PrepareError> {
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
                idmap: Mapped::Not,
            },
        );
        self.push(child, label, Op::AttachStage { slot });
        self.empties = Some(slot);
        Ok(slot)
    }
}
