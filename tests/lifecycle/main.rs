//! The life of a container: `run` and the OCI verbs, their exit codes and texts, and what is left behind.

#![allow(unsafe_code)] // the counting allocator, and the rig's payload

#[path = "../support/mod.rs"]
mod support;

mod apparmor;
mod asked;
mod descriptors;
mod hooks;
mod killed;
mod links;
mod listener;
mod no_allocation;
mod oci;
mod old_kernel;
mod record;
mod report;
mod rootless;
mod run;
mod step;
mod terminal;

payload!(verb);

/// What this crate's payload can do beside the rig's verbs.
fn verb(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        "eat" => Some(run::eat(&args[0])),
        "start-hook" => Some(hooks::start_hook(args)),
        "without" => Some(old_kernel::without(args)),
        "host-name" => Some(asked::host_name()),
        "reopen" => Some(asked::reopen(args)),
        "tty" => Some(support::terminal::tty()),
        "open-files" => Some(descriptors::open_files()),
        "make-dir" => Some(listener::make_dir()),
        "ignore-term" => Some(run::ignore_term()),
        "wait-term" => Some(run::wait_term()),
        _ => no_allocation::verb(verb, args),
    }
}
