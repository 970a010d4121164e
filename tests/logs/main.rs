//! What a container says is kept outside of it, whatever it does and whoever is killed.

#![allow(unsafe_code)] // the rig's payload

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod disk;
mod execs;
mod faults;
mod full;
mod hostile;
mod keeping;
mod pulse;

payload!(verb);

/// What this crate's payload can do beside the rig's verbs.
fn verb(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        "lines" => Some(beside::lines(&args[0], &args[1])),
        "flood" => Some(beside::flood()),
        "pour" => Some(hostile::pour(&args[0])),
        "bytes" => Some(hostile::bytes()),
        "parrot" => Some(pulse::parrot()),
        "steal" => Some(keeping::steal()),
        _ => None,
    }
}
