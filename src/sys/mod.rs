//! The only unsafe code: one system call a function (but for `arena`, `companion` and `start`), a safe signature, a SAFETY line that says why.
//!
//! Decides nothing, allocates nothing, retries nothing but EINTR where said. Called by `sandbox`, `verify`,
//! `cgroup`, `container`, `events` and `host`; everything that nix offers safely is called there directly.
#![allow(unsafe_code)]

pub mod arena;
pub mod attempt;
pub mod audit;
pub mod bpf;
pub mod clock;
pub mod companion;
pub mod fs;
pub mod landlock;
pub mod memory;
pub mod mount;
pub mod net;
pub mod notify;
pub mod output;
pub mod pipe;
pub mod presence;
pub mod process;
pub mod reach;
pub mod schedule;
pub mod socket;
pub mod start;
pub mod terminal;

use nix::errno::Errno;

/// Turns libc's -1 into the errno.
fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    Errno::result(result)
}
