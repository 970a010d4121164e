//! Making, marking, joining and signalling processes: clone3, prctl, execveat, keyctl, pidfd.

use super::check;
use nix::errno::Errno;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Proof that the process had one thread when it was looked at: fork is only sound then,
/// for another thread may hold a lock (malloc's, stdio's) that the child would wait for for ever.
pub struct SingleThreaded {
    /// Signals that this process ignores, as a mask: exec keeps them ignored.
    pub ignored: u64,
}

impl SingleThreaded {
    /// Counts the threads of this process.
    pub fn prove() -> Option<Self> {
        let status = super::fs::read_kernel_file("/proc/self/status").ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("Threads:"))?;
        let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:"))?;
        let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
        (line.trim() == "1").then_some(Self { ignored })
    }
}

/// Which side of the fork we are on.
pub enum Side {
    /// In the child. It must not return from the caller's stack frame: it ends in exec or `exit_now`.
    Child,
    /// In the parent, with the child's pid and pidfd.
    Parent {
        /// Process id as the parent sees it.
        pid: i32,
        /// Refers to the child however pids are reused.
        pidfd: OwnedFd,
    },
}

/// CLONE_NEWTIME.
pub const NEW_TIME: i32 = 0x80;

/// clone3 with new namespaces (`flags`, CLONE_NEW*), optionally straight into a cgroup v2.
pub fn clone_child(
    proof: &SingleThreaded,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Side, Errno> {
    clone3(proof, flags, libc::SIGCHLD as u64, cgroup)
}

/// The same, but the child's parent is the caller's own (CLONE_PARENT), which it signals as the caller would.
pub fn clone_child_of_parent(
    proof: &SingleThreaded,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Side, Errno> {
    clone3(proof, flags | libc::CLONE_PARENT as u64, 0, cgroup)
}

fn clone3(
    _proof: &SingleThreaded,
    flags: u64,
    exit_signal: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Side, Errno> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: RawFd = -1;
    // SAFETY: an all-zero clone_args is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &mut pidfd as *mut RawFd as u64;
    args.exit_signal = exit_signal;
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM, so the child has its own copy of memory and stack; one thread (the proof), so no lock is
    // held; `args` is valid and of the size given; the kernel writes one descriptor to `pidfd`.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &mut args as *mut libc::clone_args,
            size_of::<libc::clone_args>(),
        )
    })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: the kernel has just handed us this descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Side::Parent {
        pid: pid as i32,
        pidfd,
    })
}

