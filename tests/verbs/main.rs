//! The verbs that engines call on a container that is there: pause, ps, update, exec, events, and what they leave.

#![allow(unsafe_code)] // the rig's payload

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod as_runc;
mod events;
mod exec;
mod exec_flags;
mod exec_terminal;
mod forms;
mod lives;
mod mistakes;
mod pause;
mod update;

payload!(verb);

/// What this crate's payload can do beside the rig's verbs.
fn verb(verb: &str, _args: &[String]) -> Option<i32> {
    match verb {
        "eat" => events::eat(),
        "tty" => return Some(support::terminal::tty()),
        "try" => exec::try_it(),
        _ => return None,
    }
    Some(0)
}
