//! The file with a network's name servers: made empty in front of the plan, filled once the network has answered.
//!
//! Beside the folder of the states, one a launch; dropping it removes it, unless the container goes on without us. Made
//! by the command line.

use super::store::own_file;
use crate::paths::HostPath;
use nix::fcntl::OFlag;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file, while the launch lasts.
#[derive(Debug)]
pub struct Resolver {
    /// Where it is.
    pub path: HostPath,
}

impl Resolver {
    /// Makes it, for a container of that name.
    pub fn make(states: &Path, name: &str) -> Result<Self, String> {
        let mut folder = states.file_name().unwrap_or_default().to_os_string();
        folder.push("-networks");
        let folder = states.with_file_name(folder);
        let path = folder.join(own_file(name));
        let wrong = |e: std::io::Error| format!("can't make {}: {e}", path.display());
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&folder).map_err(wrong)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = options.custom_flags(flags.bits()).open(&path);
        let file = file.map_err(wrong)?;
        // It is for the container to read, whatever its ids; nobody else gets through the folder.
        let readable = std::fs::Permissions::from_mode(0o644);
        file.set_permissions(readable).map_err(wrong)?;
        Ok(Self {
            path: HostPath::trusted(path.clone()),
        })
    }
}

impl Resolver {
    /// The container has it now: `delete` removes it.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

/// Removes it, and the folder with the last one.
pub(super) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
    if let Some(folder) = path.parent().map(PathBuf::from) {
        let _ = std::fs::remove_dir(folder);
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        remove(self.path.as_path());
    }
}
