//! Reads config.json: bounded, typed, with the place of every error. Trusts nothing in it.

use super::unknown::{UnknownCapabilities, without_unknown_capabilities};
use super::{Bundle, Caller, Extras, RootSource};
use crate::paths::HostPath;
use crate::sys::fs::read_regular;
use oci_spec::runtime::Spec;
use std::path::{Path, PathBuf};

/// Bytes of a JSON pointer that an error shows.
const LONGEST_POINTER: usize = 256;

/// The largest config.json that is read, in bytes.
pub const MAX_CONFIG: u64 = 1 << 20;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file can't be read.
    #[error("can't read {path}: {why}")]
    Read {
        /// Which.
        path: String,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// More than [`MAX_CONFIG`] bytes.
    #[error("{path} has {size} bytes: a config.json may have at most {MAX_CONFIG}")]
    TooLarge {
        /// Which.
        path: String,
        /// Its size as far as it was read.
        size: u64,
    },
    /// Not a runtime-spec config.
    #[error("{path}: {pointer}: {what}")]
    Shape {
        /// Which file.
        path: String,
        /// JSON pointer; "(document)" for the whole.
        pointer: String,
        /// What is wrong, with line and column.
        what: String,
    },
}

impl Bundle {
    /// Reads `dir`/config.json.
    pub fn load(
        dir: &HostPath,
        name: &str,
        caller: Caller,
        extras: Extras,
    ) -> Result<Self, BundleError> {
        Self::load_file(&dir.join("config.json"), dir, name, caller, extras)
    }

    /// Reads a file of any name; `dir` is the folder that its relative paths begin at.
    pub fn load_file(
        path: &HostPath,
        dir: &HostPath,
        name: &str,
        caller: Caller,
        extras: Extras,
    ) -> Result<Self, BundleError> {
        let text = read(path.as_path())?;
        let (spec, unknown_capabilities) =
            parse_known(&text).map_err(|(pointer, what)| BundleError::Shape {
                path: path.to_string(),
                pointer,
                what,
            })?;
        let shape = |pointer: &str, what: &str| BundleError::Shape {
            path: path.to_string(),
            pointer: pointer.into(),
            what: what.into(),
        };
        check_version(spec.version()).map_err(|what| shape("/ociVersion", &what))?;
        let root = spec.root().as_ref().ok_or_else(|| {
            shape(
                "/root",
                "missing: a Linux container needs a root with a path",
            )
        })?;
        let root = root
            .path()
            .to_str()
            .filter(|p| !p.is_empty() && !p.contains('\0'))
            .ok_or_else(|| {
                shape(
                    "/root/path",
                    "not a path: name the root file system's folder",
                )
            })?;
        let root = match resolved(dir.as_path().join(root)) {
            root if root.as_path() == Path::new("/") => RootSource::Host,
            root => RootSource::Dir(root),
        };
        let mut spec = spec;
        resolve_sources(&mut spec, dir.as_path());
        Ok(Self {
            name: name.into(),
            caller,
            root,
            hook_files: super::hook_files::look(&spec),
            spec,
            extras: Extras {
                unknown_capabilities,
                ..extras
            },
            digest: crate::digest::sha256_hex(&text),
        })
    }
}

/// Without symbolic links, so that policy judges the place that is meant; a later change of a link is an error then
/// (paths are opened with RESOLVE_NO_SYMLINKS). What does not exist stays as it is: the survey will say so.
pub(super) fn resolved(path: PathBuf) -> HostPath {
    HostPath::trusted(std::fs::canonicalize(&path).unwrap_or(path))
}

/// Makes every bind source absolute (runtime-spec: relative to the bundle) and resolves its links.
pub(super) fn resolve_sources(spec: &mut Spec, dir: &Path) {
    let Some(mounts) = spec.mounts() else { return };
    let mut mounts = mounts.clone();
    for mount in &mut mounts {
        let bind = |o: &String| matches!(o.as_str(), "bind" | "rbind");
        let is_bind =
            mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(bind);
        if let Some(source) = mount.source().clone().filter(|_| is_bind) {
            mount.set_source(Some(resolved(dir.join(source)).as_path().into()));
        }
    }
    spec.set_mounts(Some(mounts));
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    let shown = || path.display().to_string();
    let text =
        read_regular(path, MAX_CONFIG).map_err(|why| BundleError::Read { path: shown(), why })?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(BundleError::TooLarge {
            path: shown(),
            size: text.len() as u64,
        });
    }
    Ok(text)
}

