//! A child that is locking itself down: what the launcher does meanwhile, and the stops on the way.

use super::created::Created;
use super::error::{LaunchError, at};
use super::hook::Door;
use super::prepare::Classes;
use super::wire::{self, Step};
use crate::sys::process;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// A child that is locking itself down: the launcher has time for something else.
#[must_use]
pub struct Launched {
    pub(super) created: Created,
    /// Scheduling and I/O class, given once it is in its cgroups.
    pub(super) classes: Classes,
    /// Namespaces of its own, and whether it has taken id 0 of a new user namespace.
    pub(super) kinds: i32,
    pub(super) become_root: bool,
    /// Where startContainer hooks read the state from.
    pub(super) state: Option<OwnedFd>,
}

impl Launched {
    /// One that joined a container: nothing was made for it.
    pub(super) fn joined(created: Created, classes: Classes) -> Self {
        Self {
            created,
            classes,
            kinds: 0,
            become_root: false,
            state: None,
        }
    }

    /// Process id, as the launcher sees it.
    pub fn pid(&self) -> i32 {
        self.created.pid
    }

    /// Waits until the mounts stand and the host's root is still there (a plan with hooks in front of the pivot).
    pub fn built(&self) -> Result<(), LaunchError> {
        self.created.expect(Step::Built)
    }

    /// Lets it go on to its pivot.
    pub fn pivot(&self) -> Result<(), LaunchError> {
        self.created.tell(wire::PIVOT, &[])
    }

    /// What startContainer hooks will read; nothing without such hooks.
    pub fn leave_state(&self, state: &[u8]) -> Result<(), LaunchError> {
        let Some(file) = &self.state else {
            return Ok(());
        };
        let wrote = process::write(file.as_raw_fd(), state);
        match at(wrote, "write the state for hooks")? {
            n if n == state.len() => Ok(()),
            _ => at(Err(Errno::EIO), "write the state for hooks"),
        }
    }

    /// The way into it, for hooks.
    pub(super) fn door(&self) -> Result<Door, Errno> {
        let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
        let path = format!("/proc/{}/root", self.created.pid);
        let root = nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty())?;
        let pidfd = self.created.pidfd.try_clone();
        Ok(Door {
            pidfd: pidfd.map_err(|_| Errno::EMFILE)?,
            kinds: self.kinds,
            root,
            become_root: self.become_root,
        })
    }

    /// Kills it.
    pub fn abandon(self) {
        self.created.abandon();
    }

    /// Waits until it stands in front of exec.
    pub fn ready(self) -> Result<Created, LaunchError> {
        let Self {
            created, classes, ..
        } = self;
        let given = created.expect(Step::Ready).and_then(|()| {
            // Only now: the child has entered its cgroups, whose shares decide what it may have.
            let given = classes.give(created.pid);
            given.map_err(|(tried, errno)| LaunchError::Launcher {
                tried: tried.into(),
                errno,
            })
        });
        match given {
            Ok(()) => Ok(created),
            Err(error) => {
                created.abandon();
                Err(error)
            }
        }
    }
}
