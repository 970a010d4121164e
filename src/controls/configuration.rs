//! SS-011 section 8.4 (container configuration).
//!
//! Data only, read by `controls`; the sources' own sentences stand in `source`, word for word.

use super::Control;
use super::ControlId::*;
use super::Kind::{Enforce, Record, Verify};
use super::Loosening as L;

/// In the order of [`super::ControlId`].
pub(super) const CONTROLS: &[Control] = &[
    Control {
        id: S8_4_1,
        text: "SS-011/8.4.1",
        title: "No remote terminal",
        source: "System Administrators MUST ensure that remote terminal access into the container is \
             disabled.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.1"],
        cis: &["5.7", "5.23", "5.24"],
        pss: &[],
        loosenings: &[L::Terminal, L::Exec, L::EntryPoints],
    },
    Control {
        id: S8_4_2,
        text: "SS-011/8.4.2",
        title: "Logs handled outside",
        source: "All logs MUST be managed by a process executing outside the Container and MUST NOT be \
             managed by a process running inside the container.",
        kinds: &[Enforce, Record],
        nist: &["4.3"],
        cis: &["2.13"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_4_3,
        text: "SS-011/8.4.3",
        title: "Unneeded commands removed",
        source: "As part of the container configuration, commands and capabilities not required to support \
             the service provided by the container MUST be removed or disabled.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.2"],
        cis: &["4.3"],
        pss: &[],
        loosenings: &[L::TemplateScript, L::Programs, L::Exec, L::Degraded],
    },
    Control {
        id: S8_4_4,
        text: "SS-011/8.4.4",
        title: "No network configuration from inside",
        source: "Network specific operations MUST be disabled inside containers. Network configuration MUST \
             be applied to the container at startup and not be dynamically modified.",
        kinds: &[Enforce, Verify],
        nist: &["4.4.2"],
        cis: &[],
        pss: &["Capabilities"],
        loosenings: &[L::NetDevices],
    },
    Control {
        id: S8_4_5,
        text: "SS-011/8.4.5",
        title: "No mounts from inside",
        source: "Mount operations MUST NOT be allowed within the container.",
        kinds: &[Enforce, Verify],
        nist: &["4.4.3"],
        cis: &["5.6", "5.20"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_4_6,
        text: "SS-011/8.4.6",
        title: "No raw sockets",
        source: "In order to mitigate malicious network activity related to packet spoofing, access to raw \
             sockets MUST NOT be allowed within the container.",
        kinds: &[Enforce, Verify],
        nist: &["4.4.2"],
        cis: &["5.4"],
        pss: &["Capabilities"],
        loosenings: &[],
    },
    Control {
        id: S8_4_7,
        text: "SS-011/8.4.7",
        title: "Read-only file system",
        source: "Run File systems in containers MUST be read only in order to prevent malicious scripts being \
             saved or files being overwritten.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.4"],
        cis: &["5.13"],
        pss: &[],
        loosenings: &[L::WritableRoot, L::ExecOn, L::Degraded],
    },
    Control {
        id: S8_4_8,
        text: "SS-011/8.4.8",
        title: "No modules, no code from outside the image",
        source: "Containers MUST not be allowed to load Modules dynamically. All code that is required to \
             execute within the container must be within the container image.",
        kinds: &[Enforce, Verify],
        nist: &["4.1.3", "4.5.2"],
        cis: &[],
        pss: &[],
        loosenings: &[L::Jit, L::Degraded],
    },
    Control {
        id: S8_4_9,
        text: "SS-011/8.4.9",
        title: "Dependencies verified by signature",
        source: "During the build process, System Administrators MUST verify and authenticate the identity of \
             all dependencies using code signing and signatures.",
        kinds: &[Verify, Record],
        nist: &["4.1.5"],
        cis: &["4.11"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_4_10,
        text: "SS-011/8.4.10",
        title: "Most recent dependencies",
        source: "Systems Administrators MUST enforce the use of the most up to date image dependencies.",
        kinds: &[Verify, Record],
        nist: &[],
        cis: &["4.4"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_4_11,
        text: "SS-011/8.4.11",
        title: "Images signed before they are stored",
        source: "When container images are saved to a repository they MUST be validated and signed before \
             being stored.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.5", "4.2.1"],
        cis: &["4.5", "4.12"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_4_12,
        text: "SS-011/8.4.12",
        title: "A signature for each stage",
        source: "System Administrators MUST add a signature at each stage of the build and deploy process to \
             ensure the integrity of the container Image before it is promoted through the \
             environments...",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.5"],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_4_13,
        text: "SS-011/8.4.13",
        title: "Diagnostics by log files only",
        source: "All diagnostics in production MUST be done via log files.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.1"],
        cis: &[],
        pss: &[],
        loosenings: &[L::Exec],
    },
    Control {
        id: S8_4_14,
        text: "SS-011/8.4.14",
        title: "Security templates used",
        source: "System Administrators MUST ensure that where the Container environment distribution ships \
             with security model templates, Containers are built using the appropriate template.",
        kinds: &[Enforce, Verify, Record],
        nist: &[],
        cis: &["5.2", "5.3", "5.22"],
        pss: &["AppArmor", "SELinux", "Seccomp"],
        loosenings: &[L::TemplateCompat],
    },
];