/// Parses a config; the error is (JSON pointer, what).
pub fn parse(text: &[u8]) -> Result<Spec, (String, String)> {
    parse_known(text).map(|(spec, _)| spec)
}

/// With the names of capabilities that had to be left out.
fn parse_known(text: &[u8]) -> Result<(Spec, Vec<UnknownCapabilities>), (String, String)> {
    let respelled = respelled(text);
    let text = respelled.as_deref().unwrap_or(text);
    // Looked for only when something is wrong: most configs are right, and are read once.
    parse_all(text)
        .map(|spec| (spec, Vec::new()))
        .or_else(|error| {
            let (text, unknown) = without_unknown_capabilities(text, "/process").ok_or(error)?;
            Ok((parse_all(&text)?, unknown))
        })
}

fn parse_all(text: &[u8]) -> Result<Spec, (String, String)> {
    serde_json::from_slice(text).map_err(|error| {
        let mut pointer = super::pointer::at(text, error.line(), error.column());
        // A hostile file can nest a hundred thousand deep in a field that nobody reads.
        if pointer.len() > LONGEST_POINTER {
            pointer.truncate(pointer.floor_char_boundary(LONGEST_POINTER));
            pointer.push_str("...");
        }
        (pointer, error.to_string())
    })
}

/// Two scheduler flags have other names in oci-spec 0.10 than in runtime-spec.
const FLAG_NAMES: [(&str, &str); 2] = [
    ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
];

/// The text with the names that oci-spec reads; `None` where it has none of the others.
fn respelled(text: &[u8]) -> Option<Vec<u8>> {
    let has = |name: &str| text.windows(name.len()).any(|w| w == name.as_bytes());
    if !FLAG_NAMES.iter().any(|(spec, _)| has(spec)) {
        return None;
    }
    let mut value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let flags = value.pointer_mut("/process/scheduler/flags")?;
    for flag in flags.as_array_mut()? {
        let known = FLAG_NAMES.iter().find(|(spec, _)| flag == spec);
        if let Some((_, name)) = known {
            *flag = (*name).into();
        }
    }
    serde_json::to_vec(&value).ok()
}

/// runtime-spec 1.x, with or without a pre-release suffix.
fn check_version(text: &str) -> Result<(), String> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<Option<u32>> = numbers.split('.').map(|p| p.parse().ok()).collect();
    match parts.as_slice() {
        [Some(1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => {
            Err(format!("{text:?}: this runtime follows runtime-spec 1.x"))
        }
        _ if text.is_empty() => {
            Err("missing: name the version of runtime-spec, such as 1.3.0".into())
        }
        _ => Err(format!("{text:?}: not a semantic version such as 1.3.0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_their_place() {
        let (pointer, what) =
            parse(br#"{"ociVersion":"1.0.0","process":{"cwd":"/","user":{"uid":"x"}}}"#)
                .unwrap_err();
        assert_eq!(pointer, "/process/user/uid");
        assert!(what.contains("line 1 column"), "{what}");
        let (pointer, _) = parse(b"{").unwrap_err();
        assert_eq!(pointer, "(document)");
        let (pointer, _) = parse(br#"{"ociVersion":"1.0.0"} x"#).unwrap_err();
        assert_eq!(pointer, "(document)");
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(100_000);
        assert!(parse(format!("{{\"ociVersion\":{deep}").as_bytes()).is_err());
        let annotations = format!("{{\"ociVersion\":\"1.0.0\",\"x\":{deep}");
        assert!(parse(annotations.as_bytes()).is_err());
    }

    #[test]
    fn versions() {
        for good in ["1.0.0", "1.3.0", "1.0.2-dev", "1.2.1+x"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["", "1", "1.0", "2.0.0", "x.y.z", "1.0.0.0"] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
        assert!(check_version("").unwrap_err().starts_with("missing"));
    }
}
