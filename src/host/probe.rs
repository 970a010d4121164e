//! Reads the facts: each file once, no directory walks (this is on every launch's path, about 0.2 ms).
//!
//! The parsers are pure functions beside it; what may be absent is read as "none".

use super::cgroups::{V2Facts, layout, outer_uid, place_v2, user_manager};
use super::{AppArmor, CallerIds, CgroupLayout, Delegated, Host, Privilege, mountinfo};
use crate::paths::HostPath;
use crate::sys::fs::read_kernel_file;
use crate::sys::{landlock, presence};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, getegid, geteuid};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

/// Why the host could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file of /proc.
    #[error("read {path}: {source}; mount a procfs of this pid namespace at /proc")]
    Unreadable {
        /// Which.
        path: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A file of /proc has another form than proc(5) says.
    #[error("read {path} and found no {missing} in it; is the file system at /proc the kernel's?")]
    Unknown {
        /// Which.
        path: &'static str,
        /// What was looked for.
        missing: &'static str,
    },
    /// A system call.
    #[error(
        "asked the kernel for its facts ({call}): {errno}; nothing can be done about it from here"
    )]
    Failed {
        /// Which.
        call: &'static str,
        /// What the kernel said.
        errno: nix::errno::Errno,
    },
}

impl Host {
    /// Reads everything now.
    pub fn probe() -> Result<Host, HostError> {
        let status = read("/proc/self/status")?;
        let effective = mask(&status, "CapEff:")?;
        let bounding = mask(&status, "CapBnd:")?;
        let has = |cap: u32| effective & (1 << cap) != 0;
        let initial = is_initial(&read("/proc/self/uid_map")?);
        let privilege = match has(CAP_SYS_ADMIN) && initial {
            true => Privilege::Root,
            false => Privilege::User,
        };
        let mounts = read("/proc/self/mountinfo")?;
        let mounts = mountinfo::parse(&mounts);
        // Absent when the kernel has no cgroups at all.
        let own = read_optional("/proc/self/cgroup");
        let release = release()?;
        let (subuid, subgid) = (read_optional("/etc/subuid"), read_optional("/etc/subgid"));
        let caller = CallerIds {
            real_uid: nix::unistd::getuid().as_raw(),
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            login: login(&read_optional("/proc/self/loginuid")),
        };
        let delegated = match privilege {
            Privilege::Root => Delegated::default(),
            Privilege::User => Delegated::find(caller.uid, &subuid, &subgid),
        };
        let lsm = lsm(&read_optional("/sys/kernel/security/lsm"));
        Ok(Host {
            kernel: numbers(&release),
            release,
            landlock_abi: landlock::abi().unwrap_or(0),
            missing_calls: presence::missing(),
            privilege,
            caller,
            bounding,
            rlimits: rlimits()?,
            may_raise_limits: has(CAP_SYS_RESOURCE) && initial,
            cgroups: cgroups(&mounts, &own, privilege),
            taken_ids: taken_ids(&[subuid, subgid]),
            delegated,
            submounts: submounts(&mounts),
            apparmor: AppArmor::probe(&lsm),
            lsm,
            memory: nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total()),
            now: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_secs()),
        })
    }
}

fn read(path: &'static str) -> Result<String, HostError> {
    read_kernel_file(path).map_err(|source| HostError::Unreadable { path, source })
}

pub(super) fn read_optional(path: impl AsRef<Path>) -> String {
    read_kernel_file(path).unwrap_or_default()
}

fn release() -> Result<String, HostError> {
    let name = nix::sys::utsname::uname().map_err(|errno| HostError::Failed {
        call: "uname",
        errno,
    })?;
    Ok(name.release().to_string_lossy().into_owned())
}

/// "6.18.44-x" as (6, 18); what is not a number counts as 0.
fn numbers(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
    (next(), next())
}

fn mask(status: &str, key: &'static str) -> Result<u64, HostError> {
    let line = status.lines().find_map(|l| l.strip_prefix(key));
    line.and_then(|l| u64::from_str_radix(l.trim(), 16).ok())
        .ok_or(HostError::Unknown {
            path: "/proc/self/status",
            missing: key,
        })
}

/// Whether a uid_map is that of the initial user namespace.
fn is_initial(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// -1 means that nobody has logged in.
fn login(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|id| *id != u32::MAX)
}

