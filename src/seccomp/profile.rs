//! Reads the shipped profiles: OCI's `linux.seccomp` shape and what we add to it, which OCI's readers skip:
//! a mandatory `reason`, `group` / `unless`, `width`, `quiet`, `"@exec_fd"`, and `extends` with `replaces` and `groups`.
//! Must not open files: the caller hands over the texts. Called by build.rs, prepared.rs and the fuzzer.

use serde::Deserialize;

use super::error::Error;
use super::model::{Action, Cond, Gate, Op, Profile, Rule, Telling, Value, Width};

const MAX_LINKS: usize = 4;
const EPERM: u16 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    /// For the reader only.
    #[serde(rename = "description")]
    _description: String,
    extends: Option<String>,
    /// Calls whose inherited entries are dropped.
    #[serde(default)]
    replaces: Vec<String>,
    /// Inherited groups that are on in this profile for good.
    #[serde(default)]
    groups: Vec<String>,
    default_action: Option<String>,
    default_errno_ret: Option<u16>,
    above_known_errno_ret: Option<u16>,
    syscalls: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Vec<Arg>,
    reason: String,
    group: Option<String>,
    unless: Option<String>,
    /// Refusals by it are not told to a watcher.
    #[serde(default)]
    quiet: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arg {
    index: u8,
    value: Number,
    value_two: Option<u64>,
    op: String,
    width: Option<u8>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Is(u64),
    Named(String),
}

/// Parses the profile `name`; `text_of` gives the text of a profile by name, for it and for those it extends.
///
/// # Errors
/// JSON of another shape, unknown keys, an entry without a reason, a wrong `extends` or `replaces`.
pub fn parse<'t>(name: &str, text_of: &dyn Fn(&str) -> Option<&'t str>) -> Result<Profile, Error> {
    parse_link(name, name, text_of, MAX_LINKS)
}

fn parse_link<'t>(
    child: &str,
    name: &str,
    text_of: &dyn Fn(&str) -> Option<&'t str>,
    links: usize,
) -> Result<Profile, Error> {
    let profile = name.to_owned();
    let Some(text) = text_of(name) else {
        return Err(Error::UnknownParent {
            profile: child.to_owned(),
            parent: profile,
        });
    };
    let file: File = serde_json::from_str(text).map_err(|found| Error::Parse {
        profile: profile.clone(),
        found: found.to_string(),
    })?;
    let own = file
        .syscalls
        .iter()
        .map(|entry| rule(entry, name))
        .collect::<Result<Vec<Rule>, Error>>()?;
    let Some(parent) = &file.extends else {
        return root(&file, own, name);
    };
    if links == 0 {
        return Err(Error::ExtendsTooDeep {
            profile,
            limit: MAX_LINKS,
        });
    }
    let mut inherited = parse_link(name, parent, text_of, links - 1)?;
    replace(&mut inherited, &file.replaces, name)?;
    switch_on(&mut inherited, &file.groups);
    inherited.rules.extend(own);
    Ok(inherited)
}

/// A profile that extends none must say its default.
fn root(file: &File, rules: Vec<Rule>, name: &str) -> Result<Profile, Error> {
    let entry = || "the profile itself".to_owned();
    let default = file
        .default_action
        .as_deref()
        .unwrap_or("(no defaultAction)");
    let default = action(default, file.default_errno_ret).ok_or_else(|| Error::BadEntry {
        profile: name.to_owned(),
        calls: entry(),
        found: format!("the default action {default}"),
        todo: "give one of the SCMP_ACT_ actions, or extend a profile",
    })?;
    if let Some(call) = file.replaces.first() {
        let (profile, call) = (name.to_owned(), call.clone());
        return Err(Error::NothingToReplace { profile, call });
    }
    let mut profile = Profile {
        default,
        above_known: file.above_known_errno_ret.map(Action::Errno),
        rules,
    };
    switch_on(&mut profile, &file.groups);
    Ok(profile)
}

