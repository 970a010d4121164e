//! Numbers in the kernel's spellings and in people's: weights, lists, device numbers, bytes. Pure.
//!
//! Used by `writes` and by the comparison with what is read back.

use std::collections::BTreeSet;

/// From here on the kernel calls it unlimited.
pub(super) const UNLIMITED: u64 = (i64::MAX as u64) - 65535;

/// v1 shares (2..262144, normal 1024) as a v2 weight (1..10000, normal 100), by the formula that runc 1.3 and crun
/// 1.23 use (github.com/kubernetes/kubernetes/issues/131216): it keeps minimum, normal and maximum, unlike the older
/// linear one, which made 1024 shares a weight of 39.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        n => {
            let l = (n as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            // The constants meet exactly at 1024 but for rounding, which must not make it 101.
            (10f64.powf(exponent) - 1e-6).ceil() as u64
        }
    }
}

/// Whether two kernel lists ("0-3,5") name the same numbers.
pub(super) fn same_list(a: &str, b: &str) -> bool {
    matches!((members(a), members(b)), (Some(a), Some(b)) if a == b)
}

fn members(list: &str) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for part in list.trim().split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= 65_536 {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

pub(super) fn numbers(devices: &[(u32, u32)]) -> String {
    let all: Vec<String> = devices.iter().map(|(a, b)| format!("{a}:{b}")).collect();
    all.join(" ")
}

/// Bytes in the largest binary unit that divides them, or with one decimal.
pub fn human(n: u64) -> String {
    if n >= UNLIMITED {
        return "not limited".into();
    }
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let step = (n.max(1).ilog2() / 10) as usize;
    let whole = 1u64 << (10 * step);
    if n.is_multiple_of(whole) {
        format!("{} {}", n / whole, units[step])
    } else {
        format!("{:.1} {}", n as f64 / whole as f64, units[step])
    }
}
