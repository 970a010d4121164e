//! Kernel parameters: only those of the container's own namespaces, one value each (CVE-2022-0811).

use super::case::Case;
use super::strings::{escape, shorten};
use crate::controls::ControlId;
use crate::policy::NamespaceKind;
use crate::policy::exceptions::matches;

/// linux.sysctl, sorted by key.
pub(super) fn all(case: &mut Case<'_>) {
    let asked = case.linux().and_then(|l| l.sysctl().as_ref());
    let mut entries: Vec<_> = asked.into_iter().flatten().collect();
    entries.sort();
    for (key, value) in entries {
        let pointer = format!("/linux/sysctl/{}", shorten(&escape(key)));
        let Some((name, value)) = clean(key, value) else {
            let remedy = "a key is made of letters, digits and . _ -, a value of one line of letters, digits, blanks and . : , - _";
            case.refuse(
                ControlId::S8_5_1,
                &pointer,
                "a key or value that is not plain",
                remedy,
            );
            continue;
        };
        if let Some((found, remedy)) = outside(case, &name) {
            case.refuse(ControlId::S8_5_1, &pointer, found, remedy);
            continue;
        }
        let listed = case
            .policy
            .ceilings
            .sysctl
            .iter()
            .any(|p| matches(p, &name));
        if listed
            || case.waived(&pointer, format!("the kernel parameter {name}"), |g| {
                g.sysctl.iter().any(|p| matches(p, &name))
            })
        {
            case.grant.sysctl.retain(|(other, _)| *other != name);
            case.grant.sysctl.push((name, value));
        } else {
            case.over(
                ControlId::S8_5_1,
                &pointer,
                format!("{name} = {value}"),
                "the kernel's default",
            );
        }
    }
}

/// Key with dots, value without blanks around it.
fn clean(key: &str, value: &str) -> Option<(String, String)> {
    let name = if key.contains('.') && !key.contains('/') {
        key.to_string()
    } else {
        key.replace('/', ".")
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let parts = name.split('.').all(|part| !part.is_empty());
    let in_value = |b: u8| b.is_ascii_alphanumeric() || b" \t.:,-_".contains(&b);
    let value = value.trim();
    let good = name.contains('.')
        && parts
        && name.bytes().all(plain)
        && name.len() <= 255
        && value.bytes().all(in_value)
        && !value.is_empty()
        && value.len() <= 1024;
    good.then(|| (name, value.to_string()))
}

/// Why a key is not the container's own; `None` if it is.
fn outside(case: &Case<'_>, name: &str) -> Option<(String, &'static str)> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let kind = if name.starts_with("net.") {
        NamespaceKind::Network
    } else if name.starts_with("fs.mqueue.") || IPC.contains(&name) {
        NamespaceKind::Ipc
    } else if name == "kernel.hostname" || name == "kernel.domainname" {
        return Some((name.into(), "use /hostname and /domainname"));
    } else {
        return Some((
            format!("{name}, which is the whole host's"),
            "only net.*, fs.mqueue.* and kernel.{msg*,sem,shm*} belong to a container",
        ));
    };
    let word = super::namespaces::word(kind);
    let own = case.grant.namespaces.iter().any(|n| n.kind == kind);
    (!own).then(|| {
        (
            format!("{name} without a {word} namespace of its own"),
            "give the container a namespace of its own",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn nothing_can_be_smuggled_into_a_value() {
        assert!(clean("net.ipv4.ping_group_range", "0 2147483647").is_some());
        assert!(clean("kernel/shmmax", "1").is_some());
        for (key, value) in [
            ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil"),
            ("kernel.shm_rmid_forced", "1\nkernel.core_pattern=x"),
            ("net.ipv4/../../kernel.core_pattern", "x"),
            ("net..x", "1"),
            ("net", "1"),
            ("net.core.somaxconn", ""),
        ] {
            assert!(clean(key, value).is_none(), "{key}={value}");
        }
    }
}
