//! Parts of config.json that this launcher has no mechanism for: refused, unless they ask for nothing.

use super::NO_MECHANISM;
use super::case::Case;
use crate::controls::ControlId;

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
    }
    let Some(linux) = case.linux() else { return };
    no(
        case,
        linux.intel_rdt().is_some(),
        "/linux/intelRdt",
        "cache and bandwidth allocation",
    );
}
