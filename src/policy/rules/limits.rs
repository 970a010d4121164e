//! Memory, CPU, processes, I/O: always limited, by default or as asked, never above the ceiling.

use super::NO_MECHANISM;
use super::case::Case;
use crate::controls::ControlId;
use crate::policy::{Amount, Cpus, IoThrottle};
use oci_spec::runtime::{LinuxResources, LinuxThrottleDevice};

fn resources<'a>(case: &Case<'a>) -> Option<&'a LinuxResources> {
    case.linux().and_then(|l| l.resources().as_ref())
}

/// 0 and nothing: not asked. Below: unlimited, as in runc.
fn asked(value: Option<i64>) -> Option<Amount> {
    match value {
        None | Some(0) => None,
        Some(n) => Some(u64::try_from(n).map_or(Amount::UNLIMITED, Amount)),
    }
}

fn finite(amount: Amount) -> Option<u64> {
    (amount != Amount::UNLIMITED).then_some(amount.0)
}

/// Smallest memory that the launcher itself and a C program get through with, in bytes.
const LEAST_MEMORY: u64 = 512 << 10;

/// Memory, and swap on top of it (OCI counts both together).
#[allow(deprecated)]
pub(super) fn memory(case: &mut Case<'_>) {
    let at = "/linux/resources/memory";
    let ceilings = case.policy.ceilings.limits.clone();
    let asked_memory = resources(case)
        .and_then(|r| r.memory().as_ref())
        .copied()
        .unwrap_or_default();
    let limit = match asked(asked_memory.limit()) {
        None => ceilings.memory.default,
        Some(n) => case.bounded(&format!("{at}/limit"), n, ceilings.memory.max, |c| c.memory),
    };
    if limit.0 < LEAST_MEMORY {
        case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/limit"),
            format!("{limit} of memory"),
            "give at least 512KiB",
        );
    }
    let swap = match asked(asked_memory.swap()) {
        None => ceilings.swap.default,
        Some(Amount::UNLIMITED) => swap(case, Amount::UNLIMITED),
        Some(total) => match asked(asked_memory.limit()) {
            Some(memory) if total < memory => {
                let found = format!("{total} of memory and swap for {memory} of memory");
                case.refuse(
                    ControlId::S8_1_4,
                    &format!("{at}/swap"),
                    found,
                    "swap counts memory too: give at least as much",
                );
                Amount(0)
            }
            Some(memory) => swap(case, Amount(total.0 - memory.0)),
            None => {
                case.refuse(
                    ControlId::S8_1_4,
                    &format!("{at}/swap"),
                    "swap without a memory limit",
                    "give a limit too",
                );
                Amount(0)
            }
        },
    };
    case.grant.limits.memory = finite(limit);
    case.grant.limits.swap = finite(swap);
    let low = asked(asked_memory.reservation()).and_then(finite);
    case.grant.limits.memory_low = low.map(|n| n.min(limit.0));
    if low.is_some_and(|n| n > limit.0) {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/reservation"),
            Amount(low.unwrap_or(0)),
            limit,
        );
    }
    let set = |n: Option<i64>| n.is_some_and(|n| n > 0);
    let idle = [
        (
            "kernel",
            set(asked_memory.kernel()),
            "a limit of kernel memory",
            "counted in memory since Linux 5.4",
        ),
        (
            "kernelTCP",
            set(asked_memory.kernel_tcp()),
            "a limit of TCP buffers",
            "counted in memory",
        ),
        (
            "swappiness",
            asked_memory.swappiness().is_some_and(|n| n != 0),
            "swappiness",
            "the kernel's: swap is limited instead",
        ),
        (
            "checkBeforeUpdate",
            asked_memory.check_before_update() == Some(true),
            "a check before updates",
            "none: this is no update",
        ),
        (
            "disableOOMKiller",
            asked_memory.disable_oom_killer() == Some(true),
            "no OOM killer",
            "the OOM killer, in this container only",
        ),
    ];
    for (key, there, found, given) in idle {
        if there {
            case.cut(ControlId::S8_1_4, &format!("{at}/{key}"), found, given);
        }
    }
    if asked_memory.use_hierarchy() == Some(false) {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/useHierarchy"),
            "false",
            "true",
        );
    }
}

fn swap(case: &mut Case<'_>, asked: Amount) -> Amount {
    let ceiling = case.policy.ceilings.limits.swap.max;
    case.bounded("/linux/resources/memory/swap", asked, ceiling, |c| c.swap)
}

