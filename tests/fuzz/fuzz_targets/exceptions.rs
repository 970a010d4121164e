//! Any text as an exceptions file: what loads must obey its own rules.
#![no_main]
use cofferdam::policy::{Policy, Source};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let file = Source {
        name: "exceptions.toml".into(),
        text: text.into(),
    };
    if let Ok(policy) = Policy::layered(None, &[file]) {
        for e in &policy.exceptions {
            assert!((0..=366).contains(&e.expires.days_after(e.approved)));
            assert!(e.grant.asked().iter().all(|asked| e.control.allows(*asked)));
        }
    }
});
