//! /proc/PID/mountinfo (proc_pid_mountinfo(5)) with everything that a judgement needs. A parser, nothing else.

use std::collections::HashSet;

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Major and minor number of the file system.
    pub device: String,
    /// The folder of the file system that is mounted.
    pub root: String,
    /// Where.
    pub point: String,
    /// Per-mount options.
    pub options: Vec<String>,
    /// "shared:1", "master:2".
    pub propagation: Vec<String>,
    /// File system type.
    pub kind: String,
    /// Its source.
    pub source: String,
    /// Options of the file system.
    pub system: Vec<String>,
}

impl Mount {
    /// Whether a per-mount option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// Whether nothing can be written through it.
    pub fn is_readonly(&self) -> bool {
        self.has("ro") || self.system.iter().any(|o| o == "ro")
    }

    /// Whether events of mounting come in from, or go out to, another namespace: "shared" goes out.
    pub fn is_shared(&self) -> bool {
        self.propagation.iter().any(|p| p.starts_with("shared:"))
    }

    /// As evidence: where, what and how.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.point, self.kind, self.options.join(","))
    }
}

/// Lines that are not as documented are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(entry).collect()
}

/// The mounts that can be seen: what lies below a later mount's point, or at it, is covered.
pub fn visible(all: &[Mount]) -> Vec<&Mount> {
    let mut later: HashSet<&str> = HashSet::new();
    let mut out = Vec::new();
    for mount in all.iter().rev() {
        let ends = mount.point.match_indices('/').map(|(at, _)| at);
        let mut above = ends.map(|at| if at == 0 { "/" } else { &mount.point[..at] });
        if !later.contains(mount.point.as_str()) && !above.any(|a| later.contains(a)) {
            out.push(mount);
        }
        later.insert(&mount.point);
    }
    out.reverse();
    out
}

fn entry(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let words = |text: &str| text.split(',').map(String::from).collect();
    let mut right = right.split(' ');
    Some(Mount {
        device: left.next()?.into(),
        root: unescape(left.next()?),
        point: unescape(left.next()?),
        options: words(left.next()?),
        propagation: left.map(String::from).collect(),
        kind: right.next()?.into(),
        source: unescape(right.next().unwrap_or_default()),
        system: words(right.next().unwrap_or_default()),
    })
}

/// `\040` and its like.
fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        out.push(digits.unwrap_or(*first));
        rest = if digits.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let text =
            "36 35 98:0 /r /m\\040x ro,nosuid shared:2 - ext3 /dev/root rw,errors=continue\nno\n";
        let all = parse(text);
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].device.as_str(), all[0].point.as_str()),
            ("98:0", "/m x")
        );
        assert!(all[0].is_readonly() && all[0].is_shared() && all[0].has("nosuid"));
        assert_eq!(all[0].kind, "ext3");
    }

    #[test]
    fn what_is_covered_is_not_seen() {
        let at = |point: &str| Mount {
            point: point.into(),
            ..Mount::default()
        };
        let all = [at("/"), at("/a"), at("/a/b"), at("/a"), at("/ab"), at("/c")];
        let seen: Vec<&str> = visible(&all).iter().map(|m| &*m.point).collect();
        assert_eq!(seen, ["/", "/a", "/ab", "/c"]);
        // A second root hides everything before it.
        assert_eq!(visible(&[at("/a"), at("/")]).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let all = parse(&text);
            let _ = visible(&all);
        }
    }
}
