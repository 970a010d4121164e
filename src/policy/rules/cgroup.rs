//! Where the cgroup goes, and raw cgroup v2 keys.

use super::case::Case;
use super::scope;
use super::strings::{escape, shorten};
use crate::controls::ControlId;
use crate::policy::Amount;

/// linux.cgroupsPath: no climbing out, and the three-part form for systemd.
pub(super) fn place(case: &mut Case<'_>) {
    let path = case.linux().and_then(|l| l.cgroups_path().as_ref());
    let path = path.map_or(String::new(), |p| p.to_string_lossy().into_owned());
    let at = "/linux/cgroupsPath";
    if case.bundle.extras.systemd_cgroup {
        match scope::parse(&path, &case.bundle.name) {
            Ok(scope) => case.grant.cgroup.scope = Some(scope),
            Err(what) => {
                let shown = format!("{:?}", shorten(&path));
                case.refuse(ControlId::S8_1_4, at, shown, what);
            }
        }
        return;
    }
    if path.is_empty() {
        return;
    }
    let shown = || format!("{:?}", shorten(&path));
    if path.len() > 4095
        || path.split('/').any(|part| part == ".." || part.len() > 255)
        || path.contains(['\0', '\n'])
    {
        case.refuse(
            ControlId::S8_1_4,
            at,
            shown(),
            "give a path without '..', each name at most 255 bytes",
        );
        return;
    }
    if path.split('/').all(|part| part.is_empty() || part == ".") {
        case.refuse(
            ControlId::S8_1_4,
            at,
            shown(),
            "name a cgroup below the root of the hierarchy",
        );
        return;
    }
    case.grant.cgroup.path = Some(path);
}

/// Keys that may be written raw; those with a ceiling are held to it.
const PLAIN: [&str; 12] = [
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.oom.group",
    "cpu.weight",
    "cpu.weight.nice",
    "cpu.idle",
    "cpuset.cpus",
    "cpuset.mems",
    "io.weight",
    "io.latency",
    "memory.zswap.max",
];

/// linux.resources.unified.
pub(super) fn unified(case: &mut Case<'_>) {
    let asked = case
        .linux()
        .and_then(|l| l.resources().as_ref())
        .and_then(|r| r.unified().as_ref());
    let mut entries: Vec<_> = asked.into_iter().flatten().collect();
    entries.sort();
    for (key, value) in entries {
        let pointer = format!("/linux/resources/unified/{}", shorten(&escape(key)));
        if value.contains(['\n', '\0']) || value.is_empty() || value.len() > 4096 {
            case.refuse(
                ControlId::S8_1_4,
                &pointer,
                "a value that is not one line",
                "write one value a key",
            );
            continue;
        }
        let limits = &case.grant.limits;
        let granted = match key.as_str() {
            "memory.max" => Some(limits.memory),
            "memory.swap.max" => Some(limits.swap),
            "pids.max" => Some(limits.pids),
            "cpu.max" => {
                cpu_max(case, &pointer, value);
                continue;
            }
            key if PLAIN.contains(&key) => None,
            _ => {
                let found = format!("the key {:?}", shorten(key));
                let known = PLAIN.join(", ");
                case.refuse(
                    ControlId::S8_1_4,
                    &pointer,
                    found,
                    format!("known are memory.max, memory.swap.max, pids.max, cpu.max, {known}"),
                );
                continue;
            }
        };
        let value = match granted {
            None => value.clone(),
            Some(limit) => held(case, &pointer, value, limit),
        };
        if !value.is_empty() {
            case.grant.limits.unified.push((key.clone(), value));
        }
    }
}

/// A raw number may only be tighter than the limit that is granted anyway.
fn held(case: &mut Case<'_>, pointer: &str, value: &str, limit: Option<u64>) -> String {
    let asked = match value {
        "max" => Some(u64::MAX),
        number if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok(),
        _ => None,
    };
    let Some(asked) = asked else {
        case.refuse(
            ControlId::S8_1_4,
            pointer,
            format!("{:?}", shorten(value)),
            "write a number or max",
        );
        return String::new();
    };
    match limit {
        Some(limit) if asked > limit => {
            case.over(ControlId::S8_1_4, pointer, Amount(asked), Amount(limit));
            limit.to_string()
        }
        _ => value.into(),
    }
}

/// "QUOTA PERIOD" or "max PERIOD".
fn cpu_max(case: &mut Case<'_>, pointer: &str, value: &str) {
    let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
    let whole = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    let asked = if quota == "max" {
        Some(u64::MAX)
    } else {
        whole(quota)
    };
    let (Some(asked), Some(period)) = (
        asked,
        whole(period).filter(|p| (1_000..=1_000_000).contains(p)),
    ) else {
        case.refuse(
            ControlId::S8_1_4,
            pointer,
            format!("{:?}", shorten(value)),
            "write \"QUOTA PERIOD\" in microseconds",
        );
        return;
    };
    let limits = &case.grant.limits;
    let most = match (limits.cpu_quota, limits.cpu_period) {
        (Some(quota), Some(of)) => {
            (u128::from(quota) * u128::from(period) / u128::from(of.max(1))) as u64
        }
        _ => u64::MAX,
    };
    if asked > most {
        case.over(
            ControlId::S8_1_4,
            pointer,
            shorten(value),
            format!("{most} {period}"),
        );
    }
    let granted = match asked.min(most) {
        u64::MAX => "max".to_string(),
        quota => quota.to_string(),
    };
    case.grant
        .limits
        .unified
        .push(("cpu.max".into(), format!("{granted} {period}")));
}
