//! What is written into a v2 cgroup's files, as properties of a systemd unit (systemd.resource-control(5)).

use super::scope::{Property, PropertyValue};
use super::{LimitWrite, Value};

/// systemd's word for "max".
const INFINITY: u64 = u64::MAX;

/// A hundredth of a CPU. systemd keeps whole hundredths over a reload, and takes none of them for no limit at all.
const LEAST_QUOTA: u64 = 10_000;

/// CPUs and nodes beyond this are not numbered by any kernel.
const MOST_CPUS: usize = 8192;

/// One property (or two) for each file that systemd has one for; files that it does not know are left out.
pub(super) fn of_writes(writes: &[LimitWrite]) -> Vec<Property> {
    let mut out: Vec<Property> = Vec::new();
    for write in writes {
        let Value::Text(text) = &write.value else {
            continue;
        };
        for property in of_file(&write.file, text.trim()) {
            let same = out.iter().position(|p| p.name == property.name);
            match (same, property.value) {
                // One disk a write; the property has them all.
                (Some(at), PropertyValue::Devices(more)) => {
                    if let PropertyValue::Devices(all) = &mut out[at].value {
                        all.extend(more);
                    }
                }
                (Some(at), value) => out[at].value = value,
                (None, value) => out.push(Property { value, ..property }),
            }
        }
    }
    out
}

fn of_file(file: &str, text: &str) -> Vec<Property> {
    let one = |name, value: Option<PropertyValue>| {
        let property = value.map(|value| Property { name, value });
        property.into_iter().collect()
    };
    let number = |name| one(name, amount(text).map(PropertyValue::Number));
    let set = |name| one(name, bits(text).map(PropertyValue::Set));
    match file {
        "memory.max" => number("MemoryMax"),
        "memory.high" => number("MemoryHigh"),
        "memory.low" => number("MemoryLow"),
        "memory.min" => number("MemoryMin"),
        "memory.swap.max" => number("MemorySwapMax"),
        "pids.max" => number("TasksMax"),
        "cpu.weight" => number("CPUWeight"),
        // systemd's word for idle; where that is not set it takes cpu.idle back.
        "cpu.idle" if text == "1" => one("CPUWeight", Some(PropertyValue::Number(0))),
        "cpu.max" => quota(text).unwrap_or_default(),
        "cpuset.cpus" => set("AllowedCPUs"),
        "cpuset.mems" => set("AllowedMemoryNodes"),
        "io.weight" => match text.strip_prefix("default ").unwrap_or(text).parse() {
            Ok(weight) => one("IOWeight", Some(PropertyValue::Number(weight))),
            Err(_) => Vec::new(),
        },
        "io.max" => disk(text).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn amount(text: &str) -> Option<u64> {
    match text {
        "max" => Some(INFINITY),
        number => number.parse().ok(),
    }
}

/// "QUOTA PERIOD". systemd wants microseconds a second, and makes the quota of it again by dividing: rounded up, what
/// comes back is the quota. (After a reload of systemd it is cut down to whole hundredths of a CPU.)
fn quota(text: &str) -> Option<Vec<Property>> {
    let (quota, period) = text.split_once(' ').unwrap_or((text, "100000"));
    let period: u64 = period.parse().ok().filter(|p| *p > 0)?;
    let second = match quota {
        "max" => INFINITY,
        quota => {
            let all = u128::from(quota.parse::<u64>().ok()?) * 1_000_000;
            let second = u64::try_from(all.div_ceil(period.into())).ok()?;
            second.max(LEAST_QUOTA)
        }
    };
    let property = |name, n| Property {
        name,
        value: PropertyValue::Number(n),
    };
    Some(vec![
        property("CPUQuotaPerSecUSec", second),
        property("CPUQuotaPeriodUSec", period),
    ])
}

/// "0-2,7" as bits, the lowest first.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for part in list.split(',').filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to >= MOST_CPUS {
            return None;
        }
        for at in from..=to {
            if out.len() <= at / 8 {
                out.resize(at / 8 + 1, 0);
            }
            out[at / 8] |= 1 << (at % 8);
        }
    }
    (!out.is_empty()).then_some(out)
}

