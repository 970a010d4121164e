//! A container's life: made, started, ended, forgotten; on disk where a later command finds it.
//!
//! `run` keeps it in one process; `create`, `start`, `kill`, `delete` spread it over several. Both go through
//! [`build`], so both launch, verify and record in the same way.

mod build;
mod error;
mod hooks;
mod janitor;
mod lifecycle;
mod receiver;
mod record;
mod run;
mod signals;
mod store;
mod streams;
mod terminal;

pub use build::{Context, Ready, build};
pub use error::ContainerError;
pub use hooks::{About, SavedHooks};
pub use janitor::Janitor;
pub use lifecycle::{create, delete, kill, start, state};
pub use receiver::{Receiver, ReceiverError};
pub use record::{Identity, LaunchRecord, RecordTarget, RefusalRecord, now};
pub use run::{Ended, run};
pub use signals::StopTimeout;
pub use store::{Claim, Entry, Gate, State, Status, Store};
pub use terminal::TerminalError;
