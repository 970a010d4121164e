//! Our own files: whoever can write one of them decides what is launched.

use super::{Places, add, verdict};
use crate::audit::model::{Finding, Verdict};
use crate::controls::ControlId::{self, *};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

type Look = (&'static str, &'static [ControlId]);

const BINARY: Look = ("own/binary", &[S8_2_1, S8_2_3]);
const POLICY: Look = ("own/policy", &[S8_2_1, S8_2_3]);
const STATE: Look = ("own/state", &[S8_2_1, S8_2_3]);

pub(super) const LOOKS: &[Look] = &[BINARY, POLICY, STATE];

pub(super) fn check(places: &Places<'_>, out: &mut Vec<Finding>) {
    let binary = std::env::current_exe().unwrap_or_default();
    let binary = with_folders(&binary);
    judge(
        out,
        &BINARY,
        "who can change this program",
        &binary,
        0o6022,
        "nobody has installed it",
    );
    let mut policy = with_folders(places.policy);
    let folder = places.policy.with_file_name("exceptions.d");
    policy.extend(
        std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path()),
    );
    policy.push(folder);
    judge(
        out,
        &POLICY,
        "who can change the policy and its exceptions",
        &policy,
        0o022,
        "the built-in policy is in force",
    );
    let state = [places.state.to_path_buf()];
    judge(
        out,
        &STATE,
        "who can look into the folder of states",
        &state,
        0o077,
        "no container has been launched",
    );
}

/// A file and all folders above it.
fn with_folders(path: &Path) -> Vec<PathBuf> {
    path.ancestors()
        .filter(|p| !p.as_os_str().is_empty())
        .map(Path::to_path_buf)
        .collect()
}

fn judge(
    out: &mut Vec<Finding>,
    look: &Look,
    tried: &str,
    paths: &[PathBuf],
    bits: u32,
    absent: &str,
) {
    let words = (tried, "root alone");
    let shown = paths
        .first()
        .map(|p| p.display().to_string())
        .unwrap_or_default();
    if paths.first().is_none_or(|p| !p.exists()) {
        return add(
            out,
            look,
            words,
            (&shown, "absent"),
            Verdict::not_applicable(absent),
            "",
        );
    }
    let mut bad = Vec::new();
    for path in paths {
        let Ok(meta) = std::fs::symlink_metadata(path) else {
            continue;
        };
        // In a folder like /tmp nobody moves what is another's.
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        let open =
            meta.mode() & bits & 0o7777 != 0 && !(sticky && bits != 0o077) && !meta.is_symlink();
        if meta.uid() != 0 || open {
            bad.push(format!(
                "{}: owner {}, mode {:o}",
                path.display(),
                meta.uid(),
                meta.mode() & 0o7777
            ));
        }
    }
    let answer = match bad.is_empty() {
        true => "root alone".into(),
        false => bad.join("; "),
    };
    let remedy =
        "chown root:root and chmod go-w (0700 for the folder of states), the folders above too";
    add(
        out,
        look,
        words,
        (&shown, &answer),
        verdict(bad.is_empty()),
        remedy,
    );
}
