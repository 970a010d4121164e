//! Any running container from outside: /proc, mountinfo, cgroups and namespaces, without entering or stopping it.
//!
//! containers (which there are) → facts (what the kernel shows) + declared (what was asked) → judge → findings.

mod allowed;
mod cgroups;
mod containers;
mod declared;
mod engines;
mod facts;
mod judge;
pub mod mounts;
mod network;
mod proc;
mod scan;
pub mod status;

pub use allowed::Allowed;
pub use containers::{Container, Engine, Unclear};
pub(super) use engines::json;

use super::model::{Subject, SubjectKind};
use crate::controls::ControlId;
use crate::host::Host;
use crate::policy::Policy;
use declared::Declared;
use facts::Facts;
use scan::Scan;
use std::path::{Path, PathBuf};

/// The machine's processes at one moment, and what is needed to judge them.
pub struct Observer<'a> {
    scan: Scan,
    root: PathBuf,
    policy: &'a Policy,
    /// Whether that policy was named: then it judges launches of ours too, which else are judged by their own.
    named: bool,
    host: Option<&'a Host>,
}

impl<'a> Observer<'a> {
    /// Looks which processes there are. `root` is our folder of states.
    pub fn new(policy: &'a Policy, named: bool, host: Option<&'a Host>, root: &Path) -> Self {
        Self {
            scan: Scan::take(),
            root: root.into(),
            policy,
            named,
            host,
        }
    }

    /// All containers.
    pub fn containers(&self) -> Vec<Container> {
        containers::all(&self.scan, &self.root)
    }

    /// The one that a process is in.
    pub fn of_pid(&self, pid: i32) -> Container {
        containers::of_pid(pid, &self.scan, &self.root)
    }

    /// The one that is called so.
    pub fn called(&self, id: &str, engine: Option<Engine>) -> Result<Container, Unclear> {
        containers::called(id, engine, &self.containers()).cloned()
    }

    /// Judges one; the error says why there is nothing to look at.
    pub fn judge(&self, container: &Container) -> Result<Subject, String> {
        let facts = Facts::read(container.pid, &self.scan)?;
        let declared = Declared::read(container, self.host);
        let policy = match &declared.policy {
            Some(own) if !self.named => own,
            _ => self.policy,
        };
        let now = self.host.map_or(0, |h| h.now);
        let allowed = Allowed::new(policy, declared.bundle.as_ref(), now);
        let mut subject = named(container, &facts);
        if policy.digest != self.policy.digest {
            subject.facts.push(("policy".into(), policy.digest.clone()));
        }
        subject.findings = judge::judge(&facts, &declared, &allowed);
        Ok(subject)
    }
}

/// What can pass or fail: ids and controls, from a judgement on a container that has nothing.
pub(super) fn looks() -> Vec<(String, Vec<ControlId>)> {
    let Ok(policy) = Policy::built_in() else {
        return Vec::new();
    };
    let program = crate::seccomp::prepared(crate::seccomp::Template::Default, 1);
    let declared = Declared {
        filters: Some(vec![program]),
        ports: Some(Vec::new()),
        record: Some(serde_json::Value::Null),
        ..Declared::default()
    };
    let findings = judge::judge(&Facts::blank(), &declared, &Allowed::new(&policy, None, 0));
    let seen = |f: &super::Finding| !f.id.starts_with("observe/unseen/");
    let findings = findings.into_iter().filter(seen);
    findings.map(|f| (f.id, f.controls)).collect()
}

fn named(container: &Container, facts: &Facts) -> Subject {
    let name = container.name.as_ref().or(container.id.as_ref());
    let name = match name {
        Some(name) => name.clone(),
        None => format!("pid {} ({})", container.pid, facts.status.name),
    };
    let mut subject = Subject::new(SubjectKind::Container, name);
    let mut fact = |key: &str, value: Option<String>| {
        subject.facts.extend(value.map(|v| (key.to_string(), v)));
    };
    fact("engine", Some(container.engine.as_str().into()));
    fact(
        "runtime",
        container.own.as_ref().map(|_| "cofferdam".into()),
    );
    fact("id", container.id.clone());
    fact("pid", Some(container.pid.to_string()));
    fact("program", Some(facts.status.name.clone()));
    fact("image", container.image.clone());
    subject
}
