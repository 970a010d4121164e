//! What only x86_64 has: old calls, and the two other ABIs of its kernel.

#[cfg(not(target_arch = "x86_64"))]
use super::Probe;

#[cfg(not(target_arch = "x86_64"))]
pub(super) const PROBES: &[Probe] = &[];

#[cfg(target_arch = "x86_64")]
pub(super) use native::PROBES;

#[cfg(target_arch = "x86_64")]
mod native {
    use super::super::calls::{HERE, sys};
    use super::super::{Layer, Needs, Probe, Tried};
    use crate::controls::ControlId::{S8_1_4, S8_1_5, S8_3_7, S8_4_3, S8_4_8, S8_5_2};
    use crate::sys::attempt::{born, buffer, foreign, low_words, text};

    /// Calls of another ABI end the process: their arguments can't be filtered soundly (socketcall takes a pointer).
    const KILLED: (Layer, &[&str]) = (Layer::Filter, &["SIGSYS"]);
    const X32: libc::c_long = 0x4000_0000;

    pub(in super::super) const PROBES: &[Probe] = &[
        Probe::denied(
            "process/fork",
            "make a second process (fork)",
            &[S8_5_2],
            |_| born(libc::SYS_fork, [0; 6]),
        ),
        Probe::denied(
            "process/vfork",
            "make a second process (vfork)",
            &[S8_5_2],
            |_| born(libc::SYS_vfork, [0; 6]),
        ),
        Probe::denied(
            "kernel/uselib",
            "load a library the old way (uselib)",
            &[S8_4_3],
            |_| sys(libc::SYS_uselib, [text("/nonesuch")]),
        ),
        Probe::denied(
            "kernel/modify-ldt",
            "change segments (modify_ldt)",
            &[S8_1_4],
            |_| sys(libc::SYS_modify_ldt, [0, buffer(), 8]),
        ),
        Probe::denied(
            "kernel/iopl",
            "reach the ports of the hardware (iopl)",
            &[S8_1_5],
            |_| sys(libc::SYS_iopl, [3]),
        ),
        Probe::denied(
            "kernel/ioperm",
            "reach one port of the hardware (ioperm)",
            &[S8_1_5],
            |_| sys(libc::SYS_ioperm, [0x80, 1, 1]),
        ),
        Probe::denied(
            "device/mknod-disk",
            "make a node for the first disk (mknod)",
            &[S8_1_5],
            |f| mknod(&f.scratch("disk"), libc::S_IFBLK | 0o600, 0x800),
        ),
        Probe::denied(
            "suid/mknod",
            "make a set-uid file (mknod)",
            &[S8_3_7],
            |f| mknod(&f.scratch("suid3"), libc::S_IFREG | 0o4755, 0),
        ),
        Probe::denied("suid/chmod", "set a set-uid bit (chmod)", &[S8_3_7], |f| {
            sys(libc::SYS_chmod, [text(&f.scratch("file")), 0o4755])
        }),
        Probe::denied(
            "suid/chmod-high-bits",
            "the same, hidden behind high bits",
            &[S8_3_7],
            |f| {
                sys(
                    libc::SYS_chmod,
                    [text(&f.scratch("file")), (1 << 32) | 0o4755],
                )
            },
        ),
        Probe::denied("suid/open", "make a set-uid file (open)", &[S8_3_7], |f| {
            let flags = (libc::O_CREAT | libc::O_WRONLY) as u64;
            sys(libc::SYS_open, [text(&f.scratch("suid")), flags, 0o4755])
        }),
        Probe::denied("file/chown", "give a file away (chown)", &[S8_1_5], |f| {
            sys(libc::SYS_chown, [text(&f.scratch("file")), 65532, 65532])
        }),
        Probe::new(
            "abi/x32",
            "make a call of the x32 ABI",
            &[S8_1_4],
            KILLED,
            |_| sys(X32 | libc::SYS_getpid, []),
        ),
        Probe::new(
            "abi/x32-exec",
            "execute by the x32 ABI",
            &[S8_1_4, S8_4_3],
            KILLED,
            |_| sys(X32 | 520, []),
        ),
        Probe::new(
            "abi/int80",
            "make a 32-bit call (int 0x80)",
            &[S8_1_4],
            KILLED,
            |_| negative(foreign(20, 0, 0)),
        )
        .needing(Needs::Foreign),
        Probe::new(
            "abi/int80-other",
            "make another 32-bit call, whose number means a different call here",
            &[S8_1_4],
            KILLED,
            |_| {
                // waitpid of nobody: the foreign table's number 7, which makes nothing where it works.
                negative(foreign(7, u32::MAX, 0))
            },
        )
        .needing(Needs::Foreign),
        Probe::new(
            "abi/socketcall",
            "open a cipher socket by a 32-bit call (socketcall)",
            &[S8_1_4, S8_4_8],
            KILLED,
            |_| match low_words([38, 5, 0]) {
                Some(at) => negative(foreign(102, 1, at)),
                None => libc::ENOMEM,
            },
        )
        .needing(Needs::Foreign),
    ];

    fn mknod(path: &str, mode: u32, device: u64) -> Tried {
        let made = sys(
            libc::SYS_mknodat,
            [HERE, text(path), u64::from(mode), device],
        );
        let _ = std::fs::remove_file(path);
        made
    }

    fn negative(answer: i64) -> Tried {
        if answer < 0 { -answer as Tried } else { 0 }
    }
}
