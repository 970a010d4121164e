//! Code that runs, secrets in the environment, and the label of a security module. From maps, environ, attr/current.

use super::super::allowed::Judge;
use super::super::facts::Facts;
use super::super::mounts::Mount;
use crate::controls::ControlId::*;
use std::collections::BTreeSet;

pub(super) fn judge(facts: &Facts, judge: &mut Judge<'_>) {
    mapped(facts, judge);
    secrets(facts, judge);
    label(facts, judge);
}

/// Why an executable mapping is not code of the image, if so.
fn stranger(line: &str, writable: &[&Mount]) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (_, perms, _, device) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let inode = fields.next()?;
    let path = fields.collect::<Vec<_>>().join(" ");
    if path.starts_with('[') && inode == "0" {
        return None;
    }
    if perms.contains('w') {
        return Some(format!("writable and executable: {}", or_anonymous(&path)));
    }
    if path.is_empty() {
        return Some("memory without a file".into());
    }
    if path.starts_with("/memfd:") {
        return Some(path);
    }
    // "fe:00" in hexadecimal there, "254:0" in mountinfo.
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let device = format!("{}:{}", number(major)?, number(minor)?);
    let from = writable.iter().any(|m| m.device == device);
    from.then(|| format!("from a writable place: {path}"))
}

fn or_anonymous(path: &str) -> &str {
    match path {
        "" => "memory without a file",
        path => path,
    }
}

fn mapped(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "where the code comes from that its processes have mapped";
    let mounts = facts.mounts.as_deref().unwrap_or_default();
    // A file system that is also the root's is judged there.
    let root = mounts
        .iter()
        .rev()
        .find(|m| m.point == "/")
        .map(|m| &m.device);
    let writable = mounts
        .iter()
        .filter(|m| !m.is_readonly() && Some(&m.device) != root);
    let writable: Vec<&Mount> = writable.collect();
    let mut found = BTreeSet::new();
    for (pid, maps) in &facts.maps {
        match maps {
            Ok(text) => found.extend(
                text.lines()
                    .filter_map(|l| stranger(l, &writable))
                    .map(|what| format!("process {pid}: {what}")),
            ),
            Err(why) => return judge.unread("code", &[S8_4_8], tried, why),
        }
    }
    let answer = match found.is_empty() {
        true => "files of the image".into(),
        false => {
            let first: Vec<&str> = found.iter().take(4).map(String::as_str).collect();
            format!(
                "{} mappings that are not: {}",
                found.len(),
                first.join("; ")
            )
        }
    };
    let jit = found.iter().all(|f| f.contains("memory without a file"));
    let verdict = judge.allowed.judge(found.is_empty(), |g| jit && g.jit);
    let mut entry = judge.add(
        "code",
        &[S8_4_8],
        tried,
        ("files of the image, none writable", answer),
        verdict,
    );
    for what in found.iter().take(8) {
        entry = entry.seen(format!("/proc/{}/maps", facts.pid), what);
    }
    entry.mend("noexec on what is writable; code belongs into the image");
}

fn secrets(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "variables of its first process that look like secrets (names only)";
    let names = match &facts.secrets {
        Ok(names) => names,
        Err(why) => return judge.unread("environment", &[S8_2_2], tried, why),
    };
    let answer = match names.is_empty() {
        true => "none".into(),
        false => names.join(" "),
    };
    let matches = |pattern: &String, name: &String| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    };
    let verdict = judge.allowed.judge(names.is_empty(), |g| {
        names.iter().all(|n| g.env.iter().any(|p| matches(p, n)))
    });
    judge
        .add("environment", &[S8_2_2], tried, ("none", answer), verdict)
        .seen(format!("/proc/{}/environ", facts.pid), names.join(" "))
        .mend("hand them in as files (--secret)");
}

fn label(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "the security template in force";
    let modules = &facts.security_modules;
    let has = |name: &str| modules.iter().any(|m| m == name);
    let label = facts.label.as_deref().unwrap_or_default();
    let label = label.trim_end_matches(['\0', '\n']).to_string();
    let source = format!("/proc/{}/attr/current", facts.pid);
    if has("apparmor") || has("selinux") || has("smack") {
        let free =
            label.is_empty() || label.starts_with("unconfined") || label.contains(":unconfined_");
        let answer = match label.is_empty() {
            true => "no label".into(),
            false => label.clone(),
        };
        let verdict = judge.allowed.strict(!free);
        judge
            .add(
                "template",
                &[S8_4_14],
                tried,
                ("a label of the host's security module", answer),
                verdict,
            )
            .seen(source, label)
            .mend("cofferdam install --apparmor; do not run it with label=disable or apparmor=unconfined");
        return;
    }
    let filtered = facts.threads.iter().all(|(_, _, s)| s.seccomp == Some(2));
    let answer = match filtered {
        true => "a system-call filter; this host has no security module with labels",
        false => "none",
    };
    let verdict = judge.allowed.strict(filtered);
    judge
        .add(
            "template",
            &[S8_4_14],
            tried,
            ("a template", answer.into()),
            verdict,
        )
        .seen("/sys/kernel/security/lsm", modules.join(","))
        .mend("run it with the engine's default seccomp profile at least");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings() {
        let tmp = Mount {
            device: "0:50".into(),
            ..Mount::default()
        };
        let of = |line: &str| stranger(line, &[&tmp]);
        assert_eq!(of("7f-8f r-xp 00000000 fe:00 77 /bin/sh"), None);
        assert_eq!(of("7f-8f r-xp 00000000 00:00 0 [vdso]"), None);
        assert!(
            of("7f-8f r-xp 00000000 00:00 0 ")
                .unwrap()
                .contains("without a file")
        );
        assert!(
            of("7f-8f rwxp 00000000 fe:00 77 /bin/sh")
                .unwrap()
                .contains("writable and")
        );
        assert!(
            of("7f-8f r-xp 00000000 00:32 9 /tmp/x")
                .unwrap()
                .contains("writable place")
        );
        assert!(of("7f-8f r-xp 00000000 00:01 9 /memfd:x (deleted)").is_some());
        assert_eq!(of("7f"), None);
    }
}
