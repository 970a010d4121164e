//! What a worker loses before it begins: descriptors, capabilities, files, network, system calls.
//!
//! In this order, each step being allowed by those before it. A step that fails ends the worker: none runs unjailed.

use super::{Row, Worker};
use crate::seccomp;
use crate::sys::{landlock as kernel, process};
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::errno::Errno;
use std::path::PathBuf;

/// What a worker may reach beyond its descriptors.
#[derive(Clone, Debug, Default)]
pub struct Jail {
    /// Folders, by the names of their descriptors, in which it may make, read, write and remove files.
    pub writes: Vec<&'static str>,
    /// Folders, by the names of their descriptors, in which it may read.
    pub reads: Vec<&'static str>,
    /// Files and folders in which it may read, by path; those that are not there are left out.
    pub read_paths: Vec<PathBuf>,
    /// Folders in which it may make, read, write and remove files, by path.
    pub write_paths: Vec<PathBuf>,
    /// TCP ports that it may connect to.
    pub connect: Vec<u16>,
    /// TCP ports that it may bind.
    pub bind: Vec<u16>,
    /// Whether sockets of other processes in the abstract name space may be reached.
    pub abstract_sockets: bool,
    /// Capabilities that it keeps.
    pub keeps: Vec<Capability>,
}

/// Why a worker could not be jailed.
#[derive(Debug, thiserror::Error)]
#[error("can't {tried}: {why}")]
pub struct JailError {
    tried: &'static str,
    why: String,
}

fn at<T, E: std::fmt::Display>(result: Result<T, E>, tried: &'static str) -> Result<T, JailError> {
    result.map_err(|why| JailError {
        tried,
        why: why.to_string(),
    })
}

/// Takes everything away that the row doesn't name.
pub fn enter(row: &Row, worker: &Worker) -> Result<(), JailError> {
    let jail = (row.jail)(worker);
    at(drop_capabilities(&jail.keeps), "drop capabilities (capset)")?;
    at(
        process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        "set no_new_privs (prctl)",
    )?;
    at(
        process::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0),
        "hide the memory (prctl)",
    )?;
    at(
        restrict(&jail, worker),
        "restrict files and network (landlock)",
    )?;
    let filter = seccomp::jail(row.name).ok_or("there is no filter of its name");
    let filter = at(filter, "find the filter")?.to_bpf();
    at(
        process::seccomp_load(&filter, 0),
        "load the filter (seccomp)",
    )
    .map(drop)
}

/// Keeps these capabilities alone, in all sets.
pub fn drop_capabilities(keep: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let have = caps::read(None, CapSet::Permitted)?;
    let keep: CapsHashSet = keep.iter().filter(|c| have.contains(c)).copied().collect();
    if have.contains(&Capability::CAP_SETPCAP) {
        for cap in caps::all() {
            if !keep.contains(&cap) && caps::has_cap(None, CapSet::Bounding, cap).unwrap_or(false) {
                caps::drop(None, CapSet::Bounding, cap)?;
            }
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, &keep)?;
    caps::set(None, CapSet::Permitted, &keep)
}

/// The landlock domain, as far as this kernel has it; a kernel without landlock has none.
fn restrict(jail: &Jail, worker: &Worker) -> Result<(), String> {
    let version = match kernel::abi() {
        Ok(version) => version,
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno.to_string()),
    };
    let abi = ABI::from(i32::try_from(version).unwrap_or(0));
    let text = |e: landlock::RulesetError| e.to_string();
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .map_err(text)?;
    if version >= 4 {
        ruleset = ruleset
            .handle_access(AccessNet::from_all(abi))
            .map_err(text)?;
    }
    if version >= 6 {
        let all: BitFlags<Scope> = Scope::from_all(abi);
        let scoped = match jail.abstract_sockets {
            true => all & !Scope::AbstractUnixSocket,
            false => all,
        };
        // Who keeps a right to signal is there to use it.
        let scoped = match jail.keeps.contains(&Capability::CAP_KILL) {
            true => scoped & !Scope::Signal,
            false => scoped,
        };
        if !scoped.is_empty() {
            ruleset = ruleset.scope(scoped).map_err(text)?;
        }
    }
    let mut created = ruleset.create().map_err(text)?;
    let read = AccessFs::from_read(abi) & !AccessFs::Execute;
    let devices = AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::MakeSym;
    let write = AccessFs::from_all(abi) & !(devices | AccessFs::Execute | AccessFs::IoctlDev);
    for (names, access) in [(&jail.reads, read), (&jail.writes, write)] {
        for name in names {
            let fd = worker
                .fds
                .get(name)
                .ok_or("a folder's descriptor is missing")?;
            created = created
                .add_rule(PathBeneath::new(fd, access))
                .map_err(text)?;
        }
    }
    for (paths, access) in [(&jail.read_paths, read), (&jail.write_paths, write)] {
        for path in paths {
            let Ok(file) = std::fs::File::open(path) else {
                continue;
            };
            let is_dir = file.metadata().is_ok_and(|m| m.is_dir());
            let access = match is_dir {
                true => access,
                false => access & AccessFs::from_file(abi),
            };
            created = created
                .add_rule(PathBeneath::new(file, access))
                .map_err(text)?;
        }
    }
    if version >= 4 {
        for (ports, access) in [
            (&jail.connect, AccessNet::ConnectTcp),
            (&jail.bind, AccessNet::BindTcp),
        ] {
            for port in ports {
                created = created
                    .add_rule(NetPort::new(*port, access))
                    .map_err(text)?;
            }
        }
    }
    created.restrict_self().map(drop).map_err(text)
}
