//! Files: writing where nothing may be written, set-uid bits, device nodes.

use super::calls::{HERE, open, own_program, sys};
use super::exec::made_with;
use super::{Layer, Probe, Tried};
use crate::controls::ControlId::{S8_1_5, S8_3_7, S8_4_3, S8_4_7};
use crate::sys::attempt::text;

const SEALED: (Layer, &[&str]) = (Layer::ReadOnly, &["EROFS"]);
const CREATE: i32 = libc::O_CREAT | libc::O_WRONLY;
const FCHMODAT2: libc::c_long = 452;

pub(super) const PROBES: &[Probe] = &[
    Probe::new(
        "file/create-in-root",
        "make a file in /",
        &[S8_4_7],
        SEALED,
        |_| open("/cofferdam-attack", CREATE),
    ),
    Probe::new(
        "file/create-in-dev",
        "make a file in /dev",
        &[S8_4_7],
        SEALED,
        |_| open("/dev/cofferdam-attack", CREATE),
    ),
    Probe::new(
        "file/mkdir-in-root",
        "make a folder in /",
        &[S8_4_7],
        SEALED,
        |_| {
            let made = sys(libc::SYS_mkdirat, [HERE, text("/cofferdam-attack"), 0o700]);
            let _ = std::fs::remove_dir("/cofferdam-attack");
            made
        },
    ),
    Probe::new(
        "file/link-in-root",
        "make a link in /",
        &[S8_4_7],
        SEALED,
        |_| {
            let made = sys(
                libc::SYS_symlinkat,
                [text("x"), HERE, text("/cofferdam-attack")],
            );
            let _ = std::fs::remove_file("/cofferdam-attack");
            made
        },
    ),
    Probe::new(
        "file/times-of-root",
        "change the times of /",
        &[S8_4_7],
        SEALED,
        |_| sys(libc::SYS_utimensat, [HERE, text("/"), 0, 0]),
    ),
    Probe::new(
        "file/times-of-dev",
        "change the times of /dev",
        &[S8_4_7],
        SEALED,
        |_| sys(libc::SYS_utimensat, [HERE, text("/dev"), 0, 0]),
    ),
    Probe::new(
        "file/write-program",
        "write over the program that runs",
        &[S8_4_3, S8_4_7],
        (Layer::Kernel, &["EROFS", "ETXTBSY", "EACCES"]),
        |_| open(&own_program(), libc::O_WRONLY),
    ),
    Probe::new(
        "file/write-launcher",
        "write over the launcher (/proc/self/exe, CVE-2019-5736)",
        &[S8_4_3, S8_4_7],
        (Layer::Kernel, &["EROFS", "ETXTBSY", "EACCES"]),
        |_| open("/proc/self/exe", libc::O_WRONLY),
    ),
    Probe::denied(
        "suid/fchmodat",
        "set a set-gid bit (fchmodat)",
        &[S8_3_7],
        |f| sys(libc::SYS_fchmodat, [HERE, text(&f.scratch("file")), 0o2755]),
    ),
    Probe::denied(
        "suid/fchmod",
        "set a set-uid bit (fchmod)",
        &[S8_3_7],
        |_| sys(libc::SYS_fchmod, [1, 0o4755]),
    ),
    Probe::unknown(
        "suid/fchmodat2",
        "set a set-uid bit (fchmodat2)",
        &[S8_3_7],
        |f| sys(FCHMODAT2, [HERE, text(&f.scratch("file")), 0o4755]),
    ),
    Probe::denied(
        "suid/openat",
        "make a set-uid file (openat)",
        &[S8_3_7],
        |f| made_with(&f.scratch("suid2"), 0o6755),
    ),
    Probe::denied(
        "device/mknodat-kmsg",
        "make a node for the kernel's log (mknodat)",
        &[S8_1_5],
        |f| {
            let mode = u64::from(libc::S_IFCHR) | 0o600;
            sys(
                libc::SYS_mknodat,
                [HERE, text(&f.scratch("kmsg")), mode, 0x10b],
            )
        },
    ),
    Probe::denied(
        "file/fchownat",
        "give a file away (fchownat)",
        &[S8_1_5],
        |f| {
            sys(
                libc::SYS_fchownat,
                [HERE, text(&f.scratch("file")), 65532, 65532, 0],
            )
        },
    ),
    Probe::denied(
        "file/setxattr",
        "attach attributes, capabilities among them (setxattr)",
        &[S8_3_7],
        |f| {
            let path = text(&f.scratch("file"));
            sys(libc::SYS_setxattr, [path, text("user.x"), text("x"), 1, 0])
        },
    ),
    Probe::denied(
        "file/setxattr-capability",
        "give a file capabilities (setxattr)",
        &[S8_1_5, S8_3_7],
        |f| {
            let path = text(&f.scratch("file"));
            let name = text("security.capability");
            sys(libc::SYS_setxattr, [path, name, text("x"), 1, 0])
        },
    ),
    Probe::new(
        "file/execute-right",
        "have a file that may be executed in a writable place",
        &[S8_4_3],
        (Layer::NoExec, &["EACCES"]),
        executable,
    )
    .needing(super::Needs::Scratch),
];

/// access(2) with X_OK on a file of mode 0755: a noexec mount answers no.
fn executable(field: &super::Field) -> Tried {
    use std::os::unix::fs::OpenOptionsExt;
    let path = field.scratch("mode");
    let made = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o755)
        .open(&path);
    let tried = match made {
        Ok(_) => sys(libc::SYS_faccessat, [HERE, text(&path), libc::X_OK as u64]),
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    let _ = std::fs::remove_file(path);
    tried
}
