//! Why the filter refuses a call, in the profile's own words, and which group or template would allow it. Pure.
//!
//! Asks the very profiles that the filters are made of, so it can't say anything else than they do.

use crate::controls::{Loosening, catalogue};
use crate::policy::Template;
use crate::seccomp::{self, Action, Arch, Parameters, Profile};
use std::collections::BTreeMap;

/// What there is to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) why: String,
    pub(super) remedy: String,
}

/// The shipped profiles, each read once.
#[derive(Debug, Default)]
pub(super) struct Profiles(BTreeMap<&'static str, Option<Profile>>);

impl Profiles {
    fn get(&mut self, template: Template) -> Option<&Profile> {
        let read = || {
            seccomp::Template::from_name(template.name())?
                .profile()
                .ok()
        };
        self.0.entry(template.name()).or_insert_with(read).as_ref()
    }

    /// Of a call that was refused under a template.
    pub(super) fn of_call(&mut self, number: u32, args: &[u64; 6], template: Template) -> Said {
        let theirs = || Said {
            why: "the request's own filter refuses it".into(),
            remedy: "a filter of the request that allows it".into(),
        };
        let Some(own) = self.get(template) else {
            return theirs();
        };
        let none = Parameters::default();
        let verdict = own.decide(Arch::NATIVE, number, args, &none);
        if verdict.action == Action::Allow {
            return theirs();
        }
        let why = match verdict.rule {
            Some(rule) => rule.reason.clone(),
            None => "no entry of the profile allows it with these arguments".into(),
        };
        let remedy = group(own, number, args)
            .or_else(|| self.template(number, args, template))
            .unwrap_or_else(|| "no exception allows it".into());
        Said { why, remedy }
    }

    /// A template that allows it.
    fn template(&mut self, number: u32, args: &[u64; 6], but: Template) -> Option<String> {
        let none = Parameters::default();
        let all = [
            (Template::Workers, Loosening::TemplateWorkers),
            (Template::Script, Loosening::TemplateScript),
        ];
        let mut all = all.into_iter().filter(|(template, _)| *template != but);
        let (template, loosening) = all.find(|(template, _)| {
            let decided = self.get(*template);
            let decided = decided.map(|p| p.decide(Arch::NATIVE, number, args, &none).action);
            decided == Some(Action::Allow)
        })?;
        let words = format!("template = \"{}\"", template.name());
        Some(grant(&words, loosening))
    }
}

/// A group of the profile that allows it.
fn group(own: &Profile, number: u32, args: &[u64; 6]) -> Option<String> {
    let group = own.groups().into_iter().find(|group| {
        let with = Parameters {
            groups: [group.to_string()].into(),
            exec_fd: None,
        };
        own.decide(Arch::NATIVE, number, args, &with).action == Action::Allow
    })?;
    let words = format!("seccomp_groups = [\"{group}\"]");
    Some(grant(&words, Loosening::SeccompGroups))
}

/// The grant, and the control whose exception may ask for it.
fn grant(words: &str, loosening: Loosening) -> String {
    let control = catalogue().find(|c| c.loosenings.contains(&loosening));
    match control {
        Some(control) => format!("an exception for {} with {words}", control.text),
        None => words.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::syscalls;

    #[test]
    fn what_would_allow_it_is_what_the_profiles_say() {
        let of = |name: &str, args: [u64; 6], template| {
            let number = syscalls::number(Arch::NATIVE, name).unwrap();
            Profiles::default().of_call(number, &args, template)
        };
        let none = "no exception allows it";
        for (name, first, template, remedy) in [
            ("mount", 0, Template::Default, none),
            ("unshare", 1 << 17, Template::Workers, none),
            (
                "clone",
                17,
                Template::Default,
                "an exception for SS-011/8.5.2 with template = \"workers\"",
            ),
            (
                "execve",
                0,
                Template::Default,
                "an exception for SS-011/8.4.3 with template = \"script\"",
            ),
            (
                "chown",
                0,
                Template::Default,
                "an exception for SS-011/8.5.1 with seccomp_groups = [\"chown\"]",
            ),
            (
                "splice",
                0,
                Template::Script,
                "an exception for SS-011/8.5.1 with seccomp_groups = [\"splice\"]",
            ),
            (
                "uname",
                0,
                Template::Default,
                "a filter of the request that allows it",
            ),
            (
                "mount",
                0,
                Template::Compat,
                "a filter of the request that allows it",
            ),
        ] {
            let said = of(name, [first, 0, 0, 0, 0, 0], template);
            assert_eq!(said.remedy, remedy, "{name}");
            assert!(!said.why.is_empty());
        }
        assert_eq!(
            Profiles::default()
                .of_call(9999, &[0; 6], Template::Default)
                .remedy,
            none
        );
    }
}
