//! A second process into a container that is there: the namespaces of its first process, and the same lockdown.
//!
//! Nothing is looked up by a path of the image before the newcomer stands inside: the namespaces come from the pidfd
//! of the first process, and the root is compared with the one that this process has (CVE-2016-9962, CVE-2019-5736,
//! CVE-2024-21626). Launcher and newcomer are not dumpable, so nobody inside can open `/proc/PID/exe` or `fd` of
//! either. Called by `container::exec`.

use super::apparmor;
use super::child::{self, Done, During, Failed};
use super::created::Created;
use super::error::{LaunchError, at};
use super::launched::Launched;
use super::lockdown;
use super::ops::Slots;
use super::prepare::{ChildWork, Prepared};
use super::terminal;
use super::wire::{self, Step};
use crate::cgroup::Cgroup;
use crate::sys::mount::mount_id;
use crate::sys::process::{self, Side, SingleThreaded, prctl};
use crate::sys::schedule;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, fstat};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// The container as its first process shows it.
pub struct Target {
    /// Its first process.
    pub pidfd: OwnedFd,
    /// The root of that process.
    pub root: OwnedFd,
    /// Namespaces (CLONE_NEW*) in which it differs from the launcher, the pid namespace aside.
    pub namespaces: i32,
    /// Whether it has a pid namespace of its own.
    pub pid_namespace: bool,
}

/// Makes the newcomer; it locks itself down and waits in front of exec.
pub fn join(
    mut prepared: Prepared,
    target: Target,
    cgroup: &Cgroup,
) -> Result<Launched, LaunchError> {
    // Before the first step inside, for the newcomer inherits it.
    at(
        prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0),
        "become non-dumpable (prctl PR_SET_DUMPABLE)",
    )?;
    at(
        crate::sys::fs::cloexec_from(3),
        "mark descriptors close-on-exec (close_range)",
    )?;
    nothing_to_make(&mut prepared.child);
    prepared.child.doors = cgroup.v1_doors()?;
    let (ours, theirs) = at(
        socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        ),
        "make a socket pair (socketpair)",
    )?;
    let proof = SingleThreaded::prove().ok_or(LaunchError::Threads)?;
    if target.pid_namespace {
        // Of the launcher's children only: a process can't change its own.
        at(
            process::setns(target.pidfd.as_fd(), libc::CLONE_NEWPID),
            "join the container's pid namespace (setns)",
        )?;
    }
    let side = at(
        process::clone_child(&proof, 0, cgroup.v2_fd()),
        "make the process in the container's cgroup (clone3)",
    )?;
    let exec_fd = prepared.child.exec_fd;
    let Side::Parent { pid, pidfd } = side else {
        drop(ours);
        let socket = theirs.as_raw_fd();
        std::mem::forget(theirs);
        prepared.child.proof = Some(proof);
        run(prepared.child, &target, socket)
    };
    drop(theirs);
    let created = Created::new(pid, pidfd, ours, prepared.labels);
    let told = match prepared.oom_score_adj {
        Some(score) => super::idmaps::write_proc(pid, "oom_score_adj", &score.to_string()),
        None => Ok(()),
    };
    let told = told.and_then(|()| super::parent::room_for_program(pid, exec_fd));
    match told.and_then(|()| created.tell(wire::GO, &[])) {
        Ok(()) => Ok(Launched::joined(created, prepared.classes)),
        Err(error) => {
            created.abandon();
            Err(error)
        }
    }
}

/// Mounts, namespaces and ids are there already.
fn nothing_to_make(work: &mut ChildWork) {
    work.ops.clear();
    work.behind_pivot = 0;
    work.received.clear();
    work.doors_due = 0;
    work.slots = Slots::new(0);
    work.pivot = false;
    work.new_cgroup_namespace = false;
}

/// Runs the recipe; never returns.
fn run(mut work: ChildWork, target: &Target, socket: RawFd) -> ! {
    let Err(failed) = recipe(&mut work, target, socket);
    child::fail(&work, socket, &failed)
}

/// The launch's recipe, with the namespaces joined in place of made.
fn recipe(
    work: &mut ChildWork,
    target: &Target,
    socket: RawFd,
) -> Result<std::convert::Infallible, Failed> {
    child::leave_the_caller(work)?; // first: nobody may trace a newcomer (CVE-2016-9962)
    affinity(work, 0)?; // runtime-spec: before the cgroup is entered, and again after
    child::enter_cgroups(work)?; // while the descriptors of the host's cgroups may be used
    affinity(work, 1)?;
    child::receive_mounts(work, socket)?; // none; the word to go on
    enter(target)?; // from here on no host path can be named
    child::become_root(work)?; // the container's, to open what only it may search
    child::execution(work)?; // in the cgroups, whose nodes and shares count
    child::limits(work)?; // may need CAP_SYS_RESOURCE, which goes soon
    let cwd = child::open_inside(&work.cwd, libc::O_DIRECTORY).during(Step::Cwd)?;
    child::program(work)?; // magic links are not followed, so never the launcher (CVE-2019-5736)
    let rules = lockdown::open_rules(work)?; // while we may still search every folder
    terminal(work, socket)?; // while we may open what only root may
    child::streams(work)?;
    apparmor::at_exec(work)?; // through the launcher's procfs, not the container's
    lockdown::identity(work)?;
    child::working_directory(&cwd)?; // and it must lie inside (CVE-2024-21626)
    std::mem::forget(cwd); // closed with the rest
    lockdown::marks(work)?; // non-dumpable again: changing ids resets it
    lockdown::landlock(rules)?;
    lockdown::last_limit(work)?;
    lockdown::parent_death(work)?;
    child::close_the_rest(work, socket)?;
    lockdown::filters(work, socket)?;
    child::wait(work, socket)?; // verified from outside in the meantime
    Err(Failed(Step::Exec, 0, child::execute(work)))
}

/// One of the container's own devpts; its master goes to the launcher.
fn terminal(work: &mut ChildWork, socket: RawFd) -> Done {
    if let Some(size) = work.terminal {
        // The launcher's socket stays open until exec.
        let socket = std::mem::ManuallyDrop::new(process::own(socket));
        work.own_terminal = Some(terminal::open_beside(size, work.uid, socket.as_fd())?);
    }
    Ok(())
}

fn affinity(work: &ChildWork, when: usize) -> Done {
    match work.execution.cpus.get(when).and_then(Option::as_ref) {
        Some(mask) => schedule::set_affinity(mask).during_nth(Step::Affinity, when),
        None => Ok(()),
    }
}

/// All at once, by the pidfd (Linux 5.8): the first process can't be another one in between.
fn enter(target: &Target) -> Done {
    process::setns(target.pidfd.as_fd(), target.namespaces).during(Step::Join)?;
    // Entering a user namespace changes the credentials, and that resets it.
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0).during(Step::Mark)?;
    let now = open(c"/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).during(Step::JoinRoot)?;
    let of = |fd: &OwnedFd| -> Result<(u64, u64), Errno> {
        Ok((mount_id(fd.as_fd())?, fstat(fd)?.st_ino))
    };
    if of(&now).during(Step::JoinRoot)? != of(&target.root).during(Step::JoinRoot)? {
        return Err(Failed(Step::JoinRoot, 0, Errno::EXDEV));
    }
    nix::unistd::chdir(c"/").during(Step::JoinRoot)
}
