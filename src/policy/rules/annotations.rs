//! Annotations: free labels, but for those that make some runtime do things, and our own, which must be known.

use super::case::Case;
use super::strings::{escape, shorten};
use crate::controls::ControlId;

/// Keys by which runtimes are told to set systemd properties, hand over to other programs, or skip checks.
const DANGEROUS: [&str; 7] = [
    "org.systemd.property.",
    "run.oci.",
    "krun.",
    "krun_",
    "org.criu.",
    "module.wasm.image",
    "io.kubernetes.cri-o.Devices",
];

/// Ours.
const OWN: [&str; 11] = [
    "org.cofferdam.publish",
    "org.cofferdam.publish-mode",
    "org.cofferdam.link",
    "org.cofferdam.permit-peers",
    "org.cofferdam.connect",
    crate::request::openings::NETWORK,
    "org.cofferdam.expose",
    "org.cofferdam.template",
    "org.cofferdam.image",
    "org.cofferdam.image-digest",
    "org.cofferdam.classification",
];

/// All annotations.
pub(super) fn all(case: &mut Case<'_>) {
    let asked = case.spec().annotations().as_ref();
    let mut entries: Vec<_> = asked.into_iter().flatten().collect();
    entries.sort();
    for (key, value) in entries {
        let pointer = format!("/annotations/{}", shorten(&escape(key)));
        if key.is_empty() {
            case.refuse(
                ControlId::S8_2_1,
                &pointer,
                "an annotation without a key",
                "give it one",
            );
        } else if DANGEROUS.iter().any(|prefix| key.starts_with(prefix)) {
            let found = format!("the annotation {}", shorten(key));
            case.refuse(
                ControlId::S8_2_1,
                &pointer,
                found,
                "it changes what the runtime itself does; leave it out",
            );
        } else if key.starts_with("org.cofferdam.") && !OWN.contains(&key.as_str()) {
            let found = format!("the annotation {}", shorten(key));
            case.refuse(
                ControlId::S8_2_1,
                &pointer,
                found,
                format!("known are {}", OWN.join(", ")),
            );
        } else {
            case.grant.annotations.insert(key.clone(), value.clone());
        }
    }
}
