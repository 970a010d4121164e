//! System-call filters: the template's, prepared at build time, and the request's own behind it. Pure.

pub mod guard;
mod watch;

use super::capabilities::{self, FilterLoader};
pub use watch::Watch;

use super::{Lack, Line, PlanError, Weight};
use crate::controls::ControlId;
use crate::host::Host;
use crate::policy::{FilterFlag, Grant, Listener, Template, WriteExecute};
use crate::seccomp::{self, Arch, Cond, Gate, Op, Parameters, Program, Telling, Value, Width};
use serde::Serialize;

/// One filter, or none under compat: what the template lets through, the request's own decides.
#[derive(Clone, Debug, Serialize)]
pub struct SeccompPlan {
    /// The filters.
    pub filters: Vec<Filter>,
    /// The agent that the filter notifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
    /// What the filter refuses is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// PR_SET_MDWE: no memory is both writable and executable.
    pub write_execute: Mdwe,
    /// Names in the request's profile that this architecture doesn't have.
    pub unknown: Vec<String>,
}

/// Memory-deny-write-execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mdwe {
    /// Denied by the kernel.
    Denied,
    /// Allowed by an exception.
    Waived,
    /// This kernel can't (before Linux 6.3).
    Lacking,
}

/// One filter.
#[derive(Clone, Debug, Serialize)]
pub struct Filter {
    /// Where it comes from, e.g. "default" or "config.json".
    pub name: String,
    /// How many instructions.
    pub instructions: usize,
    /// SECCOMP_FILTER_FLAG_*, as seccomp(2) takes them.
    pub flags: u64,
    /// SHA-256 of the instructions, in hex.
    pub digest: String,
    /// The program.
    #[serde(skip)]
    pub program: Program,
}

pub(super) fn plan(
    grant: &Grant,
    host: &Host,
    exec_fd: u32,
    lacks: &mut Vec<Lack>,
) -> Result<SeccompPlan, PlanError> {
    let routed: Vec<&str> = grant.seccomp.routed.iter().map(String::as_str).collect();
    watched(grant, host, (exec_fd, &routed), lacks)
}

/// Of a process that joins: a filter of its own, and so a listener of its own. Binds and listens are refused to it, not
/// carried out.
pub(super) fn watched_newcomer(
    grant: &Grant,
    host: &Host,
    exec_fd: u32,
    lacks: &mut Vec<Lack>,
) -> Result<SeccompPlan, PlanError> {
    watched(grant, host, (exec_fd, &[]), lacks)
}

fn watched(
    grant: &Grant,
    host: &Host,
    (exec_fd, routed): (u32, &[&str]),
    lacks: &mut Vec<Lack>,
) -> Result<SeccompPlan, PlanError> {
    let mut all = unwatched(grant, host, exec_fd, lacks)?;
    watch::lay(grant, host, (exec_fd, routed), &mut all, lacks)?;
    Ok(all)
}

fn bad(error: seccomp::Error) -> PlanError {
    PlanError::Value {
        pointer: "/linux/seccomp".into(),
        what: error.to_string(),
    }
}

fn requested(grant: &Grant, exec_fd: u32) -> Result<Option<Program>, seccomp::Error> {
    let parameters = Parameters {
        exec_fd: Some(exec_fd),
        ..Parameters::default()
    };
    let Some(profile) = &grant.seccomp.requested else {
        return Ok(None);
    };
    let program = seccomp::compile(profile, Arch::NATIVE, &parameters)?;
    let allows = |call, args| program.allows(call, args).unwrap_or(false);
    let fd = u64::from(exec_fd);
    if !allows("execve", [0; 6]) || allows("execveat", [fd, 0, 0, 0, EMPTY_PATH, 0]) {
        return Ok(Some(program));
    }
    let mut profile = profile.clone();
    profile.rules.push(start());
    seccomp::compile(&profile, Arch::NATIVE, &parameters).map(Some)
}

/// AT_EMPTY_PATH.
const EMPTY_PATH: u64 = 0x1000;

/// Lists made for runtimes that call execve name nothing else. The launch executes by a descriptor whose number can't
/// be had again behind it, so allowing that gives the program nothing; a rule that denies the call stands.
fn start() -> seccomp::Rule {
    let is = |index, value| Cond {
        index,
        op: Op::Eq,
        value,
        width: Width::Dword,
    };
    seccomp::Rule {
        names: vec!["execveat".into()],
        action: seccomp::Action::Allow,
        args: vec![is(0, Value::ExecFd), is(4, Value::Is(EMPTY_PATH))],
        reason: String::new(),
        gate: Gate::Always,
        telling: Telling::Quiet,
    }
}

