//! What a hostile program tries from inside: one function an attempt, one line of output each.
//!
//! Runs in the payload, in a default container and, to show that the refusal is ours, on the host as the same
//! ordinary user. An attempt ends with 0 or an errno, leaves the process as it was, and never panics.

use crate::support::payload::errno_name;
use std::ffi::CString;
use std::os::unix::fs::OpenOptionsExt;

/// An errno; 0 = it worked.
type Tried = i32;

/// One attempt: name, deed, what a default container answers, and whether a plain process of that user gets further.
pub struct Attempt(
    pub &'static str,
    pub fn() -> Tried,
    pub &'static [&'static str],
    pub Elsewhere,
);

/// What the same attempt brings a plain process on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// It works, or fails later and for another reason: the refusal inside is ours.
    Further,
    /// On many machines the kernel refuses an ordinary user, too: ours is a second lock. Nothing is asserted.
    Same,
    /// Not tried: it would disturb the host, or the process itself.
    Untried,
}
use Elsewhere::{Further, Same, Untried};

const EPERM: &[&str] = &["EPERM"];
const ENOSYS: &[&str] = &["ENOSYS"];
const ENOENT: &[&str] = &["ENOENT"];
const EACCES: &[&str] = &["EACCES"];
const EROFS: &[&str] = &["EROFS"];
const NONE: u64 = 0;

