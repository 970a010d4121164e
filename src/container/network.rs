//! Attaches a container that waits in front of exec to a network of the site's, and detaches it on every way out.
//!
//! The plugins of the plan run one after the other, as hooks do: without a descriptor or a variable of ours, with a
//! deadline, ended with us. What is to be taken back lies in the container's folder before the first of them runs, so
//! that whoever ends the container finds it there. Called by `build` (ADD, CHECK), and by `run`, `create` when it fails,
//! `delete` and the janitor (DEL).

use super::build::Context;
use super::error::{ContainerError, at};
use super::store::{Entry, start_time};
use crate::controls::ControlId;
use crate::paths::HostPath;
use crate::plan::Plan;
use crate::plan::openings::{IFNAME, Network};
use crate::ports::cni::{self, Attachment};
use crate::sandbox::{HookError, HookProgram, ask_program};
use crate::survey::network::Plugin;
use crate::verify::Difference;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Seconds that one plugin may take.
const TIMEOUT: u64 = 20;

/// Where a container's folder has it.
const FILE: &str = "network.json";

/// What is to be taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attached {
    id: String,
    network: Network,
    /// The first process, and when it started: nobody else's namespace is meant.
    pid: i32,
    started: u64,
    /// Ports that its plugins map.
    mappings: Vec<Value>,
    /// The file of its name servers.
    resolver: Option<HostPath>,
    /// The last answer.
    result: Option<Value>,
}

/// What is attached, and its network namespace, which outlives the container so long.
#[derive(Debug)]
pub struct Held {
    attached: Attached,
    inside: Option<OwnedFd>,
}

impl Held {
    /// What a container's folder says is to be taken back, with its namespace while there is a process to find it by.
    pub(super) fn of(folder: &Path) -> Result<Option<Self>, ContainerError> {
        let attached = Attached::read(folder)?;
        Ok(attached.map(|attached| Self {
            inside: attached.open(),
            attached,
        }))
    }

    /// DEL; all plugins are asked, and the first one's failure is told.
    pub(super) fn detach(self) -> Result<(), ContainerError> {
        let done = self.attached.detach(self.inside.as_ref());
        if let Some(file) = &self.attached.resolver {
            super::resolver::remove(file.as_path());
        }
        done.map_err(|why| ContainerError::Network {
            name: self.attached.network.name,
            why: format!("{why}: something of it may be left"),
        })
    }
}

/// DEL by whoever has nobody to refuse anything to; what went wrong, as warnings.
#[must_use]
pub(super) fn detached(held: Option<Held>) -> Vec<String> {
    let failed = held.and_then(|held| held.detach().err());
    failed.iter().map(ToString::to_string).collect()
}

/// A container's network and its addresses there; nothing without one.
pub fn attached(folder: impl AsRef<Path>) -> Option<(String, Vec<IpAddr>)> {
    let attached = Attached::read(folder.as_ref()).ok().flatten()?;
    let made = attached.made().ok()?;
    Some((attached.network.name, made.addresses))
}

/// ADD and CHECK; what is inside that should not be, as differences from the plan. Nothing without a network.
pub(super) fn attach(
    plan: &Plan,
    context: &Context<'_>,
    entry: &Entry,
    pid: i32,
) -> Result<Option<Difference>, ContainerError> {
    let Some(network) = &plan.openings.network else {
        return Ok(None);
    };
    let named = |why: String| ContainerError::Network {
        name: network.name.clone(),
        why,
    };
    let mut attached = Attached {
        id: plan.name.clone(),
        network: network.clone(),
        pid,
        started: start_time(pid).unwrap_or(0),
        mappings: cni::mappings(&plan.openings),
        resolver: context.resolver.clone(),
        result: None,
    };
    let before = interfaces(pid).map_err(named)?;
    let keep = |attached: &Attached| {
        let held = Held {
            attached: attached.clone(),
            inside: attached.open(),
        };
        context.network.replace(Some(held));
        attached.write(entry)
    };
    // A failed ADD is followed by DEL too.
    keep(&attached)?;
    let inside = format!("/proc/{pid}/ns/net");
    let added = attached.add(&inside);
    keep(&attached)?;
    added.map_err(named)?;
    let made = attached.made().map_err(named)?;
    if network.check {
        attached.each("CHECK", &inside).map_err(named)?;
    }
    if let Some(file) = &context.resolver {
        std::fs::write(file.as_path(), &made.resolver)
            .map_err(|e| named(format!("can't write the name servers to {file}: {e}")))?;
    }
    let after = interfaces(pid).map_err(named)?;
    let strange = strange(before, &made, after);
    if strange.is_none() {
        let addresses: Vec<String> = made.addresses.iter().map(ToString::to_string).collect();
        (context.say)(&format!(
            "{} is {} on the network {}",
            plan.name,
            addresses.join(" "),
            network.name
        ));
    }
    Ok(strange)
}

