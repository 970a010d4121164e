//! Device nodes outside /dev: each a node of ours, shown at a mount point that the image need not have.

use super::place::Builder;
use super::{Attrs, By, Node, What};
use crate::paths::GuestPath;
use crate::plan::PlanError;
use crate::plan::namespaces::NamespacePlan;
use crate::policy::{Device, Grant};
use crate::survey::Occupant;

/// A granted device as the launcher makes it.
pub(super) fn node(device: &Device, namespaces: &NamespacePlan) -> Node {
    let user = namespaces.user.as_ref();
    let (uid, gid) = (device.uid, device.gid);
    Node {
        name: device
            .below_dev()
            .unwrap_or(device.path.as_str())
            .to_string(),
        kind: device.kind,
        major: device.major,
        minor: device.minor,
        mode: device.mode,
        uid: user.and_then(|u| u.outside_uid(uid)).unwrap_or(uid),
        gid: user.and_then(|u| u.outside_gid(gid)).unwrap_or(gid),
    }
}

/// One step for each; of two at the same path the later one stands, as below /dev.
pub(super) fn outside_dev(
    builder: &mut Builder<'_>,
    grant: &Grant,
    namespaces: &NamespacePlan,
) -> Result<(), PlanError> {
    let attrs = Attrs {
        nodev: false,
        ..Attrs::SEALED
    };
    let devices: Vec<&Device> = grant.devices_outside_dev().collect();
    for (at, device) in devices.iter().enumerate() {
        if devices[at + 1..].iter().any(|d| d.path == device.path) {
            continue;
        }
        vacant(builder, device, grant.root.readonly)?;
        outside_volumes(builder, device, &device.path)?;
        let node = node(device, namespaces);
        let by = builder.privileged();
        let step = builder.add(
            &device.path,
            What::Device { node },
            attrs,
            by,
            &device.pointer,
        )?;
        let target = step.target.clone();
        outside_volumes(builder, device, &target)?;
    }
    Ok(())
}

/// What is there already has to be the same device (config-linux.md, Devices).
fn vacant(builder: &Builder<'_>, device: &Device, readonly: bool) -> Result<(), PlanError> {
    if builder.privileged() == By::Child {
        return refuse(
            device,
            "it takes the host's root to make one; an ordinary user gets the host's nodes, below /dev",
        );
    }
    let occupant = builder.survey().occupants.get(&device.path);
    match occupant.copied().unwrap_or(Occupant::Nothing) {
        Occupant::Nothing => Ok(()),
        Occupant::Node { kind, major, minor }
            if kind == device.kind
                && (kind == 'p' || (major, minor) == (device.major, device.minor)) =>
        {
            Ok(())
        }
        // The mount point of the last time.
        Occupant::Empty if !readonly => Ok(()),
        _ => refuse(
            device,
            "the root has something else there; take that, or the entry, away",
        ),
    }
}

/// A volume is the host's own folder: nothing is made in it, and no node is shown in one.
fn outside_volumes(
    builder: &Builder<'_>,
    device: &Device,
    place: &GuestPath,
) -> Result<(), PlanError> {
    match builder.volume(place) {
        None => Ok(()),
        Some(volume) => refuse(
            device,
            &format!("{place} lies in the volume at {volume}, and none is shown in volumes"),
        ),
    }
}

fn refuse(device: &Device, why: &str) -> Result<(), PlanError> {
    Err(PlanError::Mount {
        pointer: device.pointer.clone(),
        what: format!("the device node at {} can't be had: {why}", device.path),
    })
}
