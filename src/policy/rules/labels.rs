//! Labels of security modules, and the names of the host inside.

use super::case::Case;
use super::strings::shorten;
use crate::controls::ControlId;
use crate::host::{AppArmor, TEMPLATE};
use crate::policy::{LsmLabels, Namespace, NamespaceKind};
use crate::request::HOST_NAME_MAX;

/// AppArmor and SELinux: carried where the module is active; a label that can't be set stops the launch, as in runc.
pub(super) fn lsm(case: &mut Case<'_>) {
    let process = case.spec().process().as_ref();
    let apparmor = process.and_then(|p| p.apparmor_profile().as_deref());
    let selinux = process.and_then(|p| p.selinux_label().as_deref());
    let mount = case.linux().and_then(|l| l.mount_label().as_deref());
    // What was asked, or the template for everything that has none of its own.
    let template = template(case);
    case.grant.lsm = LsmLabels {
        apparmor: label(case, "/process/apparmorProfile", "apparmor", apparmor).or(template),
        selinux: label(case, "/process/selinuxLabel", "selinux", selinux),
        mount: label(case, "/linux/mountLabel", "selinux", mount),
    };
}

/// Our own AppArmor profile, once the host has it loaded.
fn template(case: &Case<'_>) -> Option<String> {
    let there = case.host.apparmor == AppArmor::Template;
    (there && !case.compat()).then(|| TEMPLATE.to_string())
}

fn label(case: &mut Case<'_>, pointer: &str, module: &str, asked: Option<&str>) -> Option<String> {
    let asked = asked.filter(|label| !label.is_empty())?;
    if module == "apparmor" && asked == "unconfined" {
        if case.host.lsm.iter().any(|m| m == module) {
            let given = match template(case) {
                Some(profile) => format!("the profile {profile}"),
                None => "no AppArmor profile; seccomp and landlock confine".into(),
            };
            case.cut(ControlId::S8_4_14, pointer, "unconfined", given);
        }
        return None;
    }
    if !case.host.lsm.iter().any(|m| m == module) {
        let found = format!("the label {:?}", shorten(asked));
        case.refuse(
            ControlId::S8_4_14,
            pointer,
            found,
            format!("{module} is not active on this host; leave the label out"),
        );
        return None;
    }
    if asked.len() > 4096 || asked.contains(['\0', '\n']) {
        case.refuse(
            ControlId::S8_4_14,
            pointer,
            "a label that is not one line",
            "give the label's name",
        );
        return None;
    }
    Some(asked.into())
}

/// hostname and domainname.
pub(super) fn host_names(case: &mut Case<'_>) {
    let spec = case.spec();
    case.grant.hostname = host_name(case, "/hostname", spec.hostname().as_deref());
    case.grant.domainname = host_name(case, "/domainname", spec.domainname().as_deref());
    let own = |n: &Namespace| n.kind == NamespaceKind::Uts && n.join.is_none();
    if case.grant.namespaces.iter().any(own) {
        return;
    }
    let grant = &mut case.grant;
    let joined = grant
        .namespaces
        .iter()
        .any(|n| n.kind == NamespaceKind::Uts);
    for (pointer, name) in [
        ("/hostname", grant.hostname.take()),
        ("/domainname", grant.domainname.take()),
    ] {
        if let Some(name) = name {
            // As runc and crun: it would be the host's own name.
            if !joined {
                let found = format!("{name:?} without a UTS namespace of the container's");
                let remedy = "add {\"type\": \"uts\"} to /linux/namespaces, or leave the name out";
                case.refuse(ControlId::S8_1_3, pointer, found, remedy);
                continue;
            }
            let given = "that of the namespace, which is not this container's alone";
            case.cut(ControlId::S8_1_3, pointer, name, given);
        }
    }
}

fn host_name(case: &mut Case<'_>, pointer: &str, asked: Option<&str>) -> Option<String> {
    let asked = asked.filter(|name| !name.is_empty())?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-()".contains(&b);
    if asked.len() > HOST_NAME_MAX || !asked.bytes().all(plain) {
        let found = format!("{:?}", shorten(asked));
        case.refuse(
            ControlId::S8_1_3,
            pointer,
            found,
            "use letters, digits and . _ - (at most 64 bytes)",
        );
        return None;
    }
    Some(asked.into())
}