/// A plain copy of this process by clone(2), which filters that know no clone3 allow too.
pub fn fork_child(_proof: &SingleThreaded) -> Result<Side, Errno> {
    let mut pidfd: RawFd = -1;
    // SAFETY: no CLONE_VM and no new stack, so the child has its own copy of both; one thread (the proof), so no
    // lock is held; the kernel writes one descriptor to `pidfd`, which clone(2) takes in parent_tid's place.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            (libc::CLONE_PIDFD | libc::SIGCHLD) as libc::c_long,
            0 as libc::c_long,
            &mut pidfd as *mut RawFd,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    Ok(Side::Parent {
        pid: pid as i32,
        // SAFETY: the kernel has just handed us this descriptor.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// `_exit` at once: no destructors, no buffers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: never returns, takes a plain integer.
    unsafe { libc::_exit(code) }
}

/// NULL-terminated pointer arrays for exec, made before the fork.
pub struct ExecStrings {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl ExecStrings {
    /// Keeps the strings and points at them.
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { strings, pointers }
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// execveat(fd, "", argv, envp, AT_EMPTY_PATH): returns only on failure.
pub fn exec_fd(fd: RawFd, argv: &ExecStrings, envp: &ExecStrings) -> Errno {
    // SAFETY: both arrays are NULL-terminated and point at strings that they own.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// execve(path): returns only on failure.
pub fn exec_path(path: &CStr, argv: &ExecStrings, envp: &ExecStrings) -> Errno {
    // SAFETY: the path is NUL-terminated; both arrays are NULL-terminated and point at strings that they own.
    unsafe {
        libc::execve(
            path.as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
        )
    };
    Errno::last()
}

/// prctl(2) with integer arguments.
pub fn prctl(option: i32, a: u64, b: u64, c: u64, d: u64) -> Result<i64, Errno> {
    // SAFETY: the options used by the callers (no_new_privs, dumpable, securebits, keepcaps, pdeathsig, MDWE,
    // speculation, capability sets) take plain integers.
    check(unsafe { libc::prctl(option, a, b, c, d) as libc::c_long })
}

/// A session keyring of one's own, so that no key of the caller's session is inherited.
pub fn join_new_keyring(name: &CStr) -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: NUL-terminated string, only read.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })
        .map(drop)
}

/// Loads a seccomp filter for this thread; its listener, if the flags ask for one (Linux 5.0).
pub fn seccomp_load(
    filter: &[seccompiler::sock_filter],
    flags: u64,
) -> Result<Option<OwnedFd>, Errno> {
    const NEW_LISTENER: u64 = 1 << 3;
    #[repr(C)]
    struct Fprog {
        len: u16,
        filter: *const seccompiler::sock_filter,
    }
    let program = Fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::E2BIG)?,
        filter: filter.as_ptr(),
    };
    // SAFETY: `program` describes a slice that outlives the call; the kernel copies it.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER as libc::c_long,
            flags as libc::c_long,
            &program as *const Fprog,
        )
    })?;
    // SAFETY: with this flag the kernel answers with a new descriptor, which nobody else has.
    Ok((flags & NEW_LISTENER != 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

/// Whether this kernel tells how processes ended that were others' children: whether it knows [`pidfd_exit`]'s question.
pub fn tells_exit() -> bool {
    let own = pidfd_open(nix::unistd::getpid().as_raw());
    own.is_ok_and(|own| info(own.as_fd()).is_some())
}

/// The wait status of a process that has been collected by whoever's child it was (Linux 6.15); `None`: not yet known.
pub fn pidfd_exit(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let info = info(pidfd)?;
    // exit_code is the last word of the structure.
    (info[0] & INFO_EXIT != 0).then(|| (info[7] >> 32) as u32 as i32)
}

const INFO_EXIT: u64 = 1 << 3;

/// PIDFD_GET_INFO with the first version of `struct pidfd_info`, asked for the exit.
fn info(pidfd: BorrowedFd<'_>) -> Option<[u64; 8]> {
    const GET_INFO: libc::c_ulong = 0xc040_ff0b;
    let mut info = [0u64; 8];
    info[0] = INFO_EXIT;
    // SAFETY: the request's size is that of the buffer, which the kernel fills.
    let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, info.as_mut_ptr()) };
    (answer == 0).then_some(info)
}

/// Sends a signal to the process behind a pidfd.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: plain integers and a null siginfo.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as libc::c_long,
            std::ptr::null::<libc::siginfo_t>(),
            0 as libc::c_long,
        )
    })
    .map(drop)
}

/// A pidfd of a process that is not a child of ours.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers; the new descriptor is owned at once.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_pidfd_open, pid as libc::c_long, 0 as libc::c_long)
    })?;
    // SAFETY: the kernel has just handed us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Enters a namespace.
pub fn setns(fd: BorrowedFd<'_>, kind: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::setns(fd.as_raw_fd(), kind) as libc::c_long }).map(drop)
}

/// Raw read: no allocation, no retry.
pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is writable for its length.
    check(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) as libc::c_long })
        .map(|n| n as usize)
}

/// Raw write: no allocation, no retry.
pub fn write(fd: RawFd, buffer: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is readable for its length.
    check(unsafe { libc::write(fd, buffer.as_ptr().cast(), buffer.len()) as libc::c_long })
        .map(|n| n as usize)
}

