//! Being told when a container runs out of memory: an eventfd on v1, inotify on v2.

use super::{Cgroup, CgroupError, Member, value_of};
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

/// Open files that tell of limits, to be read and waited for by somebody outside of the launcher.
#[derive(Debug, Default)]
pub struct LimitFiles {
    /// v1: an eventfd that counts how often memory ran out.
    pub oom: Option<OwnedFd>,
    /// Holds the number of kills for want of memory; on v2 poll tells changes.
    pub kills: Option<OwnedFd>,
    /// v2: holds how often the limit of memory was met; poll tells changes. (v1 has no such count: recent kernels no
    /// longer keep memory.failcnt.)
    pub memory: Option<OwnedFd>,
    /// The same for threads and processes; on v2 poll tells changes.
    pub pids: Option<OwnedFd>,
    /// Whether poll tells changes of that one.
    pub pids_tell: bool,
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

    /// What somebody outside needs to be told of limits that are met. Best effort: a file that isn't there tells nothing.
    pub fn limit_files(&self) -> LimitFiles {
        let open = |member: &Member, file: &str| {
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            openat(member.dir.fd(), file, flags, Mode::empty()).ok()
        };
        let pids = self.with("pids");
        let mut files = LimitFiles {
            pids: pids.and_then(|m| open(m, "pids.events")),
            pids_tell: pids.is_some_and(|m| m.place.version == CgroupVersion::V2),
            ..LimitFiles::default()
        };
        let Some(member) = self.with("memory") else {
            return files;
        };
        if member.place.version == CgroupVersion::V2 {
            files.kills = open(member, "memory.events");
            files.memory = open(member, "memory.events");
        } else if let Ok(Some(OomWatch::V1(event, control))) = self.watch_oom() {
            files.oom = Some(event.into());
            files.kills = Some(control);
        }
        files
    }

    /// How often the limit of threads and processes was met.
    pub fn pids_met(&self) -> u64 {
        let text = self
            .with("pids")
            .and_then(|m| m.dir.read("pids.events").ok());
        text.and_then(|t| value_of(&t, "max")).unwrap_or(0)
    }

    /// v2: how often the limit could not be kept by reclaiming.
    fn oom_count(&self) -> u64 {
        let text = self
            .with("memory")
            .and_then(|m| m.dir.read("memory.events").ok());
        text.and_then(|t| value_of(&t, "oom")).unwrap_or(0)
    }
}

/// How many processes the kernel has killed for want of memory, while it can be read: systemd removes a scope's cgroup
/// at once with its last process.
#[derive(Debug)]
pub struct OomKills<'a> {
    cgroup: &'a Cgroup,
    watch: Option<OomWatch>,
    seen: u64,
}

impl<'a> OomKills<'a> {
    /// Watches only where the count would be gone at the end.
    pub fn of(cgroup: &'a Cgroup) -> Self {
        let watch = match cgroup.scope {
            // Best effort: without it, only the count is missing from what is said at the end.
            Some(_) => cgroup.watch_oom().unwrap_or(None),
            None => None,
        };
        Self {
            cgroup,
            watch,
            seen: 0,
        }
    }

    /// For poll(2).
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(OomWatch::fd)
    }

    /// After poll, and at the end.
    pub fn look(&mut self) {
        if let Some(OomWatch::V2(notify, _)) = &self.watch {
            let _ = notify.read_events();
        }
        self.seen = self.seen.max(self.cgroup.stats_oom().unwrap_or(0));
    }

    /// What has been seen.
    pub fn count(&self) -> u64 {
        self.seen
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
