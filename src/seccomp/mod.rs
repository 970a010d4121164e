//! seccomp: from a profile (ours, or an engine's) to one filter program, and back to the question what a program does.
//! Pure: no I/O, no system calls, no loading; that is the sandbox's. Called by policy, plan, verify and audit.
//! Read in this order: model, profile, decide (what a profile means), compile (the same as BPF), interpret, prepared.
//! All files but oci.rs, prepared.rs, join.rs and wire.rs are also compiled into build.rs, so they may use nothing of this crate but each other.

mod checks;
mod compile;
mod decide;
mod emit;
mod error;
mod flatten;
mod interpret;
mod join;
mod model;
mod oci;
mod prepared;
mod profile;
pub mod syscalls;
mod table;
mod wire;

pub use compile::{MAX_INSTRUCTIONS, Program, compile};
pub use decide::Verdict;
pub use emit::Insn;
pub use error::Error;
pub use interpret::{Call, Fault, Outcome, run};
pub use model::{Action, Arch, Cond, Gate, Op, Parameters, Profile, Rule, Telling, Value, Width};
pub use oci::{Adopted, adopt};
pub use prepared::{Template, jail, prepared};
pub use profile::parse;
