//! SS-011 sections 8.1 (platform hardening) and 8.2 (attack surface).
//!
//! Data only, read by `controls`; the sources' own sentences stand in `source`, word for word.

use super::Control;
use super::ControlId::*;
use super::Kind::{Enforce, Record, Verify};
use super::Loosening as L;

/// In the order of [`super::ControlId`].
pub(super) const CONTROLS: &[Control] = &[
    Control {
        id: S8_1_1,
        text: "SS-011/8.1.1",
        title: "Hardened host",
        source: "The Underlying operating system supporting the containers MUST be hardened in accordance \
             with the DWP server build standards and patterns. In addition, where specific guidance and \
             recommendations relating to the secure use of Containerisation on the platform are available \
             this guidance MUST be followed.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.5.1", "4.5.2", "4.5.3"],
        cis: &["1.2.1"],
        pss: &[],
        loosenings: &[L::Degraded],
    },
    Control {
        id: S8_1_2,
        text: "SS-011/8.1.2",
        title: "One classification on a host",
        source: "Containers MUST not be used to separate data or services that have different security \
             profiles or different Security Classifications. All containers within a single host must \
             share the same security characteristics.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.4"],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_1_3,
        text: "SS-011/8.1.3",
        title: "A network stack of its own",
        source: "Hosts MUST be set up such that, by default, network stacks within the containers on the host \
             cannot inter-communicate. When containers are run, they MUST obtain their own individual \
             network stack.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.3", "4.4.2"],
        cis: &["2.2", "5.10", "5.30"],
        pss: &["Host Namespaces", "Host Ports"],
        loosenings: &[L::Namespaces, L::PortsAny, L::Networks],
    },
    Control {
        id: S8_1_4,
        text: "SS-011/8.1.4",
        title: "Resources and kernel calls limited",
        source: "Container Resources and kernel calls MUST be restricted to prevent Denial of Service (DOS) \
             attacks form successful compromises of the container and potentially compromise other \
             containers on the server.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.3"],
        cis: &["5.11", "5.12", "5.19", "5.22", "5.25", "5.29"],
        pss: &["Seccomp"],
        loosenings: &[L::Limits, L::Realtime, L::Degraded],
    },
    Control {
        id: S8_1_5,
        text: "SS-011/8.1.5",
        title: "Capabilities by whitelist",
        source: "Systems administrations MUST whitelist rather than blacklist those container capabilities \
             not required. Explicitly allow only what is needed.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.3"],
        cis: &["5.4"],
        pss: &["Capabilities"],
        loosenings: &[L::Capabilities, L::Ambient],
    },
    Control {
        id: S8_2_1,
        text: "SS-011/8.2.1",
        title: "Only trusted callers control containers",
        source: "Privilege access management MUST be configured so that only trusted users and Application \
             Programming Interface (API's) are able to control the Containerisation process.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.1", "4.3.2", "4.5.4"],
        cis: &["1.1.2", "2.1", "2.12", "5.32"],
        pss: &[],
        loosenings: &[L::Hooks],
    },
    Control {
        id: S8_2_2,
        text: "SS-011/8.2.2",
        title: "Secrets protected, not in the image",
        source: "Secrets and credentials such as username, passwords, and keys MUST be protected and MUST not \
             be persistent within the image.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.4"],
        cis: &["4.10"],
        pss: &[],
        loosenings: &[L::Env],
    },
    Control {
        id: S8_2_3,
        text: "SS-011/8.2.3",
        title: "The control interface is for trusted users only",
        source: "Privilege access management MUST be configured so that access to the Container control API \
             is available only to trusted users.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.1", "4.3.2", "4.5.4"],
        cis: &["1.1.2", "2.1", "2.12", "5.32"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S8_2_4,
        text: "SS-011/8.2.4",
        title: "Only necessary ports",
        source: "The container MUST externally present only the necessary ports and services required by the \
             consuming business or administrative services.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.4.2"],
        cis: &["5.8", "5.9", "5.14"],
        pss: &["Host Ports"],
        loosenings: &[L::PortsAny, L::Degraded],
    },
];
