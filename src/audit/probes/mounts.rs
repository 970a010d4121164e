//! Changing what is mounted: the old calls and the new ones.

use super::calls::{HERE, NO_FD, sys};
use super::{Layer, NOTHING, Probe, Tried};
use crate::controls::ControlId::{S8_1_4, S8_1_5, S8_3_7, S8_4_5, S8_4_7, S8_4_8};
use crate::sys::attempt::{buffer, text};

const STATMOUNT: libc::c_long = 457;
const LISTMOUNT: libc::c_long = 458;

/// Seen in its own list of mounts.
const FLAGS: (Layer, &[&str]) = (Layer::MountFlags, &["nothing"]);

pub(super) const PROBES: &[Probe] = &[
    Probe::denied(
        "mount/tmpfs",
        "mount a tmpfs over /proc (mount)",
        &[S8_4_5],
        |_| mount("none", "/proc", "tmpfs", 0),
    ),
    Probe::denied(
        "mount/proc",
        "mount another procfs (mount)",
        &[S8_4_5],
        |_| mount("proc", "/proc", "proc", 0),
    ),
    Probe::denied(
        "mount/bind",
        "bind / elsewhere (mount, MS_BIND)",
        &[S8_4_5],
        |_| mount("/", "/proc", "", libc::MS_BIND),
    ),
    Probe::denied(
        "mount/remount-writable",
        "make the root writable (mount, MS_REMOUNT)",
        &[S8_4_5, S8_4_7],
        |_| mount("", "/", "", libc::MS_REMOUNT | libc::MS_BIND),
    ),
    Probe::denied(
        "mount/share",
        "let mounts travel to others (mount, MS_SHARED)",
        &[S8_4_5],
        |_| mount("", "/", "", libc::MS_SHARED | libc::MS_REC),
    ),
    Probe::denied(
        "mount/umount",
        "uncover what a mount hides (umount2)",
        &[S8_4_5],
        |_| sys(libc::SYS_umount2, [text("/proc"), 2]),
    ),
    Probe::denied(
        "mount/pivot-root",
        "change the root (pivot_root)",
        &[S8_4_5],
        |_| sys(libc::SYS_pivot_root, [text("/"), text("/")]),
    ),
    Probe::denied(
        "mount/chroot",
        "change the root (chroot)",
        &[S8_4_5],
        |_| sys(libc::SYS_chroot, [text("/proc")]),
    ),
    Probe::denied(
        "mount/fsopen",
        "begin a new mount (fsopen)",
        &[S8_4_5],
        |_| sys(libc::SYS_fsopen, [text("tmpfs")]),
    ),
    Probe::denied(
        "mount/fsconfig",
        "set up a new mount (fsconfig)",
        &[S8_4_5],
        |_| sys(libc::SYS_fsconfig, [NO_FD, 6]),
    ),
    Probe::denied("mount/fsmount", "make it (fsmount)", &[S8_4_5], |_| {
        sys(libc::SYS_fsmount, [NO_FD])
    }),
    Probe::denied(
        "mount/fspick",
        "change the super block of / (fspick)",
        &[S8_4_5],
        |_| sys(libc::SYS_fspick, [HERE, text("/")]),
    ),
    Probe::denied(
        "mount/open-tree-clone",
        "copy the tree of / (open_tree, OPEN_TREE_CLONE)",
        &[S8_4_5],
        |_| sys(libc::SYS_open_tree, [HERE, text("/"), 1]),
    ),
    Probe::denied(
        "mount/open-tree",
        "refer to the mount of / (open_tree)",
        &[S8_4_5],
        |_| sys(libc::SYS_open_tree, [HERE, text("/"), 0]),
    ),
    Probe::denied("mount/move", "move a mount (move_mount)", &[S8_4_5], |_| {
        sys(libc::SYS_move_mount, [NO_FD, text(""), NO_FD, text("/"), 4])
    }),
    Probe::unknown(
        "mount/setattr",
        "make the tree of / writable (mount_setattr)",
        &[S8_4_5, S8_4_7],
        |_| {
            sys(
                libc::SYS_mount_setattr,
                [HERE, text("/"), 0x8000, buffer(), 32],
            )
        },
    ),
    Probe::unknown(
        "mount/statmount",
        "ask about mounts by id (statmount)",
        &[S8_4_5],
        |_| sys(STATMOUNT, []),
    ),
    Probe::unknown(
        "mount/listmount",
        "list mounts by id (listmount)",
        &[S8_4_5],
        |_| sys(LISTMOUNT, []),
    ),
    Probe::unknown(
        "mount/openat2",
        "open with flags that no filter can read (openat2)",
        &[S8_4_7],
        |_| sys(libc::SYS_openat2, [HERE, text("/")]),
    ),
    Probe::denied(
        "mount/quotactl",
        "change quotas (quotactl)",
        &[S8_4_5],
        |_| sys(libc::SYS_quotactl, []),
    ),
    Probe::denied("mount/swapon", "swap to a file (swapon)", &[S8_1_4], |_| {
        sys(libc::SYS_swapon, [text("/nonesuch")])
    }),
    Probe::new(
        "mount/suid",
        "find a mount whose set-uid files count",
        &[S8_3_7],
        FLAGS,
        |_| any(|m| !m.has("nosuid")),
    ),
    Probe::new(
        "mount/devices",
        "find a mount whose device nodes count, beside /dev",
        &[S8_1_5],
        FLAGS,
        |_| any(|m| !m.has("nodev") && !m.place.starts_with("/dev")),
    ),
    Probe::new(
        "mount/writable-executable",
        "find a mount that can be written and executed from",
        &[S8_4_7, S8_4_8],
        FLAGS,
        |_| any(|m| m.has("rw") && !m.has("noexec")),
    ),
    Probe::new(
        "mount/propagation",
        "find a mount that others see changes of",
        &[S8_4_5],
        FLAGS,
        |_| any(|m| m.tags.contains("shared:") || m.tags.contains("master:")),
    ),
];

fn mount(source: &str, target: &str, kind: &str, flags: u64) -> Tried {
    sys(
        libc::SYS_mount,
        [text(source), text(target), text(kind), flags],
    )
}

/// A line of /proc/self/mountinfo.
struct Line<'a> {
    place: &'a str,
    flags: &'a str,
    tags: &'a str,
}

impl Line<'_> {
    fn has(&self, flag: &str) -> bool {
        self.flags.split(',').any(|f| f == flag)
    }
}

fn any(is: fn(&Line<'_>) -> bool) -> Tried {
    let Ok(text) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return libc::EIO;
    };
    let parsed = text.lines().filter_map(|line| {
        let mut fields = line.splitn(7, ' ').skip(4);
        Some(Line {
            place: fields.next()?,
            flags: fields.next()?,
            tags: fields.next()?.split(" - ").next()?,
        })
    });
    let mut parsed = parsed.peekable();
    if parsed.peek().is_none() {
        return libc::ENODATA;
    }
    if parsed.any(|line| is(&line)) {
        0
    } else {
        NOTHING
    }
}
