//! Descriptors by name: what the launcher hands to the monitor and the monitor to its workers.
//!
//! Names in use: stdout, stderr (read ends of the program's streams), to-stdout, to-stderr (where a copy goes), spool
//! (its folder), events (what capture reads) and tell-events (what senders write), container (pidfd of its first
//! process), listener (seccomp notifications), notebook (the watcher's), lines (the file of `run --events`), verbs (what
//! later verbs tell), newcomers and tell-newcomers (what programs that `exec` starts say), held (keeps the container's
//! monitor while that of such a program needs it), ports (pidfd of who keeps them: with its end, all of theirs has been told), key NAME (of the target NAME, opened
//! by its shipper before it is jailed), limit-oom, limit-kills, limit-memory, limit-pids (the cgroup's counts of limits met).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Owned descriptors, each with a name.
#[derive(Debug, Default)]
pub struct Descriptors(Vec<(String, OwnedFd)>);

impl Descriptors {
    /// Adds one; an older one of that name is closed.
    pub fn insert(&mut self, name: impl Into<String>, fd: impl Into<OwnedFd>) {
        let name = name.into();
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, fd.into()));
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<BorrowedFd<'_>> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, fd)| fd.as_fd())
    }

    /// One of them, from now on the caller's.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// One that must be there.
    pub fn must(&mut self, name: &str) -> Result<OwnedFd, String> {
        self.take(name)
            .ok_or_else(|| format!("the descriptor {name} is missing"))
    }

    /// Whether all of these are there.
    pub fn have(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.get(name).is_some())
    }

    /// Keeps these alone.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) -> Self {
        let (kept, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, _)| wanted(name));
        self.0 = kept;
        Self(left)
    }

    /// Their numbers.
    pub(crate) fn numbers(&self) -> Vec<i32> {
        self.0.iter().map(|(_, fd)| fd.as_raw_fd()).collect()
    }

    /// Names and descriptors, in the same order.
    pub(crate) fn parts(&self) -> (Vec<String>, Vec<BorrowedFd<'_>>) {
        let each = self.0.iter().map(|(name, fd)| (name.clone(), fd.as_fd()));
        each.unzip()
    }

    /// Takes over what was received.
    pub(crate) fn extend(&mut self, names: Vec<String>, fds: Vec<OwnedFd>) {
        for (name, fd) in names.into_iter().zip(fds) {
            self.insert(name, fd);
        }
    }
}
