//! What the host lets an ordinary user map: subordinate ids, and the set-uid programs that write them down.

use crate::paths::HostPath;
use crate::sys::fs::read_kernel_file;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;

/// Ranges of an ordinary caller; empty for root, who needs none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delegated {
    /// Of /etc/subuid: (first, count).
    pub uids: Vec<(u32, u32)>,
    /// Of /etc/subgid.
    pub gids: Vec<(u32, u32)>,
    /// newuidmap and newgidmap.
    pub helpers: Option<(HostPath, HostPath)>,
}

/// Never $PATH: what is found there is the caller's choice, and these run with root's rights.
const PLACES: [&str; 3] = ["/usr/bin", "/bin", "/usr/sbin"];

impl Delegated {
    pub(super) fn find(uid: u32, subuid: &str, subgid: &str) -> Self {
        // newuidmap(1) knows users by name and by number.
        let passwd = read_kernel_file("/etc/passwd").unwrap_or_default();
        let names = [name_of(&passwd, uid), Some(uid.to_string())];
        let of = |text: &str| {
            let all = names.iter().flatten();
            all.flat_map(|name| ranges(text, name)).collect()
        };
        Self {
            uids: of(subuid),
            gids: of(subgid),
            helpers: helper("newuidmap").zip(helper("newgidmap")),
        }
    }
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let fields = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>());
    let mut owners = fields.filter(|f| f.get(2).is_some_and(|n| n.parse() == Ok(uid)));
    owners.next().map(|f| f[0].to_string())
}

/// "name:first:count" lines.
fn ranges(text: &str, name: &str) -> Vec<(u32, u32)> {
    let line = |line: &str| {
        let (first, count) = line
            .strip_prefix(name)?
            .strip_prefix(':')?
            .split_once(':')?;
        let range: (u32, u32) = (first.trim().parse().ok()?, count.trim().parse().ok()?);
        let ends = range.0.checked_add(range.1).is_some();
        (range.1 > 0 && ends).then_some(range)
    };
    text.lines().filter_map(line).collect()
}

/// Root's own, closed to writing by others, and with a right of root's: set-uid, or file capabilities.
fn helper(name: &str) -> Option<HostPath> {
    let path = |place: &str| HostPath::trusted(format!("{place}/{name}"));
    PLACES.iter().map(|place| path(place)).find(|path| {
        let sound = |m: &std::fs::Metadata| {
            m.is_file()
                && m.uid() == 0
                && m.mode() & 0o022 == 0
                && m.mode() & 0o111 != 0
                && (m.mode() & 0o4000 != 0 || has_capabilities(path))
        };
        std::fs::symlink_metadata(path.as_path()).is_ok_and(|m| sound(&m))
    })
}

fn has_capabilities(path: &HostPath) -> bool {
    crate::sys::fs::has_attribute(path.as_path(), c"security.capability")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_name_and_by_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(name_of(passwd, 7), None);
        let text = "anna:1:2\nann:100000:65536\n1000:300000:10\nann:x:1\nann:4294967295:9\n";
        assert_eq!(ranges(text, "ann"), [(100_000, 65_536)]);
        assert_eq!(ranges(text, "1000"), [(300_000, 10)]);
    }
}