/// The filters without a watcher.
pub(super) fn unwatched(
    grant: &Grant,
    host: &Host,
    exec_fd: u32,
    lacks: &mut Vec<Lack>,
) -> Result<SeccompPlan, PlanError> {
    let mut unknown = Vec::new();
    let requested = requested(grant, exec_fd).map_err(bad)?;
    if let Some(program) = &requested {
        check_start(program, exec_fd, grant.seccomp.listener.is_some())?;
        if capabilities::loader(grant) == FilterLoader::BorrowsAdmin {
            check_handing_back(program)?;
        }
        unknown.clone_from(&program.unknown);
    }
    let mut ours = None;
    if let Some(template) = grant.seccomp.template.and_then(shipped) {
        let parameters = Parameters {
            groups: grant.seccomp.groups.iter().cloned().collect(),
            exec_fd: Some(exec_fd),
        };
        let mut name = template.name().to_string();
        for group in &grant.seccomp.groups {
            name.push('+');
            name.push_str(group);
        }
        ours = Some((name, template.program(&parameters).map_err(bad)?));
    }
    // Flags belong to the request's filter, and so to the one that it is part of.
    let flags = if requested.is_some() { flags(grant) } else { 0 };
    let mut filters = match (ours, requested) {
        (None, None) => Vec::new(),
        (Some((name, ours)), None) => vec![filter(name, ours)],
        (None, Some(theirs)) => vec![filter("config.json".into(), theirs)],
        (Some((name, ours)), Some(theirs)) => {
            let both = ours.then(&theirs).map_err(bad)?;
            vec![filter(format!("{name} and config.json"), both)]
        }
    };
    filters.iter_mut().for_each(|f| f.flags = flags);
    Ok(SeccompPlan {
        filters,
        listener: grant.seccomp.listener.clone(),
        watch: None,
        write_execute: mdwe(grant, host, lacks),
        unknown,
    })
}

/// linux/seccomp.h.
const NEW_LISTENER: u64 = 1 << 3;
/// Linux 5.19.
const WAIT_KILLABLE: u64 = 1 << 5;

fn flags(grant: &Grant) -> u64 {
    let listener = match grant.seccomp.listener {
        Some(_) => NEW_LISTENER,
        None => 0,
    };
    let bits = grant.seccomp.flags.iter().map(|flag| match flag {
        FilterFlag::Log => 1 << 1,
        FilterFlag::SpecAllow => 1 << 2,
        FilterFlag::WaitKillable => WAIT_KILLABLE,
    });
    bits.fold(listener, |all, bit| all | bit)
}

fn mdwe(grant: &Grant, host: &Host, lacks: &mut Vec<Lack>) -> Mdwe {
    if grant.write_execute == WriteExecute::Waived {
        return Mdwe::Waived;
    }
    if host.kernel >= (6, 3) {
        return Mdwe::Denied;
    }
    lacks.push(Lack {
        control: ControlId::S8_4_8,
        what: "PR_SET_MDWE needs Linux 6.3".into(),
        lost: "memory can be writable and executable; only files of the image can be mapped executable".into(),
        weight: Weight::Covered,
    });
    Mdwe::Lacking
}

/// What the child still does behind the filter: wait for the word, then execute the program's descriptor.
fn check_start(program: &Program, exec_fd: u32, listener: bool) -> Result<(), PlanError> {
    let fd = u64::from(exec_fd);
    // The listener's descriptor goes out when its filter is in force already.
    let sends = listener.then_some(("sendmsg", [3, 0, 0x4000, 0, 0, 0]));
    for (call, args) in [
        ("execveat", [fd, 0, 0, 0, EMPTY_PATH, 0]),
        ("read", [3, 0, 1, 0, 0, 0]),
        ("write", [3, 0, 8, 0, 0, 0]),
    ]
    .into_iter()
    .chain(sends)
    {
        if !program.allows(call, args).unwrap_or(false) {
            return Err(PlanError::Value {
                pointer: "/linux/seccomp/syscalls".into(),
                what: format!(
                    "{call} is not allowed, but the launch itself needs it to start the program: allow it (the shipped filter beside it takes it away again after the one exec)"
                ),
            });
        }
    }
    Ok(())
}

/// Without no_new_privs the filter is in force before the right to load it is given up.
fn check_handing_back(program: &Program) -> Result<(), PlanError> {
    for call in ["capget", "capset"] {
        if !program.allows(call, [0; 6]).unwrap_or(false) {
            return Err(PlanError::Value {
                pointer: "/linux/seccomp/syscalls".into(),
                what: format!(
                    "{call} is not allowed, but without noNewPrivileges the launch gives CAP_SYS_ADMIN up behind the filter: allow it, or set noNewPrivileges"
                ),
            });
        }
    }
    Ok(())
}

fn filter(name: String, program: Program) -> Filter {
    Filter {
        name,
        flags: 0,
        instructions: program.filter.len(),
        digest: crate::digest::sha256_hex(&program.bytes()),
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
        if let Some(listener) = &self.listener {
            let text = format!("an agent at {} answers notified calls", listener.path);
            out.push(Line::new("listener", text, &[ControlId::S8_1_4]));
        }
        out.extend(self.watch.iter().map(Watch::line));
        out.push(Line::new(
            "memory",
            match self.write_execute {
                Mdwe::Denied => "never both writable and executable (MDWE)",
                Mdwe::Lacking => "writable and executable possible (kernel too old)",
                Mdwe::Waived => "writable and executable allowed (exception)",
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
