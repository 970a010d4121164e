//! Kernel parameters and resource limits.

use super::{Labels, PrepareError, c_string};
use crate::plan::Plan;
use crate::plan::process::ProcessPlan;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// /proc as the launcher sees it: a procfs, and its root.
pub(super) fn own_proc() -> Result<OwnedFd, PrepareError> {
    const PROC_MAGIC: i64 = 0x9fa0;
    let open = |why| PrepareError::Open {
        path: "/proc".into(),
        why,
    };
    let proc: OwnedFd = std::fs::File::open("/proc").map_err(open)?.into();
    match crate::sys::fs::fs_magic(proc.as_fd()) {
        Ok(PROC_MAGIC) => Ok(proc),
        _ => Err(open(std::io::Error::other("not a procfs"))),
    }
}

pub(super) fn sysctl(
    plan: &Plan,
    labels: &mut Labels,
) -> Result<Vec<(CString, CString)>, PrepareError> {
    plan.network
        .sysctl
        .iter()
        .map(|(file, value)| {
            labels.sysctl.push(file.clone());
            Ok((
                c_string(&format!("sys/{file}"), file)?,
                c_string(value, file)?,
            ))
        })
        .collect()
}

const RLIMIT_KINDS: [(&str, u32); 16] = [
    ("cpu", libc::RLIMIT_CPU),
    ("fsize", libc::RLIMIT_FSIZE),
    ("data", libc::RLIMIT_DATA),
    ("stack", libc::RLIMIT_STACK),
    ("core", libc::RLIMIT_CORE),
    ("rss", libc::RLIMIT_RSS),
    ("nproc", libc::RLIMIT_NPROC),
    ("nofile", libc::RLIMIT_NOFILE),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("as", libc::RLIMIT_AS),
    ("locks", libc::RLIMIT_LOCKS),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
];

pub(super) fn rlimits(
    process: &ProcessPlan,
    labels: &mut Labels,
) -> Result<Vec<(i32, u64, u64)>, PrepareError> {
    let number = |kind: &str| {
        RLIMIT_KINDS
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|(_, n)| *n as i32)
            .ok_or_else(|| PrepareError::Unknown(format!("{kind}: a resource limit unknown here")))
    };
    let mut out = Vec::new();
    // The descriptor limit comes last: what is opened before must not fall under it.
    let (last, first): (Vec<_>, Vec<_>) = process.rlimits.iter().partition(|r| r.kind == "nofile");
    for limit in first.into_iter().chain(last) {
        out.push((number(&limit.kind)?, limit.soft, limit.hard));
        labels.limits.push(limit.kind.clone());
    }
    if !process.rlimits.iter().any(|r| r.kind == "nofile") {
        let n = u64::from(process.exec_fd);
        out.push((libc::RLIMIT_NOFILE as i32, n, n));
        labels.limits.push("nofile".into());
    }
    Ok(out)
}
