//! Any text as a site policy: problems or a policy, never a panic.
#![no_main]
use cofferdam::policy::{CheckReport, Policy, Source};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let site = Source {
        name: "policy.toml".into(),
        text: text.into(),
    };
    let loaded = Policy::layered(Some(&site), &[]);
    let _ = CheckReport::new(&loaded, 1_796_083_200).to_string();
});
