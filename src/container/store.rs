//! The state folder: one folder a container, closed to everybody else, each file written whole or not at all.

use super::error::{ContainerError, at};
use super::hooks::SavedHooks;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::policy::{Template, is_name};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is known of a container; the file `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of this file's layout.
    pub layout: u32,
    /// Id.
    pub id: String,
    /// Process id on the host.
    pub pid: i32,
    /// Start time of that process in clock ticks (field 22 of /proc/PID/stat): pids are reused.
    pub start_time: u64,
    /// Whether `start` was called.
    pub started: bool,
    /// The bundle's folder.
    pub bundle: String,
    /// The root's folder.
    pub rootfs: String,
    /// When it was created, RFC 3339.
    pub created: String,
    /// Uid of the caller.
    pub owner: u32,
    /// Its cgroups.
    pub cgroup: CgroupRecord,
    /// First id of its own range.
    pub range: Option<u32>,
    /// Labels.
    pub annotations: BTreeMap<String, String>,
    /// The template that it was launched under; states of earlier versions say none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// The AppArmor profile that the program is executed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<String>,
    /// Hooks that are still to run.
    #[serde(default, skip_serializing_if = "SavedHooks::is_empty")]
    pub hooks: SavedHooks,
    /// argv's first word, for who hears of its start; states of earlier versions say none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// A container's status as the runtime-spec names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    Creating,
    /// Waits for start.
    Created,
    /// The program runs.
    Running,
    /// Every process of it is frozen.
    Paused,
    /// The program has ended.
    Stopped,
}

impl Status {
    /// The spec's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// The state folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// One container's folder, locked.
#[must_use]
pub struct Entry {
    dir: PathBuf,
    folder: File,
    lock: Option<Flock<File>>,
}

/// An id that is about to be taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    dir: PathBuf,
    beside: PathBuf,
    /// Of the folder, once it is made.
    inode: Option<u64>,
}

impl Claim {
    /// Removes what was made for it, and the container's folder if it is this claim's.
    pub fn undo(&self) {
        let _ = fs::remove_dir_all(&self.beside);
        if let Some(folder) = self.folder() {
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// The container's folder; `None`: it was not taken, or has been deleted, and the id may be another's by now.
    pub fn folder(&self) -> Option<&Path> {
        let found = fs::symlink_metadata(&self.dir).ok().map(|m| m.ino());
        (self.inode.is_some() && found == self.inode).then_some(&self.dir)
    }
}

/// Where a created container waits.
pub struct Gate {
    /// Read by the child.
    pub go: OwnedFd,
    /// Written by the child.
    pub report: OwnedFd,
}

const STATE: &str = "state.json";
const GO: &str = "go";
const REPORT: &str = "report";

impl Store {
    /// The default place: /run/cofferdam for root, below the user's runtime folder otherwise.
    pub fn default_root() -> PathBuf {
        if nix::unistd::geteuid().is_root() {
            return "/run/cofferdam".into();
        }
        match std::env::var_os("XDG_RUNTIME_DIR").filter(|d| Path::new(d).is_absolute()) {
            Some(dir) => PathBuf::from(dir).join("cofferdam"),
            None => PathBuf::from(format!("/tmp/cofferdam-{}", nix::unistd::geteuid())),
        }
    }

    /// A store that may not exist yet.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn ensure(&self) -> Result<(), ContainerError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root);
        at(made, "make the state folder", &self.root)?;
        let meta = at(fs::symlink_metadata(&self.root), "look at", &self.root)?;
        if meta.is_symlink() {
            return Err(ContainerError::StoreIsLink {
                path: self.root.display().to_string(),
            });
        }
        // An engine's own folder may be readable by others, never writable.
        if meta.uid() != nix::unistd::geteuid().as_raw()
            || meta.mode() & 0o022 != 0
            || !meta.is_dir()
        {
            return Err(ContainerError::StoreNotOurs {
                path: self.root.display().to_string(),
                owner: meta.uid(),
                mode: meta.mode() & 0o7777,
            });
        }
        Ok(())
    }

    /// Where a container's folder is or would be; `None`: not an id.
    pub fn dir_of(&self, id: &str) -> Option<PathBuf> {
        is_name(id).then(|| self.root.join(id))
    }

    /// The names that taking an id will use; nothing is made yet.
    pub fn reserve(&self, id: &str) -> Result<Claim, ContainerError> {
        let dir = self.dir_of(id).ok_or(ContainerError::Unknown)?;
        // '~' is in no id, so nobody takes this for a container.
        let beside = self.root.join(format!("~{}", own_file(id)));
        Ok(Claim {
            dir,
            beside,
            inode: None,
        })
    }

    /// Makes the folder beside its place; `claim` then knows it by its inode, and so does whoever cleans up after us.
    pub fn prepare(&self, claim: &mut Claim) -> Result<(), ContainerError> {
        self.ensure()?;
        let beside = &claim.beside;
        at(
            fs::DirBuilder::new().mode(0o700).create(beside),
            "make",
            beside,
        )?;
        claim.inode = Some(at(fs::symlink_metadata(beside), "look at", beside)?.ino());
        Ok(())
    }

    /// Takes the id with a prepared claim, or says that somebody has it.
    pub fn take(&self, claim: &Claim) -> Result<Entry, ContainerError> {
        let beside = &claim.beside;
        let taken = Entry::lock(beside.clone()).and_then(|entry| {
            let flags = nix::fcntl::RenameFlags::RENAME_NOREPLACE;
            let here = nix::fcntl::AT_FDCWD;
            match nix::fcntl::renameat2(here, beside, here, &claim.dir, flags) {
                Ok(()) => Ok(Entry {
                    dir: claim.dir.clone(),
                    ..entry
                }),
                Err(Errno::EEXIST) => Err(holder(&claim.dir)),
                Err(errno) => at(Err(errno.into()), "rename", beside),
            }
        });
        if taken.is_err() {
            let _ = fs::remove_dir_all(beside);
        }
        taken
    }

    /// Opens a container; waits for whoever is at work on it.
    pub fn open(&self, id: &str) -> Result<Entry, ContainerError> {
        Entry::lock(self.found(id)?)
    }

    /// The folder of a container that is there.
    fn found(&self, id: &str) -> Result<PathBuf, ContainerError> {
        let dir = self.dir_of(id).ok_or(ContainerError::Unknown)?;
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => Ok(dir),
            // It may be there: that there is none would be a guess.
            Err(why) if why.kind() == ErrorKind::PermissionDenied => Err(self.closed(why)),
            _ => Err(ContainerError::Unknown),
        }
    }

    /// Whether the caller may know which containers there are; what is not there has none.
    pub fn visible(&self) -> Result<(), ContainerError> {
        match fs::read_dir(&self.root) {
            Err(why) if why.kind() == ErrorKind::PermissionDenied => Err(self.closed(why)),
            Err(why) if why.kind() != ErrorKind::NotFound => at(Err(why), "list", &self.root),
            _ => Ok(()),
        }
    }

    fn closed(&self, why: std::io::Error) -> ContainerError {
        let path = self.root.display().to_string();
        match fs::symlink_metadata(&self.root) {
            Ok(meta) => ContainerError::StoreClosed {
                path,
                owner: meta.uid(),
                mode: meta.mode() & 0o7777,
            },
            // A folder above it is closed.
            Err(_) => ContainerError::Store {
                tried: "look into",
                path,
                why,
            },
        }
    }

    /// The ids, sorted.
    pub fn ids(&self) -> Vec<String> {
        let mut out: Vec<String> = fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|name| is_name(name))
            .collect();
        out.sort();
        out
    }

    /// The state of one container, without its lock; `None` while it is being made.
    pub fn peek(&self, id: &str) -> Result<Option<State>, ContainerError> {
        read_state(&self.found(id)?)
    }

    /// Ranges of ids that containers have: (first, count).
    pub fn ranges(&self) -> Vec<(u32, u32)> {
        self.ids()
            .iter()
            .filter_map(|id| self.peek(id).ok().flatten()?.range)
            .map(|first| (first, 65_536))
            .collect()
    }
}

/// A file's name for what this process makes for an id, which alone may have as many bytes as a file's name.
pub(super) fn own_file(id: &str) -> String {
    let start = id.get(..200).unwrap_or(id);
    format!("{start}.{}", std::process::id())
}

/// Who has an id: a container, or nobody any more. Whoever makes one holds its lock until there is a state.
fn holder(dir: &Path) -> ContainerError {
    let abandoned = || {
        let folder = File::open(dir).ok()?;
        let lock = Flock::lock(folder, FlockArg::LockExclusiveNonblock).ok()?;
        let whole = dir.join(STATE).try_exists().unwrap_or(true);
        drop(lock);
        (!whole).then_some(())
    };
    match abandoned() {
        Some(()) => ContainerError::HalfMade,
        None => ContainerError::Exists,
    }
}

fn read_state(dir: &Path) -> Result<Option<State>, ContainerError> {
    let path = dir.join(STATE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return at(Err(why), "read", &path),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|why| ContainerError::StateDamaged {
            path: path.display().to_string(),
            why: why.to_string(),
        })
}

impl Entry {
    fn lock(dir: PathBuf) -> Result<Self, ContainerError> {
        let folder = match File::open(&dir) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(ContainerError::Unknown);
            }
            Err(why) => return at(Err(why), "open", &dir),
        };
        let mut entry = Self {
            dir,
            folder,
            lock: None,
        };
        match entry.relock()? {
            true => Ok(entry),
            false => Err(ContainerError::Unknown), // deleted while we waited
        }
    }

    /// Lets others at the container while its program runs.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Takes the lock again; false when the container was deleted meanwhile (its id may be another's by now).
    pub fn relock(&mut self) -> Result<bool, ContainerError> {
        let folder = at(self.folder.try_clone(), "open", &self.dir)?;
        let lock = Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, errno)| {
            ContainerError::Sys {
                tried: "lock the container's state",
                errno,
            }
        })?;
        self.lock = Some(lock);
        let ours = at(self.folder.metadata(), "look at", &self.dir)?;
        let there = fs::symlink_metadata(&self.dir);
        Ok(there.is_ok_and(|m| (m.dev(), m.ino()) == (ours.dev(), ours.ino())))
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of it; `None`: it was never finished.
    pub fn state(&self) -> Result<Option<State>, ContainerError> {
        read_state(&self.dir)
    }

    /// Writes a file whole: beside it, then in its place.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), ContainerError> {
        let (path, beside) = (self.dir.join(name), self.dir.join(format!(".{name}.new")));
        let written = write_to(
            OpenOptions::new().create(true).truncate(true),
            &beside,
            contents,
        )
        .and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        at(written, "write", &path)
    }

    /// Writes a file that is not there yet, in its place: nobody looks for it before the state is saved, and if that does
    /// not happen the folder goes.
    pub fn write_first(&self, name: &str, contents: &[u8]) -> Result<(), ContainerError> {
        let path = self.dir.join(name);
        let written = write_to(OpenOptions::new().create_new(true), &path, contents);
        at(written, "write", &path)
    }

    /// Writes the state.
    pub fn save(&self, state: &State) -> Result<(), ContainerError> {
        let text = serde_json::to_vec(state).map_err(|e| ContainerError::StateDamaged {
            path: self.dir.display().to_string(),
            why: e.to_string(),
        })?;
        self.write(STATE, &text)
    }

    /// Makes the two FIFOs that a created container waits at; both are opened for reading and writing, so that
    /// neither side sees an end while the other is away.
    pub fn make_gate(&self) -> Result<Gate, ContainerError> {
        let open = |name: &str| {
            let path = self.dir.join(name);
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            at(
                nix::unistd::mkfifo(&path, mode).map_err(Into::into),
                "make the FIFO",
                &path,
            )?;
            let file = OpenOptions::new().read(true).write(true).open(&path);
            at(file, "open", &path).map(OwnedFd::from)
        };
        Ok(Gate {
            go: open(GO)?,
            report: open(REPORT)?,
        })
    }

    /// The launcher's ends of the gate: (go, report).
    pub fn open_gate(&self) -> Result<(File, File), ContainerError> {
        let report = self.dir.join(REPORT);
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&report);
        let go = self.dir.join(GO);
        let writer = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&go);
        Ok((at(writer, "open", &go)?, at(reader, "open", &report)?))
    }

    /// Forgets the container.
    pub fn remove(self) -> Result<(), ContainerError> {
        // The janitor of a launcher that was killed may be at it, too: what is gone is what was wanted.
        for _ in 0..16 {
            match fs::remove_dir_all(&self.dir) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.dir.exists() => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                other => return at(other, "remove", &self.dir),
            }
        }
        at(fs::remove_dir_all(&self.dir), "remove", &self.dir)
    }
}

fn write_to(how: &mut OpenOptions, path: &Path, contents: &[u8]) -> std::io::Result<()> {
    how.write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .and_then(|mut file| file.write_all(contents))
}

impl State {
    /// The caller as people read it; other names than root's are not looked up.
    pub fn owner_name(&self) -> String {
        match self.owner {
            0 => "root".into(),
            uid => uid.to_string(),
        }
    }

    /// Whether its process is there and has not ended.
    pub fn is_alive(&self) -> bool {
        self.pid > 0 && start_time(self.pid) == Some(self.start_time)
    }

    /// Its status now.
    pub fn status(&self) -> Status {
        match (self.is_alive(), self.started) {
            (false, _) => Status::Stopped,
            (true, _) if self.is_frozen() => Status::Paused,
            (true, false) => Status::Created,
            (true, true) => Status::Running,
        }
    }

    /// As the kernel says; a pause outlives whoever asked for it.
    fn is_frozen(&self) -> bool {
        Cgroup::open(&self.cgroup).is_ok_and(|cgroup| cgroup.is_frozen())
    }
}

/// Field 22 of /proc/PID/stat; `None` when the process is gone or a zombie.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = crate::sys::fs::read_kernel_file(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and parentheses: fields count from the last ')'.
    let rest = &stat[stat.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_whitespace().collect();
    match fields.first() {
        Some(&("Z" | "X" | "x")) | None => None,
        Some(_) => fields.get(19)?.parse().ok(),
    }
}
