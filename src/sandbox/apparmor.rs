//! The program's AppArmor profile: asked for now, entered by exec (aa_change_onexec).
//!
//! Written through the launcher's own procfs, and read back: a file that takes anything is no procfs (CVE-2019-16884).

use super::child::{Done, During, Failed};
use super::prepare::{ChildWork, PrepareError, c_string};
use super::wire::Step;
use crate::sys::fs::{Resolve, open_in_root};
use crate::sys::process;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A profile's name and the kernel's word for it, made before the fork.
pub(super) struct Profile {
    command: CString,
    name: usize,
}

const EXEC: &str = "exec ";

impl Profile {
    pub(super) fn named(name: &str) -> Result<Self, PrepareError> {
        Ok(Self {
            command: c_string(&format!("{EXEC}{name}"), "/process/apparmorProfile")?,
            name: EXEC.len(),
        })
    }

    fn name(&self) -> &[u8] {
        &self.command.to_bytes()[self.name..]
    }
}

/// The module's own file (Linux 5.8), or the one that all modules share.
const FILES: [&CStr; 2] = [c"thread-self/attr/apparmor/exec", c"thread-self/attr/exec"];

fn open(proc: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    match open_in_root(proc, FILES[0], flags, 0, Resolve::InRoot) {
        Err(Errno::ENOENT) => open_in_root(proc, FILES[1], flags, 0, Resolve::InRoot),
        other => other,
    }
}

pub(super) fn at_exec(work: &ChildWork) -> Done {
    let (Some(profile), Some(proc)) = (&work.apparmor, &work.proc) else {
        return Ok(());
    };
    let file = open(proc.as_fd(), libc::O_WRONLY).during(Step::AppArmor)?;
    let command = profile.command.to_bytes();
    let wrote = process::write(file.as_raw_fd(), command).during(Step::AppArmor)?;
    let file = open(proc.as_fd(), libc::O_RDONLY).during(Step::AppArmor)?;
    let mut buffer = [0u8; 8192];
    let n = process::read(file.as_raw_fd(), &mut buffer).during(Step::AppArmor)?;
    // "name (enforce)", with or without the mode.
    let seen = buffer[..n].strip_prefix(profile.name());
    let same = seen.is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\n' | 0)));
    if wrote == command.len() && same {
        Ok(())
    } else {
        Err(Failed(Step::AppArmor, 0, Errno::EPROTO))
    }
}
