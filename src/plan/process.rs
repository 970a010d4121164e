//! The program, its ids, resource limits and marks, and how often it can be executed. Pure.

use super::namespaces::{MapWriter, NamespacePlan};
use super::{Lack, Line, PlanError, Weight};
use crate::controls::ControlId;
use crate::host::{AppArmor, Host, Privilege};
use crate::paths::GuestPath;
pub use crate::policy::NewPrivileges;
pub use crate::policy::Terminal;
use crate::policy::{Caller, Exec, Grant, NamespaceKind, Rlimit, Template};
use crate::survey::Program;
use serde::Serialize;

/// The one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessPlan {
    /// The ELF file, its argv, its loader.
    pub program: Program,
    /// Environment, `K=V`. Values may be secret: shown by name only.
    #[serde(serialize_with = "names_only")]
    pub env: Vec<String>,
    /// How many of them, the last ones, the launch adds: another process of the container gets its own.
    #[serde(skip)]
    pub added: usize,
    /// Working directory.
    pub cwd: GuestPath,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside; `None`: the kernel doesn't let an ordinary user drop them.
    pub groups: Option<Vec<u32>>,
    /// File mode creation mask.
    pub umask: u32,
    /// What may be executed.
    pub exec: Exec,
    /// Number of the program's descriptor = RLIMIT_NOFILE: closed by exec, it can never be made again.
    pub exec_fd: u32,
    /// Resource limits, soft and hard.
    pub rlimits: Vec<Rlimit>,
    /// OOM score adjustment.
    pub oom_score_adj: Option<i32>,
    /// When the process is made non-dumpable until exec.
    pub dumpable: Dumpable,
    /// Whether the process dies with the launcher.
    pub parent_death: ParentDeath,
    /// Speculation controls forced off (PR_SPEC_FORCE_DISABLE) where the processor has them.
    pub speculation: Speculation,
    /// AppArmor profile that the program is executed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<String>,
    /// Standard streams.
    pub stdio: Stdio,
    /// Descriptors of the caller's that stay open beside them.
    pub descriptors: Vec<i32>,
    /// Whether no_new_privs is set.
    pub new_privileges: NewPrivileges,
}

/// When PR_SET_DUMPABLE 0 is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dumpable {
    /// From the first step on: nobody but the host's root can trace or inspect it (CVE-2016-9962).
    NeverUntilExec,
    /// After verification: an unprivileged launcher could not read it back otherwise, and nobody else is inside.
    AfterVerification,
}

/// PR_SET_PDEATHSIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParentDeath {
    /// KILL when the launcher ends, however it ends.
    Kill,
    /// It outlives the launcher: an engine's create.
    Outlives,
}

/// Speculative execution controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speculation {
    /// Store bypass and indirect branches.
    ForceDisabled,
    /// As the host has it (compat).
    AsHost,
}

/// Where 0, 1 and 2 go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdio {
    /// Terminals are replaced: stdin by /dev/null, stdout and stderr by pipes to the launcher. Others are handed on.
    NoTerminal,
    /// As inherited from the engine.
    Inherited,
    /// To a terminal of the container's own, by exception: controlling, on /dev/console too, its master outside.
    Terminal(Terminal),
}

/// Names alone, since a value may be anything: as many as a line holds.
fn shown_env(env: &[String]) -> String {
    let names: Vec<&str> = env.iter().filter_map(|e| e.split('=').next()).collect();
    let some = names.iter().take(6).copied().collect::<Vec<_>>().join(" ");
    match names.len() {
        0 => "empty".into(),
        n if n > 6 => format!("{some} and {} more", n - 6),
        _ => some,
    }
}

pub(super) fn names_only<S: serde::Serializer>(env: &[String], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(env.iter().map(|e| e.split('=').next().unwrap_or_default()))
}

