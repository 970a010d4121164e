//! SS-011 section 8.3 (operation).
//!
//! Data only, read by `controls`; the sources' own sentences stand in `source`, word for word.

use super::ControlId::*;
use super::Kind::{Enforce, Record, Verify};

use super::Control;

/// In the order of [`super::ControlId`].
pub(super) const CONTROLS: &[Control] = &[
    Control {
        id: S8_3_1,
        text: "SS-011/8.3.1",
        title: "Images and versions identified",
        source: "Identification of all images and versions MUST be maintained at all times in the DWP's CMDB.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.1", "4.2.2"],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_2,
        text: "SS-011/8.3.2",
        title: "Images patched",
        source: "Patching of container images must be maintained as per the DWP's policies.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.1"],
        cis: &["4.4"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_3,
        text: "SS-011/8.3.3",
        title: "Stored and running image both updated",
        source: "The patching and update process must ensure that both the offline (stored) image and runtime \
             image are updated.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.2.2"],
        cis: &["5.28"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_4,
        text: "SS-011/8.3.4",
        title: "Protective monitoring",
        source: "Containers must meet the DWP's protective monitoring requirements as defined within the \
             Protective Monitoring Standard.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.5"],
        cis: &[
            "1.1.3", "1.1.4", "1.1.5", "1.1.6", "1.1.7", "1.1.8", "1.1.9", "1.1.10", "1.1.11",
            "1.1.12", "1.1.13", "1.1.14", "1.1.15", "1.1.16", "1.1.17", "1.1.18", "2.13",
        ],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_5,
        text: "SS-011/8.3.5",
        title: "Critical fix within 24 hours",
        source: "When critical vulnerabilities to the container environment are disclosed updates must be \
             applied within 24 hours.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.1", "4.4.1"],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_6,
        text: "SS-011/8.3.6",
        title: "At most one version behind",
        source: "Updates must be maintained to n-1 of latest releases unless a critical release deems a \
             shorter time frame.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.1"],
        cis: &["1.2.2"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_7,
        text: "SS-011/8.3.7",
        title: "Set-uid and set-gid programs disabled",
        source: "On Linux implementations The administrator must disable the 'setuid' and 'setgid' binaries \
             if they are not specifically used by applications. This will limit privilege escalation \
             attacks.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.3"],
        cis: &["4.8", "5.26"],
        pss: &["Privilege Escalation"],
        loosenings: &[],
    },
    Control {
        id: S8_3_8,
        text: "SS-011/8.3.8",
        title: "Configuration examined by tools",
        source: "Change management process applied to containers MUST include the use of tools to examine the \
             security configuration of the container environment and any identified weaknesses \
             remediated.",
        kinds: &[Verify],
        nist: &["4.4.3"],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_3_9,
        text: "SS-011/8.3.9",
        title: "Only approved official images",
        source: "Systems Administrators MUST only use approved official Container images as a source when \
             building DWP images, and MUST be responsible for keeping them updated regularly.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.5"],
        cis: &["4.2", "4.5"],
        pss: &[],
        loosenings: &[],
    },
];
