//! Being told when a container runs out of memory: an eventfd on v1, inotify on v2.

use super::{Cgroup, CgroupError, systemd, value_of};
use crate::plan::limits::CgroupVersion;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Becomes readable when memory has run out, or may have.
#[derive(Debug)]
pub enum OomWatch {
    /// v1: counts; the file belongs to it as long as it lives.
    V1(EventFd, OwnedFd),
    /// v2: memory.events has changed; whether by an OOM, the count tells.
    V2(Inotify, u64),
}

impl Cgroup {
    /// Begins to watch; `None` where memory is not limited.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>, CgroupError> {
        let Some(member) = self.with("memory") else {
            return Ok(None);
        };
        let dir = &member.dir;
        let failed = |file: &str, e: Errno| CgroupError::new("watched", &dir.path().join(file), e);
        match member.place.version {
            CgroupVersion::V1 => {
                let file = "memory.oom_control";
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                let control =
                    openat(dir.fd(), file, flags, Mode::empty()).map_err(|e| failed(file, e))?;
                let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
                let event = EventFd::from_value_and_flags(0, flags).map_err(|e| failed(file, e))?;
                let line = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
                dir.set("cgroup.event_control", &line)?;
                Ok(Some(OomWatch::V1(event, control)))
            }
            CgroupVersion::V2 => {
                let file = "memory.events";
                let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
                let notify = Inotify::init(flags).map_err(|e| failed(file, e))?;
                let path = format!("/proc/self/fd/{}/{file}", dir.fd().as_raw_fd());
                notify
                    .add_watch(path.as_str(), AddWatchFlags::IN_MODIFY)
                    .map_err(|e| failed(file, e))?;
                Ok(Some(OomWatch::V2(notify, self.oom_count())))
            }
        }
    }

    /// v2: how often the limit could not be kept by reclaiming.
    fn oom_count(&self) -> u64 {
        let file = self.with("memory").map(|m| m.dir.read("memory.events"));
        match (file, &self.scope) {
            (Some(Ok(text)), _) => value_of(&text, "oom").unwrap_or(0),
            // systemd removes the cgroup with its last process, but it has seen why that ended.
            (Some(Err(_)), Some(scope)) => systemd::was_out_of_memory(scope).into(),
            _ => 0,
        }
    }
}

impl OomWatch {
    /// For poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::V1(event, _) => event.as_fd(),
            Self::V2(notify, _) => notify.as_fd(),
        }
    }

    /// After poll: how often memory has run out since the last time.
    pub fn count(&mut self, cgroup: &Cgroup) -> u64 {
        match self {
            // A removal of the cgroup signals as well: only a cgroup that is there has run out of memory.
            Self::V1(event, _) => match event.read() {
                Ok(n) if cgroup.stats_oom().is_some() => n,
                _ => 0,
            },
            Self::V2(notify, before) => {
                let _ = notify.read_events();
                let now = cgroup.oom_count();
                let new = now.saturating_sub(*before);
                *before = now.max(*before);
                new
            }
        }
    }
}
