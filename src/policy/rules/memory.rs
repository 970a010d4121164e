//! Memory and swap: always limited, by default or as asked, never above the ceiling.

use super::case::Case;
use super::limits::{asked, finite, resources};
use crate::controls::ControlId;
use crate::policy::Amount;

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
