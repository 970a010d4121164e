//! Attaches a container that waits in front of exec to a network of the site's, and detaches it on every way out.
//!
//! The plugins of the plan run one after the other, as hooks do: without a descriptor or a variable of ours, with a
//! deadline, ended with us. Called by `build` (ADD, CHECK), `run` and the janitor (DEL).

use super::build::Context;
use super::error::ContainerError;
use super::janitor::Janitor;
use super::store::start_time;
use crate::controls::ControlId;
use crate::plan::Plan;
use crate::plan::openings::{IFNAME, Network};
use crate::ports::cni::{self, Attachment};
use crate::sandbox::{HookError, HookProgram, ask_program};
use crate::survey::network::{PLUGINS, Plugin};
use crate::verify::Difference;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

/// Seconds that one plugin may take.
const TIMEOUT: u64 = 20;

/// What is to be taken back. Kept by the launcher and told to the janitor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attached {
    id: String,
    network: Network,
    /// The first process, and when it started: nobody else's namespace is meant.
    pid: i32,
    started: u64,
    /// Ports that its plugins map.
    mappings: Vec<Value>,
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
    /// DEL; what went wrong, as warnings.
    #[must_use]
    pub(super) fn detach(self) -> Vec<String> {
        let done = self.attached.detach(self.inside.as_ref());
        let name = &self.attached.network.name;
        let told = |why| format!("--network cni:{name}: {why}: something of it may be left");
        done.err().map(told).into_iter().collect()
    }
}

/// ADD and CHECK; what is inside that should not be, as differences from the plan. Nothing without a network.
pub(super) fn attach(
    plan: &Plan,
    context: &Context<'_>,
    janitor: &mut Janitor,
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
        result: None,
    };
    let before = interfaces(pid).map_err(named)?;
    // A failed ADD is followed by DEL too.
    janitor.network(&attached)?;
    let keep = |attached: &Attached| {
        let held = Held {
            attached: attached.clone(),
            inside: attached.open(),
        };
        context.network.replace(Some(held));
    };
    keep(&attached);
    let inside = format!("/proc/{pid}/ns/net");
    let added = attached.add(&inside);
    janitor.network(&attached)?;
    keep(&attached);
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
        let path = PLUGINS.join(":");
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
    pub(super) fn open(&self) -> Option<OwnedFd> {
        let file = File::open(format!("/proc/{}/ns/net", self.pid)).ok()?;
        (start_time(self.pid) == Some(self.started)).then(|| file.into())
    }

    /// DEL; without a namespace the plugins release what is outside of it.
    pub(super) fn detach(&self, inside: Option<&OwnedFd>) -> Result<(), String> {
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
