//! I/O rates, huge pages, and the classes of network and RDMA.

use super::NO_MECHANISM;
use super::case::Case;
use super::limits::{finite, resources};
use crate::controls::ControlId;
use crate::policy::{Amount, IoThrottle};
use oci_spec::runtime::LinuxThrottleDevice;

/// I/O: a rate for every device, and tighter ones for single devices.
pub(super) fn rates(case: &mut Case<'_>) {
    let limits = case.policy.ceilings.limits.clone();
    let bps = match case.bundle.extras.io_bps {
        None => case.unasked(limits.io_bps.default),
        Some(n) => case.bounded("--io", Amount(n), limits.io_bps.max, |c| c.io_bps),
    };
    case.grant.limits.io_bps = finite(bps);
    case.grant.limits.io_iops = finite(case.unasked(Amount(limits.io_iops.default.0)));
    let Some(block) = resources(case).and_then(|r| r.block_io().as_ref()) else {
        return;
    };
    let at = "/linux/resources/blockIO";
    for (key, there) in [
        ("weight", block.weight().is_some_and(|w| w != 0)),
        ("leafWeight", block.leaf_weight().is_some_and(|w| w != 0)),
        (
            "weightDevice",
            block
                .weight_device()
                .as_ref()
                .is_some_and(|w| !w.is_empty()),
        ),
    ] {
        if there {
            case.refuse(
                ControlId::S8_1_4,
                &format!("{at}/{key}"),
                "a weight of I/O",
                NO_MECHANISM,
            );
        }
    }
    type Set = fn(&mut IoThrottle, u64);
    let lists: [(&str, &Option<Vec<LinuxThrottleDevice>>, Set); 4] = [
        (
            "throttleReadBpsDevice",
            block.throttle_read_bps_device(),
            |t, n| t.read_bps = n,
        ),
        (
            "throttleWriteBpsDevice",
            block.throttle_write_bps_device(),
            |t, n| t.write_bps = n,
        ),
        (
            "throttleReadIOPSDevice",
            block.throttle_read_iops_device(),
            |t, n| t.read_iops = n,
        ),
        (
            "throttleWriteIOPSDevice",
            block.throttle_write_iops_device(),
            |t, n| t.write_iops = n,
        ),
    ];
    for (key, list, set) in lists {
        for (index, device) in list.iter().flatten().enumerate() {
            throttle(case, &format!("{at}/{key}/{index}"), device, set);
        }
    }
}

fn throttle(
    case: &mut Case<'_>,
    pointer: &str,
    device: &LinuxThrottleDevice,
    set: fn(&mut IoThrottle, u64),
) {
    let part = |n: i64, max: u32| u32::try_from(n).ok().filter(|n| *n <= max);
    let (Some(major), Some(minor)) = (
        part(device.major(), 4095),
        part(device.minor(), (1 << 20) - 1),
    ) else {
        let found = format!("the device number {}:{}", device.major(), device.minor());
        case.refuse(
            ControlId::S8_1_4,
            pointer,
            found,
            "the kernel has 12 bits of major and 20 of minor number",
        );
        return;
    };
    if case.grant.limits.io_devices.len() >= 256 {
        case.refuse(
            ControlId::S8_1_4,
            pointer,
            "limits for more than 256 devices",
            "limit fewer",
        );
        return;
    }
    let all = &mut case.grant.limits.io_devices;
    let at = all
        .iter()
        .position(|t| (t.major, t.minor) == (major, minor))
        .unwrap_or_else(|| {
            all.push(IoThrottle {
                major,
                minor,
                ..IoThrottle::default()
            });
            all.len() - 1
        });
    set(&mut all[at], device.rate());
}

/// Huge pages, network classes, RDMA.
pub(super) fn other(case: &mut Case<'_>) {
    let Some(resources) = resources(case) else {
        return;
    };
    for (at, page) in resources.hugepage_limits().iter().flatten().enumerate() {
        let pointer = format!("/linux/resources/hugepageLimits/{at}");
        let size = page.page_size();
        let digits = size.trim_end_matches(['K', 'M', 'G', 'B']);
        if !["KB", "MB", "GB"]
            .iter()
            .any(|u| size.strip_suffix(u) == Some(digits))
            || digits.is_empty()
            || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            let found = format!("the page size {:?}", super::strings::shorten(size));
            case.refuse(ControlId::S8_1_4, &pointer, found, "write it as 2MB or 1GB");
            continue;
        }
        let ceiling = case.grant.limits.memory.unwrap_or(u64::MAX);
        let limit = u64::try_from(page.limit()).unwrap_or(u64::MAX);
        if limit > ceiling && !case.compat() {
            case.over(ControlId::S8_1_4, &pointer, Amount(limit), Amount(ceiling));
        }
        let granted = if case.compat() {
            limit
        } else {
            limit.min(ceiling)
        };
        case.grant.limits.hugepages.push((size.clone(), granted));
    }
    let network = resources.network().as_ref();
    let class = network.and_then(|n| n.class_id()).is_some_and(|id| id != 0);
    let priorities = network
        .and_then(|n| n.priorities().as_ref())
        .is_some_and(|p| !p.is_empty());
    let rdma = resources.rdma().as_ref().is_some_and(|r| !r.is_empty());
    for (key, there, found) in [
        ("network/classID", class, "a network class"),
        ("network/priorities", priorities, "network priorities"),
        ("rdma", rdma, "RDMA limits"),
    ] {
        if there {
            case.refuse(
                ControlId::S8_1_4,
                &format!("/linux/resources/{key}"),
                found,
                NO_MECHANISM,
            );
        }
    }
}
