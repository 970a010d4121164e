//! Compares the device nodes that the launcher made with the plan: type, number, permissions and owner.

use super::{Checker, VerifyError};
use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::plan::hooks::ForeignMounts;
use crate::plan::mounts::{DevNodes, Node, Step, What};
use crate::sys::fs::{Resolve, open_in_root};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, major, minor};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

impl Checker<'_> {
    pub(super) fn nodes(&mut self) -> Result<(), VerifyError> {
        let steps = &self.plan.mounts.steps;
        let made: Vec<(GuestPath, &Node)> =
            (0..steps.len()).flat_map(|at| seen_of(steps, at)).collect();
        // What a hook has put over them is in nobody's plan.
        if made.is_empty() || self.plan.hooks.mounts == ForeignMounts::Allowed {
            return Ok(());
        }
        let path = format!("/proc/{}/root", self.pid);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(path.as_str(), flags, Mode::empty());
        let root = root.map_err(|why| VerifyError::Read {
            path,
            why: why.into(),
        })?;
        for (target, node) in made {
            let found = match look(&root, &target) {
                Ok(stat) => found(&stat),
                Err(errno) => errno.desc().into(),
            };
            let what = format!("device node {target}");
            self.same(ControlId::S8_5_1, &what, &planned(node), &found);
        }
        Ok(())
    }
}

/// The nodes of a step, but for those that a later mount lies upon.
fn seen_of(steps: &[Step], at: usize) -> Vec<(GuestPath, &Node)> {
    let step = &steps[at];
    let nodes: Vec<(GuestPath, &Node)> = match &step.what {
        What::Device { node } => vec![(step.target.clone(), node)],
        What::Dev {
            nodes,
            how: DevNodes::Made,
            ..
        } => {
            let below = |node: &Node| step.target.join(&node.name);
            nodes.iter().map(|node| (below(node), node)).collect()
        }
        _ => Vec::new(),
    };
    let covers = |later: &Step, path: &GuestPath| {
        !matches!(later.what, What::ReadOnly) && path.is_at_or_below(&later.target)
    };
    let later = &steps[at + 1..];
    let free = |(path, _): &(GuestPath, &Node)| !later.iter().any(|step| covers(step, path));
    nodes.into_iter().filter(free).collect()
}

fn look(root: &OwnedFd, target: &GuestPath) -> Result<FileStat, Errno> {
    let path = CString::new(target.relative()).map_err(|_| Errno::EINVAL)?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    fstat(open_in_root(
        root.as_fd(),
        &path,
        flags,
        0,
        Resolve::NoSymlinks,
    )?)
}

fn planned(node: &Node) -> String {
    let (major, minor) = match node.kind {
        'p' => (0, 0),
        _ => (node.major, node.minor),
    };
    let (kind, mode) = (node.kind, node.mode);
    format!("{kind} {major}:{minor} {mode:o} {}:{}", node.uid, node.gid)
}

fn found(stat: &FileStat) -> String {
    let kind = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFCHR => 'c',
        SFlag::S_IFBLK => 'b',
        SFlag::S_IFIFO => 'p',
        _ => '?',
    };
    let (device, mode) = (stat.st_rdev, stat.st_mode & 0o7777);
    let (major, minor) = (major(device), minor(device));
    format!(
        "{kind} {major}:{minor} {mode:o} {}:{}",
        stat.st_uid, stat.st_gid
    )
}
