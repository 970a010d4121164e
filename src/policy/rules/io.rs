//! I/O rates, huge pages, and the classes of network and RDMA.

use super::case::Case;
use super::limits::{finite, resources};
use super::strings::{escape, shorten};
use crate::controls::ControlId;
use crate::policy::{Amount, IoThrottle, RdmaLimit};
use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};

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
    weights(case, at, block);
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

/// Shares among those who wait for the same disk: they take nothing from an idle one.
fn weights(case: &mut Case<'_>, at: &str, block: &LinuxBlockIo) {
    let leaf = "no kernel since 5.0 has leaf weights: leave it out";
    if block.leaf_weight().is_some_and(|w| w != 0) {
        let place = format!("{at}/leafWeight");
        case.refuse(ControlId::S8_1_4, &place, "a leaf weight", leaf);
    }
    let mut all = vec![("weight".to_string(), None, block.weight())];
    for (index, device) in block.weight_device().iter().flatten().enumerate() {
        let place = format!("weightDevice/{index}");
        if device.leaf_weight().is_some_and(|w| w != 0) {
            let place = format!("{at}/{place}/leafWeight");
            case.refuse(ControlId::S8_1_4, &place, "a leaf weight", leaf);
        }
        if device.weight().is_none() && device.leaf_weight().is_none() {
            let place = format!("{at}/{place}");
            case.refuse(
                ControlId::S8_1_4,
                &place,
                "a device without a weight",
                "give weight",
            );
        }
        let numbers = (device.major(), device.minor());
        let Some(numbers) = device_numbers(case, &format!("{at}/{place}"), numbers) else {
            continue;
        };
        all.push((place, Some(numbers), device.weight()));
    }
    for (key, device, weight) in all {
        let limits = &mut case.grant.limits;
        match (weight.unwrap_or(0), device) {
            (0, _) => {}
            (weight @ 10..=1000, None) => limits.io_weight = Some(weight),
            (weight @ 10..=1000, Some((major, minor))) => {
                limits.io_weights.push((major, minor, weight));
            }
            (weight, _) => {
                let place = format!("{at}/{key}");
                case.refuse(ControlId::S8_1_4, &place, weight, "give 10 to 1000");
            }
        }
    }
}

fn device_numbers(
    case: &mut Case<'_>,
    pointer: &str,
    (major, minor): (i64, i64),
) -> Option<(u32, u32)> {
    let part = |n: i64, max: u32| u32::try_from(n).ok().filter(|n| *n <= max);
    let numbers = part(major, 4095).zip(part(minor, (1 << 20) - 1));
    if numbers.is_none() {
        let found = format!("the device number {major}:{minor}");
        let remedy = "the kernel has 12 bits of major and 20 of minor number";
        case.refuse(ControlId::S8_1_4, pointer, found, remedy);
    }
    numbers
}

fn throttle(
    case: &mut Case<'_>,
    pointer: &str,
    device: &LinuxThrottleDevice,
    set: fn(&mut IoThrottle, u64),
) {
    let numbers = (device.major(), device.minor());
    let Some((major, minor)) = device_numbers(case, pointer, numbers) else {
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
    network(case, resources);
    for (device, limit) in resources.rdma().iter().flatten() {
        let pointer = format!("/linux/resources/rdma/{}", shorten(&escape(device)));
        if !is_device_name(device) {
            let remedy = "name the device as it is below /sys/class/infiniband";
            case.refuse(ControlId::S8_1_4, &pointer, "no device name", remedy);
            continue;
        }
        if limit.hca_handles().is_none() && limit.hca_objects().is_none() {
            let remedy = "give hcaHandles, hcaObjects or both";
            case.refuse(
                ControlId::S8_1_4,
                &pointer,
                "a device without a limit",
                remedy,
            );
        }
        case.grant.limits.rdma.push(RdmaLimit {
            device: device.clone(),
            handles: limit.hca_handles(),
            objects: limit.hca_objects(),
        });
    }
    case.grant
        .limits
        .rdma
        .sort_by(|a, b| a.device.cmp(&b.device));
}

/// Marks on outgoing packets, which v1 alone can give.
fn network(case: &mut Case<'_>, resources: &LinuxResources) {
    let Some(asked) = resources.network() else {
        return;
    };
    let at = "/linux/resources/network";
    case.grant.limits.net_class = asked.class_id().filter(|id| *id != 0);
    for (index, priority) in asked.priorities().iter().flatten().enumerate() {
        if is_device_name(priority.name()) {
            let entry = (priority.name().clone(), priority.priority());
            case.grant.limits.net_priorities.push(entry);
        } else {
            let place = format!("{at}/priorities/{index}/name");
            let remedy = "name a network interface: at most 15 bytes";
            case.refuse(ControlId::S8_1_4, &place, "no interface name", remedy);
        }
    }
}

fn is_device_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}
