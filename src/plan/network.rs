//! The network namespace and the kernel parameters of the container's own namespaces. Pure.

use super::namespaces::NamespacePlan;
use super::{Lack, Line, PlanError, Weight};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
pub use crate::policy::NetDevice;
use crate::policy::{Grant, NamespaceKind, Ports, Template};
use serde::Serialize;

/// Network and kernel parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkPlan {
    /// Whether the loopback interface is brought up (a new namespace), or the joined one is left as it is.
    pub loopback: Loopback,
    /// Interfaces of the host that are moved in, with their addresses.
    pub devices: Vec<NetDevice>,
    /// The network of the site's that it is attached to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached: Option<String>,
    /// TCP ports that the program may bind, and connect to inside.
    pub ports: Ports,
    /// Files below /proc/sys and their values, in order.
    pub sysctl: Vec<(String, String)>,
}

/// Most inotify instances of a container: a quarter of what all that root has launched may have together by default.
pub const INOTIFY_INSTANCES: u32 = 32;

/// Most files that a container watches: what the smallest host allows all of them together.
pub const INOTIFY_WATCHES: u32 = 8192;

/// What happens to `lo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loopback {
    /// The namespace is new: brought up, and there is nothing else.
    Up,
    /// The namespace is joined: whoever made it configured it.
    AsJoined,
}

pub(super) fn plan(
    grant: &Grant,
    host: &Host,
    namespaces: &NamespacePlan,
    lacks: &mut Vec<Lack>,
) -> Result<NetworkPlan, PlanError> {
    if host.privilege == Privilege::User
        && let Some(device) = grant.net_devices.first()
    {
        return Err(PlanError::Value {
            pointer: format!("/linux/netDevices/{}", device.host),
            what: "an ordinary user has no interface to give away: launch as root, or leave it out"
                .into(),
        });
    }
    let mut sysctl: Vec<(String, String)> = Vec::new();
    if namespaces.is_new(NamespaceKind::Pid) && grant.template != Template::Compat {
        if host.kernel < (6, 3) {
            lacks.push(memfd_lack("Linux 6.3 is the first with vm.memfd_noexec"));
        } else if host.privilege == Privilege::User {
            lacks.push(memfd_lack(
                "vm.memfd_noexec can be set by the host's root only",
            ));
        } else {
            sysctl.push(("vm/memfd_noexec".into(), "2".into()));
        }
    }
    // Its program is another user than ours, but the kernel counts what it takes against whoever made its namespace, too.
    if namespaces.is_new(NamespaceKind::User) && host.privilege == Privilege::Root {
        let limits = [
            ("instances", INOTIFY_INSTANCES),
            ("watches", INOTIFY_WATCHES),
        ];
        sysctl
            .extend(limits.map(|(of, most)| (format!("user/max_inotify_{of}"), most.to_string())));
    }
    for (key, value) in &grant.sysctl {
        sysctl.push((file_of(key), value.clone()));
    }
    Ok(NetworkPlan {
        devices: grant.net_devices.clone(),
        attached: grant.openings.cni.clone(),
        loopback: if namespaces.is_new(NamespaceKind::Network) {
            Loopback::Up
        } else {
            Loopback::AsJoined
        },
        ports: grant.ports.clone(),
        sysctl,
    })
}

/// "net.ipv4.conf.eth0/1.forwarding" style keys: dots and slashes change places (sysctl(8)).
fn file_of(key: &str) -> String {
    if key
        .find('/')
        .is_some_and(|slash| key.find('.').is_none_or(|dot| slash < dot))
    {
        return key.to_string();
    }
    key.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect()
}

fn memfd_lack(what: &str) -> Lack {
    Lack {
        control: ControlId::S8_4_8,
        what: what.into(),
        lost: "a memfd could be executable, if anything could still be executed".into(),
        weight: Weight::Covered,
    }
}

impl NetworkPlan {
    pub(super) fn lines(&self) -> Vec<Line> {
        let where_to = match (self.loopback, &self.attached) {
            (Loopback::Up, Some(name)) => &format!("loopback and the network {name}"),
            (Loopback::Up, None) if self.devices.is_empty() => "loopback only",
            (Loopback::Up, None) => "loopback and what is moved in",
            (Loopback::AsJoined, _) => "as the joined namespace has it",
        };
        let ports = match &self.ports {
            Ports::Any => "any TCP port may be bound (exception)".to_string(),
            Ports::Declared(ports) if ports.is_empty() => "no TCP port may be bound".to_string(),
            Ports::Declared(ports) => format!(
                "TCP {} may be bound",
                ports
                    .iter()
                    .map(u16::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        };
        let mut out = vec![Line::new(
            "network",
            format!("{where_to}; {ports}"),
            &[
                ControlId::S8_1_3,
                ControlId::S8_2_4,
                ControlId::S8_5_4,
                ControlId::S8_5_5,
            ],
        )];
        if !self.devices.is_empty() {
            let one = |d: &NetDevice| format!("{} of the host as {}", d.host, d.inside);
            let all: Vec<String> = self.devices.iter().map(one).collect();
            out.push(Line::new(
                "interfaces",
                format!("{} (exception)", all.join(", ")),
                &[ControlId::S8_4_4],
            ));
        }
        if !self.sysctl.is_empty() {
            let all: Vec<String> = self
                .sysctl
                .iter()
                .map(|(k, v)| format!("{k} = {v}"))
                .collect();
            out.push(Line::new(
                "sysctl",
                all.join(", "),
                &[ControlId::S8_1_4, ControlId::S8_4_4, ControlId::S8_4_8],
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_become_files_as_sysctl_does() {
        assert_eq!(super::file_of("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(
            super::file_of("net/ipv4/conf/eth0.1/x"),
            "net/ipv4/conf/eth0.1/x"
        );
        assert_eq!(
            super::file_of("net.ipv4.conf.eth0/1.x"),
            "net/ipv4/conf/eth0.1/x"
        );
    }
}