/// "8:0 rbps=1 wbps=max riops=max wiops=max".
fn disk(text: &str) -> Option<Vec<Property>> {
    let mut words = text.split(' ');
    let device = format!("/dev/block/{}", words.next()?);
    let limit = |word: &str| {
        let (key, n) = word.split_once('=')?;
        let name = match key {
            "rbps" => "IOReadBandwidthMax",
            "wbps" => "IOWriteBandwidthMax",
            "riops" => "IOReadIOPSMax",
            "wiops" => "IOWriteIOPSMax",
            _ => return None,
        };
        let value = PropertyValue::Devices(vec![(device.clone(), amount(n)?)]);
        Some(Property { name, value })
    };
    Some(words.filter_map(limit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(file: &str, text: &str) -> String {
        let one = |p: &Property| format!("{}={:?}", p.name, p.value);
        let all: Vec<String> = of_file(file, text).iter().map(one).collect();
        all.join(" ")
    }

    #[test]
    fn files_as_properties() {
        for (file, text, expected) in [
            ("memory.max", "1048576", "MemoryMax=Number(1048576)"),
            ("memory.swap.max", "0", "MemorySwapMax=Number(0)"),
            ("pids.max", "max", "TasksMax=Number(18446744073709551615)"),
            ("cpu.weight", "39", "CPUWeight=Number(39)"),
            (
                "cpu.max",
                "50000 100000",
                "CPUQuotaPerSecUSec=Number(500000) CPUQuotaPeriodUSec=Number(100000)",
            ),
            (
                "cpu.max",
                "1000 1000000",
                "CPUQuotaPerSecUSec=Number(10000) CPUQuotaPeriodUSec=Number(1000000)",
            ),
            (
                "cpu.max",
                "max 20000",
                "CPUQuotaPerSecUSec=Number(18446744073709551615) CPUQuotaPeriodUSec=Number(20000)",
            ),
            ("cpuset.cpus", "0-2,9", "AllowedCPUs=Set([7, 2])"),
            ("cpuset.mems", "0", "AllowedMemoryNodes=Set([1])"),
            ("cpuset.cpus", "9-1", ""),
            ("cpuset.cpus", "0-99999999", ""),
            (
                "io.max",
                "8:0 rbps=1 wbps=max",
                "IOReadBandwidthMax=Devices([(\"/dev/block/8:0\", 1)]) IOWriteBandwidthMax=Devices([(\"/dev/block/8:0\", 18446744073709551615)])",
            ),
            ("cpu.idle", "1", "CPUWeight=Number(0)"),
            ("cpu.idle", "0", ""),
            ("io.weight", "default 50", "IOWeight=Number(50)"),
            ("memory.oom.group", "1", ""),
            ("memory.max", "lots", ""),
        ] {
            assert_eq!(said(file, text), expected, "{file} {text}");
        }
    }

    proptest! {
        /// What systemd divides back is what was asked.
        #[test]
        fn the_quota_survives(quota in 10_000..10_000_000_000u64, period in 1000..=1_000_000u64) {
            let said = quota_of(&format!("{quota} {period}"));
            prop_assert_eq!((u128::from(said) * u128::from(period) / 1_000_000) as u64, quota);
        }

        #[test]
        fn any_text_is_read_or_left_out(file in "(cpu.max|cpuset.cpus|io.max|io.weight|pids.max)", text in ".{0,30}") {
            let _ = of_file(&file, &text);
        }
    }

    fn quota_of(text: &str) -> u64 {
        match quota(text).unwrap()[0].value {
            PropertyValue::Number(n) => n,
            _ => unreachable!(),
        }
    }
}
