//! Compares mountinfo with the mount plan: every mount planned is there with its flags, and no other.

use super::Verification;
use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::plan::Plan;
use crate::plan::hooks::ForeignMounts;
use crate::plan::mounts::{Attrs, DevNodes, RootFrom, What};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where, as the process sees it.
    pub target: String,
    /// Per-mount options.
    pub options: Vec<String>,
    /// File system type.
    pub fstype: String,
}

/// Parses /proc/PID/mountinfo (proc_pid_mountinfo(5)); lines that make no sense are left out.
pub fn parse_mountinfo(text: &str) -> Vec<Seen> {
    text.lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(4);
            Some(Seen {
                target: unescape(left.next()?),
                options: left.next()?.split(',').map(String::from).collect(),
                fstype: right.split(' ').next()?.to_string(),
            })
        })
        .collect()
}

/// "\040" and the like.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes
            .get(at + 1..at + 4)
            .and_then(|d| std::str::from_utf8(d).ok());
        match octal
            .and_then(|d| u8::from_str_radix(d, 8).ok())
            .filter(|_| bytes[at] == b'\\')
        {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What mountinfo has to show for one mount.
struct Expected {
    target: GuestPath,
    attrs: Attrs,
    must: Must,
    /// Mounts below it that came with it.
    with_submounts: bool,
}

#[derive(PartialEq)]
enum Must {
    BeThere,
    /// Masked and read-only paths: nothing where there is no target.
    IfThere,
}

fn expected(plan: &Plan) -> Vec<Expected> {
    let root = &plan.mounts.root;
    let mut out = vec![Expected {
        target: GuestPath::root(),
        attrs: Attrs {
            readonly: root.readonly,
            noexec: false,
            ..Attrs::SEALED
        },
        must: Must::BeThere,
        with_submounts: matches!(
            root.from,
            RootFrom::Tree {
                recursive: true,
                ..
            }
        ) && root.skeleton.is_empty(),
    }];
    for step in &plan.mounts.steps {
        let optional = matches!(step.what, What::Mask | What::ReadOnly);
        let mut attrs = step.attrs;
        if let What::ReadOnly = step.what {
            // Only ro is added; the rest is as the covered mount had it.
            attrs = Attrs {
                nosuid: false,
                nodev: false,
                noexec: false,
                ..attrs
            };
        }
        out.push(Expected {
            target: step.target.clone(),
            attrs,
            must: if optional {
                Must::IfThere
            } else {
                Must::BeThere
            },
            with_submounts: matches!(
                step.what,
                What::Bind {
                    recursive: true,
                    ..
                } | What::ReadOnly
            ),
        });
        if let What::Dev {
            nodes,
            how: DevNodes::Bound,
            ..
        } = &step.what
        {
            out.extend(nodes.iter().map(|node| Expected {
                target: step.target.join(&node.name),
                attrs: Attrs {
                    nodev: false,
                    readonly: false,
                    ..Attrs::SEALED
                },
                must: Must::BeThere,
                with_submounts: false,
            }));
        }
    }
    out
}

pub(super) fn check(plan: &Plan, mountinfo: &str, out: &mut Verification) {
    let seen = parse_mountinfo(mountinfo);
    let expected = expected(plan);
    for (at, want) in expected.iter().enumerate() {
        // A later mount on the same place lies on top of this one.
        if expected[at + 1..].iter().any(|e| e.target == want.target) {
            continue;
        }
        // The last mount on a path is the one that is seen.
        let found = seen.iter().rev().find(|s| s.target == want.target.as_str());
        match found {
            Some(found) => flags(want, found, out),
            None if want.must == Must::IfThere => {}
            None => out.same(
                ControlId::S8_4_7,
                &format!("mount {}", want.target),
                "there",
                "not there",
            ),
        }
    }
    for mount in &seen {
        let Ok(target) = GuestPath::parse(&mount.target) else {
            continue;
        };
        let planned = expected.iter().any(|e| e.target == target);
        let brought = expected
            .iter()
            .filter(|e| e.with_submounts && target.is_at_or_below(&e.target))
            .max_by_key(|e| e.target.as_str().len()); // the nearest brought it
        match (planned, brought) {
            (true, _) => {}
            (false, None) if plan.hooks.mounts == ForeignMounts::Allowed => {}
            (false, Some(above)) => flags(above, mount, out),
            (false, None) => out.same(
                ControlId::S8_4_5,
                &format!("mount {}", mount.target.escape_debug()),
                "not there",
                "there",
            ),
        }
    }
}

fn flags(want: &Expected, found: &Seen, out: &mut Verification) {
    let has = |name: &str| found.options.iter().any(|o| o == name);
    let a = &want.attrs;
    for (wanted, name, control) in [
        (a.readonly, "ro", ControlId::S8_4_7),
        (a.nosuid, "nosuid", ControlId::S8_3_7),
        (a.nodev, "nodev", ControlId::S8_4_7),
        (a.noexec, "noexec", ControlId::S8_4_8),
    ] {
        if wanted {
            let what = format!("{} of mount {}", name, want.target);
            out.same(
                control,
                &what,
                "set",
                if has(name) { "set" } else { "not set" },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\nnonsense\n";
        let seen = parse_mountinfo(text);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].target, "/mnt 2");
        assert_eq!(seen[0].fstype, "ext3");
        assert!(seen[0].options.contains(&"noatime".to_string()));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,200}") {
            let _ = parse_mountinfo(&text);
        }
    }
}
