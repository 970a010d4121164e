//! Device nodes for places outside /dev: made in a folder of ours, and shown one by one.

use super::super::super::ops::{Mapped, Op, Slot};
use super::super::{PrepareError, c_string};
use super::{Compiler, flags};
use crate::plan::mounts::{Attrs, By, Node, Step, What};
use crate::sys::mount::{MountAttr, attr};
use nix::sys::stat::SFlag;
use std::ffi::CString;

/// The operation that makes a node.
pub(super) fn made(node: &Node, at: Slot, path: CString) -> Op {
    Op::Node {
        at,
        path,
        kind: match node.kind {
            'b' => SFlag::S_IFBLK,
            'p' => SFlag::S_IFIFO,
            _ => SFlag::S_IFCHR,
        },
        mode: node.mode,
        device: libc::makedev(node.major, node.minor),
        owner: (node.uid, node.gid),
    }
}

fn name(number: usize) -> String {
    format!("node{number}")
}

impl Compiler<'_> {
    /// The folder, made by the launcher: a file system of another user namespace's gives no access to devices. The
    /// child attaches it to the stage, since a detached mount can be copied since Linux 6.15 only.
    pub(super) fn nodes(&mut self, steps: &[Step]) -> Result<(), PrepareError> {
        let devices = steps.iter().filter_map(|step| match &step.what {
            What::Device { node } => Some(node),
            _ => None,
        });
        let devices: Vec<&Node> = devices.collect();
        if devices.is_empty() {
            return Ok(());
        }
        let (slot, by, label) = (self.slot(), By::Launcher, "device nodes outside /dev");
        let open = Attrs {
            readonly: false,
            nodev: false,
            ..Attrs::SEALED
        };
        let options = [
            ("size", "64k".to_string()),
            // Each node, and the folder.
            ("nr_inodes", (devices.len() + 1).to_string()),
            ("mode", "0700".into()),
        ];
        self.tmpfs(by, label, slot, &options, flags(&open))?;
        for (at, node) in devices.into_iter().enumerate() {
            let path = c_string(&name(at), label)?;
            self.push(by, &node.name, made(node, slot, path));
        }
        let attr = MountAttr {
            set: attr::RDONLY,
            ..MountAttr::default()
        };
        let seal = Op::Attr {
            slot,
            recursive: false,
            attr,
            idmap: Mapped::Not,
        };
        self.push(by, label, seal);
        self.send(by, slot);
        self.push(By::Child, label, Op::AttachStage { slot });
        self.nodes = Some(slot);
        Ok(())
    }

    /// The next of them, in the order of the steps.
    pub(super) fn placed_node(&mut self, target: CString, label: &str) -> Result<(), PrepareError> {
        let none = || PrepareError::Unknown(format!("no device node was made for {label}"));
        let from = self.nodes.ok_or_else(none)?;
        let (into, path) = (self.slot(), c_string(&name(self.placed), label)?);
        self.placed += 1;
        self.push(By::Child, label, Op::CloneBelow { into, from, path });
        self.push(By::Child, label, Op::Attach { slot: into, target });
        Ok(())
    }
}
