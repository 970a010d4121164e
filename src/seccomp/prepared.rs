//! The shipped profiles: their programs as build.rs compiled them for this architecture, and their texts for everything else.
//! A launch copies a program and fills in the fd number; it parses nothing unless groups are switched on. Called by the plan.

use super::compile::{Program, compile};
use super::emit::Insn;
use super::error::Error;
use super::model::{Arch, Parameters, Profile};
use super::profile;

/// A shipped profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Template {
    /// One process, one exec: threads, but neither fork nor a second program.
    Default,
    /// Processes by fork, but no second program.
    Workers,
    /// Processes and programs; which files may be executed is landlock's part.
    Script,
}

struct Embedded {
    code: &'static [(u16, u8, u8, u32)],
    exec_fd_at: &'static [usize],
    unknown: &'static [&'static str],
}

// Holds DEFAULT, WORKERS and SCRIPT, each again with _WATCHED, and in JAILS what is in profiles/monitor.
include!(concat!(env!("OUT_DIR"), "/seccomp_prepared.rs"));

const TEXTS: [(&str, &str); 3] = [
    (
        "default",
        include_str!("../../profiles/seccomp/default.json"),
    ),
    (
        "workers",
        include_str!("../../profiles/seccomp/workers.json"),
    ),
    ("script", include_str!("../../profiles/seccomp/script.json")),
];

impl Arch {
    /// The architecture this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The architecture this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;
    /// The architecture this program was built for.
    #[cfg(target_arch = "riscv64")]
    pub const NATIVE: Arch = Arch::Riscv64;
}

impl Template {
    /// All of them.
    pub const ALL: [Template; 3] = [Template::Default, Template::Workers, Template::Script];

    /// The name of its file in profiles/seccomp, without the ending.
    pub const fn name(self) -> &'static str {
        match self {
            Template::Default => "default",
            Template::Workers => "workers",
            Template::Script => "script",
        }
    }

    /// The template of that name.
    pub fn from_name(name: &str) -> Option<Template> {
        Template::ALL
            .into_iter()
            .find(|template| template.name() == name)
    }

    /// The profile with everything it inherits: to explain it, to flatten it, to compile it with groups.
    ///
    /// # Errors
    /// None for the shipped texts, which build.rs has parsed before.
    pub fn profile(self) -> Result<Profile, Error> {
        let text = |name: &str| {
            TEXTS
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, text)| *text)
        };
        profile::parse(self.name(), &text)
    }

    /// The program for a launch: the prepared one, or compiled if groups are on.
    ///
    /// # Errors
    /// An unknown group, a missing fd number.
    pub fn program(self, parameters: &Parameters) -> Result<Program, Error> {
        match parameters.exec_fd {
            Some(fd) if parameters.groups.is_empty() => Ok(prepared(self, fd)),
            _ => compile(&self.profile()?, Arch::NATIVE, parameters),
        }
    }

    /// The same for a launch that is watched ([`Profile::watched`]); with these calls routed to the watcher as well.
    ///
    /// # Errors
    /// An unknown group, a missing fd number.
    pub fn watched(self, parameters: &Parameters, routed: &[&str]) -> Result<Program, Error> {
        match parameters.exec_fd {
            Some(fd) if parameters.groups.is_empty() && routed.is_empty() => {
                let embedded = match self {
                    Template::Default => &DEFAULT_WATCHED,
                    Template::Workers => &WORKERS_WATCHED,
                    Template::Script => &SCRIPT_WATCHED,
                };
                Ok(embedded.with(fd))
            }
            _ => compile(&self.profile()?.watched(routed), Arch::NATIVE, parameters),
        }
    }
}

/// The program of a template with all groups off, for an entrypoint open at `exec_fd`.
#[must_use]
pub fn prepared(template: Template, exec_fd: u32) -> Program {
    let embedded = match template {
        Template::Default => &DEFAULT,
        Template::Workers => &WORKERS,
        Template::Script => &SCRIPT,
    };
    embedded.with(exec_fd)
}

/// The filter of one of the monitor's workers, by its name.
#[must_use]
pub fn jail(worker: &str) -> Option<Program> {
    let found = JAILS.iter().find(|(name, _)| *name == worker);
    found.map(|(_, embedded)| embedded.with(0))
}

impl Embedded {
    fn with(&self, exec_fd: u32) -> Program {
        let insn = |&(code, jt, jf, k): &(u16, u8, u8, u32)| Insn { code, jt, jf, k };
        let mut filter: Vec<Insn> = self.code.iter().map(insn).collect();
        for &at in self.exec_fd_at {
            filter[at].k = exec_fd;
        }
        Program {
            filter,
            exec_fd_at: self.exec_fd_at.to_vec(),
            unknown: self.unknown.iter().map(ToString::to_string).collect(),
            arch: Arch::NATIVE,
        }
    }
}

impl Program {
    /// The program in the type that `seccompiler::apply_filter` loads.
    pub fn to_bpf(&self) -> seccompiler::BpfProgram {
        let convert = |i: &Insn| seccompiler::sock_filter {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        };
        self.filter.iter().map(convert).collect()
    }
}
