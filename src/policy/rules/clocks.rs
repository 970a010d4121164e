//! linux.timeOffsets: clocks of the container's own time namespace.

use super::case::Case;
use super::strings::{escape, shorten};
use crate::controls::ControlId;
use crate::policy::{Clock, ClockOffset, NamespaceKind};

/// Offsets, sorted by clock. Those of 0 ask for nothing.
pub(super) fn offsets(case: &mut Case<'_>) {
    let asked = case.linux().and_then(|l| l.time_offsets().as_ref());
    let mut granted = Vec::new();
    for (name, offset) in asked.into_iter().flatten() {
        let pointer = format!("/linux/timeOffsets/{}", shorten(&escape(name)));
        let clock = match name.as_str() {
            "monotonic" => Clock::Monotonic,
            "boottime" => Clock::Boottime,
            other => {
                let found = format!("the clock {:?}", shorten(other));
                case.refuse(
                    ControlId::S8_1_3,
                    &pointer,
                    found,
                    "a time namespace shifts monotonic and boottime",
                );
                continue;
            }
        };
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        // time_namespaces(7): nanoseconds below a second; the kernel's clock ends at half of 2^63 ns.
        if nanoseconds >= 1_000_000_000 || seconds.unsigned_abs() > 4_611_686_018 {
            let found = format!("{seconds} s and {nanoseconds} ns");
            let remedy = "give nanosecs below 1000000000 and secs within 146 years";
            case.refuse(ControlId::S8_1_3, &pointer, found, remedy);
            continue;
        }
        if (seconds, nanoseconds) != (0, 0) {
            granted.push(ClockOffset {
                clock,
                seconds,
                nanoseconds,
            });
        }
    }
    granted.sort_by_key(|o| o.clock);
    let own = |n: &&crate::policy::Namespace| n.kind == NamespaceKind::Time;
    let own = case.grant.namespaces.iter().find(own);
    if !granted.is_empty() && own.is_none_or(|n| n.join.is_some()) {
        case.refuse(
            ControlId::S8_1_3,
            "/linux/timeOffsets",
            "offsets of clocks without a new time namespace",
            "add {\"type\": \"time\"} to /linux/namespaces; the host's clocks, and those of a joined namespace, stay",
        );
        return;
    }
    case.grant.execution.clock_offsets = granted;
}
