//! `cgroupsPath` for systemd: "slice:prefix:name" as a slice and a scope unit, checked so that nobody reads it otherwise.

use crate::policy::ScopeName;

/// The longest name of a unit (systemd.unit(5)).
const LONGEST: usize = 255;

/// An empty path gets a scope named after the container. `Err`: what to write instead.
pub(super) fn parse(path: &str, container: &str) -> Result<ScopeName, &'static str> {
    if path.is_empty() {
        let unit = format!("cofferdam-{}.scope", escaped(container));
        return match unit.len() {
            0..=LONGEST => Ok(ScopeName { slice: None, unit }),
            _ => Err(
                "the container's name is too long for a unit of systemd's: choose a shorter one",
            ),
        };
    }
    let parts: Vec<&str> = path.split(':').collect();
    let [slice, prefix, name] = parts.as_slice() else {
        return Err(
            "with --systemd-cgroup write slice:prefix:name, or leave the option out (a path is for the cgroupfs driver)",
        );
    };
    if name.is_empty() {
        return Err("write slice:prefix:name with a name");
    }
    if name.ends_with(".slice") {
        return Err("a container is a scope, not a slice: write slice:prefix:name");
    }
    let unit = match *prefix {
        "" => format!("{name}.scope"),
        prefix => format!("{prefix}-{name}.scope"),
    };
    if unit.len() > LONGEST || !unit.chars().all(is_plain) || unit.starts_with('.') {
        return Err(
            "systemd's names of units are letters, digits and : _ . \\ - (at most 255 bytes)",
        );
    }
    match *slice {
        "" => Ok(ScopeName { slice: None, unit }),
        slice if is_slice(slice) => Ok(ScopeName {
            slice: Some(slice.into()),
            unit,
        }),
        _ => Err("write the slice as systemd does: a-b.slice lies in a.slice, -.slice is the root"),
    }
}

/// Dashes are the levels of the tree, so none may be at an end or beside another.
fn is_slice(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".slice") else {
        return false;
    };
    let level = |part: &str| !part.is_empty() && part.chars().all(is_plain) && part != "..";
    name.len() <= LONGEST && !stem.starts_with('.') && (stem == "-" || stem.split('-').all(level))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '-')
}

/// As systemd-escape(1) would: a container may be called a+b, a unit may not.
fn escaped(name: &str) -> String {
    name.chars()
        .map(|c| match is_plain(c) {
            true => c.to_string(),
            false => format!("\\x{:02x}", u32::from(c)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(path: &str) -> Result<(Option<String>, String), &'static str> {
        parse(path, "a+b").map(|scope| (scope.slice, scope.unit))
    }

    #[test]
    fn three_parts() {
        let long = "system.slice:docker:0123456789abcdef";
        let scope = (
            Some("system.slice".into()),
            "docker-0123456789abcdef.scope".into(),
        );
        assert_eq!(parsed(long), Ok(scope));
        assert_eq!(parsed(""), Ok((None, "cofferdam-a\\x2bb.scope".into())));
        assert_eq!(parsed("::x"), Ok((None, "x.scope".into())));
        let root = (Some("-.slice".into()), "p-x.scope".into());
        assert_eq!(parsed("-.slice:p:x"), Ok(root));
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_refused() {
        for bad in [
            "/a/b",
            "a:b",
            "a.slice:b:",
            "a.slice:b:c:d",
            "a.slice:b:c.slice",
            "a:b:c",
            "a--b.slice:p:n",
            "-a.slice:p:n",
            "a-.slice:p:n",
            ".slice:p:n",
            "a/b.slice:p:n",
            "..slice:p:n",
            "a.slice:p/q:n",
            "a.slice:p:../n",
            "a.slice:p:n\n",
            "a.slice:p:n@1",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
        assert!(parsed(&format!("a.slice:p:{}", "n".repeat(250))).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_one_plain_name(path in "[-a-z.:/\\\\ ]{0,20}(:[-a-z./]{0,9}){0,3}") {
            if let Ok(scope) = parse(&path, "x") {
                prop_assert!(!scope.unit.contains('/') && scope.unit.ends_with(".scope"));
                if let Some(slice) = scope.slice {
                    prop_assert!(is_slice(&slice) && !slice.contains('/'));
                }
            }
        }
    }
}
