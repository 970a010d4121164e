//! The command: parse, call, print once, exit.

fn main() -> std::process::ExitCode {
    // A caller that ignores it leaves nothing to be waited for: the kernel would collect our children by itself.
    cofferdam::sys::process::default_sigchld();
    let argv: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let words: Result<Vec<String>, _> = argv
        .into_iter()
        .map(std::ffi::OsString::into_string)
        .collect();
    let Ok(words) = words else {
        eprintln!("cofferdam: an argument is not UTF-8 text: names and paths must be");
        return std::process::ExitCode::from(cofferdam::outcome::FAILED);
    };
    let name = words
        .first()
        .map(|w| w.rsplit('/').next().unwrap_or_default());
    if name == Some(cofferdam::monitor::NAME) {
        std::process::exit(cofferdam::monitor::main());
    }
    if name.map(str::as_bytes) == Some(cofferdam::container::janitor::NAME.to_bytes()) {
        std::process::exit(cofferdam::container::janitor::main());
    }
    if name == Some(cofferdam::sample::NAME) {
        std::process::exit(cofferdam::sample::main(&words[1..]));
    }
    if name == Some(cofferdam::audit::tester::NAME) {
        std::process::exit(cofferdam::audit::tester::main(&words[1..]));
    }
    std::process::ExitCode::from(cofferdam::cli::main(words))
}