fn replace(inherited: &mut Profile, replaced: &[String], name: &str) -> Result<(), Error> {
    for call in replaced {
        let before: usize = inherited.rules.iter().map(|rule| rule.names.len()).sum();
        for rule in &mut inherited.rules {
            rule.names.retain(|n| n != call);
        }
        let after: usize = inherited.rules.iter().map(|rule| rule.names.len()).sum();
        if before == after {
            let (profile, call) = (name.to_owned(), call.clone());
            return Err(Error::NothingToReplace { profile, call });
        }
    }
    inherited.rules.retain(|rule| !rule.names.is_empty());
    Ok(())
}

fn switch_on(profile: &mut Profile, groups: &[String]) {
    profile
        .rules
        .retain(|rule| !matches!(&rule.gate, Gate::Without(g) if groups.contains(g)));
    for rule in &mut profile.rules {
        if matches!(&rule.gate, Gate::With(g) if groups.contains(g)) {
            rule.gate = Gate::Always;
        }
    }
}

fn rule(entry: &Entry, profile: &str) -> Result<Rule, Error> {
    let calls = entry.names.join(", ");
    if entry.reason.trim().is_empty() {
        return Err(Error::NoReason {
            profile: profile.to_owned(),
            calls,
        });
    }
    let bad = |found: String, todo: &'static str| Error::BadEntry {
        profile: profile.to_owned(),
        calls: calls.clone(),
        found,
        todo,
    };
    let action = action(&entry.action, entry.errno_ret).ok_or_else(|| {
        bad(
            format!("the action {}", entry.action),
            "give one of the SCMP_ACT_ actions",
        )
    })?;
    let gate = match (&entry.group, &entry.unless) {
        (None, None) => Gate::Always,
        (Some(group), None) => Gate::With(group.clone()),
        (None, Some(group)) => Gate::Without(group.clone()),
        (Some(_), Some(_)) => {
            return Err(bad(
                "both group and unless".to_owned(),
                "make two entries of it",
            ));
        }
    };
    let args = entry
        .args
        .iter()
        .map(|arg| cond(arg).map_err(|(found, todo)| bad(found, todo)))
        .collect::<Result<Vec<Cond>, Error>>()?;
    Ok(Rule {
        names: entry.names.clone(),
        action,
        args,
        reason: entry.reason.clone(),
        gate,
        telling: match entry.quiet {
            true => Telling::Quiet,
            false => Telling::Told,
        },
    })
}

fn cond(arg: &Arg) -> Result<Cond, (String, &'static str)> {
    if arg.index > 5 {
        return Err((
            format!("the argument index {}", arg.index),
            "a call has arguments 0 to 5",
        ));
    }
    let width = match arg.width {
        None | Some(64) => Width::Qword,
        Some(32) => Width::Dword,
        Some(other) => return Err((format!("the width {other}"), "give 32 or 64")),
    };
    let value = match &arg.value {
        Number::Is(value) => Value::Is(*value),
        Number::Named(name) if name == "@exec_fd" => Value::ExecFd,
        Number::Named(name) => {
            return Err((format!("the value \"{name}\""), "give a number or @exec_fd"));
        }
    };
    let (op, value) = op(&arg.op, value, arg.value_two).ok_or_else(|| {
        (
            format!("the operator {}", arg.op),
            "give one of the SCMP_CMP_ operators",
        )
    })?;
    Ok(Cond {
        index: arg.index,
        op,
        value,
        width,
    })
}

