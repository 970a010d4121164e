//! The command: parse, call, print once, exit.
#![no_main]

#[global_allocator]
static MEMORY: cofferdam::sys::arena::Memory = cofferdam::sys::arena::Memory;

cofferdam::entry!(begin);

fn begin(argv: Vec<std::ffi::OsString>) -> i32 {
    // A caller that ignores it leaves nothing to be waited for: the kernel would collect our children by itself.
    cofferdam::sys::process::default_sigchld();
    let words: Result<Vec<String>, _> = argv
        .into_iter()
        .map(std::ffi::OsString::into_string)
        .collect();
    let Ok(words) = words else {
        cofferdam::report::say("an argument is not UTF-8 text: names and paths must be");
        return cofferdam::outcome::FAILED.into();
    };
    let name = words
        .first()
        .map(|w| w.rsplit('/').next().unwrap_or_default());
    if name == Some(cofferdam::monitor::NAME) {
        return cofferdam::monitor::main();
    }
    if name.map(str::as_bytes) == Some(cofferdam::container::janitor::NAME.to_bytes()) {
        return cofferdam::container::janitor::main();
    }
    if name == Some(cofferdam::sample::NAME) {
        return cofferdam::sample::main(&words[1..]);
    }
    if name == Some(cofferdam::audit::tester::NAME) {
        return cofferdam::audit::tester::main(&words[1..]);
    }
    cofferdam::cli::main(words).into()
}
