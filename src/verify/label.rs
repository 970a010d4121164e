//! Compares the AppArmor label of a program that has begun: exec enters a profile, and only then can it be seen.

use super::Difference;
use crate::controls::ControlId;
use crate::host::TEMPLATE;
use crate::sys::fs::read_kernel_file;

/// What differs; nothing where the program has ended, or has a profile that is not ours (which may let it change).
pub fn label(profile: Option<&str>, pid: i32) -> Option<Difference> {
    let profile = profile.filter(|name| *name == TEMPLATE)?;
    let path = format!("/proc/{pid}/attr/apparmor/current");
    let found = read_kernel_file(&path).ok()?;
    let (expected, found) = (format!("{profile} (enforce)"), found.trim().to_string());
    (found != expected).then(|| Difference {
        control: ControlId::S8_4_14,
        what: "AppArmor label".into(),
        expected,
        found,
    })
}
