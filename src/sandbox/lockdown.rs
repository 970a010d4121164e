//! The child gives its rights away: ids, capabilities, marks, landlock, limits, filters. No allocation.

use super::child::{Done, During, Failed, open_inside};
use super::prepare::{ChildWork, Landlock};
use super::wire::{Report, Step};
use crate::plan::process::{Dumpable, NewPrivileges};
use crate::sys::process::{self, prctl};
use crate::sys::socket::send_fds;
use landlock::{
    AccessFs, BitFlags, PathBeneath, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};
use nix::errno::Errno;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// A ruleset with its rules, ready to be applied.
pub(super) struct Rules(Option<RulesetCreated>);

const PR_SET_MDWE: i32 = 65;
const MDWE_REFUSE_EXEC_GAIN: u64 = 1;
const PR_SPEC_STORE_BYPASS: u64 = 0;
const PR_SPEC_INDIRECT_BRANCH: u64 = 1;
const PR_SPEC_FORCE_DISABLE: u64 = 1 << 3;

/// Opens each path inside and ties its rights to it.
pub(super) fn open_rules(work: &mut ChildWork) -> Result<Rules, Failed> {
    let Some(Landlock {
        mut ruleset,
        rules: paths,
    }) = work.landlock.take()
    else {
        return Ok(Rules(None));
    };
    for (index, rule) in paths.iter().enumerate() {
        let fd = match open_inside(&rule.path, 0) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) if rule.optional => continue,
            Err(errno) => return Err(Failed(Step::Landlock, index as u16, errno)),
        };
        let access = narrowed(&fd, rule.access).during_nth(Step::Landlock, index)?;
        ruleset = ruleset
            .add_rule(PathBeneath::new(fd, access))
            .map_err(|_| Failed(Step::Landlock, index as u16, Errno::last()))?;
    }
    // The paths are dropped with the process: freeing is work for nothing here.
    std::mem::forget(paths);
    Ok(Rules(Some(ruleset)))
}

/// A rule on a file takes only the rights that files have.
fn narrowed(fd: &OwnedFd, access: BitFlags<AccessFs>) -> Result<BitFlags<AccessFs>, Errno> {
    let stat = nix::sys::stat::fstat(fd)?;
    let is_dir = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok(if is_dir {
        access
    } else {
        access
            & (AccessFs::Execute
                | AccessFs::ReadFile
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::IoctlDev)
    })
}

/// Bounding set, securebits, groups, ids, then the four other capability sets.
pub(super) fn identity(work: &ChildWork) -> Done {
    for cap in &work.bounding_drop {
        let dropped = caps::drop(None, caps::CapSet::Bounding, *cap);
        // EINVAL: an older kernel that has no such capability. Verification reads the set back.
        if dropped.is_err() && Errno::last() != Errno::EINVAL {
            return Err(Failed(
                Step::Bounding,
                u16::from(cap.index()),
                Errno::last(),
            ));
        }
    }
    // Capabilities survive the change of ids only as far as capset below lets them.
    let own = u64::from(work.securebits);
    prctl(
        libc::PR_SET_SECUREBITS,
        own | SECBIT_NO_SETUID_FIXUP,
        0,
        0,
        0,
    )
    .during(Step::Securebits)?;
    if let Some(groups) = &work.groups {
        process::set_groups(groups).during(Step::Groups)?;
    }
    process::set_gid(work.gid).during(Step::Gid)?;
    process::set_uid(work.uid).during(Step::Uid)?;
    if own & SECBIT_NO_SETUID_FIXUP == 0 {
        prctl(libc::PR_SET_SECUREBITS, own, 0, 0, 0).during(Step::Securebits)?;
    }
    let sets = &work.sets;
    let (permitted, effective) = match &work.loading {
        Some((permitted, effective)) => (permitted, effective),
        None => (&sets.permitted, &sets.effective),
    };
    let failed = |_| Failed(Step::Capabilities, 0, Errno::last());
    caps::set(None, caps::CapSet::Inheritable, &sets.inheritable).map_err(failed)?;
    for cap in &sets.ambient {
        caps::raise(None, caps::CapSet::Ambient, *cap).map_err(failed)?;
    }
    caps::set(None, caps::CapSet::Effective, effective).map_err(failed)?;
    caps::set(None, caps::CapSet::Permitted, permitted).map_err(failed)
}

const SECBIT_NO_SETUID_FIXUP: u64 = 1 << 2;

/// Gives up what only the loading of the filter needed.
fn hand_back(work: &ChildWork) -> Done {
    if work.loading.is_none() {
        return Ok(());
    }
    let failed = |_| Failed(Step::Capabilities, 0, Errno::last());
    caps::set(None, caps::CapSet::Effective, &work.sets.effective).map_err(failed)?;
    caps::set(None, caps::CapSet::Permitted, &work.sets.permitted).map_err(failed)
}

/// no_new_privs, write-xor-execute, speculation, and non-dumpable again (changing ids resets it).
pub(super) fn marks(work: &ChildWork) -> Done {
    if work.new_privileges == NewPrivileges::Never {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).during(Step::NoNewPrivs)?;
    }
    if work.mdwe {
        prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0).during(Step::Mdwe)?;
    }
    if work.speculation {
        for what in [PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH] {
            // A processor or boot option without the control answers ENODEV, ENXIO or EPERM: nothing to disable.
            let _ = prctl(
                libc::PR_SET_SPECULATION_CTRL,
                what,
                PR_SPEC_FORCE_DISABLE,
                0,
                0,
            );
        }
    }
    let dumpable = u64::from(work.dumpable == Dumpable::AfterVerification);
    prctl(libc::PR_SET_DUMPABLE, dumpable, 0, 0, 0)
        .map(drop)
        .during(Step::Mark)
}

/// Applies the ruleset, wholly or not at all.
pub(super) fn landlock(rules: Rules) -> Done {
    let Some(ruleset) = rules.0 else {
        return Ok(());
    };
    let status = ruleset
        .restrict_self()
        .map_err(|_| Failed(Step::Landlock, u16::MAX, Errno::last()))?;
    if status.ruleset == RulesetStatus::FullyEnforced {
        Ok(())
    } else {
        Err(Failed(Step::Landlock, u16::MAX, Errno::EOPNOTSUPP))
    }
}

/// RLIMIT_NOFILE.
pub(super) fn last_limit(work: &ChildWork) -> Done {
    let Some(((kind, soft, hard), before)) = work.rlimits.split_last() else {
        return Ok(());
    };
    process::set_rlimit(*kind, *soft, *hard).during_nth(Step::Limit, before.len())
}

/// KILL when the launcher ends.
pub(super) fn parent_death(work: &ChildWork) -> Done {
    if work.parent_death {
        prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0, 0).during(Step::ParentDeath)?;
    }
    Ok(())
}

/// The filters, in order; a listener's descriptor goes to the launcher at once.
pub(super) fn filters(work: &ChildWork, socket: RawFd) -> Done {
    for (index, (filter, flags)) in work.filters.iter().enumerate() {
        let loaded = process::seccomp_load(filter, *flags).during_nth(Step::Seccomp, index)?;
        if let Some(listener) = loaded {
            let socket = ManuallyDrop::new(process::own(socket));
            let report = Report::at(Step::Listener).bytes();
            send_fds(socket.as_fd(), &report, &[listener.as_fd()]).during(Step::Listener)?;
        }
    }
    hand_back(work)
}
