//! Two kinds of path that must never be mixed up: on the host, and inside the container.
//!
//! A [`HostPath`] is resolved by the launcher against the host's root; a [`GuestPath`] only ever
//! against the container's root, with `openat2(RESOLVE_IN_ROOT)`. Neither type resolves anything itself.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// A path on the host, absolute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HostPath(PathBuf);

/// An absolute path inside the container: no `..`, no NUL, no doubled or trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct GuestPath(String);

/// Why a text is not a path of the wanted kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum PathError {
    /// Empty text.
    #[error("an empty path")]
    Empty,
    /// Does not begin with a slash.
    #[error("{0:?} is not absolute")]
    Relative(String),
    /// Has `..` somewhere.
    #[error("{0:?} has a '..' in it")]
    Parent(String),
    /// Has a NUL byte.
    #[error("a NUL byte in {0:?}")]
    Nul(String),
    /// Longer than PATH_MAX (4096 bytes).
    #[error("a path of {0} bytes (the kernel takes 4095)")]
    TooLong(usize),
}

fn check(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > 4095 {
        return Err(PathError::TooLong(text.len()));
    }
    if text.contains('\0') {
        return Err(PathError::Nul(text.replace('\0', "\\0")));
    }
    Ok(())
}

impl HostPath {
    /// An absolute host path; symbolic links and `..` are left to the kernel.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        if !text.starts_with('/') {
            return Err(PathError::Relative(text.into()));
        }
        Ok(Self(PathBuf::from(text)))
    }

    /// From a path that the launcher itself made or that the kernel gave.
    pub fn trusted(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// As the standard library's type.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// This path and a relative rest.
    pub fn join(&self, rest: impl AsRef<Path>) -> Self {
        Self(self.0.join(rest))
    }
}

impl GuestPath {
    /// The container's root.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Parses an absolute path; `.` components and doubled slashes are dropped.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        if !text.starts_with('/') {
            return Err(PathError::Relative(text.into()));
        }
        let mut out = String::with_capacity(text.len());
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(PathError::Parent(text.into())),
                name => {
                    out.push('/');
                    out.push_str(name);
                }
            }
        }
        if out.is_empty() {
            out.push('/');
        }
        Ok(Self(out))
    }

    /// The text, always beginning with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the leading slash: what is handed to `openat2` with the root's fd.
    pub fn relative(&self) -> &str {
        let rest = &self.0[1..];
        if rest.is_empty() { "." } else { rest }
    }

    /// Whether this is `other` or lies below it.
    pub fn is_at_or_below(&self, other: &GuestPath) -> bool {
        other.0 == "/"
            || self.0 == other.0
            || (self.0.starts_with(&other.0) && self.0.as_bytes().get(other.0.len()) == Some(&b'/'))
    }

    /// The folder above; the root's is the root.
    pub fn parent(&self) -> GuestPath {
        match self.0.rfind('/') {
            None | Some(0) => Self::root(),
            Some(at) => Self(self.0[..at].into()),
        }
    }

    /// A name below this folder.
    pub fn join(&self, name: &str) -> GuestPath {
        let base = if self.0 == "/" { "" } else { &self.0 };
        Self(format!("{base}/{}", name.trim_matches('/')))
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for GuestPath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        GuestPath::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        HostPath::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_paths_are_normalised_and_never_climb() {
        assert_eq!(GuestPath::parse("//a/./b/").unwrap().as_str(), "/a/b");
        assert_eq!(GuestPath::parse("/").unwrap().relative(), ".");
        assert!(matches!(
            GuestPath::parse("/a/../b"),
            Err(PathError::Parent(_))
        ));
        assert!(matches!(GuestPath::parse("a"), Err(PathError::Relative(_))));
        assert!(matches!(GuestPath::parse("/a\0b"), Err(PathError::Nul(_))));
        assert!(matches!(
            GuestPath::parse(&format!("/{}", "x".repeat(5000))),
            Err(PathError::TooLong(_))
        ));
    }

    #[test]
    fn below_is_by_component() {
        let proc = GuestPath::parse("/proc").unwrap();
        assert!(GuestPath::parse("/proc/sys").unwrap().is_at_or_below(&proc));
        assert!(!GuestPath::parse("/process").unwrap().is_at_or_below(&proc));
        assert!(proc.is_at_or_below(&GuestPath::root()));
    }
}
