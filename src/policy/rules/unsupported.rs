//! Parts of config.json that this launcher has no mechanism for: refused, unless they ask for nothing.

use super::NO_MECHANISM;
use super::case::Case;
use crate::controls::ControlId;
use oci_spec::runtime::{LinuxPersonalityDomain, LinuxSchedulerPolicy, MemoryPolicyModeType};

/// Sections for other systems.
#[allow(deprecated)]
pub(super) fn sections(case: &mut Case<'_>) {
    let spec = case.spec();
    let present = [
        ("/solaris", spec.solaris().is_some()),
        ("/windows", spec.windows().is_some()),
        ("/vm", spec.vm().is_some()),
        ("/zos", spec.zos().is_some()),
    ];
    for (pointer, _) in present.iter().filter(|(_, there)| *there) {
        case.refuse(
            ControlId::S8_5_1,
            pointer,
            "a section for another system",
            "this launcher runs on Linux; leave it out",
        );
    }
    let misplaced = [
        (
            "/uidMappings",
            spec.uid_mappings().as_ref().is_some_and(|m| !m.is_empty()),
        ),
        (
            "/gidMappings",
            spec.gid_mappings().as_ref().is_some_and(|m| !m.is_empty()),
        ),
    ];
    for (pointer, _) in misplaced.iter().filter(|(_, there)| *there) {
        case.refuse(
            ControlId::S8_5_1,
            pointer,
            "mappings at the top level",
            "write them under /linux",
        );
    }
    if spec.root().is_none() {
        case.refuse(
            ControlId::S8_4_7,
            "/root",
            "no root",
            "give root.path, the folder of the root file system",
        );
    }
}

/// Single fields.
pub(super) fn fields(case: &mut Case<'_>) {
    let no = |case: &mut Case<'_>, there: bool, pointer: &str, found: &str| {
        if there {
            case.refuse(ControlId::S8_5_1, pointer, found, NO_MECHANISM);
        }
    };
    if let Some(p) = case.spec().process() {
        no(
            case,
            p.command_line().is_some(),
            "/process/commandLine",
            "a Windows command line",
        );
        no(
            case,
            p.io_priority().is_some(),
            "/process/ioPriority",
            "an I/O priority",
        );
        no(
            case,
            p.exec_cpu_affinity().is_some(),
            "/process/execCPUAffinity",
            "a CPU affinity for exec",
        );
        let scheduler = p.scheduler().as_ref().is_some_and(|s| {
            let other = *s.policy() != LinuxSchedulerPolicy::SchedOther;
            let set = [s.nice(), s.priority()]
                .iter()
                .any(|n| n.is_some_and(|n| n != 0));
            let flags = s.flags().as_ref().is_some_and(|f| !f.is_empty());
            let deadline = [s.runtime(), s.deadline(), s.period()];
            other || set || flags || deadline.iter().any(|n| n.is_some_and(|n| n != 0))
        });
        no(case, scheduler, "/process/scheduler", "a scheduling policy");
    }
    let Some(linux) = case.linux() else { return };
    let net = linux.net_devices().as_ref().is_some_and(|d| !d.is_empty());
    no(case, net, "/linux/netDevices", "network devices to move");
    no(
        case,
        linux.intel_rdt().is_some(),
        "/linux/intelRdt",
        "cache and bandwidth allocation",
    );
    let memory = linux.memory_policy().as_ref().is_some_and(|m| {
        m.mode() != MemoryPolicyModeType::MpolDefault
            || m.nodes().as_ref().is_some_and(|n| !n.is_empty())
            || m.flags().as_ref().is_some_and(|f| !f.is_empty())
    });
    no(case, memory, "/linux/memoryPolicy", "a NUMA memory policy");
    let personality = linux.personality().as_ref().is_some_and(|p| {
        p.domain() != LinuxPersonalityDomain::PerLinux
            || p.flags().as_ref().is_some_and(|f| !f.is_empty())
    });
    no(
        case,
        personality,
        "/linux/personality",
        "another personality than LINUX",
    );
    let offsets = linux.time_offsets().as_ref().is_some_and(|o| {
        o.values()
            .any(|t| t.secs().unwrap_or(0) != 0 || t.nanosecs().unwrap_or(0) != 0)
    });
    no(case, offsets, "/linux/timeOffsets", "offsets of clocks");
}
