//! Any file in a report's place: refused, or shown in every form without a control code.
#![no_main]

use cofferdam::audit::Report;
use cofferdam::audit::compare::Comparison;
use cofferdam::audit::formats::{Format, render};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Ok(report) = serde_json::from_slice::<Report>(text) else {
        return;
    };
    for form in [Format::Table, Format::Junit, Format::Sarif, Format::Oscal, Format::Html] {
        let shown = render(&report, Some(&report), form, 80);
        assert!(shown.chars().all(|c| !c.is_control() || c == '\n'));
    }
    assert!(Comparison::of(&report, &report).worse.is_empty());
});
