//! CPU and processes: always limited, by default or as asked, never above the ceiling.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::{Amount, Count, Cpus};
use oci_spec::runtime::{LinuxCpu, LinuxResources};

/// The `resources` section, if any.
pub(super) fn resources<'a>(case: &Case<'a>) -> Option<&'a LinuxResources> {
    case.linux().and_then(|l| l.resources().as_ref())
}

/// 0 and nothing: not asked. Below: unlimited, as in runc.
pub(super) fn asked(value: Option<i64>) -> Option<Amount> {
    match value {
        None | Some(0) => None,
        Some(n) => Some(u64::try_from(n).map_or(Amount::UNLIMITED, Amount)),
    }
}

/// As the grant says it: `None` for no limit.
pub(super) fn finite(amount: Amount) -> Option<u64> {
    (amount != Amount::UNLIMITED).then_some(amount.0)
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
        None => {
            case.unasked(Amount(range.default.quota(period).max(1_000)))
                .0
        }
        Some(Amount::UNLIMITED) => quota(case, Amount::UNLIMITED, period, range.default),
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
    burst(
        case,
        &format!("{at}/burst"),
        cpu.burst().unwrap_or(0),
        quota,
    );
    match cpu.idle() {
        None | Some(0) => {}
        Some(1) => {
            case.grant.limits.cpu_idle = true;
            if let Some(shares) = case.grant.limits.cpu_shares.take() {
                let given = "the least there is: an idle cgroup takes no other";
                case.cut(ControlId::S8_1_4, &format!("{at}/shares"), shares, given);
            }
        }
        Some(n) => {
            let place = format!("{at}/idle");
            case.refuse(ControlId::S8_1_4, &place, n, "give 0 or 1");
        }
    }
    realtime(case, at, &cpu);
}

/// Saved-up quota is time that others count on: none but under compat.
fn burst(case: &mut Case<'_>, pointer: &str, asked: u64, quota: u64) {
    if asked == 0 {
        return;
    }
    if !case.compat() {
        let found = format!("{asked} microseconds");
        return case.over(ControlId::S8_1_4, pointer, found, "no burst");
    }
    // The kernel takes no more than the quota.
    if asked > quota {
        case.cut(ControlId::S8_1_4, pointer, asked, quota);
    }
    case.grant.limits.cpu_burst = Some(asked.min(quota));
}

/// A share for real-time processes, which cgroup v1 alone can give.
fn realtime(case: &mut Case<'_>, at: &str, cpu: &LinuxCpu) {
    let runtime = cpu.realtime_runtime().and_then(|n| u64::try_from(n).ok());
    let (runtime, period) = (runtime.unwrap_or(0), cpu.realtime_period().unwrap_or(0));
    if runtime == 0 && period == 0 {
        return;
    }
    let place = match runtime {
        0 => format!("{at}/realtimePeriod"),
        _ => format!("{at}/realtimeRuntime"),
    };
    let what = format!("{runtime} microseconds of real-time in {period}");
    if !case.waived(&place, &what, |g| g.realtime) {
        return case.over(ControlId::S8_1_4, &place, what, "no real-time share");
    }
    if !case.host.cgroups.has_v1("cpu") {
        let remedy = "cgroup v2 has no real-time shares: leave it out, or boot with cgroup v1";
        return case.refuse(ControlId::S8_1_4, &place, what, remedy);
    }
    case.grant.limits.realtime = Some((runtime, Some(period).filter(|n| *n != 0)));
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
pub(super) fn id_list(case: &mut Case<'_>, pointer: &str, text: Option<String>) -> Option<String> {
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
    let at = "/linux/resources/pids/limit";
    let range = case.policy.ceilings.limits.pids;
    let limit = resources(case)
        .and_then(|r| r.pids().as_ref())
        .map(|p| p.limit());
    let granted = match asked(limit) {
        None => Count(case.unasked(Amount(range.default.0)).0),
        // "Unlimited" gets the default, not the ceiling: nobody has said how many are needed.
        Some(Amount::UNLIMITED) => case.bounded(at, Count::UNLIMITED, range.default, |c| c.pids),
        Some(n) => case.bounded(at, Count(n.0), range.max, |c| c.pids),
    };
    case.grant.limits.pids = finite(Amount(granted.0));
}