/// An operator by its OCI name; for SCMP_CMP_MASKED_EQ OCI gives the mask first and the wanted value second.
fn op(name: &str, value: Value, two: Option<u64>) -> Option<(Op, Value)> {
    let op = match name {
        "SCMP_CMP_EQ" => Op::Eq,
        "SCMP_CMP_NE" => Op::Ne,
        "SCMP_CMP_LT" => Op::Lt,
        "SCMP_CMP_LE" => Op::Le,
        "SCMP_CMP_GT" => Op::Gt,
        "SCMP_CMP_GE" => Op::Ge,
        "SCMP_CMP_MASKED_EQ" => {
            let Value::Is(mask) = value else { return None };
            return Some((Op::MaskedEq { mask }, Value::Is(two.unwrap_or(0))));
        }
        _ => return None,
    };
    Some((op, value))
}

/// An action by its OCI name.
fn action(name: &str, errno: Option<u16>) -> Option<Action> {
    Some(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(errno.unwrap_or(EPERM)),
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"{ "description": "", "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "names": ["read", "fork"], "action": "SCMP_ACT_ALLOW", "reason": "work" },
        { "names": ["tee"], "action": "SCMP_ACT_ALLOW", "reason": "pipes", "group": "splice" },
        { "names": ["tee"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "reason": "no", "unless": "splice" } ] }"#;

    fn with(text: &'static str) -> Result<Profile, Error> {
        let text_of = move |name: &str| match name {
            "base" => Some(BASE),
            "it" => Some(text),
            _ => None,
        };
        parse("it", &text_of)
    }

    #[test]
    fn a_child_replaces_adds_and_switches_on() {
        let profile = with(
            r#"{ "description": "", "extends": "base", "replaces": ["fork"], "groups": ["splice"], "syscalls": [
            { "names": ["fork"], "action": "SCMP_ACT_KILL_PROCESS", "reason": "never" } ] }"#,
        )
        .unwrap();
        let rules: Vec<_> = profile
            .rules
            .iter()
            .map(|r| (r.names.join(","), r.action, &r.gate))
            .collect();
        let expected = [
            ("read".to_owned(), Action::Allow, &Gate::Always),
            ("tee".to_owned(), Action::Allow, &Gate::Always),
            ("fork".to_owned(), Action::KillProcess, &Gate::Always),
        ];
        assert_eq!(rules, expected);
        assert_eq!(profile.default, Action::Errno(1));
    }

    #[test]
    fn wrong_profiles_are_refused_in_sentences() {
        for (text, words) in [
            ("{", "EOF"),
            (
                r#"{ "description": "", "syscalls": [], "sycalls": [] }"#,
                "unknown field `sycalls`",
            ),
            (
                r#"{ "description": "", "syscalls": [] }"#,
                "(no defaultAction)",
            ),
            (
                r#"{ "description": "", "extends": "nobody", "syscalls": [] }"#,
                "does not exist",
            ),
            (
                r#"{ "description": "", "extends": "it", "syscalls": [] }"#,
                "more than 4 links",
            ),
            (
                r#"{ "description": "", "extends": "base", "replaces": ["vfork"], "syscalls": [] }"#,
                "replaces \"vfork\"",
            ),
            (
                r#"{ "description": "", "extends": "base", "syscalls": [
                { "names": ["dup"], "action": "SCMP_ACT_ALLOW", "reason": " " } ] }"#,
                "dup gives no reason",
            ),
            (
                r#"{ "description": "", "extends": "base", "syscalls": [
                { "names": ["dup"], "action": "SCMP_ACT_ALLOW" } ] }"#,
                "missing field `reason`",
            ),
            (
                r#"{ "description": "", "extends": "base", "syscalls": [
                { "names": ["dup"], "action": "SCMP_ACT_ALLOW", "reason": "x",
                  "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] } ] }"#,
                "the argument index 6",
            ),
            (
                r#"{ "description": "", "extends": "base", "syscalls": [
                { "names": ["dup"], "action": "SCMP_ACT_ALLOW", "reason": "x",
                  "args": [{ "index": 0, "value": "@pid", "op": "SCMP_CMP_EQ" }] } ] }"#,
                "the value \"@pid\"",
            ),
        ] {
            let error = with(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
