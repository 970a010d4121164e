//! One place that turns errors into a sentence, a log line and an exit code.

use crate::bundle::Bundle;
use crate::container::ContainerError;
use crate::outcome::{FAILED, NOT_EXECUTABLE, NOT_FOUND};
use crate::plan::PlanError;
use crate::policy::{Diagnostic, Violation};
use crate::sandbox::LaunchError;
use crate::survey::ProgramError;
use nix::errno::Errno;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A command that failed: what to say and with which code to end.
#[derive(Debug, Clone)]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// Ours: 125.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: FAILED,
        }
    }

    /// Any error of ours: 125.
    pub fn from_error(error: impl std::error::Error) -> Self {
        Self::new(error.to_string())
    }

    /// An OCI verb's: 1, as runc.
    pub fn engine(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 1,
        }
    }

    /// An OCI verb's, from the lifecycle.
    pub fn from_engine(error: ContainerError) -> Self {
        Self::engine(error.to_string())
    }

    /// The same as an OCI verb's: 1.
    #[must_use]
    pub fn as_engine(self) -> Self {
        self.with_code(1)
    }

    /// A policy that does not load: every problem, one a line.
    pub fn policy(problems: &[Diagnostic]) -> Self {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::engine(all.join("\n"))
    }

    /// `exec`'s: 255, whatever it was.
    pub fn exec(text: impl Into<String>) -> Self {
        let mut all = Self::stated(text);
        all.text.insert_str(0, "exec failed: ");
        all
    }

    /// `exec`'s, where the container is in no state for it.
    pub fn stated(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 255,
        }
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `create`'s: in the form that engines read.
    pub fn create(text: &str) -> Self {
        Self::engine(format!("cofferdam create failed: {text}"))
    }

    /// The same, from another failure.
    pub fn of_create(self) -> Self {
        Self::create(&self.text)
    }

    /// A plan that can't be made: 127 for a missing program, 126 for one that can't be executed.
    pub fn from_plan(error: PlanError) -> Self {
        let code = match &error {
            PlanError::Program(ProgramError::NotInPath(_) | ProgramError::NotFound { .. }) => {
                NOT_FOUND
            }
            PlanError::Program(ProgramError::NotExecutable { .. }) => NOT_EXECUTABLE,
            _ => FAILED,
        };
        let text = match &error {
            PlanError::Program(program) => format!("unable to start container process: {program}"),
            other => other.to_string(),
        };
        Self { text, code }
    }

    /// A launch that failed: an exec that the kernel refuses has its own codes.
    pub fn from_container(error: ContainerError) -> Self {
        let code = match &error {
            ContainerError::Launch(LaunchError::Child { tried, errno })
                if tried.contains("execute the program") =>
            {
                match errno {
                    Errno::ENOENT => NOT_FOUND,
                    _ => NOT_EXECUTABLE,
                }
            }
            _ => FAILED,
        };
        Self {
            text: error.to_string(),
            code,
        }
    }

    /// A refusal: all reasons, ending in the words that engines take for "permission denied".
    pub fn refused(bundle: &Bundle, violations: &[Violation]) -> Self {
        let all: Vec<String> = violations
            .iter()
            .map(|v| format!("{}: {}: {}; {}", v.control, v.pointer, v.found, v.remedy))
            .collect();
        Self::new(format!(
            "{}: refused by policy: {}: permission denied",
            bundle.name,
            all.join(" | ")
        ))
    }
}

/// Where failures go.
pub struct Sink {
    log: Option<PathBuf>,
    json: bool,
}

impl Sink {
    /// Standard error, and a log file in runc's shape if there is one.
    pub fn new(log: Option<PathBuf>, json: bool) -> Self {
        Self { log, json }
    }

    /// Whether the log can be written to; the sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        let Some(path) = &self.log else { return Ok(()) };
        open(path).map(drop).map_err(|why| {
            format!(
                "can't open the log {} (open): {}; name a file that can be written with --log",
                path.display(),
                said(&why)
            )
        })
    }

    /// The same without the log.
    #[must_use]
    pub fn without_log(self) -> Self {
        Self { log: None, ..self }
    }

    /// Says it once in each place; the exit code.
    pub fn report(&self, failure: &Failure) -> u8 {
        let shown = if self.json {
            self.line("error", &failure.text)
        } else {
            format!("cofferdam: {}", failure.text)
        };
        let _ = writeln!(std::io::stderr().lock(), "{shown}");
        self.log("error", &failure.text);
        failure.code
    }

    /// Something that went wrong and ends nothing: into the log if there is one, for standard error is then the
    /// container's; else to the person.
    pub fn warn(&self, text: &str) {
        if self.log.is_some() {
            self.log("warning", text);
        } else {
            super::say(&format!("warning: {text}"));
        }
    }

    fn line(&self, level: &str, text: &str) -> String {
        let time = crate::container::now();
        if self.json {
            json!({ "level": level, "msg": text, "time": time }).to_string()
        } else {
            format!("time={time:?} level={level} msg={text:?}")
        }
    }

    fn log(&self, level: &str, text: &str) {
        let Some(path) = &self.log else { return };
        let line = self.line(level, text);
        let written = open(path).and_then(|mut file| writeln!(file, "{line}"));
        if let Err(why) = written {
            let _ = writeln!(
                std::io::stderr().lock(),
                "cofferdam: can't write the log {}: {why}",
                path.display()
            );
        }
    }
}

/// Closed again each time: a descriptor that stays open could be taken for one that the caller hands on.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC)
        .open(path)
}

/// What the kernel said, without its number.
fn said(why: &std::io::Error) -> String {
    why.raw_os_error().map_or_else(
        || why.to_string(),
        |number| Errno::from_raw(number).desc().into(),
    )
}
