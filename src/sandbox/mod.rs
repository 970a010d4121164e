//! Does what the plan says, and takes no decisions.
//!
//! `prepare` makes every allocation; `launch` makes the child by one clone3, gives it its mounts and waits until
//! it has locked itself down in front of execve; where namespaces are joined, a process aside makes it in them.
//! Never names oci-spec, profiles or policy.

mod apparmor;
mod aside;
mod child;
mod copy_up;
mod created;
mod error;
mod hook;
mod idmaps;
mod interfaces;
mod join;
mod launched;
mod lockdown;
mod ops;
mod parent;
mod prepare;
mod rtnetlink;
mod start_hooks;
mod terminal;
mod wire;

pub use created::{Created, Running, Started, exec_failure};
pub use error::LaunchError;
pub use hook::{HookError, HookProgram, Place};
pub use hook::{ask as ask_program, run as run_hook};
pub use join::{Target, join};
pub use launched::Launched;
pub use parent::launch;
pub use prepare::{PrepareError, Prepared, StartGate, Streams, prepare};
