//! What the arguments of refused calls mean, where they are numbers. Pointers are left out: what they point to can
//! change between a look and the call.

use super::words::{
    AF, BPF, CLONE, IOCTL, IP, IPV6, LEVEL, MS, PRCTL, PTRACE, SOCK, SOCKET, TCP, UDP, Words,
};

/// How a number is written.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// As it is.
    Number(&'static str),
    /// With its sign: -1 for no id, AT_FDCWD and the like.
    Signed(&'static str),
    /// As a mode.
    Octal(&'static str),
    /// One word for one value.
    Word(&'static str, Words),
    /// A word for each bit.
    Bits(&'static str, Words),
    /// A kind in the low four bits, and bits.
    Kind(&'static str, Words),
    /// 64 bits of them.
    Long(&'static str, Words),
}

use Shape::{Bits, Kind, Long, Number, Octal, Signed, Word};

type Row = (&'static [&'static str], &'static [(usize, Shape)]);

const ROWS: &[Row] = &[
    (
        &["socket", "socketpair"],
        &[
            (0, Word("domain", AF)),
            (1, Kind("type", SOCK)),
            (2, Number("protocol")),
        ],
    ),
    (
        &["ioctl"],
        &[(0, Signed("fd")), (1, Word("request", IOCTL))],
    ),
    (&["prctl"], &[(0, Word("option", PRCTL))]),
    (&["clone"], &[(0, Long("flags", CLONE))]),
    (&["unshare"], &[(0, Bits("flags", CLONE))]),
    (&["setns"], &[(0, Signed("fd")), (1, Bits("type", CLONE))]),
    (&["mount"], &[(3, Long("flags", MS))]),
    (
        &["umount2", "open_tree", "fsopen", "fspick"],
        &[(1, Number("flags"))],
    ),
    (
        &["ptrace"],
        &[(0, Word("request", PTRACE)), (1, Signed("pid"))],
    ),
    (
        &["chmod", "fchmod", "creat", "mkdir", "mknod"],
        &[(1, Octal("mode"))],
    ),
    (
        &["fchmodat", "fchmodat2", "mkdirat", "mknodat"],
        &[(2, Octal("mode"))],
    ),
    (&["open"], &[(1, Number("flags")), (2, Octal("mode"))]),
    (&["openat"], &[(2, Number("flags")), (3, Octal("mode"))]),
    (&["setuid", "setfsuid"], &[(0, Signed("uid"))]),
    (&["setgid", "setfsgid"], &[(0, Signed("gid"))]),
    (
        &["setreuid", "setregid"],
        &[(0, Signed("real")), (1, Signed("effective"))],
    ),
    (
        &["setresuid", "setresgid"],
        &[
            (0, Signed("real")),
            (1, Signed("effective")),
            (2, Signed("saved")),
        ],
    ),
    (&["setgroups"], &[(0, Number("count"))]),
    (
        &["chown", "lchown", "fchown"],
        &[(1, Signed("uid")), (2, Signed("gid"))],
    ),
    (&["fchownat"], &[(2, Signed("uid")), (3, Signed("gid"))]),
    (&["bpf"], &[(0, Word("command", BPF))]),
    (&["keyctl"], &[(0, Number("operation"))]),
    (&["personality"], &[(0, Number("persona"))]),
    (
        &["sched_setscheduler"],
        &[(0, Signed("pid")), (1, Number("policy"))],
    ),
    (
        &["sched_setattr", "sched_setparam", "sched_rr_get_interval"],
        &[(0, Signed("pid"))],
    ),
    (
        &["setpriority"],
        &[
            (0, Number("which")),
            (1, Signed("who")),
            (2, Signed("nice")),
        ],
    ),
    (
        &["ioprio_set"],
        &[
            (0, Number("which")),
            (1, Signed("who")),
            (2, Number("priority")),
        ],
    ),
    (
        &["process_vm_readv", "process_vm_writev"],
        &[(0, Signed("pid"))],
    ),
    (&["kcmp"], &[(0, Signed("pid")), (1, Signed("other"))]),
    (&["pidfd_getfd"], &[(0, Signed("pidfd")), (1, Signed("fd"))]),
    (
        &["prlimit64"],
        &[(0, Signed("pid")), (1, Number("resource"))],
    ),
    (&["fcntl"], &[(0, Signed("fd")), (1, Number("command"))]),
    (&["execveat"], &[(0, Signed("fd")), (4, Number("flags"))]),
    (&["io_uring_setup"], &[(0, Number("entries"))]),
    (
        &["userfaultfd", "memfd_secret", "fanotify_init"],
        &[(0, Number("flags"))],
    ),
    (&["syslog"], &[(0, Number("type"))]),
    (&["reboot"], &[(2, Number("command"))]),
    (
        &["seccomp"],
        &[(0, Number("operation")), (1, Number("flags"))],
    ),
    (
        &["shmget", "semget"],
        &[(1, Number("size")), (2, Number("flags"))],
    ),
    (&["msgget"], &[(1, Number("flags"))]),
    (&["iopl"], &[(0, Number("level"))]),
    (&["modify_ldt"], &[(0, Number("function"))]),
    (&["arch_prctl"], &[(0, Number("code"))]),
    (&["madvise"], &[(2, Number("advice"))]),
    (&["splice"], &[(0, Signed("from")), (2, Signed("to"))]),
    (&["tee"], &[(0, Signed("from")), (1, Signed("to"))]),
    (&["bind", "listen", "connect"], &[(0, Signed("fd"))]),
    (
        &["sendto", "sendmsg"],
        &[(0, Signed("fd")), (3, Number("flags"))],
    ),
    (&["sethostname", "setdomainname"], &[(1, Number("length"))]),
    (&["quotactl"], &[(0, Number("command"))]),
    (
        &["kill", "tkill"],
        &[(0, Signed("pid")), (1, Number("signal"))],
    ),
];

/// Which arguments of a call are numbers that mean something, and how they are written.
pub(super) fn shapes(call: &str, args: &[u64; 6]) -> Vec<(usize, Shape)> {
    if call == "setsockopt" {
        let options = match args[1] as u32 {
            0 => IP,
            1 => SOCKET,
            6 => TCP,
            17 => UDP,
            41 => IPV6,
            _ => &[],
        };
        return vec![
            (0, Signed("fd")),
            (1, Word("level", LEVEL)),
            (2, Word("option", options)),
        ];
    }
    let row = ROWS.iter().find(|(names, _)| names.contains(&call));
    row.map_or(Vec::new(), |(_, shapes)| shapes.to_vec())
}

/// Those arguments as `name=value`.
pub(super) fn words(call: &str, args: &[u64; 6]) -> Vec<String> {
    let all = shapes(call, args).into_iter();
    all.map(|(index, shape)| shape.word(args[index])).collect()
}

impl Shape {
    fn word(self, all: u64) -> String {
        let value = all as u32;
        let found = |words: Words, value: u64| words.iter().find(|(v, _)| *v == value);
        match self {
            Number(name) if value >= 0x1_0000 => format!("{name}={value:#x}"),
            Number(name) => format!("{name}={value}"),
            Signed(name) => format!("{name}={}", value as i32),
            Octal(name) => format!("{name}={value:#06o}").replace("0o", "0"),
            Word(name, words) => match found(words, value.into()) {
                Some((_, word)) => format!("{name}={word}"),
                None => Number(name).word(all),
            },
            Bits(name, words) => format!("{name}={}", bits(words, value.into())),
            Long(name, words) => format!("{name}={}", bits(words, all)),
            Kind(name, words) => {
                let kind = u64::from(value & 0xf);
                let kind = found(words, kind).map_or(kind.to_string(), |(_, w)| (*w).to_string());
                match value & !0xf {
                    0 => format!("{name}={kind}"),
                    rest => format!("{name}={kind}|{}", bits(words, rest.into())),
                }
            }
        }
    }
}

/// A word for each bit that has one, and the rest as a number.
fn bits(words: Words, value: u64) -> String {
    let mut rest = value;
    let mut out = Vec::new();
    for (bit, word) in words.iter().filter(|(bit, _)| *bit > 0xf) {
        if value & bit == *bit {
            out.push((*word).to_string());
            rest &= !bit;
        }
    }
    if rest != 0 || out.is_empty() {
        out.push(format!("{rest:#x}"));
    }
    out.join("|")
}
