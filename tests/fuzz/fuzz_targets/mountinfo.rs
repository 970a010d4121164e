//! Any mountinfo: parsed or left out, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    for mount in cofferdam::verify::parse_mountinfo(text) {
        assert!(!mount.fstype.contains(' '));
    }
});
