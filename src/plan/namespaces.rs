//! Namespaces: which are new, which are joined, and how ids map. Pure.

use super::{Lack, Line, PlanError};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::paths::HostPath;
use crate::policy::{Grant, IdMap, NamespaceKind};
use crate::request::as_host_name;
use crate::survey::Survey;
use serde::Serialize;

pub use super::ids::{MapWriter, UserMap};

/// Namespaces of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamespacePlan {
    /// Made by the one clone3.
    pub new: Vec<NamespaceKind>,
    /// Joined by the launcher before it.
    pub joined: Vec<(NamespaceKind, HostPath)>,
    /// Id maps of the new user namespace.
    pub user: Option<UserMap>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// NIS domain name inside.
    pub domainname: Option<String>,
}

pub(super) fn plan(
    grant: &Grant,
    host: &Host,
    survey: &Survey,
    lacks: &mut Vec<Lack>,
) -> Result<NamespacePlan, PlanError> {
    let user = super::ids::user_map(grant, host, survey, lacks)?;
    let mut new: Vec<NamespaceKind> = grant
        .namespaces
        .iter()
        .filter(|n| n.join.is_none() && n.kind != NamespaceKind::User)
        .map(|n| n.kind)
        .collect();
    if user.as_ref().is_some_and(|u| u.by != MapWriter::Joined) {
        new.push(NamespaceKind::User);
    }
    new.sort();
    let mut joined: Vec<(NamespaceKind, HostPath)> = grant
        .namespaces
        .iter()
        .filter_map(|n| n.join.clone().map(|path| (n.kind, path)))
        .collect();
    // In a user namespace the host's root has no rights on what lies outside, so it goes in last; an ordinary user
    // gets rights on the others only by going in first.
    if host.privilege == Privilege::Root {
        joined.sort_by_key(|(kind, _)| *kind == NamespaceKind::User);
    }
    let own_uts = new.contains(&NamespaceKind::Uts);
    Ok(NamespacePlan {
        hostname: own_uts.then(|| {
            let named = || as_host_name(&grant.name).into();
            grant.hostname.clone().unwrap_or_else(named)
        }),
        domainname: grant.domainname.clone().filter(|_| own_uts),
        new,
        joined,
        user,
    })
}

impl NamespaceKind {
    /// The kernel's name below /proc/PID/ns.
    pub fn proc_name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Network => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

impl NamespacePlan {
    /// Whether the container has one of this kind that is not the host's.
    pub fn is_apart(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined.iter().any(|(k, _)| *k == kind)
    }

    /// Whether the container gets a new one of this kind.
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let names: Vec<&str> = self.new.iter().map(|k| k.proc_name()).collect();
        let mut text = format!("new {}", names.join(" "));
        for (kind, path) in &self.joined {
            text.push_str(&format!("; {} joined from {path}", kind.proc_name()));
        }
        let mut out = vec![Line::new(
            "namespaces",
            text,
            &[ControlId::S8_1_3, ControlId::S8_4_4],
        )];
        if let Some(user) = &self.user {
            let map = |maps: &[IdMap]| {
                maps.iter()
                    .map(|m| format!("{}+{} -> {}", m.inside, m.count, m.outside))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let own = match &user.by {
                _ if user.range.is_some() => " (a range of its own)".to_string(),
                MapWriter::Helpers { uids, .. } => format!(" (written by {uids})"),
                MapWriter::Joined => " (as the joined namespace has them)".into(),
                MapWriter::Launcher | MapWriter::OwnId => String::new(),
            };
            out.push(Line::new(
                "ids",
                format!("{}{own}", map(&user.uids)),
                &[ControlId::S8_5_1],
            ));
        }
        out
    }
}
