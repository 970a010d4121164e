//! The end of a container's cgroups: every process killed, every directory that was made removed.
//!
//! Called by the launcher on failure, by `kill` and `delete`, and by the janitor when the launcher is gone.

use super::{Cgroup, CgroupError, Root, systemd};
use crate::paths::HostPath;
use crate::sys::process;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long processes may take to die, and directories to become free.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Kills every process in the cgroups and waits until they are gone (at most 5 s).
    ///
    /// v2: cgroup.kill (Linux 5.14) gets all at one stroke. v1, and after that to be sure: forking is stopped with
    /// pids.max, then SIGKILL by process descriptor, round after round.
    pub fn kill(&self) -> Result<(), CgroupError> {
        if let Some(member) = self.v2() {
            match member.dir.write("cgroup.kill", "1") {
                Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => {}
                Err(e) => {
                    let file = member.dir.path().join("cgroup.kill");
                    return Err(CgroupError::new("wrote \"1\" into", &file, e));
                }
            }
        }
        let began = Instant::now();
        let mut pause = Duration::from_micros(200);
        let mut rounds = 0;
        loop {
            let left = self.procs()?;
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                let path = self
                    .members
                    .first()
                    .map(|m| m.dir.path().display().to_string());
                return Err(CgroupError::Undead {
                    path: path.unwrap_or_default(),
                    pids: left,
                    waited_ms: PATIENCE.as_millis() as u64,
                });
            }
            if rounds == 0
                && let Some(pids) = self.with("pids")
            {
                // Best effort: the rounds end without it too, only later.
                let _ = pids.dir.write("pids.max", "0");
            }
            self.signal_all(&left, libc::SIGKILL)?;
            // A frozen process dies only when it goes on.
            let _ = self.thaw();
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
            rounds += 1;
        }
    }

    /// A signal to every process in the cgroups.
    pub fn signal(&self, signal: i32) -> Result<(), CgroupError> {
        self.signal_all(&self.procs()?, signal)
    }

    /// A signal to those of `pids` that are still here after their descriptor was opened: a number that was given to
    /// another process meanwhile is never hit.
    fn signal_all(&self, pids: &[i32], signal: i32) -> Result<(), CgroupError> {
        let own = Pid::this().as_raw();
        let open = |pid: &i32| Some((*pid, process::pidfd_open(*pid).ok()?));
        let others = pids.iter().filter(|pid| **pid > 0 && **pid != own);
        for part in others.collect::<Vec<_>>().chunks(256) {
            let handles: Vec<(i32, OwnedFd)> = part.iter().filter_map(|pid| open(pid)).collect();
            let still = self.procs()?;
            for (pid, handle) in &handles {
                if still.binary_search(pid).is_ok() {
                    // ESRCH: it died in between, which is what was wanted.
                    let _ = process::pidfd_signal(handle.as_fd(), signal);
                }
            }
        }
        Ok(())
    }

    /// Removes the cgroups, and those above them that were made for them and are empty now. What is gone is fine;
    /// EBUSY is tried again for 5 s (a dying process leaves late). All are tried, the first failure is told.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first = match &self.scope {
            Some(scope) => systemd::stop(self, scope),
            None => Ok(()),
        };
        for member in &self.members {
            let Some(root) = self.root_of(&member.place.mount) else {
                continue;
            };
            let done = self.remove_one(root, member);
            if first.is_ok() {
                first = done;
            }
        }
        // One that a pause made and did not live to record: empty by now, and nobody else's by its name.
        if let Some(freezer) = &self.freezer
            && let Some(root) = self.root_of(&freezer.mount)
        {
            let _ = root.remove(&freezer.path);
        }
        for above in self.parents.iter().rev() {
            if let Some(root) = self.root_of(&above.mount) {
                // Not empty: another container has moved in below, and it stays for that one.
                let _ = root.remove(&above.path);
            }
        }
        first
    }

    fn remove_one(&self, root: &Root, member: &super::Member) -> Result<(), CgroupError> {
        let began = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            match root.remove(&member.place.path) {
                Ok(()) | Err(Errno::ENOENT) => return Ok(()),
                Err(Errno::EBUSY) if began.elapsed() < PATIENCE => {
                    let _ = member.dir.prune();
                }
                Err(e) => {
                    return Err(CgroupError::new("removed (rmdir)", member.dir.path(), e));
                }
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    pub(super) fn root_of(&self, mount: &HostPath) -> Option<&Root> {
        let found = self.roots.iter().find(|(m, _)| m == mount);
        found.map(|(_, root)| root)
    }
}
