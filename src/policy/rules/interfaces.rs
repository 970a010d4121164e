//! linux.netDevices: interfaces of the host that move into the container, each by exception only.

use super::case::Case;
use super::strings::{escape, shorten};
use crate::controls::ControlId;
use crate::policy::{NamespaceKind, NetDevice};
use std::collections::BTreeSet;

/// More than any host has to give away.
const MOST: usize = 64;

/// All of them, sorted by the host's name.
pub(super) fn moved(case: &mut Case<'_>) {
    let asked = case.linux().and_then(|l| l.net_devices().as_ref());
    let mut asked: Vec<_> = asked.into_iter().flatten().collect();
    asked.sort_by_key(|(name, _)| name.as_str());
    let at = "/linux/netDevices";
    if asked.len() > MOST {
        let found = format!("{} network devices", asked.len());
        case.refuse(ControlId::S8_4_4, at, found, "at most 64 are moved");
        return;
    }
    let apart = |case: &Case<'_>| {
        let mut all = case.grant.namespaces.iter();
        all.any(|n| n.kind == NamespaceKind::Network)
    };
    let mut taken = BTreeSet::new();
    for (host, device) in asked {
        let pointer = format!("{at}/{}", shorten(&escape(host)));
        let inside = device.name().clone().filter(|n| !n.is_empty());
        let inside = inside.unwrap_or_else(|| host.clone());
        if let Some(bad) = [host, &inside].into_iter().find(|n| !is_name(n)) {
            let found = format!("the interface name {:?}", shorten(bad));
            let remedy = "give 1 to 15 bytes, not lo, without slashes, colons, blanks and %";
            case.refuse(ControlId::S8_4_4, &pointer, found, remedy);
        } else if !taken.insert(inside.clone()) {
            let found = format!("a second interface that is to be {inside}");
            case.refuse(
                ControlId::S8_4_4,
                &pointer,
                found,
                "give each a name of its own",
            );
        } else if !apart(case) {
            let remedy = "give the container a network namespace";
            let found = "interfaces without a network namespace to move them to";
            case.refuse(ControlId::S8_4_4, &pointer, found, remedy);
        } else if !case.waived(&pointer, format!("the host's interface {host}"), |g| {
            g.net_devices.iter().any(|d| d == host)
        }) {
            let remedy = format!(
                "publish ports instead, or get an exception for SS-011/8.4.4 with net_devices = [{host:?}]"
            );
            let found = format!("the host's interface {host}");
            case.refuse(ControlId::S8_4_4, &pointer, found, remedy);
        } else {
            let host = host.clone();
            case.grant.net_devices.push(NetDevice { host, inside });
        }
    }
}

/// dev_valid_name of the kernel, without patterns, and not the loopback.
fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"/:%".contains(&b);
    !matches!(name, "" | "." | ".." | "lo" | "all" | "default")
        && name.len() <= 15
        && name.bytes().all(plain)
}