/// All of them, by theme. A05 and the like are their names in the catalogue of attacks.
pub const ATTEMPTS: &[Attempt] = &[
    // Processes and programs
    Attempt("A01-fork", || born(libc::SYS_fork, [0; 6]), EPERM, Further),
    Attempt("vfork", || sys(libc::SYS_vfork, [0; 6]), EPERM, Untried),
    Attempt(
        "A02-clone",
        || born(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt("A03-clone3", clone3, ENOSYS, Further),
    Attempt(
        "A04-clone-newuser",
        || {
            born(
                libc::SYS_clone,
                [(libc::CLONE_NEWUSER | libc::SIGCHLD) as u64, 0, 0, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "clone-thread-newuser",
        || {
            sys(
                libc::SYS_clone,
                [
                    (libc::CLONE_NEWUSER
                        | libc::CLONE_THREAD
                        | libc::CLONE_VM
                        | libc::CLONE_SIGHAND) as u64,
                    0,
                    0,
                    0,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A90-setsid",
        || sys(libc::SYS_setsid, [0; 6]),
        EPERM,
        Further,
    ),
    Attempt("exec-self", || exec_path("/proc/self/exe"), EPERM, Further),
    Attempt("exec-payload", || exec_path(&own_program()), EPERM, Further),
    Attempt(
        "execveat-path",
        || {
            exec(|a, e| {
                sys(
                    libc::SYS_execveat,
                    [-1i64 as u64, c_ptr(&own_program()), a, e, 0, 0],
                )
            })
        },
        EPERM,
        Further,
    ),
    Attempt("execveat-open-fd", exec_open_fd, EPERM, Further),
    Attempt("A66-exec-dropped", exec_dropped, EPERM, Further),
    Attempt("A69-memfd-exec", memfd_exec, EPERM, Further),
    Attempt("memfd-mfd-exec", || memfd(libc::MFD_EXEC), EACCES, Further),
    Attempt("dup2-to-the-program-fd", dup_high, &["EBADF"], Further),
    Attempt("fcntl-dupfd-high", fcntl_high, &["EINVAL"], Further),
    Attempt("raise-nofile", raise_nofile, EPERM, Same),
    Attempt(
        "uselib",
        || sys(libc::SYS_uselib, [c_ptr("/payload"), 0, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    // Namespaces and mounts
    Attempt(
        "A05-unshare-newuser",
        || {
            fork_do(|| {
                sys(
                    libc::SYS_unshare,
                    [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0],
                )
            })
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A06-unshare-newnet",
        || {
            sys(
                libc::SYS_unshare,
                [libc::CLONE_NEWNET as u64, 0, 0, 0, 0, 0],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "A07-setns",
        || sys(libc::SYS_setns, [-1i64 as u64, 0, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "A08-mount-tmpfs",
        || {
            sys(
                libc::SYS_mount,
                [c_ptr("none"), c_ptr("/tmp"), c_ptr("tmpfs"), 0, 0, 0],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "A09-remount-rw",
        || {
            sys(
                libc::SYS_mount,
                [
                    NONE,
                    c_ptr("/"),
                    NONE,
                    (libc::MS_REMOUNT | libc::MS_BIND),
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "A10-umount-proc",
        || sys(libc::SYS_umount2, [c_ptr("/proc"), 2, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A11-pivot-root",
        || sys(libc::SYS_pivot_root, [c_ptr("."), c_ptr("."), 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A12-chroot",
        || sys(libc::SYS_chroot, [c_ptr("/"), 0, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A13-fsopen",
        || sys(libc::SYS_fsopen, [c_ptr("tmpfs"), 0, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A14-open-tree",
        || {
            sys(
                libc::SYS_open_tree,
                [libc::AT_FDCWD as u64, c_ptr("/"), 1, 0, 0, 0],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "open-tree-plain",
        || {
            sys(
                libc::SYS_open_tree,
                [libc::AT_FDCWD as u64, c_ptr("/"), 0, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A15-move-mount",
        || {
            sys(
                libc::SYS_move_mount,
                [-1i64 as u64, c_ptr(""), -1i64 as u64, c_ptr("/"), 4, 0],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "A16-mount-setattr",
        || {
            sys(
                libc::SYS_mount_setattr,
                [-1i64 as u64, c_ptr("/"), 0, 0, 0, 0],
            )
        },
        ENOSYS,
        Further,
    ),
    Attempt(
        "fspick",
        || {
            sys(
                libc::SYS_fspick,
                [libc::AT_FDCWD as u64, c_ptr("/"), 0, 0, 0, 0],
            )
        },
        EPERM,
        Same,
    ),
    Attempt("statmount", || sys(457, [0; 6]), ENOSYS, Further),
    Attempt(
        "openat2",
        || {
            sys(
                libc::SYS_openat2,
                [libc::AT_FDCWD as u64, c_ptr("/"), 0, 0, 0, 0],
            )
        },
        ENOSYS,
        Further,
    ),
    // Sockets
    Attempt(
        "A19-raw-icmp",
        || socket(libc::AF_INET, libc::SOCK_RAW, 1),
        EPERM,
        Same,
    ),
    Attempt(
        "A20-raw-icmp6",
        || socket(libc::AF_INET6, libc::SOCK_RAW, 58),
        EPERM,
        Same,
    ),
    Attempt(
        "ping-socket",
        || socket(libc::AF_INET, libc::SOCK_DGRAM, 1),
        EPERM,
        Further,
    ),
    Attempt(
        "A21-packet",
        || socket(libc::AF_PACKET, libc::SOCK_RAW, 0),
        EPERM,
        Same,
    ),
    Attempt(
        "A22-hdrincl",
        || socket(libc::AF_INET, libc::SOCK_RAW, 255),
        EPERM,
        Same,
    ),
    Attempt(
        "netlink-route",
        || socket(libc::AF_NETLINK, libc::SOCK_RAW, 0),
        &["EAFNOSUPPORT"],
        Further,
    ),
    Attempt(
        "A25-netlink-netfilter",
        || socket(libc::AF_NETLINK, libc::SOCK_RAW, 12),
        &["EAFNOSUPPORT"],
        Further,
    ),
    Attempt(
        "A26-netlink-audit",
        || socket(libc::AF_NETLINK, libc::SOCK_RAW, 9),
        &["EAFNOSUPPORT"],
        Further,
    ),
    Attempt(
        "A27-netlink-uevent",
        || socket(libc::AF_NETLINK, libc::SOCK_RAW, 15),
        &["EAFNOSUPPORT"],
        Further,
    ),
    Attempt(
        "A28-alg",
        || socket(38, libc::SOCK_SEQPACKET, 0),
        EPERM,
        Further,
    ),
    Attempt(
        "A32-vsock",
        || socket(40, libc::SOCK_STREAM, 0),
        EPERM,
        Further,
    ),
    Attempt(
        "A33-rxrpc",
        || socket(33, libc::SOCK_DGRAM, 2),
        EPERM,
        Further,
    ),
    Attempt("A34-xdp", || socket(44, libc::SOCK_RAW, 0), EPERM, Same),
    Attempt(
        "A35-mptcp",
        || socket(libc::AF_INET, libc::SOCK_STREAM, 262),
        EPERM,
        Further,
    ),
    Attempt(
        "udplite",
        || socket(libc::AF_INET, libc::SOCK_DGRAM, 136),
        EPERM,
        Further,
    ),
    Attempt(
        "A37-sctp",
        || socket(libc::AF_INET, libc::SOCK_STREAM, 132),
        EPERM,
        Further,
    ),
    Attempt("key", || socket(15, libc::SOCK_RAW, 2), EPERM, Same),
    Attempt(
        "bluetooth",
        || socket(31, libc::SOCK_RAW, 1),
        EPERM,
        Further,
    ),
    Attempt("can", || socket(29, libc::SOCK_RAW, 1), EPERM, Further),
    Attempt("tipc", || socket(30, libc::SOCK_DGRAM, 0), EPERM, Further),
    Attempt(
        "unix-raw-type",
        || socket(libc::AF_UNIX, libc::SOCK_RAW, 0),
        EPERM,
        Further,
    ),
    Attempt(
        "family-in-the-high-bits",
        || sys(libc::SYS_socket, [(1 << 32) | 38, 5, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "socketpair-inet",
        || sys(libc::SYS_socketpair, [2, 1, 0, buffer(), 0, 0]),
        EPERM,
        Further,
    ),
    Attempt("A38-tcp-ulp", || option(6, 31, b"espintcp"), EPERM, Further),
    Attempt("tcp-repair", || option(6, 19, &[1, 0, 0, 0]), EPERM, Same),
    Attempt("bind-to-device", || option(1, 25, b"lo\0"), EPERM, Further),
    Attempt("attach-filter", attach_filter, EPERM, Same),
    Attempt("zerocopy", || option(1, 60, &[1, 0, 0, 0]), EPERM, Further),
    Attempt(
        "ip-transparent",
        || option(0, 19, &[1, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A40-siocsifflags",
        || with_socket(|fd| sys(libc::SYS_ioctl, [fd, 0x8914, buffer(), 0, 0, 0])),
        EPERM,
        Same,
    ),
    Attempt(
        "A41-siocaddrt",
        || with_socket(|fd| sys(libc::SYS_ioctl, [fd, 0x890b, buffer(), 0, 0, 0])),
        EPERM,
        Same,
    ),
    Attempt(
        "A91-bind-undeclared",
        || std::net::TcpListener::bind("127.0.0.1:0").map_or_else(code, |_| 0),
        EACCES,
        Further,
    ),
    // Known gap: landlock has no right for listen() without bind(), which takes a free port. Only the container's
    // own network namespace can reach it. When a kernel refuses it, this row says so.
    Attempt("listen-without-bind", listen_unbound, &["OK"], Untried),
    Attempt(
        "connect-undeclared",
        || std::net::TcpStream::connect("127.0.0.1:9").map_or_else(code, |_| 0),
        EACCES,
        Further,
    ),
    Attempt(
        "B25-metadata-service",
        udp_metadata,
        &["ENETUNREACH"],
        Further,
    ),
    // Kernel surfaces
    Attempt(
        "A42-io-uring",
        || sys(libc::SYS_io_uring_setup, [1, buffer(), 0, 0, 0, 0]),
        ENOSYS,
        Further,
    ),
    Attempt(
        "A44-bpf",
        || sys(libc::SYS_bpf, [0, buffer(), 72, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A45-perf",
        || {
            sys(
                libc::SYS_perf_event_open,
                [buffer(), 0, -1i64 as u64, -1i64 as u64, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "userfaultfd",
        || sys(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        ENOSYS,
        Further,
    ),
    Attempt(
        "A46-keyctl",
        || sys(libc::SYS_keyctl, [0, -3i64 as u64, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "add-key",
        || {
            sys(
                libc::SYS_add_key,
                [c_ptr("user"), c_ptr("x"), c_ptr("y"), 1, -2i64 as u64, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "request-key",
        || {
            sys(
                libc::SYS_request_key,
                [c_ptr("user"), c_ptr("x"), 0, -2i64 as u64, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A48-ptrace",
        || sys(libc::SYS_ptrace, [16, 1, 0, 0, 0, 0]),
        EPERM,
        Untried,
    ),
    Attempt(
        "ptrace-traceme",
        || fork_do(|| sys(libc::SYS_ptrace, [0, 0, 0, 0, 0, 0])),
        EPERM,
        Further,
    ),
    Attempt(
        "A49-process-vm-readv",
        || {
            sys(
                libc::SYS_process_vm_readv,
                [std::process::id().into(), 0, 0, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "process-vm-writev",
        || {
            sys(
                libc::SYS_process_vm_writev,
                [std::process::id().into(), 0, 0, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt("A50-pidfd-getfd", pidfd_getfd, EPERM, Further),
    Attempt(
        "kcmp",
        || {
            sys(
                libc::SYS_kcmp,
                [
                    std::process::id().into(),
                    std::process::id().into(),
                    2,
                    0,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A52-init-module",
        || sys(libc::SYS_init_module, [0; 6]),
        EPERM,
        Same,
    ),
    Attempt(
        "A53-finit-module",
        || sys(libc::SYS_finit_module, [-1i64 as u64, 0, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A54-delete-module",
        || sys(libc::SYS_delete_module, [c_ptr("nonesuch"), 0, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A55-kexec-load",
        || sys(libc::SYS_kexec_load, [0; 6]),
        EPERM,
        Same,
    ),
    Attempt(
        "A56-reboot",
        || sys(libc::SYS_reboot, [0xfee1_dead, 672_274_793, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A57-syslog",
        || sys(libc::SYS_syslog, [3, buffer(), 8, 0, 0, 0]),
        EPERM,
        Untried,
    ),
    Attempt(
        "A58-sethostname",
        || sys(libc::SYS_sethostname, [c_ptr("x"), 1, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A60-open-by-handle",
        || {
            sys(
                libc::SYS_open_by_handle_at,
                [libc::AT_FDCWD as u64, buffer(), 0, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "name-to-handle",
        || {
            sys(
                libc::SYS_name_to_handle_at,
                [libc::AT_FDCWD as u64, c_ptr("/"), buffer(), buffer(), 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "fanotify",
        || sys(libc::SYS_fanotify_init, [0, 0, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "A61-personality",
        || sys(libc::SYS_personality, [0x004_0000, 0, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "A64-move-pages",
        || sys(libc::SYS_move_pages, [0; 6]),
        EPERM,
        Further,
    ),
    Attempt(
        "modify-ldt",
        || sys(libc::SYS_modify_ldt, [0, buffer(), 8, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "iopl",
        || sys(libc::SYS_iopl, [3, 0, 0, 0, 0, 0]),
        EPERM,
        Same,
    ),
    Attempt(
        "vmsplice",
        || sys(libc::SYS_vmsplice, [1, buffer(), 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "splice",
        || sys(libc::SYS_splice, [-1i64 as u64, 0, -1i64 as u64, 0, 0, 0]),
        ENOSYS,
        Further,
    ),
    Attempt(
        "shmget",
        || sys(libc::SYS_shmget, [0, 4096, 0o600, 0, 0, 0]),
        EPERM,
        Untried,
    ),
    Attempt(
        "mq-open",
        || sys(libc::SYS_mq_open, [c_ptr("x"), 0, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "sched-fifo",
        || sys(libc::SYS_sched_setscheduler, [0, 1, buffer(), 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "setpriority",
        || sys(libc::SYS_setpriority, [0, 0, 1, 0, 0, 0]),
        EPERM,
        Untried,
    ),
    Attempt("sync", || sys(libc::SYS_sync, [0; 6]), EPERM, Untried),
    Attempt("unknown-call", || sys(1000, [0; 6]), ENOSYS, Same),
    // Identity
    Attempt(
        "A87-setuid-0",
        || sys(libc::SYS_setuid, [0; 6]),
        EPERM,
        Same,
    ),
    Attempt(
        "setuid-own",
        || sys(libc::SYS_setuid, [65532, 0, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "setgroups",
        || sys(libc::SYS_setgroups, [0; 6]),
        EPERM,
        Same,
    ),
    Attempt("A89-capset", capset, EPERM, Same),
    Attempt("ambient", || prctl(47, 2, 10), EPERM, Same),
    Attempt("securebits", || prctl(28, 0, 0), EPERM, Same),
    Attempt("keepcaps", || prctl(8, 1, 0), EPERM, Further),
    Attempt("outlive-the-launcher", || prctl(1, 0, 0), EPERM, Further),
    Attempt("dumpable", || prctl(4, 1, 0), EPERM, Further),
    Attempt(
        "set-ptracer",
        || prctl(0x5961_6d61, u64::MAX, 0),
        EPERM,
        Further,
    ),
    Attempt("set-mm", || prctl(35, 0, 0), EPERM, Same),
    Attempt("syscall-user-dispatch", || prctl(59, 0, 0), EPERM, Further),
    Attempt(
        "seccomp-strict-off",
        || sys(libc::SYS_seccomp, [2, 0, buffer(), 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt("mdwe-off", || prctl(65, 0, 0), EPERM, Untried),
    Attempt(
        "prlimit-of-another",
        || sys(libc::SYS_prlimit64, [1, 7, 0, buffer(), 0, 0]),
        EPERM,
        Same,
    ),
    // Memory
    Attempt("mmap-rwx", mmap_rwx, EACCES, Further),
    Attempt("mprotect-w-to-x", mprotect_x, EACCES, Further),
    Attempt(
        "B30-self-mem-write",
        || open("/proc/self/mem", libc::O_WRONLY),
        EACCES,
        Further,
    ),
    // Files
    Attempt("A65-chmod-4755", || chmod(0o4755), EPERM, Further),
    Attempt("chmod-2755", || chmod(0o2755), EPERM, Further),
    Attempt(
        "chmod-high-bits",
        || {
            sys(
                libc::SYS_chmod,
                [c_ptr(&scratch("file")), (1 << 32) | 0o4755, 0, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "fchmodat2",
        || {
            sys(
                452,
                [
                    libc::AT_FDCWD as u64,
                    c_ptr(&scratch("file")),
                    0o4755,
                    0,
                    0,
                    0,
                ],
            )
        },
        ENOSYS,
        Further,
    ),
    Attempt(
        "open-with-suid",
        || {
            sys(
                libc::SYS_open,
                [
                    c_ptr(&scratch("suid")),
                    (libc::O_CREAT | libc::O_WRONLY) as u64,
                    0o4755,
                    0,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "openat-with-suid",
        || {
            sys(
                libc::SYS_openat,
                [
                    libc::AT_FDCWD as u64,
                    c_ptr(&scratch("suid2")),
                    (libc::O_CREAT | libc::O_WRONLY) as u64,
                    0o6755,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "mknod-with-suid",
        || {
            sys(
                libc::SYS_mknod,
                [
                    c_ptr(&scratch("suid3")),
                    u64::from(libc::S_IFREG) | 0o4755,
                    0,
                    0,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A74-mknod-disk",
        || {
            sys(
                libc::SYS_mknod,
                [
                    c_ptr(&scratch("disk")),
                    u64::from(libc::S_IFBLK) | 0o600,
                    0x800,
                    0,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "A75-mknod-kmsg",
        || {
            sys(
                libc::SYS_mknodat,
                [
                    libc::AT_FDCWD as u64,
                    c_ptr(&scratch("kmsg")),
                    u64::from(libc::S_IFCHR) | 0o600,
                    0x10b,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Same,
    ),
    Attempt(
        "chown",
        || {
            sys(
                libc::SYS_chown,
                [c_ptr(&scratch("file")), 65532, 65532, 0, 0, 0],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "setxattr",
        || {
            sys(
                libc::SYS_setxattr,
                [
                    c_ptr(&scratch("file")),
                    c_ptr("user.x"),
                    c_ptr("x"),
                    1,
                    0,
                    0,
                ],
            )
        },
        EPERM,
        Further,
    ),
    Attempt(
        "A71-create-in-root",
        || open("/attack", libc::O_CREAT | libc::O_WRONLY),
        EROFS,
        Further,
    ),
    Attempt(
        "A72-create-in-etc",
        || open("/etc/attack", libc::O_CREAT | libc::O_WRONLY),
        EROFS,
        Further,
    ),
    Attempt(
        "create-in-dev",
        || open("/dev/attack", libc::O_CREAT | libc::O_WRONLY),
        EROFS,
        Further,
    ),
    Attempt(
        "A67-dev-shm",
        || open("/dev/shm/attack", libc::O_CREAT | libc::O_WRONLY),
        ENOENT,
        Untried,
    ),
    Attempt(
        "write-own-program",
        || open(&own_program(), libc::O_WRONLY),
        &["EROFS", "ETXTBSY", "EACCES"],
        Same,
    ),
    Attempt(
        "A84-proc-self-exe-write",
        || open("/proc/self/exe", libc::O_WRONLY),
        &["EROFS", "ETXTBSY", "EACCES"],
        Same,
    ),
    Attempt(
        "utime-in-root",
        || {
            sys(
                libc::SYS_utimensat,
                [libc::AT_FDCWD as u64, c_ptr("/etc"), 0, 0, 0, 0],
            )
        },
        EROFS,
        Further,
    ),
    // What is not there
    Attempt(
        "A76-core-pattern",
        || open("/proc/sys/kernel/core_pattern", libc::O_WRONLY),
        ENOENT,
        Further,
    ),
    Attempt("A77-proc-keys", || open("/proc/keys", 0), ENOENT, Further),
    Attempt(
        "A79-proc-cmdline",
        || open("/proc/cmdline", 0),
        ENOENT,
        Further,
    ),
    Attempt(
        "A81-proc-interrupts",
        || open("/proc/interrupts", 0),
        ENOENT,
        Further,
    ),
    Attempt(
        "proc-kallsyms",
        || open("/proc/kallsyms", 0),
        ENOENT,
        Further,
    ),
    Attempt(
        "proc-sysrq",
        || open("/proc/sysrq-trigger", libc::O_WRONLY),
        ENOENT,
        Same,
    ),
    Attempt("proc-kcore", || open("/proc/kcore", 0), ENOENT, Same),
    Attempt(
        "A83-cgroup-procs",
        || open("/sys/fs/cgroup/cgroup.procs", libc::O_WRONLY),
        ENOENT,
        Untried,
    ),
    Attempt(
        "sys",
        || open("/sys/kernel", libc::O_DIRECTORY),
        ENOENT,
        Further,
    ),
    Attempt(
        "neighbours",
        || open("/proc/2", libc::O_DIRECTORY),
        ENOENT,
        Further,
    ),
    Attempt("B21-dev-log", || open("/dev/log", 0), ENOENT, Untried),
    Attempt(
        "B27-dev-tty",
        || open("/dev/tty", libc::O_RDWR),
        ENOENT,
        Further,
    ),
    Attempt(
        "dev-ptmx",
        || open("/dev/ptmx", libc::O_RDWR),
        ENOENT,
        Further,
    ),
    Attempt("dev-mem", || open("/dev/mem", 0), ENOENT, Same),
    Attempt("dev-kmsg", || open("/dev/kmsg", 0), ENOENT, Untried),
    // Terminals and streams
    Attempt(
        "A85-tiocsti",
        || sys(libc::SYS_ioctl, [0, 0x5412, buffer(), 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "tiocsti-high-bits",
        || sys(libc::SYS_ioctl, [0, (1 << 32) | 0x5412, buffer(), 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "A86-tioclinux",
        || sys(libc::SYS_ioctl, [0, 0x541c, buffer(), 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "tiocsctty",
        || sys(libc::SYS_ioctl, [0, 0x540e, 0, 0, 0, 0]),
        EPERM,
        Further,
    ),
    Attempt(
        "reopen-stderr-for-reading",
        || open("/proc/self/fd/2", libc::O_RDONLY),
        &["EACCES", "ENXIO"],
        Untried,
    ),
];

/// `attempts`: tries all, or those named.
pub fn all(only: &[String]) -> i32 {
    let _ = std::fs::write(scratch("file"), "x");
    for Attempt(name, tried, _, elsewhere) in ATTEMPTS {
        let outside = std::env::var_os("OUTSIDE").is_some();
        if (outside && *elsewhere == Untried)
            || (!only.is_empty() && !only.iter().any(|o| o == name))
        {
            continue;
        }
        let errno = tried();
        let shown = if errno == 0 {
            "OK".into()
        } else {
            errno_name(errno)
        };
        println!("{name} {shown}");
    }
    println!("end");
    0
}

fn sys(nr: libc::c_long, a: [u64; 6]) -> Tried {
    // SAFETY: the attempts pass NULL, valid strings, or the buffer below; the kernel answers EFAULT to the rest.
    match unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) } {
        -1 => errno(),
        _ => 0,
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn code(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(-1)
}

/// A string that lives as long as the process: the attempts end with it.
fn c_ptr(text: &str) -> u64 {
    CString::new(text).unwrap().into_raw() as u64
}

/// Zeroes that the kernel may write to.
fn buffer() -> u64 {
    Box::leak(Box::new([0u64; 512])).as_ptr() as u64
}

/// Where files can be made: /tmp inside, a folder of the test's outside.
fn scratch(name: &str) -> String {
    let dir = std::env::var("OUTSIDE").unwrap_or_else(|_| "/tmp".into());
    format!("{dir}/{name}")
}

fn own_program() -> String {
    std::fs::read_link("/proc/self/exe")
        .map(|p| p.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// A call that makes a child; the child ends at once.
fn born(nr: libc::c_long, a: [u64; 6]) -> Tried {
    // SAFETY: one thread; the child calls nothing but exit_group.
    unsafe {
        match libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) {
            -1 => errno(),
            0 => {
                libc::syscall(libc::SYS_exit_group, 0);
                0
            }
            pid => {
                libc::waitpid(pid as i32, std::ptr::null_mut(), 0);
                0
            }
        }
    }
}

fn clone3() -> Tried {
    let args = Box::leak(Box::new([0u64; 11]));
    args[4] = libc::SIGCHLD as u64;
    born(libc::SYS_clone3, [args.as_ptr() as u64, 88, 0, 0, 0, 0])
}

/// Does it in a child where there can be one (it may end or change the process), else here.
fn fork_do(deed: impl Fn() -> Tried) -> Tried {
    // SAFETY: one thread; the child ends with _exit.
    unsafe {
        match libc::fork() {
            -1 => deed(),
            0 => libc::_exit(deed()),
            pid => {
                let mut status = 0;
                libc::waitpid(pid, &mut status, 0);
                if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    0
                }
            }
        }
    }
}

/// An exec that, when it works, becomes `payload exit 0`.
fn exec(call: impl Fn(u64, u64) -> Tried) -> Tried {
    let argv = Box::leak(Box::new([c_ptr("payload"), c_ptr("exit"), c_ptr("0"), 0]));
    let envp = Box::leak(Box::new([0u64]));
    fork_do(|| call(argv.as_ptr() as u64, envp.as_ptr() as u64))
}

fn exec_path(path: &str) -> Tried {
    exec(|a, e| sys(libc::SYS_execve, [c_ptr(path), a, e, 0, 0, 0]))
}

fn exec_fd(fd: i32) -> Tried {
    exec(|a, e| {
        let empty = libc::AT_EMPTY_PATH as u64;
        sys(libc::SYS_execveat, [fd as u64, c_ptr(""), a, e, empty, 0])
    })
}

fn exec_open_fd() -> Tried {
    match std::fs::File::open(own_program()) {
        Ok(file) => exec_fd(std::os::fd::AsRawFd::as_raw_fd(&file)),
        Err(error) => code(error),
    }
}

/// The smallest program that a kernel takes: a script with our own program as the interpreter.
fn exec_dropped() -> Tried {
    let path = scratch("dropped");
    let text = format!("#!{} exit 0\n", own_program());
    let written = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o755)
        .open(&path);
    match written.and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes())) {
        Ok(()) => {
            exec(|_, e| {
                let argv = Box::leak(Box::new([c_ptr("payload"), 0]));
                sys(
                    libc::SYS_execve,
                    [c_ptr(&path), argv.as_ptr() as u64, e, 0, 0, 0],
                )
            }) & !0x7e
        }
        Err(error) => code(error),
    }
}

fn memfd(flags: u32) -> Tried {
    sys(
        libc::SYS_memfd_create,
        [c_ptr("x"), u64::from(flags), 0, 0, 0, 0],
    )
}

fn memfd_exec() -> Tried {
    // SAFETY: a new descriptor; the name is a valid string.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0) } as i32;
    if fd < 0 {
        return errno();
    }
    // SAFETY: the descriptor is ours.
    let mut file = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    let copied = std::fs::File::open(own_program())
        .and_then(|mut own| std::io::copy(&mut std::io::Read::take(&mut own, 4096), &mut file));
    // A page of the program is enough: the refusal comes before the kernel reads it (ENOEXEC, EINVAL or a crash
    // after it on the host all mean "further").
    copied.map_or_else(code, |_| exec_fd(fd))
}

fn limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit fills the struct.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur
}

/// The number at which the one program was executable; on the host a limit makes the number possible.
fn program_fd() -> u64 {
    if std::env::var_os("OUTSIDE").is_some() {
        limit() - 1
    } else {
        limit()
    }
}

fn dup_high() -> Tried {
    sys(libc::SYS_dup2, [0, program_fd(), 0, 0, 0, 0])
}

fn fcntl_high() -> Tried {
    sys(
        libc::SYS_fcntl,
        [0, libc::F_DUPFD as u64, program_fd(), 0, 0, 0],
    )
}

fn raise_nofile() -> Tried {
    let now = limit();
    let more = libc::rlimit {
        rlim_cur: now + 1,
        rlim_max: 1 << 30,
    };
    // SAFETY: a valid struct.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &more) } == 0 {
        0
    } else {
        errno()
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> Tried {
    // SAFETY: numbers only; the descriptor is closed again.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    if fd < 0 {
        return errno();
    }
    // SAFETY: ours.
    unsafe { libc::close(fd) };
    0
}

fn with_socket(then: impl Fn(u64) -> Tried) -> Tried {
    // SAFETY: numbers only.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    if fd < 0 {
        return -1;
    }
    let tried = then(fd as u64);
    // SAFETY: ours.
    unsafe { libc::close(fd) };
    tried
}

fn option(level: u64, name: u64, value: &[u8]) -> Tried {
    with_socket(|fd| {
        sys(
            libc::SYS_setsockopt,
            [
                fd,
                level,
                name,
                value.as_ptr() as u64,
                value.len() as u64,
                0,
            ],
        )
    })
}

/// A classic filter of one instruction: accept.
fn attach_filter() -> Tried {
    let code = Box::leak(Box::new([0x0000_0000_0000_0006u64 | (0xffff << 32)]));
    let program = [1u64, code.as_ptr() as u64];
    with_socket(|fd| {
        sys(
            libc::SYS_setsockopt,
            [fd, 1, 26, program.as_ptr() as u64, 16, 0],
        )
    })
}

fn listen_unbound() -> Tried {
    with_socket(|fd| sys(libc::SYS_listen, [fd, 1, 0, 0, 0, 0]))
}

fn udp_metadata() -> Tried {
    let Ok(socket) = std::net::UdpSocket::bind("0.0.0.0:0") else {
        return -1;
    };
    socket
        .connect("169.254.169.254:80")
        .map_or_else(code, |()| 0)
}

fn pidfd_getfd() -> Tried {
    // SAFETY: numbers only.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
    sys(libc::SYS_pidfd_getfd, [pidfd as u64, 0, 0, 0, 0, 0])
}

fn capset() -> Tried {
    let header = Box::leak(Box::new([0x2008_0522u32, 0]));
    let data = Box::leak(Box::new([u32::MAX; 6]));
    sys(
        libc::SYS_capset,
        [header.as_ptr() as u64, data.as_ptr() as u64, 0, 0, 0, 0],
    )
}

fn prctl(what: u64, a: u64, b: u64) -> Tried {
    sys(libc::SYS_prctl, [what, a, b, 0, 0, 0])
}

fn map(protection: i32) -> Result<*mut libc::c_void, Tried> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        Err(errno())
    } else {
        Ok(at)
    }
}

fn mmap_rwx() -> Tried {
    map(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC).map_or_else(|e| e, |_| 0)
}

fn mprotect_x() -> Tried {
    match map(libc::PROT_READ | libc::PROT_WRITE) {
        Err(errno) => errno,
        Ok(at) => sys(
            libc::SYS_mprotect,
            [
                at as u64,
                4096,
                (libc::PROT_READ | libc::PROT_EXEC) as u64,
                0,
                0,
                0,
            ],
        ),
    }
}

fn chmod(mode: u64) -> Tried {
    sys(libc::SYS_chmod, [c_ptr(&scratch("file")), mode, 0, 0, 0, 0])
}

fn open(path: &str, flags: i32) -> Tried {
    let path = CString::new(path).unwrap_or_default();
    // SAFETY: a valid string; the descriptor is closed again.
    unsafe {
        match libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) {
            -1 => errno(),
            fd => {
                libc::close(fd);
                0
            }
        }
    }
}
