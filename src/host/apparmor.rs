//! Whether AppArmor is in force, and whether our template is among its profiles.
//!
//! Read from the folder of profiles, which every user can list; the file `profiles` beside it is root's alone.

use super::probe::read_optional;
use serde::Serialize;
use std::path::Path;

/// The template's name: profiles/apparmor, one text with the one that is loaded.
pub const TEMPLATE: &str = "cofferdam-default";

/// AppArmor, as a launch finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppArmor {
    /// Not in force here.
    #[default]
    Absent,
    /// In force, and the template is not: not loaded, or loaded so that it only complains.
    NoTemplate,
    /// In force, with the template.
    Template,
    /// The launcher itself is under a profile, which all that it starts keeps.
    Confined {
        /// Its name.
        profile: String,
    },
}

impl AppArmor {
    /// Looks now; `modules` are those of the kernel.
    pub fn probe(modules: &[String]) -> Self {
        if !modules.iter().any(|m| m == "apparmor") {
            return Self::Absent;
        }
        let own = read_optional("/proc/self/attr/apparmor/current");
        match own.trim() {
            "" | "unconfined" => {}
            label => {
                let profile = label.to_string();
                return Self::Confined { profile };
            }
        }
        match loaded(Path::new("/sys/kernel/security/apparmor/policy/profiles")) {
            true => Self::Template,
            false => Self::NoTemplate,
        }
    }
}

/// Each profile is a folder, "name.number".
fn loaded(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = |name: &std::ffi::OsStr| {
        let name = name.to_str().and_then(|n| n.strip_prefix(TEMPLATE));
        name.is_some_and(|rest| rest.starts_with('.'))
    };
    entries.filter(|e| ours(&e.file_name())).any(|entry| {
        let says = |file: &str| read_optional(entry.path().join(file));
        says("name").trim() == TEMPLATE && says("mode").trim() == "enforce"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_template_itself_in_force_counts() {
        let dir = tempfile::tempdir().unwrap();
        let put = |folder: &str, name: &str, mode: &str| {
            let at = dir.path().join(folder);
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("name"), format!("{name}\n")).unwrap();
            std::fs::write(at.join("mode"), format!("{mode}\n")).unwrap();
        };
        assert!(!loaded(&dir.path().join("absent")));
        put("docker-default.1", "docker-default", "enforce");
        put("cofferdam-default-2.7", "cofferdam-default-2", "enforce");
        put("cofferdam-default.8", "cofferdam-default", "complain");
        assert!(!loaded(dir.path()));
        put("cofferdam-default.9", "cofferdam-default", "enforce");
        assert!(loaded(dir.path()));
    }

    #[test]
    fn the_profile_that_is_shipped_bears_the_name() {
        let text = include_str!("../../profiles/apparmor/cofferdam-default");
        assert!(text.contains(&format!("profile {TEMPLATE} ")));
    }
}
