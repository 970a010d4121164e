//! What stands beside a container while it runs, outside of it: only where the plan has something for it to do.
//!
//! ```text
//! launcher ──socket── monitor ─┬─ capture   pipes and events → spool        each jailed by itself, started again
//!                              ├─ copy      a copy → caller or engine       with back-off when it dies; the rows
//!                              ├─ guard     KILL if the monitor is killed   are in TABLE
//!                              └─ …
//! ```
//! [`Monitor::start`] makes the pipes and executes the launcher's own file again as `cofferdam-monitor`: a small process
//! with a session of its own, that has inherited nothing but a socket. It holds every descriptor that a worker
//! needs to be started again, and reads none of them. The launcher sends it the container's pidfd and waits for "ready"
//! before the program may execute; under an engine it then ends, and the monitor goes on until the container has ended
//! and all that it said is where it belongs. Decides nothing: what to do is in the plan.

mod delay;
mod ending;
mod guard;
mod process;
mod slot;
mod start;
mod streams;
mod table;
mod words;

pub use process::{NAME, main};
pub use start::{Launching, Monitor, MonitorError, Word};
pub use streams::{NOBODY, PipeOwner};
pub use table::TABLE;
