//! The child, from its first breath to execve: a list of steps, each with *why now*.
//!
//! It does not allocate, lock, format or panic; a failure is a step and an errno in eight bytes.
//! It must never return into the launcher's code: it ends in exec or `_exit`.

use super::apparmor;
use super::lockdown;
use super::ops::Slots;
use super::prepare::{ChildWork, OWN_DESCRIPTORS};
use super::start_hooks;
use super::terminal;
use super::wire::{self, Report, Step};
use crate::plan::process::Dumpable;
use crate::sys::fs::{
    Resolve, close_all_but, dup_to, dup_to_stdio, fchdir, loopback_up, open_in_root, survive_exec,
};
use crate::sys::mount::{mount_id, pivot_root_here, umount_here};
use crate::sys::process::{self, prctl};
use crate::sys::schedule;
use crate::sys::socket::{self, receive_fds};
use nix::errno::Errno;
use nix::mount::MsFlags;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// A failed step.
pub(super) struct Failed(pub(super) Step, pub(super) u16, pub(super) Errno);

pub(super) type Done = Result<(), Failed>;

/// Names the step that a kernel error belongs to.
pub(super) trait During<T> {
    fn during(self, step: Step) -> Result<T, Failed>;
    fn during_nth(self, step: Step, index: usize) -> Result<T, Failed>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, step: Step) -> Result<T, Failed> {
        self.map_err(|errno| Failed(step, 0, errno))
    }
    fn during_nth(self, step: Step, index: usize) -> Result<T, Failed> {
        self.map_err(|errno| Failed(step, index as u16, errno))
    }
}

/// Runs the recipe; never returns.
pub(super) fn run(mut work: ChildWork, socket: RawFd) -> ! {
    let Err(failed) = recipe(&mut work, socket);
    fail(&work, socket, &failed)
}

/// Says what failed, and ends.
pub(super) fn fail(work: &ChildWork, socket: RawFd, failed: &Failed) -> ! {
    let Failed(step, index, errno) = *failed;
    let report = Report {
        step,
        index,
        errno: errno as i32,
    };
    let to = if matches!(step, Step::Exec | Step::StartHook) {
        work.gate.as_ref().map(|g| g.report.as_raw_fd())
    } else {
        None
    };
    let _ = process::write(to.unwrap_or(socket), &report.bytes());
    process::exit_now(125)
}

fn recipe(work: &mut ChildWork, socket: RawFd) -> Result<std::convert::Infallible, Failed> {
    leave_the_caller(work)?; // first: nobody may trace a half-built container (CVE-2016-9962)
    network(work)?; // while the launcher makes cgroups, maps ids and makes mounts
    receive_mounts(work, socket)?; // the launcher has done all of that by then
    enter_cgroups(work)?; // before anything is allocated whose size the image or its user decides
    cgroup_namespace(work)?; // its root is the cgroup that we are in by now
    kernel_parameters(work)?; // while we are still the host's root in name, which vm.* asks for
    become_root(work)?; // so that what is made below belongs to the container's root
    mounts(work)?; // everything detached is attached before there is a way to look at it
    terminal(work, socket)?; // of the container's own devpts, by a path that no image can have changed since
    hooks_outside(work, socket)?; // the last moment at which both roots can be named
    pivot(work)?; // from here on no host path can be named
    names(work)?; // need the namespaces' capabilities, which go soon
    execution(work)?; // in the cgroups, whose nodes and shares count; before the filters deny the calls
    limits(work)?; // may need CAP_SYS_RESOURCE, which goes soon
    let cwd = open_inside(&work.cwd, libc::O_DIRECTORY).during(Step::Cwd)?;
    program(work)?; // opened through the container's own mounts: their nosuid and noexec count
    let rules = lockdown::open_rules(work)?; // while we may still search every folder
    streams(work)?; // /dev/null and pipes, made outside
    apparmor::at_exec(work)?; // while the launcher's procfs is still at hand
    lockdown::identity(work)?; // bounding set, ids, capabilities: what setup needed is over
    working_directory(&cwd)?; // with the program's own rights
    std::mem::forget(cwd); // closed with the rest
    lockdown::marks(work)?; // no_new_privs before landlock and seccomp, which ask for it
    lockdown::landlock(rules)?; // before seccomp, which denies its calls
    lockdown::last_limit(work)?; // the program's descriptor is now the first that can't be made again
    lockdown::parent_death(work)?; // after the ids: changing them clears it
    close_the_rest(work, socket)?; // no descriptor of a host folder is left, close-on-exec or not
    lockdown::filters(work, socket)?; // last: the rest needs read, write, prctl, execveat and exit alone
    wait(work, socket)?; // verified from outside in the meantime
    hooks_inside(work)?; // the image's own programs: after verification, behind the filters
    Err(Failed(Step::Exec, 0, execute(work)))
}