pub(super) fn plan(
    grant: &Grant,
    host: &Host,
    namespaces: &NamespacePlan,
    program: Program,
    lacks: &mut Vec<Lack>,
) -> Result<ProcessPlan, PlanError> {
    let asked = &grant.process;
    let rlimits = rlimits(&asked.rlimits, host);
    let nofile = rlimits
        .iter()
        .find(|r| r.kind == "nofile")
        .map_or(1024, |r| r.hard);
    let exec_fd = u32::try_from(nofile)
        .ok()
        .filter(|n| (16..=1_048_575).contains(n))
        .ok_or_else(|| PlanError::Value {
            pointer: "/process/rlimits".into(),
            what: format!(
                "RLIMIT_NOFILE {nofile}: the one-shot exec needs a limit from 16 to 1048575"
            ),
        })?;
    let user = host.privilege == Privilege::User;
    let writes = namespaces.user.as_ref().map(|u| &u.by);
    let fixed_groups = user && !matches!(writes, Some(MapWriter::Helpers { .. }));
    if fixed_groups && !asked.groups.is_empty() {
        lacks.push(Lack {
            control: ControlId::S8_5_1,
            what: "an ordinary user may not set supplementary groups".into(),
            lost: "the groups asked for are not given".into(),
            weight: Weight::Covered,
        });
    }
    lacks.extend(no_label(grant, host));
    let new_pid = namespaces.is_new(NamespaceKind::Pid);
    let listening = grant.openings.listening();
    let home = program.home.as_ref().map(|home| format!("HOME={home}"));
    let added = [home.into_iter().collect(), activation(&listening)].concat();
    let found = (3..)
        .take(listening.len())
        .chain(asked.descriptors.iter().copied());
    let found: Vec<i32> = found.collect();
    Ok(ProcessPlan {
        env: [asked.env.clone(), added.clone()].concat(),
        added: added.len(),
        program,
        cwd: asked.cwd.clone(),
        uid: asked.uid,
        gid: asked.gid,
        groups: (!fixed_groups).then(|| asked.groups.clone()),
        umask: asked.umask,
        exec: grant.exec.clone(),
        exec_fd,
        rlimits,
        oom_score_adj: asked.oom_score_adj,
        dumpable: if user && new_pid {
            Dumpable::AfterVerification
        } else {
            Dumpable::NeverUntilExec
        },
        parent_death: match grant.caller {
            Caller::Standalone => ParentDeath::Kill,
            Caller::Engine => ParentDeath::Outlives,
        },
        speculation: match grant.template {
            Template::Compat => Speculation::AsHost,
            _ => Speculation::ForceDisabled,
        },
        apparmor: grant.lsm.apparmor.clone(),
        descriptors: descriptors(&found, exec_fd)?,
        new_privileges: asked.new_privileges,
        stdio: match (asked.terminal, grant.caller) {
            (Some(terminal), _) => Stdio::Terminal(terminal),
            (None, Caller::Standalone) => Stdio::NoTerminal,
            (None, Caller::Engine) => Stdio::Inherited,
        },
    })
}

/// AppArmor is in force and gives this program no label of its own.
fn no_label(grant: &Grant, host: &Host) -> Option<Lack> {
    if grant.lsm.apparmor.is_some() || grant.template == Template::Compat {
        return None;
    }
    let (what, lost) = match &host.apparmor {
        AppArmor::Absent | AppArmor::Template => return None,
        AppArmor::NoTemplate => (
            "AppArmor's profile cofferdam-default is not loaded: cofferdam install --apparmor"
                .to_string(),
            "the program is unconfined for AppArmor; seccomp and landlock confine it".to_string(),
        ),
        AppArmor::Confined { profile } => (
            "AppArmor's profile cofferdam-default is not taken by a launcher that is confined itself".into(),
            format!("the program has the launcher's label, {}", profile.escape_debug()),
        ),
    };
    Some(Lack {
        control: ControlId::S8_4_14,
        what,
        lost,
        weight: Weight::Covered,
    })
}

/// sd_listen_fds(3): the program is the first process of its pid namespace.
fn activation(names: &[String]) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    vec![
        format!("LISTEN_FDS={}", names.len()),
        "LISTEN_PID=1".into(),
        format!("LISTEN_FDNAMES={}", names.join(":")),
    ]
}

/// All of them below the limit of open files, whose number the program's own descriptor has.
fn descriptors(asked: &[i32], exec_fd: u32) -> Result<Vec<i32>, PlanError> {
    match asked.iter().find(|n| **n >= exec_fd as i32) {
        None => Ok(asked.to_vec()),
        Some(number) => Err(PlanError::Value {
            pointer: "--preserve-fds".into(),
            what: format!("descriptor {number} lies above the limit of open files, {exec_fd}"),
        }),
    }
}

