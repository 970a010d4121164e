//! Stopping every process of a container where it is, and letting it go on.
//!
//! Whether it is stopped is asked of the kernel each time and noted nowhere: what is told is what is.

use super::{Cgroup, CgroupError, v1, v2};

impl Cgroup {
    /// Before [`Cgroup::freeze`]: v1 has a freezer in a hierarchy of its own, whose cgroup is made now. Store the
    /// [`Cgroup::record`] in between, so that whoever comes later can thaw what stands there.
    pub fn prepare_freezer(&mut self) -> Result<(), CgroupError> {
        match self.v2() {
            Some(_) => Ok(()),
            None => v1::gather(self),
        }
    }

    /// Stops every process where it is (cgroup.freeze, Linux 5.2; or the v1 freezer).
    pub fn freeze(&mut self) -> Result<(), CgroupError> {
        match self.v2() {
            Some(member) => v2::freeze(&member.dir, v2::Frozen::Yes),
            None => v1::freeze(self),
        }
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        match (self.v2(), self.with("freezer")) {
            (Some(member), _) => v2::freeze(&member.dir, v2::Frozen::No),
            (None, Some(member)) => member.dir.set("freezer.state", "THAWED"),
            (None, None) => Ok(()),
        }
    }

    /// Whether somebody has frozen it, and it is frozen or about to be.
    pub fn is_frozen(&self) -> bool {
        match (self.v2(), self.with("freezer")) {
            (Some(member), _) => says(member.dir.read("cgroup.freeze"), &["1"]),
            (None, Some(member)) => says(member.dir.read("freezer.state"), &["FROZEN", "FREEZING"]),
            (None, None) => false,
        }
    }
}

fn says(file: nix::Result<String>, words: &[&str]) -> bool {
    file.is_ok_and(|text| words.contains(&text.trim()))
}
