//! Collectors: the shipper against the receivers that sites run, with every line counted.
//!
//! Each test has a network of its own (with `lo` up), a certificate authority of its own and receivers that it started
//! and ends; a producer writes a real spool at the speed of a busy service while receivers come and go.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;
mod count;
mod lab;
mod pki;
mod producer;
mod python;
mod receivers;

mod check;
mod endless;
mod killed;
mod launch;
mod local;
mod names;
mod refused;
mod restarts;
mod whole;

payload!(verb);

/// What this crate's payload can do beside the rig's verbs.
fn verb(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        "speak" => Some(killed::speak(&args[0])),
        "pour" => Some(endless::pour()),
        _ => None,
    }
}
