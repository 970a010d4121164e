//! A container's life: made, started, ended, forgotten; on disk where a later command finds it.
//!
//! `run` keeps it in one process; `create`, `start`, `kill`, `delete` spread it over several. Both go through
//! [`build`], so both launch, verify and record in the same way.

mod attended;
mod begun;
mod build;
mod error;
mod events;
mod exec;
mod hooks;
pub mod janitor;
mod journal;
mod lifecycle;
mod network;
mod pause;
mod receiver;
mod record;
mod resolver;
mod run;
mod saved;
mod signals;
mod store;
mod streams;
mod terminal;
mod told;
mod update;

pub use attended::{attended, ended};
pub use build::{Context, Ready, build};
pub use error::ContainerError;
pub use events::{Listener, events, stats};
pub use exec::{Joining, Manner, Paused};
pub use hooks::{About, SavedHooks};
pub use janitor::Janitor;
pub use lifecycle::{Told, create, delete, kill, start, state};
pub use network::{Held as HeldNetwork, attached as attached_network};
pub use pause::{pause, processes, resume};
pub use receiver::{Receiver, ReceiverError};
pub use record::{Identity, LaunchRecord, RecordTarget, RefusalRecord, now};
pub use resolver::Resolver;
pub use run::{Ended, run};
pub use saved::Saved;
pub use signals::StopTimeout;
pub use store::{Claim, Entry, Gate, State, Status, Store};
pub use terminal::TerminalError;
pub use update::{Update, Updating};