pub(super) fn leave_the_caller(work: &ChildWork) -> Done {
    if work.dumpable == Dumpable::NeverUntilExec {
        prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0).during(Step::Mark)?;
    }
    nix::unistd::setsid().map(drop).during(Step::Mark)?;
    // The launcher blocks what it forwards, and Rust ignores SIGPIPE: both would outlive the exec.
    process::reset_signals(work.proof.as_ref().map_or(0, |p| p.ignored)).during(Step::Mark)
}

/// v1: "0" means the writer, and a single thread takes no lock; v2: clone3 has put us there already.
pub(super) fn enter_cgroups(work: &mut ChildWork) -> Done {
    for (index, door) in work.doors.iter().enumerate() {
        process::write(door.as_raw_fd(), b"0").during_nth(Step::Cgroup, index)?;
    }
    Ok(())
}

fn network(work: &ChildWork) -> Done {
    if work.new_network {
        process::unshare(libc::CLONE_NEWNET).during(Step::Network)?;
    }
    match work.loopback {
        true => loopback_up().during(Step::Loopback),
        false => Ok(()),
    }
}

fn cgroup_namespace(work: &ChildWork) -> Done {
    match work.new_cgroup_namespace {
        true => process::unshare(libc::CLONE_NEWCGROUP).during(Step::Cgroup),
        false => Ok(()),
    }
}

pub(super) fn receive_mounts(work: &mut ChildWork, socket: RawFd) -> Done {
    let mut filled = 0;
    let mut fds = [-1; socket::MOST];
    loop {
        let mut word = [0u8];
        let received = receive_fds(socket, &mut word, &mut fds).during(Step::Receive)?;
        let Some((_, count)) = received else {
            process::exit_now(125) // the launcher is gone
        };
        for fd in fds.iter().take(count) {
            // The kernel has just made this descriptor for us alone.
            let fd = crate::sys::process::own(*fd);
            match work.received.get(filled) {
                Some(slot) => work.slots.put(*slot, fd).during(Step::Receive)?,
                None if work.doors.len() < work.doors_due => work.doors.push(fd),
                None => return Err(Failed(Step::Receive, 0, Errno::EPROTO)),
            }
            filled += 1;
        }
        match word[0] {
            wire::MOUNTS => {}
            wire::GO if filled == work.received.len() + work.doors_due => return Ok(()),
            _ => return Err(Failed(Step::Receive, 0, Errno::EPROTO)),
        }
    }
}

/// Through the launcher's own procfs, opened before there was a child: no image and no race can redirect it
/// (CVE-2025-52881), and the kernel takes the namespaces of the writer, not those of the mount.
fn kernel_parameters(work: &ChildWork) -> Done {
    if work.sysctl.is_empty() {
        return Ok(());
    }
    let proc = work
        .proc
        .as_ref()
        .ok_or(Errno::EBADF)
        .during(Step::Sysctl)?;
    for (index, (file, value)) in work.sysctl.iter().enumerate() {
        let fd = open_in_root(proc.as_fd(), file, libc::O_WRONLY, 0, Resolve::NoCrossing)
            .during_nth(Step::Sysctl, index)?;
        let text = value.to_bytes();
        let wrote = process::write(fd.as_raw_fd(), text).during_nth(Step::Sysctl, index)?;
        if wrote != text.len() {
            return Err(Failed(Step::Sysctl, index as u16, Errno::EIO));
        }
    }
    Ok(())
}

