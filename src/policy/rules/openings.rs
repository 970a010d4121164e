//! What comes in and goes out: published ports, listening sockets, links, connections, networks.
//!
//! By flags; where there are none, by annotations of the same words. Must run in front of `ports`, which counts.

use super::case::Case;
use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::policy::{MountSource, NamespaceKind, Translation};
use crate::request::NotUnderstood;
use crate::request::openings::{self, Listen, Mode, Openings, Protocol, Publish};
use std::fmt::Display;

/// All of them, each once, and what policy lets through.
pub(super) fn declared(case: &mut Case<'_>) {
    let mut asked = case.bundle.extras.openings.clone();
    if asked.is_empty() {
        asked = annotated(case);
    }
    if asked.is_empty() {
        return;
    }
    own_namespace(case, &asked);
    activation(case, &asked);
    doubles(case, &asked);
    native_only(case, &asked);
    connects(case, &mut asked);
    network(case, &mut asked);
    case.grant.openings = asked;
}

/// A network of the site's: none but what an exception names.
fn network(case: &mut Case<'_>, asked: &mut Openings) {
    let Some(name) = asked.cni.clone() else {
        return;
    };
    let pointer = match case.bundle.extras.openings.cni {
        Some(_) => "--network".to_string(),
        None => format!("/annotations/{}", openings::NETWORK),
    };
    let what = format!("the network {name}");
    if !case.waived(&pointer, &what, |g| g.networks.contains(&name)) {
        let remedy = format!(
            "no network by default: publish, link and connect reach what is declared; an exception with networks = [{name:?}] lifts it"
        );
        case.refuse(ControlId::S8_1_3, &pointer, what, remedy);
        asked.cni = None;
        return;
    }
    case.grant.networks = Some(case.policy.ceilings.networks.clone());
    resolver(case, asked, &pointer);
}

/// The name servers of a network, unless the request has put a file of its own there.
fn resolver(case: &mut Case<'_>, asked: &Openings, pointer: &str) {
    let target = GuestPath::root().join("etc/resolv.conf");
    let Some(path) = asked.resolver.clone() else {
        return;
    };
    if case.grant.mounts.iter().any(|m| m.target == target) {
        return;
    }
    let source = MountSource::Bind {
        path,
        recursive: false,
        ids: Translation::None,
    };
    let mut mount = super::mounts::plain(target, source, pointer);
    mount.readonly = true;
    case.grant.mounts.push(mount);
}

/// `org.cofferdam.publish` and its like: what the flags take, with blanks between several.
fn annotated(case: &mut Case<'_>) -> Openings {
    let mut out = Openings::default();
    let words = |case: &Case<'_>, key: &str| -> Vec<String> {
        let all = case.spec().annotations().as_ref();
        let text = all.and_then(|a| a.get(&format!("org.cofferdam.{key}")));
        text.into_iter()
            .flat_map(|t| t.split_whitespace())
            .map(String::from)
            .collect()
    };
    out.publish = each(case, "publish", words(case, "publish"), openings::publish);
    out.links = each(case, "link", words(case, "link"), openings::link);
    out.connects = each(case, "connect", words(case, "connect"), openings::connect);
    out.peers = each(
        case,
        "permit-peers",
        words(case, "permit-peers"),
        crate::request::name,
    );
    let modes = each(
        case,
        "publish-mode",
        words(case, "publish-mode"),
        openings::mode,
    );
    out.mode = modes.last().copied().unwrap_or_default();
    let networks = each(case, "network", words(case, "network"), openings::network);
    if networks.len() > 1 {
        let pointer = format!("/annotations/{}", openings::NETWORK);
        let found = format!("the networks {}", networks.join(" and "));
        let remedy = "a container is attached to one network: name one";
        case.refuse(ControlId::S8_1_3, &pointer, found, remedy);
    }
    out.cni = networks.into_iter().next();
    out.resolver = case.bundle.extras.openings.resolver.clone();
    out
}

fn each<T>(
    case: &mut Case<'_>,
    key: &str,
    words: Vec<String>,
    parse: fn(&str) -> Result<T, NotUnderstood>,
) -> Vec<T> {
    let mut out = Vec::new();
    for word in words {
        match parse(&word) {
            Ok(value) => out.push(value),
            Err(why) => {
                let pointer = format!("/annotations/org.cofferdam.{key}");
                let found = super::strings::shorten(&why.to_string()).to_string();
                case.refuse(
                    ControlId::S8_2_4,
                    &pointer,
                    found,
                    "write it as the flag takes it",
                );
            }
        }
    }
    out
}

/// Whoever joins a network gets what that network has.
fn own_namespace(case: &mut Case<'_>, asked: &Openings) {
    let own = case.grant.namespaces.iter();
    let own = own
        .clone()
        .any(|n| n.kind == NamespaceKind::Network && n.join.is_none());
    let inside = !asked.publish.is_empty() || !asked.links.is_empty() || !asked.connects.is_empty();
    if !own && (inside || asked.cni.is_some()) {
        case.refuse(
            ControlId::S8_1_3,
            "/linux/namespaces",
            "ports or links for a network namespace that is joined",
            "whoever made that namespace opens its ports; leave the path out for one of its own",
        );
    }
}

