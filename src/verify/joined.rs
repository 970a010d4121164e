//! Was it done, for a process that joined: the same facts as at a launch, and that it stands where the first one does.

use super::{Checker, Verification, VerifyError};
use crate::cgroup::Cgroup;
use crate::controls::ControlId;
use crate::plan::Plan;
use crate::sys::mount::mount_id;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// Compares a newcomer with its plan, and with the container's first process.
pub fn observe_joined(
    plan: &Plan,
    pid: i32,
    first: i32,
    cgroup: &Cgroup,
) -> Result<Verification, VerifyError> {
    let mut checker = Checker {
        pid,
        plan,
        out: Verification::default(),
    };
    checker.status()?;
    checker.limits()?;
    checker.execution()?;
    checker.descriptors()?;
    checker.beside(first)?;
    checker.membership(cgroup)?;
    Ok(checker.out)
}

impl Checker<'_> {
    /// Namespaces, mounts and root.
    fn beside(&mut self, first: i32) -> Result<(), VerifyError> {
        let its = Checker {
            pid: first,
            plan: self.plan,
            out: Verification::default(),
        };
        for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
            let file = format!("ns/{name}");
            if name == "time" && !std::path::Path::new("/proc/self/ns/time").exists() {
                continue;
            }
            let (expected, found) = (its.link(&file)?, self.link(&file)?);
            let what = format!("{name} namespace");
            self.same(ControlId::S8_1_3, &what, &expected, &found);
        }
        let (expected, found) = (root(first)?, root(self.pid)?);
        self.same(ControlId::S8_4_5, "root", &expected, &found);
        Ok(())
    }
}

/// Mount and inode of a process's root.
fn root(pid: i32) -> Result<String, VerifyError> {
    let path = format!("/proc/{pid}/root");
    let read = |path: &str| -> std::io::Result<String> {
        let mut options = File::options();
        let fd = options.read(true).custom_flags(libc::O_PATH).open(path)?;
        let mount = mount_id(fd.as_fd())?;
        Ok(format!("mount {mount}, inode {}", fd.metadata()?.ino()))
    };
    read(&path).map_err(|why| VerifyError::Read { path, why })
}