/// Exactly what was there and what the answer names.
fn strange(
    mut before: BTreeSet<String>,
    made: &Attachment,
    after: BTreeSet<String>,
) -> Option<Difference> {
    before.extend(made.interfaces.iter().cloned());
    let list = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(" ");
    (before != after).then(|| Difference {
        control: ControlId::S8_1_3,
        what: "network interfaces".into(),
        expected: list(&before),
        found: list(&after),
    })
}

/// Interfaces of a process's network namespace.
fn interfaces(pid: i32) -> Result<BTreeSet<String>, String> {
    let path = format!("/proc/{pid}/net/dev");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("can't read {path}: {e}"))?;
    let names = text.lines().filter_map(|line| line.split_once(':'));
    Ok(names.map(|(name, _)| name.trim().to_string()).collect())
}

impl Attached {
    fn write(&self, entry: &Entry) -> Result<(), ContainerError> {
        entry.write(FILE, &serde_json::to_vec(self).unwrap_or_default())
    }

    fn read(folder: &Path) -> Result<Option<Self>, ContainerError> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => at(read, "read", &path)?,
        };
        let read = serde_json::from_slice(&text);
        read.map(Some).map_err(|e| ContainerError::StateDamaged {
            path: path.display().to_string(),
            why: e.to_string(),
        })
    }

    fn add(&mut self, inside: &str) -> Result<(), String> {
        for at in 0..self.network.plugins.len() {
            let plugin = &self.network.plugins[at];
            let input = cni::input(&self.network, at, self.result.as_ref(), &self.mappings);
            let text = self.ask("ADD", plugin, &input, inside)?;
            let answer = cni::answer(&text);
            self.result = Some(answer.map_err(|why| format!("the plugin {} {why}", plugin.kind))?);
        }
        Ok(())
    }

    fn made(&self) -> Result<Attachment, String> {
        let last = self.network.plugins.last();
        let last = last.map_or("", |plugin| plugin.kind.as_str());
        cni::attachment(self.result.as_ref().unwrap_or(&Value::Null))
            .map_err(|why| format!("the plugin {last}: {why}"))
    }

    /// Asks them all, though the first may have failed; what it said.
    fn each(&self, verb: &str, inside: &str) -> Result<(), String> {
        let mut all: Vec<usize> = (0..self.network.plugins.len()).collect();
        if verb == "DEL" {
            all.reverse();
        }
        let mut first = Ok(());
        for at in all {
            let input = cni::input(&self.network, at, self.result.as_ref(), &self.mappings);
            let done = self.ask(verb, &self.network.plugins[at], &input, inside);
            first = first.and(done.map(drop));
        }
        first
    }

    fn ask(
        &self,
        verb: &str,
        plugin: &Plugin,
        input: &[u8],
        inside: &str,
    ) -> Result<Vec<u8>, String> {
        let path = self.network.folders.join(":");
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", &self.id),
            ("CNI_NETNS", inside),
            ("CNI_IFNAME", IFNAME),
            ("CNI_PATH", &path),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ];
        let program = HookProgram {
            path: plugin.path.clone(),
            file: None,
            args: Vec::new(),
            env: env
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            timeout: Some(TIMEOUT),
        };
        ask_program(&program, input, cni::MOST + 1)
            .map_err(|why| format!("the plugin {} ({verb}) {}", plugin.kind, words(&why)))
    }

    /// Its network namespace, if the container is there; it stays while this is held.
    fn open(&self) -> Option<OwnedFd> {
        let file = File::open(format!("/proc/{}/ns/net", self.pid)).ok()?;
        (start_time(self.pid) == Some(self.started)).then(|| file.into())
    }

    /// DEL; without a namespace the plugins release what is outside of it.
    fn detach(&self, inside: Option<&OwnedFd>) -> Result<(), String> {
        let own = std::process::id();
        let path = inside.map(|fd| format!("/proc/{own}/fd/{}", fd.as_raw_fd()));
        self.each("DEL", path.as_deref().unwrap_or_default())
    }
}

/// A failure in the plugin's own words, where it has any.
fn words(why: &HookError) -> String {
    match why {
        HookError::Ended { how, last_words } => match cni::complaint(last_words) {
            Some(said) => format!("{how}: {said}"),
            None => how.clone(),
        },
        HookError::TimedOut { seconds, .. } => {
            format!("still ran after {seconds} s, so it was killed")
        }
        other => other.to_string(),
    }
}
