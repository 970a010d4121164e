//! Exhaustion: each bomb stops by itself a little behind the quota that has to hold it, so it harms nobody.
//!
//! "OK" means that it got that far. A bomb that the kernel kills is answered by the signal.

use super::calls::{opened, socket};
use super::{Field, Layer, Needs, Probe, Tried};
use crate::controls::ControlId::{S8_1_4, S8_4_7};
use crate::plan::network::{INOTIFY_INSTANCES, INOTIFY_WATCHES};
use crate::sys::attempt::{self, cpu_time};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io::Write;

const KILLED: (Layer, &[&str]) = (Layer::Memory, &["SIGKILL"]);
const PIECE: usize = 1 << 20;

const fn memory(id: &'static str, what: &'static str, deed: fn(&Field) -> Tried) -> Probe {
    Probe::new(id, what, &[S8_1_4], KILLED, deed).needing(Needs::Apart)
}

pub(super) const PROBES: &[Probe] = &[
    memory("bomb/anonymous-memory", "take memory without end", |f| {
        hoard(f, |held| held.push(vec![1; PIECE]))
    }),
    memory("bomb/memfd", "take memory without end, as a memfd", |f| {
        let fd = opened(attempt::value(
            libc::SYS_memfd_create,
            [attempt::text("x"), 0, 0, 0, 0, 0],
        ));
        fd.map_or_else(|e| e, |fd| pour(f, std::fs::File::from(fd)))
    }),
    memory(
        "bomb/tmpfs",
        "take memory without end, as a file of a tmpfs",
        |f| {
            let path = f.scratch("flood");
            let made = std::fs::File::create(&path);
            let tried = made.map_or_else(
                |e| e.raw_os_error().unwrap_or(libc::EIO),
                |file| pour(f, file),
            );
            let _ = std::fs::remove_file(path);
            tried
        },
    ),
    memory(
        "bomb/shared-memory",
        "take memory without end, shared and anonymous",
        |f| {
            let mut kept = Vec::new();
            for _ in 0..f.number("memory-pieces") * 256 {
                match attempt::map_touched() {
                    Ok(at) => kept.push(at),
                    Err(errno) => return errno,
                }
            }
            0
        },
    ),
    Probe::new(
        "bomb/threads",
        "make threads without end",
        &[S8_1_4],
        (Layer::Tasks, &["EAGAIN"]),
        threads,
    )
    .needing(Needs::Apart),
    Probe::new(
        "bomb/descriptors",
        "open files without end",
        &[S8_1_4],
        (Layer::OpenFiles, &["EMFILE"]),
        |f| {
            let mut held = Vec::new();
            until(f.number("exec-fd") + 8, || {
                held.push(std::fs::File::open("/proc/self/status")?);
                Ok(())
            })
        },
    ),
    Probe::new(
        "bomb/socket-buffers",
        "fill socket buffers without end",
        &[S8_1_4],
        (Layer::OpenFiles, &["EMFILE"]),
        sockets,
    ),
    Probe::new(
        "bomb/inotify",
        "take everybody's inotify instances",
        &[S8_1_4],
        (Layer::Inotify, &["EMFILE"]),
        |_| {
            let mut held = Vec::new();
            until(u64::from(INOTIFY_INSTANCES) + 1, || {
                held.push(Inotify::init(InitFlags::IN_CLOEXEC)?);
                Ok(())
            })
        },
    ),
    Probe::new(
        "bomb/inotify-watches",
        "take everybody's inotify watches",
        &[S8_1_4],
        (Layer::Inotify, &["ENOSPC"]),
        watches,
    )
    .needing(Needs::Scratch),
    Probe::new(
        "bomb/tmpfs-size",
        "fill a writable place",
        &[S8_1_4, S8_4_7],
        (Layer::TmpfsSize, &["ENOSPC"]),
        |f| {
            let path = f.scratch("full");
            let tried = fill(&path, f.number("tmpfs-size"));
            let _ = std::fs::remove_file(path);
            tried
        },
    )
    .needing(Needs::Scratch),
    Probe::new(
        "bomb/tmpfs-inodes",
        "fill a writable place with empty files",
        &[S8_1_4, S8_4_7],
        (Layer::TmpfsSize, &["ENOSPC"]),
        inodes,
    )
    .needing(Needs::Scratch),
    Probe::new(
        "bomb/cpu",
        "take the processor from everybody else",
        &[S8_1_4],
        (Layer::Cpu, &["throttled"]),
        |_| {
            let mut spins = 0u64;
            while cpu_time() < 12 {
                spins = std::hint::black_box(spins + 1);
            }
            0
        },
    )
    .needing(Needs::Apart),
];

