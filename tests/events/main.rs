//! What is told about a container: the watcher of refused calls, the events of real launches, `explain`.

#![allow(unsafe_code)] // system calls by number, and the rig's payload

#[path = "../support/mod.rs"]
mod support;

mod accesses;
mod clock;
mod every;
mod heartbeat;
mod hooks;
mod launches;
mod limits;
mod schemas;
mod watcher;

payload!(verb);

/// What this crate's payload can do beside the rig's verbs.
fn verb(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        "reach" => Some(accesses::reach()),
        "try" => Some(launches::try_all()),
        "try-again" => Some(launches::try_again()),
        "crowd" => Some(limits::crowd()),
        "crowd-and-gorge" => Some(limits::crowd_and_gorge()),
        "gorge" => Some(limits::gorge()),
        "watched" => Some(watcher::watched(args)),
        _ => None,
    }
}
