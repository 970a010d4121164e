//! The audit from inside, and its honesty: each of many single weakenings of a launch is found, and nothing else.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod edits;
mod filters;
mod honesty;
mod launch;
mod usage;
mod weakenings;

payload!(launch::run);

/// The audited containers' program is the running file under the tester's name, and so is what captures its log: here,
/// this test binary.
const _: () = {
    extern "C" fn begin() {
        let args: Vec<String> = std::env::args().collect();
        let name = args.first().map(|a| a.rsplit('/').next().unwrap_or(""));
        if name == Some(cofferdam::audit::tester::NAME) {
            std::process::exit(cofferdam::audit::tester::main(&args[1..]));
        }
        if name == Some(cofferdam::monitor::NAME) {
            std::process::exit(cofferdam::monitor::main());
        }
    }
    // SAFETY: the C library calls each entry of .init_array once, with no thread beside it; std's own entry, which
    // fills in the arguments, has a higher priority and comes first.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static BEGIN: extern "C" fn() = begin;
};
