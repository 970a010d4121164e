//! One refused call: its name, its arguments in words as far as they are numbers, and the control that refused it.

use super::arguments::{self, Shape};
use crate::controls::ControlId;
use crate::events::What;
use crate::events::tally::{Refused, Told};
use crate::seccomp::{Arch, Call, syscalls};
use nix::errno::Errno;

/// A refused call.
#[derive(Clone, Debug)]
pub struct Denial {
    kind: Kind,
    args: [u64; 6],
    pid: i32,
}

/// What makes two refusals the same: pointers don't count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    number: u32,
    args: [u64; 6],
    errno: u16,
}

impl Denial {
    /// Of a call as the kernel shows it.
    pub fn of(call: &Call, errno: u16, pid: i32) -> Self {
        let name = syscalls::name(Arch::NATIVE, call.number).unwrap_or_default();
        let mut args = [0; 6];
        for (index, shape) in arguments::shapes(name, &call.args) {
            args[index] = match shape {
                Shape::Long(..) => call.args[index],
                // The kernel takes an int, so does a reader.
                _ => call.args[index] & u64::from(u32::MAX),
            };
        }
        Self {
            kind: Kind {
                number: call.number,
                args,
                errno,
            },
            args: call.args,
            pid,
        }
    }
}

impl Refused for Denial {
    type Kind = Kind;

    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn told(&self, count: u64, untold: u64) -> Told {
        let name = syscalls::name(Arch::NATIVE, self.kind.number);
        let errno = Errno::from_raw(self.kind.errno.into());
        Told {
            control: control(name.unwrap_or_default(), &self.args),
            what: What::DeniedCall {
                call: name.unwrap_or("unknown").into(),
                number: self.kind.number,
                arguments: arguments::words(name.unwrap_or_default(), &self.args),
                raw: self.args.map(|a| format!("{a:#x}")),
                answer: format!("{errno:?}"),
                pid: self.pid,
                count,
                untold,
            },
        }
    }
}

/// Any CLONE_NEW*.
const NAMESPACES: u64 = 0x7e02_0080;
const AF_NETLINK: u64 = 16;
const AF_PACKET: u64 = 17;
const SOCK_RAW: u64 = 3;

