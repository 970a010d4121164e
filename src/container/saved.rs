//! What `exec` and `update` need of the launch: the request, the policy it was decided by, the id maps and writable places.
//!
//! Kept beside the state, closed to others, bounded and versioned. Both verbs decide again from it, with the one
//! decision function, so that they can't grant what the launch would not have.

use super::error::{ContainerError, at};
use super::store::Entry;
use crate::bundle::Bundle;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::joined::Inside;
use crate::policy::{Policy, Texts};
use serde::{Deserialize, Serialize};
use std::io::Read;

const FILE: &str = "launch.json";
const LAYOUT: u32 = 1;

/// The most that is kept, in bytes: config.json and the site's policy have a mebibyte each at most.
const MOST: u64 = 8 << 20;

/// A launch, as later verbs need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    layout: u32,
    /// When it was decided, in seconds: exceptions that were in force then are in force for the container.
    pub made: u64,
    /// The request; its environment without what policy took out.
    pub bundle: Bundle,
    /// The policy.
    pub policy: Texts,
    /// Id maps and writable places.
    pub inside: Inside,
    /// Whole disks behind the root and the volumes.
    pub disks: Vec<(u32, u32)>,
}

impl Saved {
    /// Of a container that is about to be made.
    pub fn of(bundle: &Bundle, policy: &Policy, host: &Host, plan: &Plan) -> Self {
        let mut bundle = bundle.clone();
        if let Some(process) = bundle.spec.process_mut() {
            process.set_env(Some(plan.process.asked_env().to_vec()));
        }
        Self {
            layout: LAYOUT,
            made: host.now,
            policy: policy.texts.that_concern(&bundle),
            bundle,
            inside: Inside::of(plan),
            disks: plan.mounts.io_devices.clone(),
        }
    }

    /// The same launch with another request.
    #[must_use]
    pub fn with(&self, bundle: Bundle) -> Self {
        Self {
            bundle,
            ..self.clone()
        }
    }

    /// Writes it where none is yet.
    pub fn write_first(&self, entry: &Entry) -> Result<(), ContainerError> {
        entry.write_first(FILE, &self.text(entry)?)
    }

    /// Writes it in the place of another.
    pub fn write(&self, entry: &Entry) -> Result<(), ContainerError> {
        entry.write(FILE, &self.text(entry)?)
    }

    fn text(&self, entry: &Entry) -> Result<Vec<u8>, ContainerError> {
        let text = serde_json::to_vec(self).map_err(|e| damaged(entry, e.to_string()))?;
        if text.len() as u64 > MOST {
            return Err(ContainerError::TooMuch {
                size: text.len() as u64,
                most: MOST,
            });
        }
        Ok(text)
    }

    /// Reads it.
    pub fn read(entry: &Entry) -> Result<Self, ContainerError> {
        let path = entry.dir().join(FILE);
        let file = at(std::fs::File::open(&path), "read", &path)?;
        let mut text = Vec::new();
        at(file.take(MOST + 1).read_to_end(&mut text), "read", &path)?;
        if text.len() as u64 > MOST {
            return Err(damaged(entry, "it is too large".into()));
        }
        let saved: Self =
            serde_json::from_slice(&text).map_err(|e| damaged(entry, e.to_string()))?;
        match saved.layout {
            LAYOUT => Ok(saved),
            other => Err(damaged(
                entry,
                format!("layout {other}; this program reads layout {LAYOUT}"),
            )),
        }
    }
}

fn damaged(entry: &Entry, why: String) -> ContainerError {
    ContainerError::StateDamaged {
        path: entry.dir().join(FILE).display().to_string(),
        why,
    }
}
