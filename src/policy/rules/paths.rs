//! Masked and read-only paths: kept as asked; they only take away.

use super::case::Case;
use crate::controls::ControlId;
use crate::paths::GuestPath;
use std::collections::BTreeSet;

/// Both lists. Below /proc nothing is left to mask (subset=pid), and /sys is absent unless asked for.
pub(super) fn masked_and_readonly(case: &mut Case<'_>) {
    let Some(linux) = case.linux() else { return };
    case.grant.masked_paths = list(case, "/linux/maskedPaths", linux.masked_paths().as_ref());
    case.grant.readonly_paths = list(
        case,
        "/linux/readonlyPaths",
        linux.readonly_paths().as_ref(),
    );
    let moot = |path: &&GuestPath| path.as_str().starts_with("/proc/");
    let paths = case
        .grant
        .masked_paths
        .iter()
        .chain(&case.grant.readonly_paths);
    let count = paths.filter(moot).count();
    if count > 0 && !case.compat() {
        let asked = format!("{count} masked and read-only paths below /proc");
        case.cut(
            ControlId::S8_4_7,
            "/linux/maskedPaths",
            asked,
            "moot: /proc shows processes only (subset=pid)",
        );
    }
}

fn list(case: &mut Case<'_>, pointer: &str, paths: Option<&Vec<String>>) -> Vec<GuestPath> {
    let mut seen = BTreeSet::new();
    let mut out: Vec<GuestPath> = Vec::new();
    for (at, path) in paths.into_iter().flatten().enumerate() {
        match GuestPath::parse(path) {
            Ok(path) if path == GuestPath::root() => {
                let remedy = "name something below it; the root is read-only already";
                case.refuse(
                    ControlId::S8_4_7,
                    &format!("{pointer}/{at}"),
                    "the root itself",
                    remedy,
                );
            }
            Ok(path) if !seen.insert(path.clone()) => {}
            Ok(path) => out.push(path),
            Err(error) => case.refuse(
                ControlId::S8_4_7,
                &format!("{pointer}/{at}"),
                error,
                "give an absolute path inside the container",
            ),
        }
    }
    out
}
