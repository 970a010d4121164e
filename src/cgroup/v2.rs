//! What only v2 has: freezing without a controller.

use super::dir::OpenDir;
use super::{CgroupError, value_of};
use nix::errno::Errno;
use std::thread::sleep;
use std::time::Duration;

/// Stopped or going on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frozen {
    Yes,
    No,
}

/// Writes cgroup.freeze and waits (at most 1 s) until cgroup.events agrees.
pub(super) fn freeze(dir: &OpenDir, frozen: Frozen) -> Result<(), CgroupError> {
    let (text, want) = match frozen {
        Frozen::Yes => ("1", 1),
        Frozen::No => ("0", 0),
    };
    dir.set("cgroup.freeze", text)?;
    for _ in 0..200 {
        let events = dir.read("cgroup.events").unwrap_or_default();
        if value_of(&events, "frozen").is_none_or(|now| now == want) {
            return Ok(());
        }
        sleep(Duration::from_millis(5));
    }
    let _ = dir.write("cgroup.freeze", "0");
    let file = dir.path().join("cgroup.events");
    Err(CgroupError::new(
        format!("waited 1 s for \"frozen {want}\" in"),
        &file,
        Errno::ETIMEDOUT,
    ))
}
