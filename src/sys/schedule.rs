//! Scheduling, I/O priority, memory policy, personality.

use super::check;
use nix::errno::Errno;

/// struct sched_attr, as of Linux 3.14 (48 bytes).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// Bytes of this structure.
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99 for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds (SCHED_DEADLINE).
    pub runtime: u64,
    /// Nanoseconds (SCHED_DEADLINE).
    pub deadline: u64,
    /// Nanoseconds (SCHED_DEADLINE).
    pub period: u64,
}

/// Sets the scheduling of a thread; 0 is the caller.
pub fn sched_setattr(pid: i32, attr: &SchedAttr) -> Result<(), Errno> {
    let mut attr = *attr;
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: `attr` is a valid struct sched_attr whose size field says how long it is; only read.
    check(unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            pid,
            &attr as *const SchedAttr,
            0 as libc::c_long,
        )
    })
    .map(drop)
}

/// The scheduling of a thread.
pub fn sched_getattr(pid: i32) -> Result<SchedAttr, Errno> {
    let mut attr = SchedAttr::default();
    // SAFETY: `attr` is writable for the size given; the kernel writes no more.
    check(unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            pid,
            &mut attr as *mut SchedAttr,
            size_of::<SchedAttr>() as libc::c_long,
            0 as libc::c_long,
        )
    })?;
    Ok(attr)
}

/// The CPUs that the caller may run on.
pub fn set_affinity(mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: the mask is readable for its length; 0 is the caller.
    check(unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            0 as libc::c_long,
            size_of_val(mask),
            mask.as_ptr(),
        )
    })
    .map(drop)
}

const IOPRIO_WHO_PROCESS: libc::c_long = 1;

/// Sets the I/O class and level (IOPRIO_PRIO_VALUE) of a thread; 0 is the caller.
pub fn ioprio_set(pid: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, value) }).map(drop)
}

/// The I/O class and level of a thread.
pub fn ioprio_get(pid: i32) -> Result<i32, Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid) }).map(|n| n as i32)
}

/// The caller's memory policy. An empty mask is given as none.
pub fn set_mempolicy(mode: i32, nodes: &[u64]) -> Result<(), Errno> {
    let some = nodes.iter().any(|w| *w != 0);
    let (pointer, bits) = match some {
        true => (nodes.as_ptr(), nodes.len() * 64 + 1),
        false => (std::ptr::null(), 0),
    };
    // SAFETY: the mask is readable for its length; the kernel counts one bit more than it reads (set_mempolicy(2)).
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

/// The caller's execution domain.
pub fn personality(domain: u32) -> Result<(), Errno> {
    // SAFETY: a plain integer.
    check(unsafe { libc::personality(domain.into()) as libc::c_long }).map(drop)
}
