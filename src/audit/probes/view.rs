//! What is not shown: the kernel's files, devices, the host's sockets and log.

use super::calls::open;
use super::{Layer, Probe, Tried};
use crate::controls::ControlId::{self, S8_1_4, S8_1_5, S8_4_1, S8_4_2, S8_4_4, S8_5_1};

const ABSENT: (Layer, &[&str]) = (Layer::View, &["ENOENT"]);
const WRITE: i32 = libc::O_WRONLY;
const FOLDER: i32 = libc::O_DIRECTORY;

const fn absent(
    id: &'static str,
    what: &'static str,
    controls: &'static [ControlId],
    deed: fn(&super::Field) -> Tried,
) -> Probe {
    Probe::new(id, what, controls, ABSENT, deed)
}

pub(super) const PROBES: &[Probe] = &[
    absent(
        "proc/core-pattern",
        "name a program for core dumps (/proc/sys/kernel/core_pattern)",
        &[S8_4_4],
        |_| open("/proc/sys/kernel/core_pattern", WRITE),
    ),
    absent(
        "proc/modprobe",
        "name a program for module loading (/proc/sys/kernel/modprobe)",
        &[S8_4_4],
        |_| open("/proc/sys/kernel/modprobe", WRITE),
    ),
    absent(
        "proc/forwarding",
        "switch routing on (/proc/sys/net/ipv4/ip_forward)",
        &[S8_4_4],
        |_| open("/proc/sys/net/ipv4/ip_forward", WRITE),
    ),
    absent(
        "proc/sysrq",
        "command the kernel (/proc/sysrq-trigger)",
        &[S8_1_4],
        |_| open("/proc/sysrq-trigger", WRITE),
    ),
    absent("proc/keys", "list keys (/proc/keys)", &[S8_5_1], |_| {
        open("/proc/keys", 0)
    }),
    absent(
        "proc/cmdline",
        "read the kernel's command line (/proc/cmdline)",
        &[S8_5_1],
        |_| open("/proc/cmdline", 0),
    ),
    absent(
        "proc/interrupts",
        "watch the machine's interrupts (/proc/interrupts)",
        &[S8_5_1],
        |_| open("/proc/interrupts", 0),
    ),
    absent(
        "proc/kallsyms",
        "read the kernel's addresses (/proc/kallsyms)",
        &[S8_5_1],
        |_| open("/proc/kallsyms", 0),
    ),
    absent(
        "proc/kcore",
        "read the kernel's memory (/proc/kcore)",
        &[S8_5_1],
        |_| open("/proc/kcore", 0),
    ),
    absent(
        "proc/meminfo",
        "read the machine's memory figures (/proc/meminfo)",
        &[S8_5_1],
        |_| open("/proc/meminfo", 0),
    ),
    absent(
        "proc/stat",
        "watch the load of the machine (/proc/stat)",
        &[S8_5_1],
        |_| open("/proc/stat", 0),
    ),
    absent(
        "proc/version",
        "read the kernel's version (/proc/version)",
        &[S8_5_1],
        |_| open("/proc/version", 0),
    ),
    absent(
        "proc/filesystems",
        "see which file systems can be loaded (/proc/filesystems)",
        &[S8_5_1],
        |_| open("/proc/filesystems", 0),
    ),
    absent(
        "proc/partitions",
        "list the machine's disks (/proc/partitions)",
        &[S8_5_1],
        |_| open("/proc/partitions", 0),
    ),
    absent(
        "sys/kernel",
        "look at the kernel's objects (/sys/kernel)",
        &[S8_5_1],
        |_| open("/sys/kernel", FOLDER),
    ),
    absent(
        "sys/block",
        "list the machine's disks (/sys/block)",
        &[S8_5_1],
        |_| open("/sys/block", FOLDER),
    ),
    absent(
        "sys/uevent-helper",
        "name a program for device events (/sys/kernel/uevent_helper)",
        &[S8_4_4],
        |_| open("/sys/kernel/uevent_helper", WRITE),
    ),
    absent(
        "sys/cgroup",
        "change its own limits (/sys/fs/cgroup)",
        &[S8_1_4],
        |_| open("/sys/fs/cgroup", FOLDER),
    ),
    absent(
        "device/mem",
        "read the machine's memory (/dev/mem)",
        &[S8_1_5],
        |_| open("/dev/mem", 0),
    ),
    absent(
        "device/kmsg",
        "read and write the kernel's log (/dev/kmsg)",
        &[S8_4_2],
        |_| open("/dev/kmsg", 0),
    ),
    absent(
        "device/log",
        "write into the host's log (/dev/log)",
        &[S8_4_2],
        |_| open("/dev/log", WRITE),
    ),
    absent(
        "device/tty",
        "open the controlling terminal (/dev/tty)",
        &[S8_4_1],
        |_| open("/dev/tty", libc::O_RDWR),
    ),
    absent(
        "device/ptmx",
        "make a terminal (/dev/ptmx)",
        &[S8_4_1],
        |_| open("/dev/ptmx", libc::O_RDWR),
    ),
    absent(
        "device/console",
        "open the console (/dev/console)",
        &[S8_4_1],
        |_| open("/dev/console", libc::O_RDWR),
    ),
    absent(
        "device/fuse",
        "make file systems in user space (/dev/fuse)",
        &[S8_1_5],
        |_| open("/dev/fuse", libc::O_RDWR),
    ),
    absent(
        "device/kvm",
        "make virtual machines (/dev/kvm)",
        &[S8_1_5],
        |_| open("/dev/kvm", libc::O_RDWR),
    ),
    absent(
        "device/tun",
        "make network interfaces (/dev/net/tun)",
        &[S8_4_4],
        |_| open("/dev/net/tun", libc::O_RDWR),
    ),
    absent(
        "device/shm",
        "share memory with others (/dev/shm)",
        &[S8_1_4],
        |_| open("/dev/shm", FOLDER),
    ),
];