pub(super) fn become_root(work: &ChildWork) -> Done {
    if work.become_root {
        process::set_groups(&[]).during(Step::BecomeRoot)?;
        process::set_gid(0).during(Step::BecomeRoot)?;
        process::set_uid(0).during(Step::BecomeRoot)?;
    }
    Ok(())
}

fn mounts(work: &mut ChildWork) -> Done {
    if !work.pivot {
        return Ok(());
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    // Nothing that we attach may travel to the host.
    nix::mount::mount(
        None::<&std::ffi::CStr>,
        c"/",
        None::<&std::ffi::CStr>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&std::ffi::CStr>,
    )
    .during_nth(Step::Mount, usize::from(u16::MAX))?;
    let now = work.ops.len() - work.behind_pivot;
    for (index, op) in work.ops.iter().take(now).enumerate() {
        op.run(&mut work.slots, None)
            .during_nth(Step::Mount, index)?;
    }
    Ok(())
}

fn terminal(work: &mut ChildWork, socket: RawFd) -> Done {
    if let Some(size) = work.terminal {
        // The launcher's socket stays open until exec.
        let socket = std::mem::ManuallyDrop::new(process::own(socket));
        let own = terminal::open(&work.slots, size, work.uid, socket.as_fd())?;
        work.own_terminal = Some(own);
    }
    Ok(())
}

/// The launcher runs what may look at both the host's root and ours; then it says so.
fn hooks_outside(work: &ChildWork, socket: RawFd) -> Done {
    if !work.stops_before_pivot {
        return Ok(());
    }
    process::write(socket, &Report::at(Step::Built).bytes()).during(Step::Built)?;
    let mut word = [0u8; 1];
    match process::read(socket, &mut word).during(Step::Built)? {
        0 => process::exit_now(125), // the launcher is gone
        _ if word[0] == wire::PIVOT => Ok(()),
        _ => Err(Failed(Step::Built, 0, Errno::EPROTO)),
    }
}

fn hooks_inside(work: &ChildWork) -> Done {
    match (&work.start_hooks, &work.proof) {
        (Some(hooks), Some(proof)) => start_hooks::run(hooks, proof),
        _ => Ok(()),
    }
}

fn pivot(work: &mut ChildWork) -> Done {
    if !work.pivot {
        return Ok(());
    }
    let root = work.slots.get(super::ops::ROOT).during(Step::Pivot)?;
    fchdir(root).during(Step::Pivot)?;
    pivot_root_here().during(Step::Pivot)?;
    // The host's root lies on ours now, with every stage that was attached to it on top: topmost first.
    for _ in 0..work.stages {
        umount_here().during(Step::OldRoot)?;
    }
    nix::unistd::chdir(c"/").during(Step::OldRoot)?;
    // What "/" names now must be the very mount that was made.
    let now = open_slash().during(Step::Pivot)?;
    let same = mount_id(now.as_fd()).during(Step::Pivot)? == mount_id(root).during(Step::Pivot)?;
    if !same {
        return Err(Failed(Step::Pivot, 0, Errno::EXDEV));
    }
    let first = work.ops.len() - work.behind_pivot;
    for (index, op) in work.ops.iter().enumerate().skip(first) {
        op.run(&mut work.slots, None)
            .during_nth(Step::Mount, index)?;
    }
    // Everything that was attached is held by the tree now; no descriptor of it stays behind.
    work.slots = Slots::new(0);
    Ok(())
}

pub(super) fn open_slash() -> Result<OwnedFd, Errno> {
    use nix::fcntl::{OFlag, open};
    open(
        c"/",
        OFlag::O_PATH | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )
}

pub(super) fn open_inside(path: &std::ffi::CStr, flags: i32) -> Result<OwnedFd, Errno> {
    let root = open_slash()?;
    open_in_root(root.as_fd(), path, libc::O_PATH | flags, 0, Resolve::InRoot)
}

fn names(work: &ChildWork) -> Done {
    if let Some(name) = &work.hostname {
        process::set_hostname(name).during(Step::Hostname)?;
    }
    if let Some(name) = &work.domainname {
        process::set_domainname(name).during(Step::Hostname)?;
    }
    Ok(())
}

/// The personality always: what the caller had (no address randomisation, say) must not reach the program.
pub(super) fn execution(work: &ChildWork) -> Done {
    let own = &work.execution;
    schedule::personality(own.personality).during(Step::Personality)?;
    if let Some((mode, nodes)) = &own.memory {
        schedule::set_mempolicy(*mode, nodes).during(Step::MemoryPolicy)?;
    }
    own.classes
        .give(0)
        .map_err(|(_, errno)| Failed(Step::Classes, 0, errno))
}

pub(super) fn limits(work: &ChildWork) -> Done {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(work.umask));
    let last = work.rlimits.len().saturating_sub(1); // the descriptor limit waits
    for (index, (kind, soft, hard)) in work.rlimits.iter().take(last).enumerate() {
        process::set_rlimit(*kind, *soft, *hard).during_nth(Step::Limit, index)?;
    }
    process::join_new_keyring(&work.keyring)
        .or_else(|errno| {
            if errno == Errno::ENOSYS {
                Ok(())
            } else {
                Err(errno)
            }
        })
        .during(Step::Keyring)
}

