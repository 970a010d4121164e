//! TCP ports: only declared ones, and one is enough.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::{NamespaceKind, Ports};
use crate::request::openings::Protocol;

const ANNOTATION: &str = "org.cofferdam.expose";

/// `--expose`, else the annotation, else none; and what is published.
pub(super) fn tcp(case: &mut Case<'_>) {
    let (pointer, mut ports) = match &case.bundle.extras.expose {
        Some(ports) => ("--expose".to_string(), ports.clone()),
        None => (format!("/annotations/{ANNOTATION}"), annotated(case)),
    };
    let openings = case.grant.openings.clone();
    let of = |protocol| {
        openings
            .publish
            .iter()
            .filter(move |p| p.protocol == protocol)
    };
    ports.extend(of(Protocol::Tcp).map(|p| p.inside));
    if ports.contains(&0) {
        case.refuse(
            ControlId::S8_2_4,
            &pointer,
            "port 0",
            "declare the port that the service listens on",
        );
    }
    ports.sort_unstable();
    ports.dedup();
    if case.waived(&pointer, "TCP ports without limit", |g| g.ports_any) {
        case.grant.ports = Ports::Any;
        return;
    }
    let ceiling = case.policy.ceilings.max_ports as usize;
    let mut datagrams: Vec<u16> = of(Protocol::Udp).map(|p| p.inside).collect();
    datagrams.sort_unstable();
    datagrams.dedup();
    let count = ports.len() + datagrams.len() + openings.listen.len();
    let pointer = match (count > ports.len(), openings.publish.is_empty()) {
        (_, false) => "--publish".to_string(),
        (true, true) => "--listen".to_string(),
        _ => pointer,
    };
    let what = format!("{count} ports");
    if count > ceiling
        && !case.waived(&pointer, &what, |g| {
            g.max_ports.is_some_and(|n| n as usize >= count)
        })
    {
        let given = case.in_force().filter_map(|e| e.grant.max_ports);
        let most = given.fold(case.policy.ceilings.max_ports, u32::max);
        // Which one to drop is not the launcher's to guess: the first is no better than the last.
        case.refuse(
            ControlId::S8_5_5,
            &pointer,
            what,
            format!("declare at most {most}, or get an exception with max_ports"),
        );
    }
    low_ports(case, ports.iter().chain(&datagrams).min());
    case.grant.ports = Ports::Declared(ports);
}

fn annotated(case: &mut Case<'_>) -> Vec<u16> {
    let Some(text) = case
        .spec()
        .annotations()
        .as_ref()
        .and_then(|a| a.get(ANNOTATION))
    else {
        return Vec::new();
    };
    let mut ports = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        match digits.then(|| part.parse().ok()).flatten() {
            Some(port) => ports.push(port),
            None => {
                let found = format!("{:?} as a port", super::strings::shorten(part));
                case.refuse(
                    ControlId::S8_2_4,
                    &format!("/annotations/{ANNOTATION}"),
                    found,
                    "write port numbers with commas: \"80,443\"",
                );
            }
        }
    }
    ports
}

/// A port below 1024 in a net namespace of one's own takes a kernel parameter there, not a capability.
fn low_ports(case: &mut Case<'_>, lowest: Option<&u16>) {
    let own = case
        .grant
        .namespaces
        .iter()
        .any(|n| n.kind == NamespaceKind::Network && n.join.is_none());
    let Some(lowest) = lowest.filter(|p| **p != 0) else {
        return;
    };
    if own && *lowest < 1024 {
        case.grant.sysctl.push((
            "net.ipv4.ip_unprivileged_port_start".into(),
            lowest.to_string(),
        ));
    }
}