/// The control that a call is refused for.
pub fn control(call: &str, args: &[u64; 6]) -> ControlId {
    use ControlId as C;
    match call {
        "mount" | "umount2" | "pivot_root" | "chroot" | "fsopen" | "fsconfig" | "fsmount"
        | "fspick" | "move_mount" | "open_tree" | "open_tree_attr" | "mount_setattr"
        | "statmount" | "listmount" | "setns" | "unshare" | "listns" => C::S8_4_5,
        "clone" if args[0] & NAMESPACES != 0 => C::S8_4_5,
        "clone" | "fork" | "vfork" | "setsid" => C::S8_5_2,
        "execve" | "execveat" => C::S8_4_3,
        "socket" if args[0] == AF_NETLINK => C::S8_4_4,
        "socket" if args[0] == AF_PACKET || args[1] & 0xf == SOCK_RAW => C::S8_4_6,
        "sethostname" | "setdomainname" => C::S8_4_4,
        "ioctl" if (0x8900..0x8a00).contains(&(args[1] as u32)) => C::S8_4_4,
        // TIOCSTI and TIOCLINUX.
        "ioctl" if matches!(args[1] as u32, 0x5412 | 0x541c) => C::S8_4_1,
        "init_module" | "finit_module" | "delete_module" | "kexec_load" | "kexec_file_load"
        | "bpf" | "perf_event_open" => C::S8_4_8,
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "mknod" | "mknodat" | "creat" | "open"
        | "openat" | "openat2" | "mkdir" | "mkdirat" => C::S8_3_7,
        "setuid" | "setgid" | "setreuid" | "setregid" | "setresuid" | "setresgid" | "setfsuid"
        | "setfsgid" | "setgroups" | "capset" => C::S8_1_5,
        "chown" | "lchown" | "fchown" | "fchownat" => C::S8_5_1,
        "ptrace" | "process_vm_readv" | "process_vm_writev" | "process_madvise" | "kcmp"
        | "pidfd_getfd" => C::S8_4_13,
        "bind" | "listen" => C::S8_2_4,
        _ => C::S8_1_4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, args: [u64; 6]) -> (Vec<String>, ControlId) {
        let call = Call {
            number: syscalls::number(Arch::NATIVE, name).unwrap(),
            audit_arch: Arch::NATIVE.audit_arch(),
            args,
        };
        let told = Denial::of(&call, 1, 5).told(1, 0);
        match told.what {
            What::DeniedCall { arguments, .. } => (arguments, told.control),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_in_words_and_the_control() {
        for (name, args, words, control) in [
            (
                "unshare",
                [0x1002_0000, 0, 0, 0, 0, 0],
                "flags=CLONE_NEWUSER|CLONE_NEWNS",
                ControlId::S8_4_5,
            ),
            (
                "socket",
                [17, 3, 0x300, 0, 0, 0],
                "domain=AF_PACKET type=SOCK_RAW protocol=768",
                ControlId::S8_4_6,
            ),
            (
                "socket",
                [2, 0x8_0003, 1, 0, 0, 0],
                "domain=AF_INET type=SOCK_RAW|SOCK_CLOEXEC protocol=1",
                ControlId::S8_4_6,
            ),
            (
                "socket",
                [16, 2, 0, 0, 0, 0],
                "domain=AF_NETLINK type=SOCK_DGRAM protocol=0",
                ControlId::S8_4_4,
            ),
            (
                "socket",
                [99, 1, 0, 0, 0, 0],
                "domain=99 type=SOCK_STREAM protocol=0",
                ControlId::S8_1_4,
            ),
            (
                "clone",
                [17, 0, 0, 0, 0, 0],
                "flags=0x11",
                ControlId::S8_5_2,
            ),
            (
                "clone",
                [0x1000_0011, 0, 0, 0, 0, 0],
                "flags=CLONE_NEWUSER|0x11",
                ControlId::S8_4_5,
            ),
            (
                "fchmodat",
                [!0, 0xdead_beef, 0o4755, 0, 0, 0],
                "mode=04755",
                ControlId::S8_3_7,
            ),
            (
                "ptrace",
                [16, 1, 0xdead, 0xbeef, 0, 0],
                "request=PTRACE_ATTACH pid=1",
                ControlId::S8_4_13,
            ),
            (
                "prctl",
                [35, 1, 2, 3, 4, 0],
                "option=PR_SET_MM",
                ControlId::S8_1_4,
            ),
            (
                "ioctl",
                [0, 0x1_0000_5412, 0xdead, 0, 0, 0],
                "fd=0 request=TIOCSTI",
                ControlId::S8_4_1,
            ),
            (
                "ioctl",
                [3, 0x8914, 0xdead, 0, 0, 0],
                "fd=3 request=SIOCSIFFLAGS",
                ControlId::S8_4_4,
            ),
            (
                "setsockopt",
                [4, 0, 3, 0xdead, 4, 0],
                "fd=4 level=IPPROTO_IP option=IP_HDRINCL",
                ControlId::S8_1_4,
            ),
            (
                "setsockopt",
                [4, 6, 31, 0xdead, 4, 0],
                "fd=4 level=IPPROTO_TCP option=TCP_ULP",
                ControlId::S8_1_4,
            ),
            (
                "mount",
                [0xdead, 0xbeef, 0xdead, 0x1000, 0, 0],
                "flags=MS_BIND",
                ControlId::S8_4_5,
            ),
            ("setuid", [0, 0, 0, 0, 0, 0], "uid=0", ControlId::S8_1_5),
            ("execve", [0xdead, 1, 2, 0, 0, 0], "", ControlId::S8_4_3),
            (
                "bpf",
                [5, 0xdead, 120, 0, 0, 0],
                "command=BPF_PROG_LOAD",
                ControlId::S8_4_8,
            ),
        ] {
            let (found, by) = told(name, args);
            assert_eq!((found.join(" ").as_str(), by), (words, control), "{name}");
        }
    }

    #[test]
    fn pointers_make_no_two_kinds() {
        let of = |pointer| {
            let call = Call {
                number: syscalls::number(Arch::NATIVE, "mount").unwrap(),
                audit_arch: Arch::NATIVE.audit_arch(),
                args: [pointer, pointer + 1, 0, 0x1000, 0, 0],
            };
            Denial::of(&call, 1, 5).kind
        };
        assert_eq!(of(0x7000), of(0x7fff_0000));
    }
}
