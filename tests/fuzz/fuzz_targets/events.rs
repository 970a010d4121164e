//! Events as `explain` reads them from files and spools: whatever they hold, an answer that fits the terminal.
#![no_main]

use cofferdam::events::explain::Explanation;
use cofferdam::events::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut all = Explanation::of("web");
    for line in bytes.split(|b| *b == b'\n') {
        if let Ok(event) = parse(line) {
            // What was read can be written, and is the same.
            let again = parse(&event.line()).unwrap();
            assert!(again == event || again.shortened);
            all.add(&event);
        }
    }
    let screen = all.screen(80);
    assert!(screen.lines().all(|l| l.chars().count() <= 80 && !l.chars().any(char::is_control)));
});