/// So many pieces of memory, a little more than the lowered limit.
fn hoard(field: &Field, more: fn(&mut Vec<Vec<u8>>)) -> Tried {
    let mut held = Vec::new();
    for _ in 0..field.number("memory-pieces") {
        more(&mut held);
    }
    std::hint::black_box(&held);
    0
}

fn pour(field: &Field, mut file: std::fs::File) -> Tried {
    let piece = vec![1; PIECE];
    for _ in 0..field.number("memory-pieces") {
        if let Err(error) = file.write_all(&piece) {
            return error.raw_os_error().unwrap_or(libc::EIO);
        }
    }
    0
}

/// Again and again, at most `most` times; 0 if nothing stopped it.
fn until(most: u64, mut deed: impl FnMut() -> std::io::Result<()>) -> Tried {
    for _ in 0..most {
        if let Err(error) = deed() {
            return error.raw_os_error().unwrap_or(libc::EIO);
        }
    }
    0
}

/// They wait for each other's end, and end with the process.
fn threads(field: &Field) -> Tried {
    until(field.number("tasks") + 8, || {
        std::thread::Builder::new()
            .stack_size(32 << 10)
            .spawn(|| {
                loop {
                    std::thread::park();
                }
            })
            .map(drop)
    })
}

/// A file each, since a file is watched once: more than can be made is no answer.
fn watches(field: &Field) -> Tried {
    let place = field.scratch("watched");
    let tried = match (
        std::fs::create_dir(&place),
        Inotify::init(InitFlags::IN_CLOEXEC),
    ) {
        (Err(error), _) => error.raw_os_error().unwrap_or(libc::EIO),
        (_, Err(errno)) => errno as i32,
        (Ok(()), Ok(inotify)) => {
            let mut made = 0;
            until(u64::from(INOTIFY_WATCHES) + 1, || {
                let path = format!("{place}/{made}");
                let no_file = |_| std::io::Error::from_raw_os_error(libc::EDQUOT);
                std::fs::File::create(&path).map_err(no_file)?;
                made += 1;
                inotify.add_watch(path.as_str(), AddWatchFlags::IN_MODIFY)?;
                Ok(())
            })
        }
    };
    let _ = std::fs::remove_dir_all(&place);
    tried
}

/// A few buffers to the brim; then the sockets themselves.
fn sockets(field: &Field) -> Tried {
    let mut held = Vec::new();
    until(field.number("exec-fd") + 8, || {
        if held.len() < 8 {
            let (a, b) = std::os::unix::net::UnixStream::pair()?;
            a.set_nonblocking(true)?;
            while (&a).write(&[1; 4096]).is_ok() {}
            held.extend([a.into(), b.into()]);
        }
        held.push(
            socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
                .map_err(std::io::Error::from_raw_os_error)?,
        );
        Ok(())
    })
}

fn fill(path: &str, size: u64) -> Tried {
    let piece = vec![1u8; 64 << 10];
    match std::fs::File::create(path) {
        Ok(mut file) => until(size / piece.len() as u64 + 4, || file.write_all(&piece)),
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

fn inodes(field: &Field) -> Tried {
    let place = field.scratch("inodes");
    let mut made = 0u64;
    let tried = match std::fs::create_dir(&place) {
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        Ok(()) => until(field.number("tmpfs-inodes") + 8, || {
            std::fs::File::create(format!("{place}/{made}"))?;
            made += 1;
            Ok(())
        }),
    };
    let _ = std::fs::remove_dir_all(&place);
    tried
}
