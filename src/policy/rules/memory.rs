//! Memory and swap: always limited, by default or as asked, never above the ceiling.

use super::case::Case;
use super::limits::{asked, finite, resources};
use crate::controls::ControlId;
use crate::policy::Amount;
use oci_spec::runtime::LinuxMemory;

/// Smallest memory that the launcher itself and a C program get through with, in bytes.
const LEAST_MEMORY: u64 = 512 << 10;

/// Memory, and swap on top of it (OCI counts both together).
#[allow(deprecated)]
pub(super) fn limits(case: &mut Case<'_>) {
    let at = "/linux/resources/memory";
    let ceilings = case.policy.ceilings.limits.clone();
    let asked_memory = resources(case)
        .and_then(|r| r.memory().as_ref())
        .copied()
        .unwrap_or_default();
    let limit = match asked(asked_memory.limit()) {
        None => case.unasked(ceilings.memory.default),
        // "Unlimited" gets the default, not the ceiling: nobody has said how much is needed.
        Some(Amount::UNLIMITED) => {
            let default = ceilings.memory.default;
            case.bounded(&format!("{at}/limit"), Amount::UNLIMITED, default, |c| {
                c.memory
            })
        }
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
        None => case.unasked(ceilings.swap.default),
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
    lesser(case, at, &asked_memory, limit);
    if asked_memory.use_hierarchy() == Some(false) {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/useHierarchy"),
            "false",
            "true",
        );
    }
}

/// What v1 alone has: honoured there, noted elsewhere.
fn lesser(case: &mut Case<'_>, at: &str, asked: &LinuxMemory, limit: Amount) {
    let v1 = case.host.cgroups.has_v1("memory");
    let compat = case.compat();
    let swaps = case.grant.limits.swap != Some(0);
    let mut idle = |key: &str, found: &str, given: &str| {
        case.cut(ControlId::S8_1_4, &format!("{at}/{key}"), found, given);
    };
    #[allow(deprecated)]
    if asked.kernel().is_some_and(|n| n > 0) {
        let given = "counted in memory since Linux 5.4";
        idle("kernel", "a limit of kernel memory", given);
    }
    if asked.check_before_update() == Some(true) {
        let given = "none: this is no update";
        idle("checkBeforeUpdate", "a check before updates", given);
    }
    let tcp = asked.kernel_tcp().and_then(|n| u64::try_from(n).ok());
    let tcp = tcp.filter(|n| *n > 0);
    if tcp.is_some() && !v1 {
        idle("kernelTCP", "a limit of TCP buffers", "counted in memory");
    }
    let swappiness = asked.swappiness().filter(|_| (swaps || compat) && v1);
    if asked.swappiness().is_some_and(|n| n != 0) && swappiness.is_none() {
        let given = match swaps {
            true => "the kernel's: cgroup v2 has none of its own",
            false => "moot: there is no swap",
        };
        idle("swappiness", "swappiness", given);
    }
    let waits = asked.disable_oom_killer() == Some(true);
    if waits && !(v1 && case.compat()) {
        case.cut(
            ControlId::S8_1_4,
            &format!("{at}/disableOOMKiller"),
            "no OOM killer",
            "the OOM killer, in this container only",
        );
    }
    if let Some(n) = swappiness.filter(|n| *n > 200) {
        let place = format!("{at}/swappiness");
        case.refuse(ControlId::S8_1_4, &place, n, "the kernel takes 0 to 200");
    }
    let limits = &mut case.grant.limits;
    limits.swappiness = swappiness;
    limits.kernel_tcp = tcp.filter(|_| v1).map(|n| n.min(limit.0));
    limits.oom_waits = waits && v1 && compat;
}

fn swap(case: &mut Case<'_>, asked: Amount) -> Amount {
    let ceiling = case.policy.ceilings.limits.swap.max;
    case.bounded("/linux/resources/memory/swap", asked, ceiling, |c| c.swap)
}