/// Gives SIGCHLD its default action.
pub fn default_sigchld() {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// All signals unblocked and back to their default action: what a program expects at its start.
///
/// Exec itself takes handlers away; what is ignored (the mask) would stay so.
pub fn reset_signals(ignored: u64) -> Result<(), Errno> {
    // The kernel's struct sigaction, all zero: SIG_DFL. Its own call, since libc's refuses the numbers 32 and 33,
    // which it uses itself but which a caller may have left ignored.
    let default = [0u64; 4];
    for signal in (1..=64).filter(|s| ignored & (1 << (s - 1)) != 0) {
        // SAFETY: `default` has the size of the kernel's struct sigaction and is only read; no handler is installed.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal as libc::c_long,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    // SAFETY: an all-zero sigset_t is the empty set on Linux; the old set is not asked for.
    unsafe {
        let empty: libc::sigset_t = std::mem::zeroed();
        check(libc::sigprocmask(libc::SIG_SETMASK, &empty, std::ptr::null_mut()) as libc::c_long)
            .map(drop)
    }
}

/// setgroups(2), setresgid(2), setresuid(2) as raw calls of this thread only.
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the pointer is valid for the length given.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Real, effective and saved group id.
pub fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers. The raw call, since libc's wrapper signals other threads.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Real, effective and saved user id.
pub fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers. The raw call, since libc's wrapper signals other threads.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Allows any signal number up to 64 to be sent to a pid; used where no pidfd is to be had.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::kill(pid, signal) as libc::c_long }).map(drop)
}

/// Takes over a descriptor that was received and belongs to nobody yet.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller has just received this number from the kernel (SCM_RIGHTS) and hands it over.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// sethostname(2).
pub fn set_hostname(name: &CStr) -> Result<(), Errno> {
    // SAFETY: the pointer is valid for the length given.
    check(unsafe { libc::sethostname(name.as_ptr(), name.to_bytes().len()) as libc::c_long })
        .map(drop)
}

/// setdomainname(2).
pub fn set_domainname(name: &CStr) -> Result<(), Errno> {
    // SAFETY: the pointer is valid for the length given.
    check(unsafe { libc::setdomainname(name.as_ptr(), name.to_bytes().len()) as libc::c_long })
        .map(drop)
}

/// setrlimit(2) by number.
pub fn set_rlimit(kind: i32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` is a valid struct rlimit, only read.
    check(unsafe { libc::setrlimit(kind as _, &limit) as libc::c_long }).map(drop)
}

/// The soft descriptor limit up to the hard one, so that the program's descriptor can be made.
pub fn raise_nofile() -> Result<(), Errno> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable and of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) as libc::c_long })?;
    set_rlimit(libc::RLIMIT_NOFILE as i32, limit.rlim_max, limit.rlim_max)
}

/// A limit of another process, as it was; set to `new` if there is one.
pub fn prlimit(pid: i32, kind: i32, new: Option<(u64, u64)>) -> Result<(u64, u64), Errno> {
    let new = new.map(|(soft, hard)| libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    });
    let mut old = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points at a live rlimit that is only read; `old` is writable and of the right type.
    check(unsafe { libc::prlimit(pid, kind as _, new, &mut old) as libc::c_long })?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// The current folder into `buffer`: its length, NUL not counted. The raw call, which shows "(unreachable)".
pub fn getcwd(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is writable for its length.
    let n = check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    Ok((n as usize).saturating_sub(1))
}

/// New namespaces for this process.
pub fn unshare(flags: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::unshare(flags) as libc::c_long }).map(drop)
}

/// Sets a signal to be ignored.
pub fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// What a terminal or a service manager ends its caller with.
pub(super) const CALLERS_SIGNALS: [i32; 5] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGPIPE,
];

/// They are not for a process that outlives its caller.
pub fn ignore_the_callers_signals() {
    CALLERS_SIGNALS.into_iter().for_each(ignore_signal);
}

/// The name that ps shows (prctl PR_SET_NAME).
pub fn prctl_name(name: &CStr) -> Result<(), Errno> {
    // SAFETY: NUL-terminated string, only read.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) as libc::c_long }).map(drop)
}

/// Closes the standard streams of a process that must not keep its caller's pipes open.
pub fn close_stdio() {
    for fd in 0..3 {
        // SAFETY: the caller is a forked helper that never touches its standard streams again.
        unsafe { libc::close(fd) };
    }
}

/// Waits for a child: its exit code (or 128 and the signal), and the peak resident set of it and what it waited
/// for, in KiB (ru_maxrss). For benches.
pub fn wait_with_usage(pid: i32) -> Result<(i32, i64), Errno> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is valid; both pointers are writable and of the right type.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        check(libc::wait4(pid, &mut status, 0, &mut usage) as libc::c_long)?;
        usage
    };
    let code = if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    };
    Ok((code, usage.ru_maxrss))
}

/// Random bytes (getrandom).
pub fn random(buffer: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: the buffer is writable for its length.
    let n = check(unsafe {
        libc::getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) as libc::c_long
    })?;
    match n as usize == buffer.len() {
        true => Ok(()),
        false => Err(Errno::EAGAIN),
    }
}
