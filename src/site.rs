//! Reading the policy and exception files: the one place where policy touches the disk.
//!
//! Only root-owned files that nobody else can write are read, never through a symbolic link, never more than 1 MiB.
//! What they say is judged in `policy`. Called by main for every verb that decides.

use crate::policy::{Diagnostic, Policy, Source};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where the site's policy lies unless `--policy` says otherwise; exceptions lie in `exceptions.d` beside it.
pub const POLICY: &str = "/etc/cofferdam/policy.toml";

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// Most exception files that are read.
const MAX_FILES: usize = 4096;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file could not be read.
    #[error("cannot {call} {}: {source}", path.display())]
    Io {
        /// What was tried.
        call: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file that others could have written.
    #[error("{}: {found}; {remedy}", path.display())]
    Untrusted {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Files that don't load: every problem, one a line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Diagnostic>),
}

/// Who may own the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root only: what is read for a launch with root's rights.
    Root,
    /// Root or this user: a rootless launch, and `policy check` on files in the making.
    RootOr(u32),
}

/// Loads the policy: the given file, or the default one if it exists, with the exceptions beside it.
/// Without either, the built-in policy.
pub fn load(path: Option<&Path>, owner: Owner) -> Result<Policy, SiteError> {
    let (site, files) = read(path, owner)?;
    Policy::layered(site.as_ref(), &files).map_err(SiteError::Invalid)
}

/// Reads all the files without judging what they say.
pub fn read(path: Option<&Path>, owner: Owner) -> Result<(Option<Source>, Vec<Source>), SiteError> {
    let place = path.unwrap_or(Path::new(POLICY));
    let site = match (source(place, owner), path) {
        (Ok(source), _) => {
            closed(place)?;
            Some(source)
        }
        (Err(SiteError::Io { source, .. }), None) if is_absent(&source) => None,
        (Err(error), _) => return Err(error),
    };
    let folder = place
        .parent()
        .unwrap_or(Path::new("/"))
        .join("exceptions.d");
    Ok((site, exceptions(&folder, owner)?))
}

/// Who may write the policy's folder may put another file of root's in its place (in a sticky one nobody may). The
/// exceptions' own is held to more.
fn closed(policy: &Path) -> Result<(), SiteError> {
    let folder = policy.parent().filter(|f| !f.as_os_str().is_empty());
    let held = fs::metadata(folder.unwrap_or(Path::new(".")));
    let held = held.map_err(|source| SiteError::Io {
        call: "stat the folder of",
        path: policy.into(),
        source,
    })?;
    if held.mode() & 0o022 != 0 && held.mode() & 0o1000 == 0 {
        let mode = held.mode() & 0o7777;
        return Err(SiteError::Untrusted {
            path: policy.into(),
            found: format!("in a folder that others may write (mode {mode:o})"),
            remedy: "chmod go-w the folder",
        });
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// All `*.toml` of the folder, by name, so that the digest doesn't depend on the order of the disk.
fn exceptions(folder: &Path, owner: Owner) -> Result<Vec<Source>, SiteError> {
    let io = |call, source| SiteError::Io {
        call,
        path: folder.into(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(io("list", error)),
    };
    let held = fs::symlink_metadata(folder).map_err(|e| io("stat", e))?;
    trusted(folder, &held, owner)?;
    let mut paths = Vec::new();
    for entry in entries.take(MAX_FILES) {
        let path = entry.map_err(|e| io("list", e))?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| source(path, owner)).collect()
}

fn source(path: &Path, owner: Owner) -> Result<Source, SiteError> {
    let io = |call| {
        move |source| SiteError::Io {
            call,
            path: path.into(),
            source,
        }
    };
    let untrusted = |found: String, remedy| SiteError::Untrusted {
        path: path.into(),
        found,
        remedy,
    };
    let file = open(path).map_err(io("open"))?;
    let meta = file.metadata().map_err(io("stat"))?;
    if !meta.is_file() {
        return Err(untrusted("not a regular file".into(), "name a file"));
    }
    trusted(path, &meta, owner)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io("read"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(untrusted(
            "larger than 1 MiB".into(),
            "a policy file is smaller",
        ));
    }
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&e.as_bytes()[..at]);
        let said = "not UTF-8 text: write the file in UTF-8";
        SiteError::Invalid(vec![Diagnostic::at(&name, &before, at..at, said)])
    })?;
    Ok(Source { name, text })
}

/// O_NONBLOCK so that a FIFO in the file's place can't hold the launcher up.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)
}

fn trusted(path: &Path, meta: &Metadata, owner: Owner) -> Result<(), SiteError> {
    let untrusted = |found: String, remedy| {
        Err(SiteError::Untrusted {
            path: path.into(),
            found,
            remedy,
        })
    };
    let owned = match owner {
        Owner::Root => meta.uid() == 0,
        Owner::RootOr(uid) => meta.uid() == 0 || meta.uid() == uid,
    };
    if meta.file_type().is_symlink() {
        return untrusted("a symbolic link".into(), "put the file itself there");
    }
    if !owned {
        return untrusted(format!("owned by user {}", meta.uid()), "chown it to root");
    }
    if meta.mode() & 0o022 != 0 {
        let found = format!("writable for others (mode {:o})", meta.mode() & 0o7777);
        return untrusted(found, "chmod go-w it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn me() -> Owner {
        Owner::RootOr(nix::unistd::geteuid().as_raw())
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_of_others_links_and_giants_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        let refused = |path: &Path| load(Some(path), me()).unwrap_err().to_string();
        assert!(refused(&path).contains("cannot open"));
        write(&path, "version = 1\n", 0o666);
        assert!(refused(&path).contains("writable for others (mode 666)"));
        write(&path, &"#".repeat(MAX_BYTES as usize + 1), 0o600);
        assert!(refused(&path).contains("larger than 1 MiB"));
        let link = dir.path().join("link.toml");
        symlink(&path, &link).unwrap();
        assert!(refused(&link).contains("cannot open"));
        assert!(refused(dir.path()).contains("not a regular file"));
        fs::write(&path, b"a = \"\xff\"").unwrap();
        assert!(refused(&path).contains("policy.toml:1:6: not UTF-8 text"));
        write(&path, "version = 1\n", 0o600);
        assert!(load(Some(&path), me()).is_ok());
        let open = |mode| {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        };
        open(0o777);
        assert!(refused(&path).contains("a folder that others may write (mode 777)"));
        open(0o1777);
        assert!(load(Some(&path), me()).is_ok());
    }

    #[test]
    fn exceptions_lie_beside_the_policy_and_change_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        write(&path, "version = 1\n", 0o600);
        let before = load(Some(&path), me()).unwrap();
        let folder = dir.path().join("exceptions.d");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        write(&folder.join("a.toml"), crate::policy::COMPAT_TOML, 0o600);
        write(&folder.join("notes.txt"), "not read", 0o600);
        let after = load(Some(&path), me()).unwrap();
        assert_eq!((before.exceptions.len(), after.exceptions.len()), (0, 1));
        assert_ne!(before.digest, after.digest);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(load(Some(&path), me()).is_err());
    }
}