/// LISTEN_PID is 1, and the descriptors are counted from 3.
fn activation(case: &mut Case<'_>, asked: &Openings) {
    if asked.listen.is_empty() {
        return;
    }
    let mut kinds = case.grant.namespaces.iter();
    if !kinds.any(|n| n.kind == NamespaceKind::Pid && n.join.is_none()) {
        let found = "--listen without a pid namespace of the container's own";
        let remedy = "the program is told its process id beforehand, and is the first of a new namespace only";
        case.refuse(ControlId::S8_1_3, "--listen", found, remedy);
    }
    if asked.listening().len() > 64 {
        case.refuse(
            ControlId::S8_2_4,
            "--listen",
            "more than 64 sockets",
            "declare fewer",
        );
    }
    let known = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
    case.grant
        .process
        .env
        .retain(|e| !known.contains(&e.split('=').next().unwrap_or_default()));
}

fn overlap(a: &Publish, b: &Publish) -> bool {
    let same = a.address.is_none() || b.address.is_none() || a.address == b.address;
    let wide = |p: &Publish| p.address.is_some_and(|a| a.is_unspecified());
    let family = |p: &Publish| p.address.map(|a| a.is_ipv4());
    let covers = (wide(a) || wide(b)) && family(a) == family(b);
    a.host == b.host && a.protocol == b.protocol && (same || covers)
}

fn twice(case: &mut Case<'_>, flag: &str, what: impl Display) {
    let found = format!("{what} twice");
    case.refuse(ControlId::S8_2_4, flag, found, "declare each once");
}

fn doubles(case: &mut Case<'_>, asked: &Openings) {
    for (at, one) in asked.publish.iter().enumerate() {
        if asked.publish[..at].iter().any(|other| overlap(one, other)) {
            twice(
                case,
                "--publish",
                format!("{} port {} of the host", one.protocol, one.host),
            );
        }
    }
    for (at, one) in asked.listen.iter().enumerate() {
        let taken = |l: &Listen| match (l, one) {
            (
                Listen::Tcp { address, port },
                Listen::Tcp {
                    address: a,
                    port: p,
                },
            ) => port == p && (address == a || address.is_unspecified() || a.is_unspecified()),
            (l, one) => l == one,
        };
        if asked.listen[..at].iter().any(taken) {
            twice(case, "--listen", one);
        }
        let Listen::Tcp { port, .. } = one else {
            continue;
        };
        let published = asked
            .publish
            .iter()
            .find(|p| p.host == *port && p.protocol == Protocol::Tcp);
        if published.is_some() {
            twice(case, "--listen", format!("port {port} of the host"));
        }
    }
    let links = asked.links.iter().map(|l| ("--link", l.local));
    let locals: Vec<_> = links
        .chain(asked.connects.iter().map(|c| ("--connect", c.local)))
        .collect();
    let inside: Vec<u16> = asked.publish.iter().map(|p| p.inside).collect();
    for (at, (flag, port)) in locals.iter().enumerate() {
        if locals[..at].iter().any(|(_, p)| p == port) {
            twice(case, flag, format!("127.0.0.1:{port} inside"));
        }
        if inside.contains(port)
            || case
                .bundle
                .extras
                .expose
                .iter()
                .flatten()
                .any(|p| p == port)
        {
            let remedy = "the service binds that port itself: choose another one for the way out";
            case.refuse(
                ControlId::S8_5_4,
                flag,
                format!("127.0.0.1:{port} inside"),
                remedy,
            );
        }
    }
}

/// What makes the data pass through us can't be had where it does not.
fn native_only(case: &mut Case<'_>, asked: &Openings) {
    if asked.mode != Mode::Native {
        return;
    }
    let reasons = [
        ("--publish-from", !asked.from.is_empty()),
        ("--publish-limit", asked.connections.is_some()),
        ("--publish-rate", asked.rate.is_some()),
        ("--publish-proxy", asked.proxy.is_some()),
        ("--permit-peer", !asked.peers.is_empty()),
        ("--link", !asked.links.is_empty()),
        ("--connect", !asked.connects.is_empty()),
    ];
    for (flag, _) in reasons.iter().filter(|(_, given)| *given) {
        let found = format!("{flag} with --publish-mode native");
        let remedy = match *flag {
            "--link" | "--connect" => {
                "a service that may connect to a port could do so through a socket of the host's: use auto or forward"
            }
            _ => "nothing passes through the launcher there: use auto or forward",
        };
        case.refuse(ControlId::S8_2_4, "--publish-mode", found, remedy);
    }
    if let Some(p) = asked.publish.iter().find(|p| p.protocol == Protocol::Udp) {
        let found = format!("{p} with --publish-mode native");
        let remedy = "a datagram socket of the host's could send anywhere: UDP is always forwarded";
        case.refuse(ControlId::S8_1_3, "--publish-mode", found, remedy);
    }
}

/// The way out is closed but for what an exception names.
fn connects(case: &mut Case<'_>, asked: &mut Openings) {
    for one in std::mem::take(&mut asked.connects) {
        let (exact, any) = (
            format!("{}:{}", one.host, one.port),
            format!("{}:*", one.host),
        );
        let what = format!("a connection to {exact}");
        let named = |list: &[String]| {
            list.iter()
                .any(|e| e.eq_ignore_ascii_case(&exact) || e.eq_ignore_ascii_case(&any))
        };
        if case.waived("--connect", &what, |g| named(&g.connect)) {
            asked.connects.push(one);
        } else {
            let remedy = format!(
                "nothing leaves by default: an exception with connect = [\"{exact}\"] lifts it"
            );
            case.refuse(ControlId::S8_5_4, "--connect", what, remedy);
        }
    }
}
