//! Any word of the command line: taken whole or refused, never a panic.
#![no_main]
use cofferdam::request;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = request::name(text);
    let _ = request::volume(text);
    let _ = request::tmpfs(text);
    let _ = request::size(text);
    let _ = request::cpus(text);
    let _ = request::env(text);
    let _ = request::secret(text);
    let _ = request::label(text);
    let _ = request::template(text);
    if let Ok(port) = request::port(text) {
        assert_eq!(text.trim_end_matches("/tcp"), port.to_string());
    }
    if let Ok((uid, gid)) = request::user(text) {
        assert!(text == format!("{uid}:{gid}") || (uid == gid && text == uid.to_string()));
    }
});
