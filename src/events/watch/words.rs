//! The kernel's own names for the numbers that matter in refused calls (linux uapi headers). Data only.

/// Values and their names.
pub(super) type Words = &'static [(u64, &'static str)];

pub(super) const AF: Words = &[
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (15, "AF_KEY"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (33, "AF_RXRPC"),
    (38, "AF_ALG"),
    (40, "AF_VSOCK"),
    (44, "AF_XDP"),
];

pub(super) const SOCK: Words = &[
    (1, "SOCK_STREAM"),
    (2, "SOCK_DGRAM"),
    (3, "SOCK_RAW"),
    (4, "SOCK_RDM"),
    (5, "SOCK_SEQPACKET"),
    (10, "SOCK_PACKET"),
    (0x800, "SOCK_NONBLOCK"),
    (0x8_0000, "SOCK_CLOEXEC"),
];

pub(super) const CLONE: Words = &[
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x0002_0000, "CLONE_NEWNS"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x80, "CLONE_NEWTIME"),
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x4000, "CLONE_VFORK"),
    (0x8000, "CLONE_PARENT"),
    (0x1_0000, "CLONE_THREAD"),
    (0x4_0000, "CLONE_SYSVSEM"),
    (0x8_0000, "CLONE_SETTLS"),
    (0x10_0000, "CLONE_PARENT_SETTID"),
    (0x20_0000, "CLONE_CHILD_CLEARTID"),
    (0x100_0000, "CLONE_CHILD_SETTID"),
];

pub(super) const MS: Words = &[
    (0x20, "MS_REMOUNT"),
    (0x1000, "MS_BIND"),
    (0x2000, "MS_MOVE"),
    (0x4000, "MS_REC"),
    (0x4_0000, "MS_PRIVATE"),
    (0x8_0000, "MS_SLAVE"),
    (0x10_0000, "MS_SHARED"),
];

pub(super) const PTRACE: Words = &[
    (0, "PTRACE_TRACEME"),
    (16, "PTRACE_ATTACH"),
    (0x4206, "PTRACE_SEIZE"),
];

pub(super) const PRCTL: Words = &[
    (1, "PR_SET_PDEATHSIG"),
    (4, "PR_SET_DUMPABLE"),
    (8, "PR_SET_KEEPCAPS"),
    (22, "PR_SET_SECCOMP"),
    (24, "PR_CAPBSET_DROP"),
    (26, "PR_SET_TSC"),
    (28, "PR_SET_SECUREBITS"),
    (31, "PR_TASK_PERF_EVENTS_DISABLE"),
    (32, "PR_TASK_PERF_EVENTS_ENABLE"),
    (35, "PR_SET_MM"),
    (36, "PR_SET_CHILD_SUBREAPER"),
    (47, "PR_CAP_AMBIENT"),
    (59, "PR_SET_SYSCALL_USER_DISPATCH"),
    (62, "PR_SCHED_CORE"),
    (65, "PR_SET_MDWE"),
    (0x5961_6d61, "PR_SET_PTRACER"),
];

pub(super) const BPF: Words = &[
    (0, "BPF_MAP_CREATE"),
    (5, "BPF_PROG_LOAD"),
    (8, "BPF_PROG_ATTACH"),
    (18, "BPF_BTF_LOAD"),
];

pub(super) const IOCTL: Words = &[
    (0x5402, "TCSETS"),
    (0x540e, "TIOCSCTTY"),
    (0x5412, "TIOCSTI"),
    (0x5414, "TIOCSWINSZ"),
    (0x541c, "TIOCLINUX"),
    (0x8910, "SIOCGIFNAME"),
    (0x8912, "SIOCGIFCONF"),
    (0x8913, "SIOCGIFFLAGS"),
    (0x8914, "SIOCSIFFLAGS"),
    (0x8915, "SIOCGIFADDR"),
    (0x8916, "SIOCSIFADDR"),
    (0x891b, "SIOCGIFNETMASK"),
    (0x8921, "SIOCGIFMTU"),
    (0x8922, "SIOCSIFMTU"),
    (0x8927, "SIOCGIFHWADDR"),
    (0x8924, "SIOCSIFHWADDR"),
    (0x8933, "SIOCGIFINDEX"),
    (0x890b, "SIOCADDRT"),
    (0x890c, "SIOCDELRT"),
    (0x4008_6602, "FS_IOC_SETFLAGS"),
    (0x8008_6601, "FS_IOC_GETFLAGS"),
    (0x4004_9409, "FICLONE"),
    (0x1267, "BLKSSZGET"),
];

pub(super) const LEVEL: Words = &[
    (0, "IPPROTO_IP"),
    (1, "SOL_SOCKET"),
    (6, "IPPROTO_TCP"),
    (17, "IPPROTO_UDP"),
    (41, "IPPROTO_IPV6"),
    (255, "IPPROTO_RAW"),
    (263, "SOL_PACKET"),
    (282, "SOL_TLS"),
];

pub(super) const SOCKET: Words = &[
    (25, "SO_BINDTODEVICE"),
    (26, "SO_ATTACH_FILTER"),
    (36, "SO_MARK"),
    (50, "SO_ATTACH_BPF"),
    (51, "SO_ATTACH_REUSEPORT_CBPF"),
    (52, "SO_ATTACH_REUSEPORT_EBPF"),
    (60, "SO_ZEROCOPY"),
    (62, "SO_BINDTOIFINDEX"),
];

pub(super) const IP: Words = &[
    (3, "IP_HDRINCL"),
    (4, "IP_OPTIONS"),
    (16, "IP_IPSEC_POLICY"),
    (17, "IP_XFRM_POLICY"),
    (19, "IP_TRANSPARENT"),
];

pub(super) const TCP: Words = &[(19, "TCP_REPAIR"), (31, "TCP_ULP")];

pub(super) const UDP: Words = &[(100, "UDP_ENCAP")];

pub(super) const IPV6: Words = &[
    (3, "IPV6_2292HOPOPTS"),
    (4, "IPV6_2292DSTOPTS"),
    (5, "IPV6_2292RTHDR"),
    (6, "IPV6_2292PKTOPTIONS"),
    (34, "IPV6_IPSEC_POLICY"),
    (35, "IPV6_XFRM_POLICY"),
    (36, "IPV6_HDRINCL"),
    (54, "IPV6_HOPOPTS"),
];
