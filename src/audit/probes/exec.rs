//! A second program, whatever way it came in.

use super::calls::{HERE, NO_FD, io, open_mode, opened, own_program, sys};
use super::{Field, Layer, Needs, Probe, Tried};
use crate::controls::ControlId::{S8_1_4, S8_4_3, S8_4_8, S8_5_2};
use crate::sys::attempt;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// What the tester says when an exec works: it becomes the tester again, which prints "OK".
const AGAIN: &[&str] = &[crate::audit::tester::NAME, "executed"];

pub(super) const PROBES: &[Probe] = &[
    Probe::denied(
        "exec/self",
        "execute /proc/self/exe (execve)",
        &[S8_4_3, S8_5_2],
        |_| attempt::execute("/proc/self/exe", None, AGAIN),
    ),
    Probe::denied(
        "exec/path",
        "execute the program again by its path (execve)",
        &[S8_4_3, S8_5_2],
        |_| attempt::execute(&own_program(), None, AGAIN),
    ),
    Probe::denied(
        "exec/shell",
        "execute a shell (execve)",
        &[S8_4_3, S8_5_2],
        |_| attempt::execute("/bin/sh", None, &["sh", "-c", "echo = OK"]),
    ),
    Probe::denied(
        "exec/execveat-path",
        "execute a path with execveat",
        &[S8_4_3],
        |_| attempt::execute(&own_program(), Some(libc::AT_FDCWD), AGAIN),
    ),
    Probe::denied(
        "exec/open-descriptor",
        "execute an open descriptor (execveat)",
        &[S8_4_3],
        |_| match std::fs::File::open(own_program()) {
            Ok(file) => attempt::execute("", Some(file.as_raw_fd()), AGAIN),
            Err(error) => io::<()>(Err(error)),
        },
    ),
    Probe::denied(
        "exec/dropped-file",
        "execute a file that was written into a writable place",
        &[S8_4_3, S8_4_8],
        dropped,
    )
    .needing(Needs::Scratch),
    Probe::denied(
        "exec/memfd",
        "execute memory (memfd_create, execveat)",
        &[S8_4_8],
        memfd_exec,
    ),
    Probe::new(
        "exec/memfd-executable",
        "make a memfd that may be executed (MFD_EXEC)",
        &[S8_4_8],
        (Layer::MemfdNoexec, &["EACCES"]),
        |_| memfd(0x10).map_or_else(|e| e, |_| 0),
    ),
    Probe::new(
        "exec/dup-to-program-number",
        "make a descriptor of the number that can be executed (dup3)",
        &[S8_4_3],
        (Layer::OpenFiles, &["EBADF"]),
        |f| sys(libc::SYS_dup3, [0, f.number("exec-fd"), 0]),
    ),
    Probe::new(
        "exec/fcntl-to-program-number",
        "make a descriptor of that number (fcntl, F_DUPFD)",
        &[S8_4_3],
        (Layer::OpenFiles, &["EINVAL"]),
        |f| {
            sys(
                libc::SYS_fcntl,
                [0, libc::F_DUPFD as u64, f.number("exec-fd")],
            )
        },
    ),
    Probe::new(
        "exec/raise-open-files",
        "raise the limit of open files, so that the number can be made",
        &[S8_4_3, S8_1_4],
        (Layer::OpenFiles, &["EPERM"]),
        raise,
    )
    .altering(),
    Probe::denied(
        "exec/binfmt-interpreter",
        "execute the dynamic loader with a program as its argument",
        &[S8_4_3],
        |_| {
            attempt::execute(
                "/lib64/ld-linux-x86-64.so.2",
                None,
                &["ld", "/bin/sh", "-c", "echo = OK"],
            )
        },
    ),
    Probe::denied(
        "exec/empty-path-of-none",
        "execute with an empty path and no descriptor (execveat)",
        &[S8_4_3],
        |_| sys(libc::SYS_execveat, [NO_FD, attempt::text(""), 0, 0, 0x1000]),
    ),
    Probe::denied(
        "exec/check-only",
        "ask whether a file may be executed (execveat, AT_EXECVE_CHECK)",
        &[S8_4_3],
        |_| {
            let path = attempt::text(&own_program());
            sys(libc::SYS_execveat, [HERE, path, 0, 0, 0x1_0000])
        },
    ),
];

/// The smallest program that a kernel takes: a script with our own program as the interpreter.
fn dropped(field: &Field) -> Tried {
    let path = field.scratch("dropped");
    let made = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o755)
        .open(&path);
    let text = format!("#!{} executed\n", own_program());
    let tried = match made.and_then(|mut f| f.write_all(text.as_bytes())) {
        Ok(()) => attempt::execute(&path, None, AGAIN),
        Err(error) => io::<()>(Err(error)),
    };
    let _ = std::fs::remove_file(path);
    tried
}

fn memfd(flags: u64) -> Result<OwnedFd, Tried> {
    let args = [attempt::text("x"), flags, 0, 0, 0, 0];
    opened(attempt::value(libc::SYS_memfd_create, args))
}

/// A page of the program is enough: the refusal comes before the kernel reads it.
fn memfd_exec(_: &Field) -> Tried {
    let copied = memfd(0).map(|fd| {
        let mut file = std::fs::File::from(fd);
        let own = std::fs::File::open(own_program());
        let copied = own.and_then(|own| std::io::copy(&mut own.take(4096), &mut file));
        (file, copied)
    });
    match copied {
        Ok((file, Ok(_))) => attempt::execute("", Some(file.as_raw_fd()), AGAIN),
        Ok((_, Err(error))) => io::<()>(Err(error)),
        Err(errno) => errno,
    }
}

fn raise(field: &Field) -> Tried {
    let wanted = field.number("exec-fd") + 1;
    let (_, hard) = attempt::open_files();
    attempt::set_open_files(wanted, hard.max(wanted))
}

/// Whether a file with this mode may be made; shared with `files`.
pub(super) fn made_with(path: &str, mode: u32) -> Tried {
    open_mode(path, libc::O_CREAT | libc::O_WRONLY, mode)
}
