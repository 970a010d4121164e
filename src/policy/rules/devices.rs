//! Device nodes and device access: five nodes, everything else denied first (GHSA-g54h-m393-cpwq).

use super::case::Case;
use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::policy::{Device, DeviceRule};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

/// null, zero, full, random, urandom: made by the launcher in every container.
const NODES: [(&str, u32); 5] = [
    ("null", 3),
    ("zero", 5),
    ("full", 7),
    ("random", 8),
    ("urandom", 9),
];

/// linux.devices: nodes beyond the five.
pub(super) fn nodes(case: &mut Case<'_>) {
    let asked = case.linux().and_then(|l| l.devices().as_ref());
    for (at, device) in asked.into_iter().flatten().enumerate() {
        let pointer = format!("/linux/devices/{at}");
        let text = device.path().to_string_lossy();
        let found = format!("a device node at {:?}", super::strings::shorten(&text));
        let path = match GuestPath::parse(&text) {
            Ok(path) if !is_the_kernels(&path) => path,
            _ => {
                let remedy = "device nodes lie below /dev; in /proc and /sys no policy allows one";
                case.refuse(ControlId::S8_5_1, &pointer, found, remedy);
                continue;
            }
        };
        if is_default(device) {
            continue;
        }
        let excepted = case.waived(&pointer, format!("the device {path}"), |g| {
            g.devices.iter().any(|d| d == path.as_str())
        });
        if !excepted && !path.is_at_or_below(&GuestPath::root().join("dev")) {
            let remedy = format!(
                "device nodes lie below /dev; an exception for {} with devices = [\"{path}\"] would lift it",
                ControlId::S8_5_1
            );
            case.refuse(ControlId::S8_5_1, &pointer, found, remedy);
        } else if !excepted {
            case.over(
                ControlId::S8_5_1,
                &pointer,
                format!("the device {path}"),
                "no such node",
            );
        } else if let Some(device) = node(case, &pointer, path, device) {
            if let (Some(kind), true) = (letter_of_rule(device.kind), device.kind != 'p') {
                case.grant.device_rules.push(DeviceRule {
                    allow: true,
                    kind,
                    major: Some(device.major),
                    minor: Some(device.minor),
                    access: "rw".into(),
                });
            }
            case.grant.devices.push(device);
        }
    }
}

/// Where no node can be: the root, /dev itself, and the kernel's own file systems.
fn is_the_kernels(path: &GuestPath) -> bool {
    let root = GuestPath::root();
    let kernels = [root.join("proc"), root.join("sys")];
    [root.join("dev"), root].contains(path) || kernels.iter().any(|top| path.is_at_or_below(top))
}

fn letter_of_rule(kind: char) -> Option<char> {
    matches!(kind, 'c' | 'b').then_some(kind)
}

fn is_default(device: &LinuxDevice) -> bool {
    let character = matches!(device.typ(), LinuxDeviceType::C | LinuxDeviceType::U);
    let named = |(name, minor): &(&str, u32)| {
        device.path().as_os_str() == format!("/dev/{name}").as_str()
            && device.minor() == i64::from(*minor)
    };
    character && device.major() == 1 && NODES.iter().any(named)
}

fn node(
    case: &mut Case<'_>,
    pointer: &str,
    path: GuestPath,
    device: &LinuxDevice,
) -> Option<Device> {
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => 'c',
        LinuxDeviceType::B => 'b',
        LinuxDeviceType::P => 'p',
        LinuxDeviceType::A => {
            case.refuse(
                ControlId::S8_5_1,
                pointer,
                "a device of type \"a\"",
                "a node is of type c, u, b or p",
            );
            return None;
        }
    };
    let (Some(major), Some(minor)) = (
        number(device.major(), 4095),
        number(device.minor(), (1 << 20) - 1),
    ) else {
        let found = format!("the device number {}:{}", device.major(), device.minor());
        case.refuse(
            ControlId::S8_5_1,
            pointer,
            found,
            "the kernel has 12 bits of major and 20 of minor number",
        );
        return None;
    };
    Some(Device {
        path,
        pointer: pointer.into(),
        kind,
        major,
        minor,
        mode: device.file_mode().unwrap_or(0o666) & 0o777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

fn number(value: i64, max: u32) -> Option<u32> {
    u32::try_from(value).ok().filter(|n| *n <= max)
}

/// linux.resources.devices: the filter denies first; allow rules beyond the nodes are dropped, all in one note.
pub(super) fn access(case: &mut Case<'_>) {
    let asked = case
        .linux()
        .and_then(|l| l.resources().as_ref())
        .and_then(|r| r.devices().as_ref());
    let mut dropped = Vec::new();
    for (at, rule) in asked.into_iter().flatten().enumerate() {
        let pointer = format!("/linux/resources/devices/{at}");
        let access = rule.access().as_deref().unwrap_or("rwm");
        if access.is_empty() || !access.bytes().all(|b| b"rwm".contains(&b)) {
            let found = format!("the access {:?}", super::strings::shorten(access));
            case.refuse(
                ControlId::S8_5_1,
                &pointer,
                found,
                "access is made of the letters r, w, m",
            );
            continue;
        }
        if case.compat() {
            // All of them, in order: a later denial takes back what an earlier rule gave.
            as_asked(case, rule, access);
        } else if rule.allow() && !is_node_rule(rule) && !covered(case, rule) {
            dropped.push(rule.to_string());
        }
    }
    if !dropped.is_empty() {
        case.cut(
            ControlId::S8_5_1,
            "/linux/resources/devices",
            dropped.join(", "),
            "access to the container's own nodes only",
        );
    }
    let deny = DeviceRule {
        allow: false,
        kind: 'a',
        major: None,
        minor: None,
        access: "rwm".into(),
    };
    case.grant.device_rules.insert(0, deny);
    if case.grant.may_have_terminals() {
        case.grant.device_rules.extend(terminals());
    }
}

/// /dev/tty, /dev/pts/ptmx and the terminals of devpts: reached only through the container's own.
fn terminals() -> impl Iterator<Item = DeviceRule> {
    let all = [(5, Some(0)), (5, Some(2)), (136, None)];
    all.into_iter().map(|(major, minor)| DeviceRule {
        allow: true,
        kind: 'c',
        major: Some(major),
        minor,
        access: "rw".into(),
    })
}

fn is_node_rule(rule: &LinuxDeviceCgroup) -> bool {
    let minor = rule.minor().and_then(|m| u32::try_from(m).ok());
    rule.typ() == Some(LinuxDeviceType::C)
        && rule.major() == Some(1)
        && NODES.iter().any(|(_, node)| minor == Some(*node))
}

/// A rule for a node that an exception let in.
fn covered(case: &Case<'_>, rule: &LinuxDeviceCgroup) -> bool {
    let same = |d: &Device| {
        let kind = rule.typ().is_some_and(|t| t.as_str().starts_with(d.kind));
        kind && rule.major() == Some(d.major.into()) && rule.minor() == Some(d.minor.into())
    };
    case.grant.devices.iter().any(same)
}

fn as_asked(case: &mut Case<'_>, rule: &LinuxDeviceCgroup, access: &str) {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => 'c',
        Some(LinuxDeviceType::B) => 'b',
        _ => 'a',
    };
    let part = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
    case.grant.device_rules.push(DeviceRule {
        allow: rule.allow(),
        kind,
        major: part(rule.major()),
        minor: part(rule.minor()),
        access: access.into(),
    });
}
