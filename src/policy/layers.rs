//! The whole policy in force: built-in, site and exceptions, with a digest over what was read.
//!
//! Text in, [`Policy`] or all problems out; `site` reads the files, `policy::decide` uses the result.

use super::ceilings::{self, Ceilings};
use super::document::{Diagnostic, Document};
use super::exceptions::{self, Exception};
use super::tightening::Tightening;
use crate::bundle::Bundle;
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// The built-in policy, as it is shipped in profiles/.
pub const DEFAULT_TOML: &str = include_str!("../../profiles/default.toml");

/// The same as JSON.
const PREPARED: &str = include_str!(concat!(env!("OUT_DIR"), "/policy.json"));

/// The blanket exception for conformance suites and migration, as it is shipped in profiles/.
pub const COMPAT_TOML: &str = include_str!("../../profiles/compat.toml");

/// A file that was read: its name, for messages, and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// As it is to stand in messages.
    pub name: String,
    /// UTF-8.
    pub text: String,
}

/// Everything that `decide` measures a request against.
#[must_use]
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// Ceilings: the built-in ones, tightened by the site.
    pub ceilings: Ceilings,
    /// All exceptions that loaded, expired ones too.
    pub exceptions: Vec<Exception>,
    /// SHA-256 over all layers, in hex.
    pub digest: String,
    /// What it was read from, to be kept with a container.
    #[serde(skip)]
    pub texts: Texts,
}

/// The files of a policy, as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The site's.
    pub site: Option<Source>,
    /// Exceptions, file by file.
    pub exceptions: Vec<Source>,
}

impl Texts {
    /// Only the exception files with an entry for this bundle: what a container's later verbs are decided by.
    #[must_use]
    pub fn that_concern(&self, bundle: &Bundle) -> Self {
        let concerns = |file: &&Source| {
            let entries = exceptions::parse(&file.name, &file.text, &mut Vec::new());
            entries.iter().any(|e| e.covers(bundle))
        };
        Self {
            site: self.site.clone(),
            exceptions: self.exceptions.iter().filter(concerns).cloned().collect(),
        }
    }

    /// Bytes of text.
    pub fn len(&self) -> usize {
        let all = self.site.iter().chain(&self.exceptions);
        all.map(|source| source.text.len()).sum()
    }

    /// Whether there is only the built-in policy.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The policy they make.
    pub fn policy(&self) -> Result<Policy, Vec<Diagnostic>> {
        Policy::layered(self.site.as_ref(), &self.exceptions)
    }
}

impl Policy {
    /// Where output goes; `None` without a spool.
    pub fn logs(&self) -> Option<super::Logs> {
        self.ceilings.logs.logs()
    }

    /// The built-in policy alone.
    pub fn built_in() -> Result<Self, Vec<Diagnostic>> {
        Self::layered(None, &[])
    }

    /// The built-in policy, a site's file on it, and exceptions. All problems are returned, not just the first.
    pub fn layered(site: Option<&Source>, files: &[Source]) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let built_in = prepared(&mut problems);
        let mut exceptions = read_exceptions(files, &mut problems);
        let ceilings = built_in.and_then(|built_in| match site {
            None => Some(built_in),
            Some(source) => lay_over(&built_in, source, &mut exceptions, &mut problems),
        });
        match ceilings {
            Some(ceilings) if problems.is_empty() => Ok(Self {
                ceilings,
                exceptions,
                digest: digest_of(site, files),
                texts: Texts {
                    site: site.cloned(),
                    exceptions: files.to_vec(),
                },
            }),
            _ => {
                problems.sort();
                problems.dedup();
                Err(problems)
            }
        }
    }
}

/// [`DEFAULT_TOML`] as the build has prepared it; a test compares both.
fn prepared(problems: &mut Vec<Diagnostic>) -> Option<Ceilings> {
    match serde_json::from_str(PREPARED) {
        Ok(file) => Some(Ceilings::stated(&file)),
        Err(why) => {
            let why = why.to_string();
            problems.push(Diagnostic::at("built-in policy", PREPARED, 0..0, why));
            None
        }
    }
}

#[inline(never)] // as `lay_over`
fn read_exceptions(files: &[Source], problems: &mut Vec<Diagnostic>) -> Vec<Exception> {
    let mut all: Vec<Exception> = Vec::new();
    for file in files {
        let entries = exceptions::parse(&file.name, &file.text, problems);
        add(&mut all, file, entries, problems);
    }
    all
}

fn add(
    all: &mut Vec<Exception>,
    file: &Source,
    entries: Vec<Exception>,
    problems: &mut Vec<Diagnostic>,
) {
    for entry in entries {
        if all.iter().any(|other| other.id == entry.id) {
            let message = format!(
                "the exception id {:?} is used in another file too",
                entry.id
            );
            problems.push(Diagnostic::at(&file.name, &file.text, 0..0, message));
        } else {
            all.push(entry);
        }
    }
}

#[inline(never)] // a launch under the built-in policy alone, the usual one, does not read this code
fn lay_over(
    built_in: &Ceilings,
    source: &Source,
    exceptions: &mut Vec<Exception>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Ceilings> {
    let doc = Document::parse(&source.name, &source.text, problems)?;
    let mut file = ceilings::parse(&doc, problems);
    // Before the ceilings: an exception of the policy covers what that same policy loosens.
    let own = file.exception.take().unwrap_or_default();
    add(exceptions, source, own, problems);
    let tightening = Tightening {
        doc: &doc,
        exceptions,
        problems,
    };
    Some(tightening.apply(built_in, &file))
}

/// Each layer with its length in front, so that text can't move from one file to the next unseen.
fn digest_of(site: Option<&Source>, files: &[Source]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut layer = |text: &str| {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    };
    layer(DEFAULT_TOML);
    layer(site.map_or("", |s| &s.text));
    for file in files {
        layer(&file.text);
    }
    crate::digest::hex(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prepared_policy_is_the_shipped_one() {
        let mut problems = Vec::new();
        let doc = Document::parse("built-in policy", DEFAULT_TOML, &mut problems).unwrap();
        let shipped = Ceilings::stated(&ceilings::parse(&doc, &mut problems));
        let ready = prepared(&mut problems).unwrap();
        assert_eq!(problems, []);
        let told = |c: &Ceilings| serde_json::to_value(c).unwrap();
        assert_eq!(told(&ready), told(&shipped));
    }
}
