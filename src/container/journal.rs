//! What was done to a container after its launch, one line of JSON each: evidence of every `exec` and `update`.

use super::error::{ContainerError, at};
use super::record::{Identity, now};
use super::store::Entry;
use super::told::asked;
use crate::controls::ControlId;
use crate::events::{Change, ExecResult, Reason, What, verbs};
use crate::host::Host;
use crate::policy::{Caller, Clamp, Waiver};
use crate::verify::Verification;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// A file of this size becomes the previous one; there are two, so a probe each second can't fill the state folder.
const MOST: u64 = 4 << 20;

/// One line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a> {
    /// Layout of this line.
    pub version: u32,
    /// "exec" or "update".
    pub verb: &'static str,
    /// "verified", "refused" or "done".
    pub result: &'static str,
    /// Container.
    pub name: &'a str,
    /// Who asked.
    pub identity: Identity,
    /// Arguments of the program (exec), or what was written (update).
    pub what: &'a [String],
    /// What was asked and cut down.
    pub clamps: &'a [Clamp],
    /// Exceptions in use.
    pub exceptions: &'a [Waiver],
    /// What was compared from outside (exec).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<&'a Verification>,
    /// Process id on the host (exec).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// RFC 3339 with microseconds.
    pub time: String,
}

impl Line<'_> {
    /// A line that says who and when.
    pub fn new<'a>(verb: &'static str, name: &'a str, host: &Host, what: &'a [String]) -> Line<'a> {
        Line {
            version: 1,
            verb,
            result: "done",
            name,
            identity: Identity {
                uid: host.caller.uid,
                login: host.caller.login,
                launcher: std::process::id(),
            },
            what,
            clamps: &[],
            exceptions: &[],
            verification: None,
            pid: None,
            time: now(),
        }
    }

    fn tell(&self, entry: &Entry) {
        let by = asked(Caller::Engine, &self.identity);
        let what = match self.verb {
            "exec" => What::Exec {
                by,
                program: self.what.first().cloned().unwrap_or_default(),
                result: match self.result {
                    "refused" => ExecResult::Refused,
                    _ => ExecResult::Allowed,
                },
                reasons: match self.result {
                    "refused" => vec![Reason {
                        control: Some(ControlId::S8_4_1),
                        at: "exec".into(),
                        found: self.what.first().cloned().unwrap_or_default(),
                        remedy: "an exception for SS-011/8.4.1 with exec = \"no-terminal\"".into(),
                    }],
                    _ => Vec::new(),
                },
            },
            _ => What::Changed {
                by,
                change: Change::Limits,
                detail: self.what.join(" "),
            },
        };
        verbs::tell(entry.dir(), self.name, what);
    }

    /// Appends it to the container's file of this verb.
    pub fn append(&self, entry: &Entry) -> Result<(), ContainerError> {
        self.tell(entry);
        let path = entry.dir().join(format!("{}.jsonl", self.verb));
        if fs::symlink_metadata(&path).is_ok_and(|m| m.len() > MOST) {
            at(
                fs::rename(&path, path.with_extension("jsonl.1")),
                "rename",
                &path,
            )?;
        }
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path);
        at(
            file.and_then(|mut f| f.write_all(&line)),
            "write the record to",
            &path,
        )
    }
}
