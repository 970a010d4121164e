//! System-call filters: the template's, prepared at build time, and the request's own beside it. Pure.

use super::{Line, PlanError};
use crate::controls::ControlId;
use crate::policy::{Grant, Template, WriteExecute};
use crate::seccomp::{self, Arch, Parameters, Program};
use serde::Serialize;

/// Filters in the order in which they are loaded; the kernel takes the most restrictive answer.
#[derive(Clone, Debug, Serialize)]
pub struct SeccompPlan {
    /// The filters.
    pub filters: Vec<Filter>,
    /// PR_SET_MDWE: no memory is both writable and executable.
    pub write_execute: WriteExecute,
    /// Names in the request's profile that this architecture doesn't have.
    pub unknown: Vec<String>,
}

/// One filter.
#[derive(Clone, Debug, Serialize)]
pub struct Filter {
    /// Where it comes from, e.g. "default" or "config.json".
    pub name: String,
    /// How many instructions.
    pub instructions: usize,
    /// SHA-256 of the instructions, in hex.
    pub digest: String,
    /// The program.
    #[serde(skip)]
    pub program: Program,
}

pub(super) fn plan(grant: &Grant, exec_fd: u32) -> Result<SeccompPlan, PlanError> {
    let bad = |e: seccomp::Error| PlanError::Value {
        pointer: "/linux/seccomp".into(),
        what: e.to_string(),
    };
    let mut filters = Vec::new();
    let mut unknown = Vec::new();
    if let Some(profile) = &grant.seccomp.requested {
        let parameters = Parameters {
            exec_fd: Some(exec_fd),
            ..Parameters::default()
        };
        let program = seccomp::compile(profile, Arch::NATIVE, &parameters).map_err(bad)?;
        unknown.clone_from(&program.unknown);
        filters.push(filter("config.json".into(), program));
    }
    if let Some(template) = grant.seccomp.template.and_then(shipped) {
        let parameters = Parameters {
            groups: grant.seccomp.groups.iter().cloned().collect(),
            exec_fd: Some(exec_fd),
        };
        let program = template.program(&parameters).map_err(bad)?;
        let mut name = template.name().to_string();
        for group in &grant.seccomp.groups {
            name.push('+');
            name.push_str(group);
        }
        filters.push(filter(name, program));
    }
    Ok(SeccompPlan {
        filters,
        write_execute: grant.write_execute,
        unknown,
    })
}

fn filter(name: String, program: Program) -> Filter {
    let mut bytes = Vec::with_capacity(program.filter.len() * 8);
    for i in &program.filter {
        bytes.extend_from_slice(&i.code.to_le_bytes());
        bytes.extend_from_slice(&[i.jt, i.jf]);
        bytes.extend_from_slice(&i.k.to_le_bytes());
    }
    Filter {
        name,
        instructions: program.filter.len(),
        digest: crate::digest::sha256_hex(&bytes),
        program,
    }
}

/// The shipped filter of a template; compat has none.
fn shipped(template: Template) -> Option<seccomp::Template> {
    match template {
        Template::Default => Some(seccomp::Template::Default),
        Template::Workers => Some(seccomp::Template::Workers),
        Template::Script => Some(seccomp::Template::Script),
        Template::Compat => None,
    }
}

impl Template {
    /// Its name in policy files and plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Workers => "workers",
            Self::Script => "script",
            Self::Compat => "compat",
        }
    }
}

impl SeccompPlan {
    pub(super) fn lines(&self) -> Vec<Line> {
        let text = if self.filters.is_empty() {
            "no filter".to_string()
        } else {
            self.filters
                .iter()
                .map(|f| format!("{} ({} instructions)", f.name, f.instructions))
                .collect::<Vec<_>>()
                .join(" and ")
        };
        let mut out = vec![Line::new(
            "seccomp",
            format!("{text}; native ABI only"),
            &[
                ControlId::S8_1_4,
                ControlId::S8_4_4,
                ControlId::S8_4_5,
                ControlId::S8_4_6,
                ControlId::S8_4_8,
            ],
        )];
        out.push(Line::new(
            "memory",
            match self.write_execute {
                WriteExecute::Denied => "never both writable and executable (MDWE)",
                WriteExecute::Waived => "writable and executable allowed (exception)",
            },
            &[ControlId::S8_4_8],
        ));
        if !self.unknown.is_empty() {
            let text = format!(
                "calls unknown to this machine, ignored: {}",
                self.unknown.join(" ")
            );
            out.push(Line::new("", text, &[]));
        }
        out
    }
}
