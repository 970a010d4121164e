//! The program's terminal: a pty of the container's own devpts, its master sent to the launcher.
//!
//! The child's rules hold: no allocation, no panic. Used wherever a process inside is given a terminal.

use super::child::{Done, During, Failed};
use super::ops::{ROOT, Slots};
use super::wire::{Report, Step};
use crate::plan::process::Terminal;
use crate::sys::fs::{Resolve, dup_to_stdio, open_in_root};
use crate::sys::mount::{self, MountAttr, attr};
use crate::sys::socket::send_fds;
use crate::sys::terminal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{fstat, major, minor};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::Uid;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where the master's node is, below the root.
const PTMX: &CStr = c"dev/pts/ptmx";
const CONSOLE: &CStr = c"dev/console";

/// DEVPTS_SUPER_MAGIC (linux/magic.h).
const DEVPTS: FsType = FsType(0x1cd1);

/// Both ends: (master, the program's).
fn make(root: BorrowedFd<'_>, size: Terminal, uid: u32) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK;
    let master = open_in_root(root, PTMX, flags, 0, Resolve::NoSymlinks)?;
    // Whoever is inside already may have put something else there (CVE-2025-52565).
    if !is_ptmx(&master)? {
        return Err(Errno::ENOTTY);
    }
    fcntl(&master, FcntlArg::F_SETFL(OFlag::empty()))?;
    let own = terminal::peer(master.as_fd())?;
    if (size.rows, size.columns) != (0, 0) {
        terminal::set_size(own.as_fd(), (size.rows, size.columns))?;
    }
    nix::unistd::fchown(&own, Some(Uid::from_raw(uid)), None)?;
    Ok((master, own))
}

/// The node of a devpts file system that makes pairs.
fn is_ptmx(fd: &OwnedFd) -> Result<bool, Errno> {
    let stat = fstat(fd)?;
    let is_node = stat.st_mode & libc::S_IFMT == libc::S_IFCHR;
    let number = (major(stat.st_rdev), minor(stat.st_rdev));
    Ok(is_node && number == (5, 2) && fstatfs(fd)?.filesystem_type() == DEVPTS)
}

/// Makes it, binds it on /dev/console and sends the master; what the program will have as 0, 1 and 2.
pub(super) fn open(
    slots: &Slots,
    size: Terminal,
    uid: u32,
    socket: BorrowedFd<'_>,
) -> Result<OwnedFd, Failed> {
    let root = slots.get(ROOT).during(Step::Terminal)?;
    let (master, own) = make(root, size, uid).during(Step::Terminal)?;
    console(root, &own).during(Step::Console)?;
    send(socket, &master)?;
    Ok(own)
}

/// The same for a newcomer, inside already: /dev/console stays the first process's.
pub(super) fn open_beside(
    size: Terminal,
    uid: u32,
    socket: BorrowedFd<'_>,
) -> Result<OwnedFd, Failed> {
    let root = super::child::open_slash().during(Step::Terminal)?;
    let (master, own) = make(root.as_fd(), size, uid).during(Step::Terminal)?;
    send(socket, &master)?;
    Ok(own)
}

fn send(socket: BorrowedFd<'_>, master: &OwnedFd) -> Done {
    let report = Report::at(Step::Terminal).bytes();
    send_fds(socket, &report, &[master.as_fd()])
        .map(drop)
        .during(Step::Terminal)
}

fn console(root: BorrowedFd<'_>, own: &OwnedFd) -> Result<(), Errno> {
    let bound = mount::open_tree(own.as_fd(), c"", false)?;
    let sealed = MountAttr {
        set: attr::NOSUID | attr::NOEXEC,
        propagation: libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    mount::mount_setattr(bound.as_fd(), false, &sealed)?;
    let onto = open_in_root(root, CONSOLE, libc::O_PATH, 0, Resolve::NoSymlinks)?;
    mount::move_mount(bound.as_fd(), onto.as_fd())
}

/// The session's terminal, and all three streams.
pub(super) fn take(own: &OwnedFd) -> Done {
    terminal::control(own.as_fd()).during(Step::Terminal)?;
    for number in 0..3 {
        dup_to_stdio(own.as_fd(), number).during(Step::Stdio)?;
    }
    Ok(())
}