/// Cut down to the launcher's own hard limits where they can't be raised. The descriptor limit stays one below,
/// for the program's descriptor is made at that number before the limit is lowered to it.
fn rlimits(asked: &[Rlimit], host: &Host) -> Vec<Rlimit> {
    asked
        .iter()
        .map(|limit| {
            let own = host.rlimits.iter().find(|(kind, ..)| *kind == limit.kind);
            let mut hard = limit.hard;
            if let (Some((_, _, most)), false) = (own, host.may_raise_limits) {
                hard = hard.min(*most);
                if limit.kind == "nofile" && hard == *most {
                    hard = hard.saturating_sub(1);
                }
            }
            Rlimit {
                kind: limit.kind.clone(),
                soft: limit.soft.min(hard),
                hard,
            }
        })
        .collect()
}

impl ProcessPlan {
    /// The environment without what the launch adds.
    pub fn asked_env(&self) -> &[String] {
        &self.env[..self.env.len() - self.added]
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let groups = match self.groups.as_deref() {
            None => "groups as the caller has them".to_string(),
            Some([]) => "no other group".to_string(),
            Some(some) => format!(
                "groups {}",
                some.iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        };
        let exec = match &self.exec {
            Exec::Once => format!("one exec (descriptor {}, then none)", self.exec_fd),
            Exec::Listed(list) => format!(
                "exec of {}",
                list.iter()
                    .map(GuestPath::as_str)
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
            Exec::Any => "exec of anything".to_string(),
        };
        let mut command = self.program.args.join(" ").escape_debug().to_string();
        if command.chars().count() > 60 {
            command = command.chars().take(57).collect::<String>() + "...";
        }
        let mut out = vec![
            Line::new(
                "program",
                format!("{}: {command}", self.program.path),
                &[ControlId::S8_4_3, ControlId::S8_5_2],
            ),
            Line::new("directory", self.cwd.to_string(), &[ControlId::S8_4_13]),
            Line::new("environment", shown_env(&self.env), &[ControlId::S8_2_2]),
            Line::new(
                "exec",
                exec,
                &[ControlId::S8_4_3, ControlId::S8_4_8, ControlId::S8_5_2],
            ),
            Line::new(
                "user",
                format!(
                    "{}:{}, {groups}, {}, keyring of its own",
                    self.uid,
                    self.gid,
                    match self.new_privileges {
                        NewPrivileges::Never => "no_new_privs",
                        NewPrivileges::Possible => "exec can give privileges (exception)",
                    }
                ),
                &[ControlId::S8_3_7, ControlId::S8_5_1],
            ),
        ];
        let limits: Vec<String> = self
            .rlimits
            .iter()
            .map(|r| {
                if r.soft == r.hard {
                    format!("{} {}", r.kind, number(r.hard))
                } else {
                    format!("{} {}..{}", r.kind, number(r.soft), number(r.hard))
                }
            })
            .collect();
        if let Some(profile) = &self.apparmor {
            let text = format!("the profile {profile}, from exec on");
            out.push(Line::new("apparmor", text, &[ControlId::S8_4_14]));
        }
        if !self.descriptors.is_empty() {
            let all: Vec<String> = self.descriptors.iter().map(i32::to_string).collect();
            let text = format!("{} of the caller's stay open", all.join(" "));
            out.push(Line::new("descriptors", text, &[ControlId::S8_1_3]));
        }
        if let Stdio::Terminal(size) = self.stdio {
            let size = match (size.rows, size.columns) {
                (0, 0) => "as large as the one outside".to_string(),
                (rows, columns) => format!("{rows} rows, {columns} columns"),
            };
            let text = format!("one of its own, controlling, {size}");
            out.push(Line::new("terminal", text, &[ControlId::S8_4_1]));
        }
        out.push(Line::new(
            "rlimits",
            limits.join(", "),
            &[ControlId::S8_1_4],
        ));
        out
    }
}

fn number(n: u64) -> String {
    if n == u64::MAX {
        "unlimited".into()
    } else {
        n.to_string()
    }
}
