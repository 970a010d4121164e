//! SS-011 sections 8.5, 3, 5 and 6, and the OSG service container policy.
//!
//! Data only, read by `controls`; the sources' own sentences stand in `source`, word for word.

use super::Control;
use super::ControlId::*;
use super::Kind::{Enforce, Record, Verify};
use super::Loosening as L;

/// In the order of [`super::ControlId`].
pub(super) const CONTROLS: &[Control] = &[
    Control {
        id: S8_5_1,
        text: "SS-011/8.5.1",
        title: "Minimum resources and rights",
        source: "Each container and process MUST run with the minimum set of resources and access rights it \
             requires to perform its intended function",
        kinds: &[Enforce, Verify],
        nist: &["4.4.3"],
        cis: &["5.4"],
        pss: &[],
        loosenings: &[
            L::RootUser,
            L::NoUserNamespace,
            L::Devices,
            L::Sysctl,
            L::SeccompGroups,
            L::Sources,
            L::Degraded,
        ],
    },
    Control {
        id: S8_5_2,
        text: "SS-011/8.5.2",
        title: "One application, one process",
        source: "System Administrators MUST ensure only a single instance, of a single application or \
             Microservice is run per container. Processes MUST not be daemonised within single containers \
             and multiple applications MUST not be run in single containers.",
        kinds: &[Enforce, Verify, Record],
        nist: &["2.3"],
        cis: &[],
        pss: &[],
        loosenings: &[L::TemplateWorkers],
    },
    Control {
        id: S8_5_3,
        text: "SS-011/8.5.3",
        title: "Not a virtual machine",
        source: "System Administrators MUST not treat containers as Virtual Machines. If the application has \
             multiple components that need to run distinctly from one another, then run each component in \
             its own container.",
        kinds: &[Enforce, Verify],
        nist: &[],
        cis: &[],
        pss: &[],
        loosenings: &[L::EntryPoints],
    },
    Control {
        id: S8_5_4,
        text: "SS-011/8.5.4",
        title: "Services by declared port, peers named",
        source: "Services between containers MUST be exposed only via port binding, with ports explicitly \
             opened in a Container configuration file, specifying that the only permitted connection to a \
             given application is from another container.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.3.3"],
        cis: &[],
        pss: &[],
        loosenings: &[L::Connect],
    },
    Control {
        id: S8_5_5,
        text: "SS-011/8.5.5",
        title: "One port each",
        source: "Each application SHOULD ideally only be bound to one port, and this must also be reflected \
             in the container configuration. This ensures that a container only exposes a single port, \
             discretely representing the service it is running.",
        kinds: &[Enforce, Verify, Record],
        nist: &[],
        cis: &["5.9"],
        pss: &[],
        loosenings: &[L::MaxPorts, L::Degraded],
    },
    Control {
        id: S8_5_6,
        text: "SS-011/8.5.6",
        title: "Orchestration with a CMDB",
        source: "Orchestration tools for managing the Build, Distribution and Run phases of the Container \
             Lifecycle MUST be used supported by a CMDB",
        kinds: &[Enforce, Record],
        nist: &["4.3"],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S3_1,
        text: "SS-011/3.1",
        title: "Exceptions reviewed before deployment",
        source: "Any exceptions to the application of this standard or where controls cannot be adhered to \
             MUST be presented to an assigned Security Architect and considered for submission to DA \
             where appropriate. This MUST be carried out prior to deployment and managed through the \
             design caveats or exception process.",
        kinds: &[Enforce, Verify, Record],
        nist: &[],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S5_2,
        text: "SS-011/5.2",
        title: "All requirements met or authorised",
        source: "Implementations of containerisation MUST meet all the requirements in this standard or gain \
             authorisation with DWP security architectural risk review (see exemptions process).",
        kinds: &[Enforce, Verify, Record],
        nist: &[],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: S6_1,
        text: "SS-011/6.1",
        title: "Controls can be tested",
        source: "Controls presented in this standard or referred to via this standard may be subjected to a \
             formalised IT Health Check penetration test to provide evidence of adequacy and \
             effectiveness.",
        kinds: &[Verify],
        nist: &[],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: Osg2,
        text: "OSG/2",
        title: "Latest base image, rebuilt weekly",
        source: "Service container images must be based on the most up to date, OSG-supported upstream OS \
             container images, and should be rebuilt weekly. The base OS container image must be updated \
             with the latest security updates from the upstream providers. Service container images \
             intended for production use should use the “latest released” version of the service software \
             when possible.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.1", "4.1.5"],
        cis: &["4.2", "4.4"],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: Osg2_1,
        text: "OSG/2.1",
        title: "Exceptions documented and reviewed",
        source: "Exceptions to this policy must be documented and reviewed by the Security Team per Section \
             3.2 of the OSG Master Information Security Policy & Procedures document.",
        kinds: &[Enforce, Verify, Record],
        nist: &[],
        cis: &[],
        pss: &[],
        loosenings: &[],
    },
    Control {
        id: Osg3,
        text: "OSG/3",
        title: "Automated validation, weekly restart, logs outside",
        source: "New container images must be validated by the Software Team to ensure compliance with the \
             requirements laid out in Section 2, with the Security Team providing guidance when \
             necessary. Container images should also be checked for compliance with the requirements in \
             Section 2 by automated tools prior to being pushed to public repositories and upon update. \
             Additionally, automated tools should be used to ensure that container images do not contain \
             any known vulnerabilities. Container images that fail automated validation should be \
             triaged, and if necessary an exception should be requested as laid out in Section 2.1 of \
             this policy document. An ideal automated scanning solution will ensure, with each change \
             registered in the continuous integration system, that: All upstream packages in each base \
             image are at the best-available security patch level. Common security-related \
             misconfigurations and past OSG misconfigurations are not present. However, we acknowledge \
             that it will take time to get such a system in place, and in the meantime manual review by \
             the Software Team is considered acceptable. The Security Team recommends that any teams \
             running OSG service containers restart their containers weekly to ensure they are running \
             updated images. Additionally, teams running service containers should consider peristing \
             their application logs to a seperate volume or sending them to a remote log server.",
        kinds: &[Enforce, Verify, Record],
        nist: &["4.1.1", "4.1.2"],
        cis: &["4.4"],
        pss: &[],
        loosenings: &[],
    },
];
