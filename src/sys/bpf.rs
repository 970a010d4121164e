//! bpf(2), as far as the device filter of cgroup v2 needs it (Linux 4.15; CAP_BPF or CAP_SYS_ADMIN).
//!
//! Called by `cgroup::device`; decides nothing about which devices are allowed.
#![allow(unsafe_code)]

use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_QUERY: libc::c_long = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The head of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target_fd: i32,
    attach_bpf_fd: i32,
    attach_type: u32,
    attach_flags: u32,
}

/// The head of `union bpf_attr` for BPF_PROG_QUERY.
#[repr(C)]
struct Query {
    target_fd: i32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    pad: u32,
}

/// Loads a device program (instructions as the kernel reads them); the verifier's answer is EINVAL or EACCES.
pub fn load_device_program(instructions: &[u64]) -> nix::Result<OwnedFd> {
    let attr = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: `attr` is a prefix of union bpf_attr, readable for the size given; the two addresses in it point to the
    // instructions (with their true count) and a NUL-terminated text, both alive during the call and only read.
    let fd = Errno::result(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size_of::<Load>())
    })?;
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec); nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Attaches a device program to a v2 cgroup, beside those that are there (all must allow).
pub fn attach_device_program(cgroup: BorrowedFd, program: BorrowedFd) -> nix::Result<()> {
    let attr = Attach {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    // SAFETY: `attr` is a prefix of union bpf_attr, readable for the size given; both descriptors are borrowed, so
    // they are open during the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_ATTACH,
            &raw const attr,
            size_of::<Attach>(),
        )
    })
    .map(drop)
}

/// How many device programs are attached to a v2 cgroup itself (not to those above it).
pub fn count_device_programs(cgroup: impl AsFd) -> nix::Result<u32> {
    let mut attr = Query {
        target_fd: cgroup.as_fd().as_raw_fd(),
        attach_type: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: 0,
        prog_cnt: 0,
        pad: 0,
    };
    // SAFETY: `attr` is a prefix of union bpf_attr, readable and writable for the size given; prog_ids is null with
    // a count of 0, so the kernel writes nothing but the count back into `attr`.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut attr, size_of::<Query>())
    })?;
    Ok(attr.prog_cnt)
}
