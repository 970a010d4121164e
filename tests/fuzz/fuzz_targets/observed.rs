//! Any status and mountinfo of a process that is looked at: parsed or left out, never a panic.
#![no_main]

use cofferdam::audit::observe::{mounts, status::Status};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Status::parse(text);
    let all = mounts::parse(text);
    assert!(mounts::visible(&all).len() <= all.len());
});