/// Quota, period, shares, and the CPUs and memory nodes themselves.
pub(super) fn cpu(case: &mut Case<'_>) {
    let at = "/linux/resources/cpu";
    let cpu = resources(case)
        .and_then(|r| r.cpu().as_ref())
        .cloned()
        .unwrap_or_default();
    let period = cpu.period().filter(|p| *p != 0).unwrap_or(100_000);
    // sched-bwc: 1 ms to 1 s.
    if !(1_000..=1_000_000).contains(&period) {
        let found = format!("a period of {period} microseconds");
        case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/period"),
            found,
            "give 1000 to 1000000",
        );
        return;
    }
    let range = case.policy.ceilings.limits.cpus;
    let quota = match asked(cpu.quota()) {
        None => range.default.quota(period).max(1_000),
        Some(asked) => quota(case, asked, period, range.max),
    };
    if quota < 1_000 {
        let found = format!("a quota of {quota} microseconds");
        case.refuse(
            ControlId::S8_1_4,
            &format!("{at}/quota"),
            found,
            "give at least 1000",
        );
    }
    let limits = &mut case.grant.limits;
    limits.cpu_quota = finite(Amount(quota));
    limits.cpu_period = Some(period);
    if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
        limits.cpu_shares = Some(shares.clamp(2, 262_144));
        if !(2..=262_144).contains(&shares) {
            case.cut(
                ControlId::S8_1_4,
                &format!("{at}/shares"),
                shares,
                shares.clamp(2, 262_144),
            );
        }
    }
    let list = |text: &Option<String>| text.clone().filter(|t| !t.trim().is_empty());
    case.grant.limits.cpuset_cpus = id_list(case, &format!("{at}/cpus"), list(cpu.cpus()));
    case.grant.limits.cpuset_mems = id_list(case, &format!("{at}/mems"), list(cpu.mems()));
    if cpu.burst().is_some_and(|n| n != 0) {
        case.over(
            ControlId::S8_1_4,
            &format!("{at}/burst"),
            format!("{} microseconds", cpu.burst().unwrap_or(0)),
            "no burst",
        );
    }
    let realtime = cpu.realtime_runtime().is_some_and(|n| n != 0)
        || cpu.realtime_period().is_some_and(|n| n != 0);
    for (key, there, found) in [
        ("realtimeRuntime", realtime, "real-time scheduling"),
        ("idle", cpu.idle().is_some_and(|n| n != 0), "an idle cgroup"),
    ] {
        if there {
            case.refuse(
                ControlId::S8_1_4,
                &format!("{at}/{key}"),
                found,
                NO_MECHANISM,
            );
        }
    }
}

fn quota(case: &mut Case<'_>, asked: Amount, period: u64, ceiling: Cpus) -> u64 {
    let most = Amount(ceiling.quota(period));
    let lifted = |c: Cpus| c == Cpus::UNLIMITED || Amount(c.quota(period)) >= asked;
    let pointer = "/linux/resources/cpu/quota";
    let what = format!("{asked} microseconds of CPU in {period}");
    if asked <= most
        || case.waived(pointer, &what, |g| {
            g.limits.as_ref().and_then(|c| c.cpus).is_some_and(lifted)
        })
    {
        return asked.0;
    }
    case.over(ControlId::S8_1_4, pointer, what, most.0);
    most.0
}

/// The kernel's list form: "0-3,7".
fn id_list(case: &mut Case<'_>, pointer: &str, text: Option<String>) -> Option<String> {
    let text = text?;
    let number = |n: &str| {
        (!n.is_empty() && n.len() <= 5 && n.bytes().all(|b| b.is_ascii_digit()))
            .then(|| n.parse::<u32>().ok())
            .flatten()
    };
    let part = |part: &str| match part.split_once('-') {
        None => number(part).is_some(),
        Some((from, to)) => matches!((number(from), number(to)), (Some(a), Some(b)) if a <= b),
    };
    if text.trim().split(',').all(|p| part(p.trim())) {
        return Some(text.split_whitespace().collect());
    }
    let found = format!("{:?}", super::strings::shorten(&text));
    case.refuse(
        ControlId::S8_1_4,
        pointer,
        found,
        "write numbers and ranges: \"0-3,7\"",
    );
    None
}

/// Threads and processes. 0 is "not asked" and below it "unlimited", as runc reads it.
pub(super) fn pids(case: &mut Case<'_>) {
    let range = case.policy.ceilings.limits.pids;
    let limit = resources(case)
        .and_then(|r| r.pids().as_ref())
        .map(|p| p.limit());
    let granted = match asked(limit) {
        None => range.default,
        // "Unlimited" gets the default, not the ceiling: nobody has said how many are needed.
        Some(Amount::UNLIMITED) => case.bounded(
            "/linux/resources/pids/limit",
            Amount::UNLIMITED,
            range.default,
            |c| c.pids,
        ),
        Some(n) => case.bounded("/linux/resources/pids/limit", n, range.max, |c| c.pids),
    };
    case.grant.limits.pids = finite(granted);
}

/// I/O: a rate for every device, and tighter ones for single devices.
pub(super) fn io(case: &mut Case<'_>) {
    let limits = case.policy.ceilings.limits.clone();
    let bps = match case.bundle.extras.io_bps {
        None => limits.io_bps.default,
        Some(n) => case.bounded("--io", Amount(n), limits.io_bps.max, |c| c.io_bps),
    };
    case.grant.limits.io_bps = finite(bps);
    case.grant.limits.io_iops = finite(limits.io_iops.default);
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
    let network = resources.network().as_ref().is_some_and(|n| {
        n.class_id().is_some_and(|id| id != 0)
            || n.priorities().as_ref().is_some_and(|p| !p.is_empty())
    });
    let rdma = resources.rdma().as_ref().is_some_and(|r| !r.is_empty());
    for (key, there, found) in [
        ("network", network, "network classes or priorities"),
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
