//! The home of the program's user, where the request names none: engines leave that to the runtime.
//!
//! A word of the image about its own user and nothing more: ids are never looked up here (CVE-2016-3697).

use super::{Kind, View, view};
use crate::paths::GuestPath;
use crate::policy::Grant;
use crate::sys::fs::read_regular;
use std::os::fd::AsRawFd;
use std::path::Path;

/// More is no list of a container's users.
const MOST: u64 = 1 << 20;
/// PATH_MAX.
const LONGEST: usize = 4096;

/// From the root's /etc/passwd, else `/`; `None`: the request has one.
pub(super) fn of_user(grant: &Grant, view: &View<'_>) -> Option<String> {
    if grant.process.env.iter().any(|e| e.starts_with("HOME=")) {
        return None;
    }
    let listed = users(view).and_then(|text| home(&text, grant.process.uid));
    Some(listed.unwrap_or_else(|| "/".into()))
}

fn users(view: &View<'_>) -> Option<String> {
    let (fd, _) = view.lookup(&GuestPath::parse("/etc/passwd").ok()?).ok()?;
    // Looked at before it is opened: a device may do something when it is.
    if view::node(&fd).ok()?.kind != Kind::File {
        return None;
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let bytes = read_regular(Path::new(&path), MOST).ok()?;
    (bytes.len() as u64 <= MOST).then(|| crate::sys::fs::text_of(bytes))
}

/// passwd(5): name:password:uid:gid:comment:home:shell.
fn home(text: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let entry = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let home = entry
        .filter(|fields| fields.len() == 7 && fields[2] == uid)
        .map(|fields| fields[5].to_string())
        .next()?;
    let plain = home.starts_with('/') && !home.contains(char::is_control);
    (plain && home.len() <= LONGEST).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::home;

    #[test]
    fn the_first_entry_of_the_number_says_it() {
        let text = "root:x:0:0:root:/root:/bin/sh\nweb:x:5:5::/srv/web:/bin/false\nagain:x:5:5::/no:/x\n\
             short:x:6:6\nrelative:x:7:7::srv:/x\nodd:x:8:8::/a\x1b[m:/x\n05:x:09:9::/nine:/x\n";
        assert_eq!(home(text, 0).as_deref(), Some("/root"));
        assert_eq!(home(text, 5).as_deref(), Some("/srv/web"));
        for uid in [6, 7, 8, 9, 10] {
            assert_eq!(home(text, uid), None, "{uid}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC*", uid: u32) {
            let _ = home(&text, uid);
        }
    }
}
