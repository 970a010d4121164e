//! One process's folder below /proc, held open: what is read through it belongs to that process or is an error.
//!
//! A pid that ends while it is looked at, and one that is taken again, both answer ESRCH and never with another
//! process's facts. Reads, bounded; judges nothing.

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What was read, or why it could not be.
pub type Look<T> = Result<T, String>;

/// The most that is read of one file, in bytes.
const MOST: u64 = 4 << 20;

/// /proc/PID.
pub struct ProcDir {
    fd: OwnedFd,
    /// The process.
    pub pid: i32,
}

impl ProcDir {
    /// Holds the folder of a process.
    pub fn open(pid: i32) -> io::Result<Self> {
        let path = format!("/proc/{pid}");
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = open(path.as_str(), flags, Mode::empty())?;
        Ok(Self { fd, pid })
    }

    fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{file}", self.fd.as_raw_fd()))
    }

    /// A file's text; what is not UTF-8 in it is replaced.
    pub fn text(&self, file: &str) -> Look<String> {
        read(&self.path(file)).map_err(|e| self.sentence("read", file, &e))
    }

    /// Where a link leads.
    pub fn link(&self, file: &str) -> Look<String> {
        std::fs::read_link(self.path(file))
            .map(|p| p.to_string_lossy().into_owned())
            .map_err(|e| self.sentence("follow", file, &e))
    }

    /// The numbers that are names in a folder (task, fd); sorted.
    pub fn numbers(&self, folder: &str) -> Look<Vec<i32>> {
        let entries = std::fs::read_dir(self.path(folder));
        let entries = entries.map_err(|e| self.sentence("list", folder, &e))?;
        let mut all: Vec<i32> = entries
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse().ok())
            .collect();
        all.sort_unstable();
        Ok(all)
    }

    /// When the process was made, in clock ticks since boot (field 22 of stat).
    pub fn started(&self) -> Option<u64> {
        let stat = read(&self.path("stat")).ok()?;
        // The name may hold spaces and parentheses: fields count from the last ')'.
        let rest = stat.get(stat.rfind(')')? + 1..)?;
        rest.split_whitespace().nth(19)?.parse().ok()
    }

    /// Whether the process is gone.
    pub fn has_ended(&self) -> bool {
        read(&self.path("stat")).is_err()
    }

    fn sentence(&self, tried: &str, file: &str, why: &io::Error) -> String {
        let path = format!("/proc/{}/{file}", self.pid);
        match why.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => {
                format!("can't {tried} {path}: {why}; run it as root")
            }
            _ => format!("can't {tried} {path}: {why}"),
        }
    }
}

/// A bounded read of a kernel file.
pub fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(4096);
    std::fs::File::open(path)?
        .take(MOST)
        .read_to_end(&mut bytes)?;
    Ok(crate::sys::fs::text_of(bytes))
}
