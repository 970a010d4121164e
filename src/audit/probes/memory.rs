//! Memory that is writable and executable, by every way there is.

use super::calls::{open, sys};
use super::{Field, Layer, Needs, Probe, Tried};
use crate::controls::ControlId::S8_4_8;
use crate::sys::attempt::{map, map_file};
use std::os::fd::AsRawFd;

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
const READ_EXECUTE: i32 = libc::PROT_READ | libc::PROT_EXEC;
const MDWE: (Layer, &[&str]) = (Layer::WriteExecute, &["EACCES"]);

pub(super) const PROBES: &[Probe] = &[
    Probe::new(
        "memory/map-all",
        "map memory writable and executable (mmap)",
        &[S8_4_8],
        MDWE,
        |_| map(READ_WRITE | libc::PROT_EXEC, false).map_or_else(|e| e, |_| 0),
    ),
    Probe::new(
        "memory/map-shared-all",
        "the same, shared",
        &[S8_4_8],
        MDWE,
        |_| map(READ_WRITE | libc::PROT_EXEC, true).map_or_else(|e| e, |_| 0),
    ),
    Probe::new(
        "memory/written-to-executable",
        "make written memory executable (mprotect)",
        &[S8_4_8],
        MDWE,
        |_| protect(READ_EXECUTE),
    ),
    Probe::new(
        "memory/add-execute",
        "make memory writable and executable (mprotect)",
        &[S8_4_8],
        MDWE,
        |_| protect(READ_WRITE | libc::PROT_EXEC),
    ),
    Probe::new(
        "memory/key-protect",
        "the same with a protection key (pkey_mprotect)",
        &[S8_4_8],
        MDWE,
        |_| match map(READ_WRITE, false) {
            Ok(at) => sys(
                libc::SYS_pkey_mprotect,
                [at, 4096, READ_EXECUTE as u64, u64::MAX],
            ),
            Err(errno) => errno,
        },
    ),
    Probe::new(
        "memory/self-mem",
        "write over its own code (/proc/self/mem)",
        &[S8_4_8],
        (Layer::Landlock, &["EACCES"]),
        |_| open("/proc/self/mem", libc::O_WRONLY),
    ),
    Probe::new(
        "memory/thread-mem",
        "the same through a thread's folder (/proc/thread-self/mem)",
        &[S8_4_8],
        (Layer::Landlock, &["EACCES"]),
        |_| open("/proc/thread-self/mem", libc::O_RDWR),
    ),
    Probe::new(
        "memory/map-written-file",
        "map a written file executable",
        &[S8_4_8],
        (Layer::NoExec, &["EPERM"]),
        written_file,
    )
    .needing(Needs::Scratch),
];

fn protect(protection: i32) -> Tried {
    match map(READ_WRITE, false) {
        Ok(at) => sys(libc::SYS_mprotect, [at, 4096, protection as u64]),
        Err(errno) => errno,
    }
}

fn written_file(field: &Field) -> Tried {
    let path = field.scratch("code");
    let made = std::fs::write(&path, [0x90; 64]).and_then(|()| std::fs::File::open(&path));
    let tried = match made {
        Ok(file) => map_file(file.as_raw_fd(), READ_EXECUTE),
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    let _ = std::fs::remove_file(path);
    tried
}
