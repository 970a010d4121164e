//! What the programs of hooks are: which file a path leads to, and who could change it. Reads, and judges nothing.

use oci_spec::runtime::Spec;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file behind a hook's path on the host.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HookFile {
    /// Where it is, without links: `/proc/PID/exe` is judged by the program that it leads to.
    pub at: PathBuf,
    /// Somebody but root and the caller who could put another program there; `None`: nobody.
    pub writable_by: Option<String>,
}

/// Looks at every hook's file on the host; what is not there has no entry.
#[allow(deprecated)]
pub(super) fn look(spec: &Spec) -> BTreeMap<PathBuf, HookFile> {
    let Some(hooks) = spec.hooks() else {
        return BTreeMap::new();
    };
    let lists = [
        hooks.prestart(),
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    let all = lists.into_iter().flat_map(|list| list.iter().flatten());
    all.filter_map(|hook| {
        let at = std::fs::canonicalize(hook.path()).ok()?;
        let writable_by = writable_by(&at, nix::unistd::geteuid().as_raw());
        Some((hook.path().clone(), HookFile { at, writable_by }))
    })
    .collect()
}

/// Who but root and `me` could change the file or a folder above it. A sticky folder keeps others from replacing what
/// is not theirs.
pub fn writable_by(file: &Path, me: u32) -> Option<String> {
    file.ancestors().find_map(|path| {
        let meta = std::fs::symlink_metadata(path).ok()?;
        let mode = meta.mode();
        let shared = mode & 0o022 != 0 && !(meta.is_dir() && mode & 0o1000 != 0);
        if meta.uid() != 0 && meta.uid() != me {
            Some(format!("{} belongs to uid {}", path.display(), meta.uid()))
        } else if shared {
            let mode = mode & 0o7777;
            Some(format!("{} has mode {mode:04o}", path.display()))
        } else {
            None
        }
    })
}