pub(super) fn program(work: &ChildWork) -> Done {
    let program = open_inside(&work.program, 0).during(Step::Program)?;
    process::raise_nofile().during(Step::ProgramFd)?;
    dup_to(program.as_fd(), work.exec_fd).during(Step::ProgramFd)
}

pub(super) fn streams(work: &ChildWork) -> Done {
    if let Some(own) = &work.own_terminal {
        return terminal::take(own);
    }
    for (number, stream) in work.stdio.iter().enumerate() {
        if let Some(fd) = stream {
            dup_to_stdio(fd.as_fd(), number as i32).during(Step::Stdio)?;
        }
    }
    Ok(())
}

pub(super) fn working_directory(cwd: &OwnedFd) -> Done {
    fchdir(cwd.as_fd()).during(Step::Cwd)?;
    // A folder outside the root reads as "(unreachable)" (CVE-2024-21626).
    let mut buffer = [0u8; 4096];
    let length = process::getcwd(&mut buffer).during(Step::Cwd)?;
    if length == 0 || buffer[0] != b'/' {
        return Err(Failed(Step::CwdOutside, 0, Errno::EXDEV));
    }
    Ok(())
}

pub(super) fn close_the_rest(work: &mut ChildWork, socket: RawFd) -> Done {
    let gate = work.gate.as_ref();
    let go = gate.map_or(-1, |g| g.go.as_raw_fd());
    let report = gate.map_or(-1, |g| g.report.as_raw_fd());
    let state = work
        .start_hooks
        .as_ref()
        .map_or(-1, |h| h.state.as_raw_fd());
    let own: [RawFd; OWN_DESCRIPTORS] = [socket, work.exec_fd, go, report, state];
    for fd in work.keep.iter().take(work.preserved) {
        survive_exec(*fd).during(Step::Close)?;
    }
    work.keep.extend_from_slice(&own); // there is room
    close_all_but(3, &mut work.keep).during(Step::Close)
}

/// Says that all is locked, then waits for the word: at the socket, or at the gate for a later `start`.
pub(super) fn wait(work: &ChildWork, socket: RawFd) -> Done {
    process::write(socket, &Report::at(Step::Ready).bytes()).during(Step::Wait)?;
    let mut word = [0u8; 1];
    if process::read(socket, &mut word).during(Step::Wait)? == 0 {
        process::exit_now(125); // the launcher is gone
    }
    if work.dumpable == Dumpable::AfterVerification {
        prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0).during(Step::Mark)?;
    }
    match (word[0], &work.gate) {
        (wire::EXEC, None) => Ok(()),
        (wire::HOLD, Some(gate)) => {
            process::write(socket, &Report::at(Step::Held).bytes()).during(Step::Wait)?;
            loop {
                match process::read(gate.go.as_raw_fd(), &mut word) {
                    Ok(1) => return Ok(()),
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(errno) => return Err(Failed(Step::Exec, 0, errno)),
                }
            }
        }
        _ => Err(Failed(Step::Wait, 0, Errno::EPROTO)),
    }
}

pub(super) fn execute(work: &ChildWork) -> Errno {
    process::exec_fd(work.exec_fd, &work.argv, &work.envp)
}