/// "name:first:count" lines of both files, each range once.
fn taken_ids(files: &[String]) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for line in files.iter().flat_map(|f| f.lines()) {
        let mut fields = line.trim().rsplit(':').map(|f| f.parse::<u32>());
        if let (Some(Ok(count)), Some(Ok(first))) = (fields.next(), fields.next())
            && count > 0
            && !ranges.contains(&(first, count))
        {
            ranges.push((first, count));
        }
    }
    ranges
}

/// Every mount point but the root, in the order of mounting, each once.
fn submounts(mounts: &[mountinfo::Entry]) -> Vec<HostPath> {
    let mut seen = HashSet::new();
    mounts
        .iter()
        .map(|m| m.point.as_ref())
        .filter(|p| p.starts_with('/') && *p != "/" && seen.insert(*p))
        .map(HostPath::trusted)
        .collect()
}

fn lsm(text: &str) -> Vec<String> {
    let names = text.trim().split(',').filter(|n| !n.is_empty());
    names.map(str::to_string).collect()
}

fn rlimits() -> Result<Vec<(String, u64, u64)>, HostError> {
    use Resource::*;
    let kinds = [
        ("as", RLIMIT_AS),
        ("core", RLIMIT_CORE),
        ("cpu", RLIMIT_CPU),
        ("data", RLIMIT_DATA),
        ("fsize", RLIMIT_FSIZE),
        ("locks", RLIMIT_LOCKS),
        ("memlock", RLIMIT_MEMLOCK),
        ("msgqueue", RLIMIT_MSGQUEUE),
        ("nice", RLIMIT_NICE),
        ("nofile", RLIMIT_NOFILE),
        ("nproc", RLIMIT_NPROC),
        ("rss", RLIMIT_RSS),
        ("rtprio", RLIMIT_RTPRIO),
        ("rttime", RLIMIT_RTTIME),
        ("sigpending", RLIMIT_SIGPENDING),
        ("stack", RLIMIT_STACK),
    ];
    let mut all = Vec::with_capacity(kinds.len());
    for (name, kind) in kinds {
        let (soft, hard) = getrlimit(kind).map_err(|errno| HostError::Failed {
            call: "getrlimit",
            errno,
        })?;
        all.push((name.to_string(), soft, hard));
    }
    Ok(all)
}

fn cgroups(mounts: &[mountinfo::Entry], own: &str, privilege: Privilege) -> CgroupLayout {
    let mut found = layout(mounts, own);
    if privilege == Privilege::User {
        found
            .v1
            .retain(|h| writable(&h.mount.as_path().join(h.own.trim_start_matches('/'))));
    }
    if privilege == Privilege::User
        && let Some(v2) = &found.v2
        && let Some(uid) = outer_uid(geteuid().as_raw(), &read_optional("/proc/self/uid_map"))
    {
        let variable = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let said = (
            variable("DBUS_SESSION_BUS_ADDRESS"),
            variable("XDG_RUNTIME_DIR"),
        );
        found.user_manager = user_manager(uid, said, |path| {
            let file = v2.mount.as_path().join(path).join("cgroup.controllers");
            read_kernel_file(file).ok()
        });
    }
    let read_only = |mount: &HostPath| {
        mounts
            .iter()
            .any(|m| m.readonly && Path::new(m.point.as_ref()) == mount.as_path())
    };
    if let Some(v2) = found.v2.as_mut().filter(|v2| !read_only(&v2.mount)) {
        let mount = v2.mount.clone();
        place_v2(v2, privilege, std::process::id(), |path| {
            look(&mount.join(path), privilege)
        });
    }
    found
}

fn look(dir: &HostPath, privilege: Privilege) -> V2Facts {
    let dir = dir.as_path();
    let missing = |file: &str| matches!(std::fs::symlink_metadata(dir.join(file)), Err(e) if e.kind() == ErrorKind::NotFound);
    let true_root = missing("cgroup.type");
    let writable = privilege == Privilege::Root
        || (writable(dir)
            && writable(&dir.join("cgroup.procs"))
            && writable(&dir.join("cgroup.subtree_control")));
    let unless_root = |file: &str| match true_root {
        true => String::new(),
        false => read_optional(dir.join(file)),
    };
    V2Facts {
        writable,
        true_root,
        available: read_optional(dir.join("cgroup.controllers")),
        enabled: unless_root("cgroup.subtree_control"),
        procs: unless_root("cgroup.procs"),
    }
}

fn writable(path: &Path) -> bool {
    nix::unistd::eaccess(path, AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests;
