//! The words in which a seccomp policy is said: architecture, action, condition, rule, profile.
//! Plain data without I/O; knows neither JSON nor BPF. Used by every other file here and, through `#[path]`, by build.rs.

use std::collections::BTreeSet;

/// An architecture whose system calls we can filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit x86; a filter for it also kills calls by the x32 and i386 ABIs.
    X86_64,
    /// 64-bit Arm, little endian.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Arch {
    /// All that are supported, in the order of the columns of the call table.
    pub const ALL: [Arch; 3] = [Arch::X86_64, Arch::Aarch64, Arch::Riscv64];

    /// The `AUDIT_ARCH_*` value the kernel puts into `seccomp_data.arch` (linux/audit.h).
    pub const fn audit_arch(self) -> u32 {
        // EM_* of linux/elf-em.h | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE.
        match self {
            Arch::X86_64 => 62 | 0xC000_0000,
            Arch::Aarch64 => 183 | 0xC000_0000,
            Arch::Riscv64 => 243 | 0xC000_0000,
        }
    }

    /// The name the kernel, Rust's `target_arch` and we use.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Riscv64 => "riscv64",
        }
    }

    /// The name OCI gives it (`SCMP_ARCH_*`).
    pub const fn oci_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Riscv64 => "SCMP_ARCH_RISCV64",
        }
    }

    /// The architecture of that name, as in Rust's `target_arch`.
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }
}

/// What the kernel does with a call (seccomp(2), `SECCOMP_RET_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The call is carried out.
    Allow,
    /// The call is carried out and written to the kernel's audit log.
    Log,
    /// A tracer decides; without one the call fails with ENOSYS.
    Trace(u16),
    /// A supervisor holding the notification fd decides.
    Notify,
    /// The call fails with this errno.
    Errno(u16),
    /// The thread gets SIGSYS.
    Trap,
    /// The thread is killed.
    KillThread,
    /// The process is killed by SIGSYS.
    KillProcess,
}

impl Action {
    /// The value a filter returns for it.
    pub const fn to_ret(self) -> u32 {
        match self {
            Action::Allow => 0x7fff_0000,
            Action::Log => 0x7ffc_0000,
            Action::Trace(data) => 0x7ff0_0000 | data as u32,
            Action::Notify => 0x7fc0_0000,
            Action::Errno(errno) => 0x0005_0000 | errno as u32,
            Action::Trap => 0x0003_0000,
            Action::KillThread => 0x0000_0000,
            Action::KillProcess => 0x8000_0000,
        }
    }

    /// What the kernel makes of a returned value; one it does not know kills the process, as in kernel/seccomp.c.
    pub const fn from_ret(value: u32) -> Action {
        let data = (value & 0xffff) as u16;
        match value & 0xffff_0000 {
            0x7fff_0000 => Action::Allow,
            0x7ffc_0000 => Action::Log,
            0x7ff0_0000 => Action::Trace(data),
            0x7fc0_0000 => Action::Notify,
            0x0005_0000 => Action::Errno(data),
            0x0003_0000 => Action::Trap,
            0x0000_0000 => Action::KillThread,
            _ => Action::KillProcess,
        }
    }

    /// How much it restricts; of several matching rules the highest wins, in the kernel's own order.
    pub const fn severity(self) -> u8 {
        match self {
            Action::Allow => 0,
            Action::Log => 1,
            Action::Trace(_) => 2,
            Action::Notify => 3,
            Action::Errno(_) => 4,
            Action::Trap => 5,
            Action::KillThread => 6,
            Action::KillProcess => 7,
        }
    }
}

/// A comparison of an argument (left) with a value (right), both unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// `argument & mask == value`.
    MaskedEq {
        /// The bits that are looked at.
        mask: u64,
    },
}

/// How much of an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low 32 bits: right where the kernel takes an `int` and drops the rest, else 0x1_0000_5412 would pass for another number.
    Dword,
    /// All 64 bits, as libseccomp compares.
    Qword,
}

/// The right side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Known when the profile is written.
    Is(u64),
    /// The fd number of the entrypoint, known at the launch (`"@exec_fd"` in a profile): one-shot exec.
    ExecFd,
}

/// One condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cond {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// The comparison.
    pub op: Op,
    /// What the argument is compared with.
    pub value: Value,
    /// How much of the argument is compared.
    pub width: Width,
}

/// When a rule is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// In every launch.
    Always,
    /// Only when this group is switched on (`"group"` in a profile).
    With(String),
    /// Only while this group is off (`"unless"` in a profile).
    Without(String),
}

/// An action for some calls, under conditions that must all hold. Several rules for one call are alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The calls by name.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: Action,
    /// The conditions, joined by AND; none means always.
    pub args: Vec<Cond>,
    /// Why, for `plan` and for the reader; empty in profiles that engines supply.
    pub reason: String,
    /// When it is in force.
    pub gate: Gate,
    /// Whether a refusal by it is worth telling to a watcher.
    pub telling: Telling,
}

/// What a watcher is told of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Each one.
    Told,
    /// None: libraries try the call by habit, and asking the watcher each time would only cost (`"quiet"` in a profile).
    Quiet,
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// For calls that no rule matches.
    pub default: Action,
    /// For numbers above the highest call we know, so that newer calls fail as on an older kernel; `None`: the default.
    pub above_known: Option<Action>,
    /// The rules in the order of the file.
    pub rules: Vec<Rule>,
}

/// What only the launch knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The optional groups that are switched on.
    pub groups: BTreeSet<String>,
    /// The entrypoint's fd number; needed by profiles that name `@exec_fd`.
    pub exec_fd: Option<u32>,
}

impl Gate {
    /// Whether the rule is in force with these groups on.
    pub fn is_open(&self, groups: &BTreeSet<String>) -> bool {
        match self {
            Gate::Always => true,
            Gate::With(group) => groups.contains(group),
            Gate::Without(group) => !groups.contains(group),
        }
    }

    /// The group it depends on.
    pub fn group(&self) -> Option<&str> {
        match self {
            Gate::Always => None,
            Gate::With(group) | Gate::Without(group) => Some(group),
        }
    }
}

impl Profile {
    /// The same profile for a watcher: what it would refuse with an errno it asks the watcher about, who answers with
    /// that very errno; and so it asks about `routed` calls, whatever it says of them, but those it kills for.
    pub fn watched(&self, routed: &[&str]) -> Profile {
        let told = |action: Action| match action {
            Action::Errno(_) => Action::Notify,
            other => other,
        };
        let mut all = self.clone();
        all.default = told(all.default);
        all.above_known = all.above_known.map(told);
        for rule in &mut all.rules {
            if rule.telling == Telling::Told {
                rule.action = told(rule.action);
            }
        }
        if !routed.is_empty() {
            all.rules.push(Rule {
                names: routed.iter().map(ToString::to_string).collect(),
                action: Action::Notify,
                args: Vec::new(),
                reason: String::new(),
                gate: Gate::Always,
                telling: Telling::Told,
            });
        }
        all
    }

    /// The names of all optional groups.
    pub fn groups(&self) -> BTreeSet<&str> {
        self.rules
            .iter()
            .filter_map(|rule| rule.gate.group())
            .collect()
    }
}
