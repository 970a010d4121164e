//! What a forwarder gives away before it takes the first byte: capabilities, descriptors, files, ports, calls.
//!
//! After this it can move bytes between the sockets it has, make sockets, and connect them to exactly its ports.

use crate::seccomp::{
    self, Action, Arch, Cond, Gate, Op, Parameters, Profile, Rule, Telling, Value, Width,
};
use crate::sys::fs::close_all_but;
use crate::sys::process::{self, prctl};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::errno::Errno;
use std::os::fd::AsFd;

/// Calls that it lives on.
const CALLS: &[&str] = &[
    "read",
    "write",
    "close",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "splice",
    "accept4",
    "connect",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "shutdown",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "pipe2",
    "clock_gettime",
    "mmap",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "futex",
    "getrandom",
    "exit",
    "exit_group",
    "rt_sigreturn",
    "restart_syscall",
];

/// What the native path needs beside them.
const BINDER_CALLS: &[&str] = &[
    "ioctl",
    "pidfd_getfd",
    "pidfd_open",
    "process_vm_readv",
    "bind",
    "listen",
    "openat",
    "fcntl",
    "poll",
    "ppoll",
    "nanosleep",
    "clock_nanosleep",
];

/// F_SETPIPE_SZ.
const SET_PIPE_SIZE: u64 = 1031;

/// Closes the door behind this process.
pub(super) fn enter(ports: &[u16], keep: &[i32]) -> Result<(), Errno> {
    let filter = filter();
    let mut keep = keep.to_vec();
    close_all_but(0, &mut keep)?;
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    drop_capabilities()?;
    if let Some(rules) = ruleset(ports) {
        rules.restrict_self().map_err(|_| Errno::EPERM)?;
    }
    process::seccomp_load(&filter, 0).map(drop)
}

/// The binder's door. It keeps the one right by which it sees the program's descriptors and memory: in the container's
/// user namespace, where that reaches nobody else; and, for ports of the host below 1024, the right to bind them. It has
/// no landlock domain, since that would forbid it to look into any process outside of the domain; its root is /proc.
pub(super) fn enter_binder(keep: &[i32], proc: i32, low_ports: bool) -> Result<(), Errno> {
    let filter = binder_filter();
    let mut keep = keep.to_vec();
    close_all_but(0, &mut keep)?;
    nix::unistd::fchdir(std::mem::ManuallyDrop::new(process::own(proc)).as_fd())?;
    nix::unistd::chroot(".")?;
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    let mut own = caps::CapsHashSet::new();
    own.insert(caps::Capability::CAP_SYS_PTRACE);
    if low_ports {
        own.insert(caps::Capability::CAP_NET_BIND_SERVICE);
    }
    for cap in caps::all() {
        let _ = caps::drop(None, caps::CapSet::Bounding, cap);
    }
    caps::clear(None, caps::CapSet::Ambient).map_err(|_| Errno::last())?;
    caps::clear(None, caps::CapSet::Inheritable).map_err(|_| Errno::last())?;
    caps::set(None, caps::CapSet::Effective, &own).map_err(|_| Errno::last())?;
    caps::set(None, caps::CapSet::Permitted, &own).map_err(|_| Errno::last())?;
    process::seccomp_load(&filter, 0).map(drop)
}

/// All five sets. The bounding one takes CAP_SETPCAP, which an ordinary user doesn't have and doesn't need to drop.
fn drop_capabilities() -> Result<(), Errno> {
    use caps::CapSet;
    for cap in caps::all() {
        let _ = caps::drop(None, CapSet::Bounding, cap);
    }
    for set in [
        CapSet::Ambient,
        CapSet::Effective,
        CapSet::Permitted,
        CapSet::Inheritable,
    ] {
        caps::clear(None, set).map_err(|_| Errno::last())?;
    }
    Ok(())
}

/// No file at all, and no port but these; nothing where the kernel has no landlock.
fn ruleset(ports: &[u16]) -> Option<landlock::RulesetCreated> {
    let made = || -> Result<_, landlock::RulesetError> {
        let mut created = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V4))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?;
        for port in ports {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        Ok(created)
    };
    made().ok()
}

fn rule(names: &[&str], args: Vec<Cond>) -> Rule {
    Rule {
        names: names.iter().map(ToString::to_string).collect(),
        action: Action::Allow,
        args,
        reason: String::new(),
        gate: Gate::Always,
        telling: Telling::Told,
    }
}

fn is(index: u8, value: u64) -> Cond {
    Cond {
        index,
        op: Op::Eq,
        value: Value::Is(value),
        width: Width::Dword,
    }
}

fn sockets() -> impl Iterator<Item = Rule> {
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];
    families
        .into_iter()
        .map(|f| rule(&["socket"], vec![is(0, f as u64)]))
}

fn filter() -> Vec<seccompiler::sock_filter> {
    let mut rules = vec![
        rule(CALLS, Vec::new()),
        rule(&["fcntl"], vec![is(1, SET_PIPE_SIZE)]),
        // A debug build of std looks whether what it closes is open.
        rule(&["fcntl"], vec![is(1, libc::F_GETFD as u64)]),
    ];
    rules.extend(sockets());
    compiled(rules)
}

/// The binder's: it looks into the container, and makes, binds and exchanges sockets.
fn binder_filter() -> Vec<seccompiler::sock_filter> {
    let mut rules = vec![rule(CALLS, Vec::new()), rule(BINDER_CALLS, Vec::new())];
    rules.extend(sockets());
    compiled(rules)
}

/// Constant profiles; a test compiles them. An empty program is one that the kernel does not load.
fn compiled(rules: Vec<Rule>) -> Vec<seccompiler::sock_filter> {
    let profile = Profile {
        default: Action::KillProcess,
        above_known: None,
        rules,
    };
    let program = seccomp::compile(&profile, Arch::NATIVE, &Parameters::default());
    program.map(|p| p.to_bpf()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filter_compiles() {
        assert!(super::filter().len() > 20);
        assert!(super::binder_filter().len() > 20);
    }
}
